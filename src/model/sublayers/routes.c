#include "model/sublayers/routes.h"

dele_status dele_routes_init(dele_routes *routes, const dele_config *config, size_t capacity,
                             dele_arena *arena, dele_err *err)
{
    if (!config->n_experts)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "a model of family %s has no experts, so it has no routes",
                         config->family->hf);
    *routes = (dele_routes){.capacity = capacity,
                            .n_layers = config->n_layers,
                            .n_experts = config->n_experts,
                            .top_k = config->top_k};
    const size_t width = (size_t)config->n_layers * (size_t)config->top_k;
    routes->experts = dele_alloc_raw(arena, capacity, width * sizeof *routes->experts, err);
    routes->weights = dele_alloc_raw(arena, capacity, width * sizeof *routes->weights, err);
    return routes->experts && routes->weights ? DELE_OK : DELE_ERR_MEMORY;
}

int dele_common_experts(const int *a, const int *b, int k)
{
    int n = 0;
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++) n += a[i] == b[j];
    return n;
}
