#include "routing/measures.h"

#include <math.h>

dele_status dele_expert_count(dele_expert_counts *c, const dele_routed *r, int k, dele_arena *arena,
                              dele_err *err)
{
    const size_t L = (size_t)r->routes.n_layers, E = (size_t)r->routes.n_experts;
    *c = (dele_expert_counts){.n_layers = r->routes.n_layers,
                              .n_experts = r->routes.n_experts,
                              .k = k,
                              .n_domains = r->n_domains,
                              .tokens = DELE_NEW(arena, uint64_t, r->n_domains, err),
                              .count = DELE_NEW(arena, uint64_t, r->n_domains * L * E, err)};
    if (!c->tokens || !c->count) return err->code;
    for (size_t t = 0; t < r->n; t++) {
        if (r->domain[t] < 0) continue;
        const size_t domain = (size_t)r->domain[t];
        c->tokens[domain]++;
        for (size_t l = 0; l < L; l++) {
            const int *expert = dele_routed_experts(r, t, (int)l);
            for (int i = 0; i < k && expert[i] >= 0; i++)
                c->count[(domain * L + l) * E + (size_t)expert[i]]++;
        }
    }
    return DELE_OK;
}

double dele_domain_specialisation(const dele_expert_counts *c, size_t domain, int layer, int expert)
{
    if (!c->tokens[domain]) return NAN;
    return (double)dele_expert_counts_of(c, domain, layer)[expert] / (double)c->tokens[domain];
}

static double sum_of(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    return sum;
}

double dele_load_entropy(const double *count, int n)
{
    const double total = sum_of(count, n);
    double sum = 0;
    if (!(total > 0)) return NAN;
    for (int i = 0; i < n; i++)
        if (count[i] > 0) sum -= count[i] / total * log(count[i] / total);
    return n > 1 ? sum / log(n) : 1;
}

double dele_load_distance(const double *a, const double *b, int n)
{
    const double total_a = sum_of(a, n), total_b = sum_of(b, n);
    double sum = 0;
    if (!(total_a > 0) || !(total_b > 0)) return NAN;
    for (int i = 0; i < n; i++) sum += fabs(a[i] / total_a - b[i] / total_b);
    return sum / 2;
}

double dele_saturation(size_t *n, const dele_routed *a, const dele_routed *b, int l, int k,
                       int domain)
{
    uint64_t common = 0;
    *n = 0;
    for (size_t t = 0; t < a->n; t++) {
        if (domain < 0 ? a->domain[t] < 0 : a->domain[t] != domain) continue;
        common += (uint64_t)dele_common_experts(dele_routed_experts(a, t, l),
                                                dele_routed_experts(b, t, l), k);
        ++*n;
    }
    return *n ? (double)common / ((double)*n * k) : NAN;
}

void dele_coactivation_count(uint64_t *together, uint64_t *alone, const dele_routed *r, int l,
                             bool compat)
{
    const int k = r->routes.top_k;
    const size_t E = (size_t)r->routes.n_experts;
    for (size_t t = 0; t < r->n; t++) {
        const int *e = dele_routed_experts(r, t, l);
        if (r->domain[t] < 0 || e[0] < 0) continue;
        for (int i = 0; i < k; i++) {
            alone[e[i]]++;
            for (int j = i + 1; j < (compat && i + 2 < k ? i + 2 : k); j++) {
                together[(size_t)e[i] * E + (size_t)e[j]]++;
                together[(size_t)e[j] * E + (size_t)e[i]]++;
            }
        }
    }
}
