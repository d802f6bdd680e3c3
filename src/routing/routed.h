/* Tokens with their documents, their domains and the experts that a model sent them to: what all
 * measures of routing are computed from.
 *
 * A token is one row of a forward pass.  A document is a text that stands alone, the unit over
 * which intervals are taken; a domain is a file of documents.  The tokens of a document follow each
 * other, and the documents of a domain do. */
#ifndef DELE_ROUTING_ROUTED_H
#define DELE_ROUTING_ROUTED_H

#include <stdbool.h>

#include "base/arena.h"
#include "model/sublayers/routes.h"

typedef struct {
    size_t n; /* tokens */
    size_t n_documents, n_domains;
    const char *const *domain_name; /* [n_domains] */
    int *id;                        /* [n] */
    int *next;      /* [n] the id that follows in the same window; -1: the token is the last */
    int *predicted; /* [n] the most likely next id, by the model; -1: not known */
    int *document;  /* [n] from 0, not decreasing */
    int *domain; /* [n] of the token's document; -1: the token is not counted (a special token) */
    float *logp; /* [n] natural log-probability of `next`; NaN where there is none */
    dele_routes routes; /* n_rows = n */
} dele_routed;

/* The experts of token t in layer l: [top_k] in order of router probability. */
static inline const int *dele_routed_experts(const dele_routed *r, size_t t, int l)
{
    return dele_route_experts(&r->routes, t, l);
}

/* Whether layer l is a mixture: its experts are not -1. */
static inline bool dele_routed_sparse(const dele_routed *r, int l)
{
    return r->n && dele_routed_experts(r, 0, l)[0] >= 0;
}

/* Memory for n tokens of a model with so many layers, experts and experts a token; every number is
 * set to "not known". */
dele_status dele_routed_init(dele_routed *r, size_t n, int n_layers, int n_experts, int top_k,
                             dele_arena *arena, dele_err *err);

/* An error where the two do not have the same ids. */
dele_status dele_routed_same_tokens(const dele_routed *a, const dele_routed *b, const char *name_a,
                                    const char *name_b, dele_err *err);

/* An error where two models' routes cannot be compared: other tokens, another number of layers or
 * experts, of experts a token, or other layers that are mixtures.  The names are for the message.
 */
dele_status dele_routed_comparable(const dele_routed *a, const dele_routed *b, const char *name_a,
                                   const char *name_b, dele_err *err);

#endif
