/* Measures of routing, after "OLMoE: Open Mixture-of-Experts Language Models" (Muennighoff et al.
 * 2024, arXiv 2409.02060, section 5) and its released code (allenai/OLMoE,
 * scripts/run_moe_analysis.py, scripts/run_routing_analysis.py).
 *
 * E_k(t) is the set of the k experts with the largest router probability for token t in a layer; k
 * is the model's own number, or 1.  N is a number of tokens.  Special tokens are not counted.
 *
 *   domain specialisation      DS(i, D) = N(i in E_k(t), t in D) / N(t in D)     uniform: k / E
 *   load                       p_D(i) = N(i in E_k, D) / sum_j N(j in E_k, D)    sums to 1
 *   normalised load entropy    -sum_i p(i) log p(i) / log E                      1: equal loads
 *   distance of two loads      TV(p, q) = 1/2 sum_i |p(i) - q(i)|                1: disjoint
 *   router saturation          1/N sum_t |E_k(t) ∩ E'_k(t)| / k      of two models on the same
 *                                                                    tokens
 *   co-activation              CA(i, j) = N(i and j in E_k) / N(i in E_k)        not symmetric
 *   vocabulary specialisation  vocabulary.h
 *
 * The released code's co-activation counts only experts that are neighbours in a token's list in
 * order of probability: k - 1 pairs of a token, and not k (k - 1) / 2 (`compat`). */
#ifndef DELE_ROUTING_MEASURES_H
#define DELE_ROUTING_MEASURES_H

#include <stdint.h>

#include "routing/routed.h"

/* How often each expert is among the first k of a token: by domain and layer. */
typedef struct {
    int n_layers, n_experts, k;
    size_t n_domains;
    uint64_t *tokens; /* [n_domains] */
    uint64_t *count;  /* [n_domains, n_layers, n_experts] */
} dele_expert_counts;

dele_status dele_expert_count(dele_expert_counts *c, const dele_routed *r, int k, dele_arena *arena,
                              dele_err *err);

static inline const uint64_t *dele_expert_counts_of(const dele_expert_counts *c, size_t domain,
                                                    int layer)
{
    return c->count + (domain * (size_t)c->n_layers + (size_t)layer) * (size_t)c->n_experts;
}

/* DS(expert, domain); NaN where the domain has no tokens. */
double dele_domain_specialisation(const dele_expert_counts *c, size_t domain, int layer,
                                  int expert);

/* Of counts [n], or of any numbers proportional to them; NaN where they are all 0.  Of one expert
 * the entropy is 1. */
double dele_load_entropy(const double *count, int n);
double dele_load_distance(const double *a, const double *b, int n);

/* Saturation of layer l over the tokens of a domain (-1: all), whose number is *n; NaN without
 * tokens.  The two must be comparable (routed.h). */
double dele_saturation(size_t *n, const dele_routed *a, const dele_routed *b, int l, int k,
                       int domain);

/* Adds layer l: together [E, E] (the diagonal stays 0), alone [E]; CA(i, j) is their quotient. */
void dele_coactivation_count(uint64_t *together, uint64_t *alone, const dele_routed *r, int l,
                             bool compat);

#endif
