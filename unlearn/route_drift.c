#include "unlearn/route_drift.h"

#include <math.h>
#include <string.h>

dele_status dele_route_drift_init(dele_route_drift *d, const dele_config *config, size_t n_rows,
                                  dele_arena *arena, dele_err *err)
{
    const size_t layers = (size_t)config->n_layers, k = (size_t)config->top_k;
    *d = (dele_route_drift){.n_layers = config->n_layers,
                            .top_k = config->top_k,
                            .n_rows = n_rows,
                            .mean = (double)NAN};
    bool ok = (d->before = dele_alloc_raw(arena, n_rows, layers * k * sizeof *d->before, err)) &&
              (d->common = DELE_NEW(arena, size_t, layers, err)) &&
              (d->counted = DELE_NEW(arena, size_t, layers, err)) &&
              (d->share = DELE_NEW(arena, double, layers, err));
    return ok ? DELE_OK : DELE_ERR_MEMORY;
}

void dele_route_drift_begin(dele_route_drift *d)
{
    memset(d->common, 0, (size_t)d->n_layers * sizeof *d->common);
    memset(d->counted, 0, (size_t)d->n_layers * sizeof *d->counted);
}

static void record_row(dele_route_drift *d, uint16_t *to, const dele_routes *routes, size_t row)
{
    for (int l = 0; l < d->n_layers; l++)
        for (int i = 0; i < d->top_k; i++) {
            const int e = dele_route_experts(routes, row, l)[i];
            to[l * d->top_k + i] = (uint16_t)(e < 0 ? DELE_MAX_EXPERTS : e);
        }
}

static void compare_row(dele_route_drift *d, const uint16_t *from, const dele_routes *routes,
                        size_t row)
{
    int before[DELE_MAX_EXPERTS];
    for (int l = 0; l < d->n_layers; l++, from += d->top_k) {
        const int *now = dele_route_experts(routes, row, l);
        if (now[0] < 0 || from[0] == DELE_MAX_EXPERTS) continue;
        for (int i = 0; i < d->top_k; i++) before[i] = from[i];
        d->common[l] += (size_t)dele_common_experts(before, now, d->top_k);
        d->counted[l]++;
    }
}

void dele_route_drift_pass(dele_route_drift *d, const dele_routes *routes, size_t at)
{
    const size_t width = (size_t)d->n_layers * (size_t)d->top_k;
    for (size_t row = 0; row < routes->n_rows && at + row < d->n_rows; row++) {
        uint16_t *before = d->before + (at + row) * width;
        if (!d->recorded) record_row(d, before, routes, row);
        compare_row(d, before, routes, row);
    }
}

void dele_route_drift_end(dele_route_drift *d)
{
    double sum = 0;
    int layers = 0;
    d->recorded = true;
    for (int l = 0; l < d->n_layers; l++) {
        const double of = (double)d->counted[l] * d->top_k;
        d->share[l] = d->counted[l] ? (double)d->common[l] / of : (double)NAN;
        if (d->counted[l]) sum += d->share[l], layers++;
    }
    d->mean = layers ? sum / layers : (double)NAN;
}
