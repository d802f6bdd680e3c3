#include "routing/routed.h"

#include <math.h>

dele_status dele_routed_init(dele_routed *r, size_t n, int n_layers, int n_experts, int top_k,
                             dele_arena *arena, dele_err *err)
{
    const size_t width = (size_t)n_layers * (size_t)top_k, most = (size_t)-1 / (width ? width : 1);
    if (n > most)
        return dele_fail(err, DELE_ERR_MEMORY, "out of memory for the routes of %zu tokens", n);
    *r = (dele_routed){.n = n,
                       .id = DELE_NEW(arena, int, n, err),
                       .next = DELE_NEW(arena, int, n, err),
                       .predicted = DELE_NEW(arena, int, n, err),
                       .document = DELE_NEW(arena, int, n, err),
                       .domain = DELE_NEW(arena, int, n, err),
                       .logp = DELE_NEW(arena, float, n, err),
                       .routes = {.n_rows = n,
                                  .capacity = n,
                                  .n_layers = n_layers,
                                  .n_experts = n_experts,
                                  .top_k = top_k,
                                  .experts = DELE_NEW(arena, int, n *width, err),
                                  .weights = DELE_NEW(arena, float, n *width, err)}};
    if (!r->id || !r->next || !r->predicted || !r->document || !r->domain || !r->logp ||
        !r->routes.experts || !r->routes.weights)
        return DELE_ERR_MEMORY;
    for (size_t t = 0; t < n; t++) {
        r->next[t] = r->predicted[t] = r->domain[t] = -1;
        r->logp[t] = NAN;
    }
    for (size_t i = 0; i < n * width; i++) r->routes.experts[i] = -1;
    return DELE_OK;
}

dele_status dele_routed_same_tokens(const dele_routed *a, const dele_routed *b, const char *name_a,
                                    const char *name_b, dele_err *err)
{
    if (a->n != b->n)
        return dele_fail(
            err, DELE_ERR_DATA,
            "%s has %zu tokens, %s %zu; routes can only be compared on the same tokens", name_a,
            a->n, name_b, b->n);
    for (size_t t = 0; t < a->n; t++)
        if (a->id[t] != b->id[t])
            return dele_fail(
                err, DELE_ERR_DATA,
                "token %zu is id %d for %s and id %d for %s; routes can only be compared "
                "on the same tokens",
                t, a->id[t], name_a, b->id[t], name_b);
    return DELE_OK;
}

dele_status dele_routed_comparable(const dele_routed *a, const dele_routed *b, const char *name_a,
                                   const char *name_b, dele_err *err)
{
    const dele_routes *x = &a->routes, *y = &b->routes;
    if (x->n_layers != y->n_layers || x->n_experts != y->n_experts || x->top_k != y->top_k)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s has %d layers with %d of %d experts a token, %s %d with %d of %d; "
                         "routes can only be compared between models of one shape",
                         name_a, x->n_layers, x->top_k, x->n_experts, name_b, y->n_layers, y->top_k,
                         y->n_experts);
    if (dele_routed_same_tokens(a, b, name_a, name_b, err)) return err ? err->code : DELE_ERR_DATA;
    for (int l = 0; l < x->n_layers; l++)
        if (dele_routed_sparse(a, l) != dele_routed_sparse(b, l))
            return dele_fail(
                err, DELE_ERR_DATA,
                "layer %d is a mixture of experts in %s alone; routes can only be compared "
                "between models of one shape",
                l, dele_routed_sparse(a, l) ? name_a : name_b);
    return DELE_OK;
}
