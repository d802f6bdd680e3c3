#include "trace/route_record.h"

#include <math.h>

bool dele_metric_can_be(dele_metric metric, double x)
{
    if (isnan(x)) return true;
    switch (metric) {
    case DELE_PROB:
        return x >= 0 && x <= 1 + 1e-6;
    case DELE_LOGP:
        return x <= 1e-6; /* of a p that underflows it is -inf */
    case DELE_RANK:
        return x >= 1 && isfinite(x);
    default:
        return isfinite(x);
    }
}

dele_status dele_route_record_put(dele_npz *npz, const dele_grid *g, const dele_trace *trace,
                                  dele_arena *scratch, dele_err *err)
{
    const size_t T = (size_t)g->n_tokens, L = (size_t)trace->n_layers, S = (size_t)g->n_samples,
                 k = (size_t)trace->top_k, n = T * L * k;
    const size_t route[] = {T, L, k}, layers[] = {S, T, L},
                 forced[] = {S, DELE_N_FORCED, DELE_N_METRICS};
    int64_t *experts = DELE_NEW(scratch, int64_t, n, err);
    if (!experts) return err->code;
    for (size_t i = 0; i < n; i++) experts[i] = g->routes->experts[i];
    const bool failed =
        dele_npz_i64(npz, "experts", experts, 3, route, err) ||
        dele_npz_f32(npz, "expert_weights", g->routes->weights, 3, route, err) ||
        dele_npz_f32(npz, "unchanged_experts", g->routes->unchanged, 3, layers, err) ||
        dele_npz_f64(npz, "forced", g->routes->forced, 3, forced, err);
    return failed ? err->code : DELE_OK;
}

/* One layer's experts: k different ones with finite weights, or none in a dense layer. */
static bool is_route(const int64_t *experts, const float *weights, bool dense,
                     const dele_trace *trace)
{
    for (int j = 0; j < trace->top_k; j++) {
        if (dense ? experts[j] != -1 : experts[j] < 0 || experts[j] >= trace->n_experts)
            return false;
        if (!isfinite(weights[j])) return false;
        for (int i = 0; i < j && !dense; i++)
            if (experts[i] == experts[j]) return false;
    }
    return true;
}

dele_status dele_route_record_take(dele_grid *g, dele_npz_in *npz, const char *path,
                                   const dele_trace *trace, dele_arena *arena, dele_arena *scratch,
                                   dele_err *err)
{
    const size_t T = (size_t)g->n_tokens, L = (size_t)trace->n_layers, S = (size_t)g->n_samples,
                 k = (size_t)trace->top_k, n = T * L * k;
    size_t route[] = {T, L, k}, layers[] = {S, T, L}, forced[] = {S, DELE_N_FORCED, DELE_N_METRICS};
    dele_grid_routes *r = DELE_NEW(arena, dele_grid_routes, 1, err);
    int64_t *experts = r ? dele_npz_in_i64(npz, "experts", 3, route, scratch, err) : NULL;
    if (!experts || !(r->experts = DELE_NEW(arena, int, n, err)) ||
        !(r->weights = dele_npz_in_f32(npz, "expert_weights", 3, route, arena, err)) ||
        !(r->unchanged = dele_npz_in_f32(npz, "unchanged_experts", 3, layers, arena, err)) ||
        !(r->forced = dele_npz_in_f64(npz, "forced", 3, forced, arena, err)))
        return err->code;
    bool good = true;
    for (size_t i = 0; i < T * L; i++)
        good &= is_route(experts + i * k, r->weights + i * k, trace->dense[i % L], trace);
    for (size_t i = 0; i < S * T * L; i++)
        good &= isnan(r->unchanged[i]) || (r->unchanged[i] >= 0 && r->unchanged[i] <= 1);
    for (size_t i = 0; i < S * DELE_N_FORCED * DELE_N_METRICS; i++)
        good &= dele_metric_can_be((dele_metric)(i % DELE_N_METRICS), r->forced[i]);
    if (!good)
        return dele_fail(err, DELE_ERR_DATA, "%s has experts, fractions or scores out of range",
                         path);
    for (size_t i = 0; i < n; i++) r->experts[i] = (int)experts[i];
    g->routes = r;
    return DELE_OK;
}
