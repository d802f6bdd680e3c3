#include "model/router_inputs.h"

#include <string.h>

dele_status dele_router_inputs(float *x, const dele_model *model, int layer, size_t n,
                               dele_arena *scratch, dele_err *err)
{
    const dele_config *c = &model->config;
    dele_norm_saved saved;
    dele_arena_reset(scratch);
    float *y = dele_alloc_raw(scratch, n * (size_t)c->hidden_size, sizeof *y, err);
    if (!y || dele_norm_lay_saved(&saved, n, scratch, err)) return DELE_ERR_MEMORY;
    const float *read = norm_before_forward(y, &saved, x, model->layers[layer].moe.norm, n, c);
    if (read != x) memcpy(x, read, n * (size_t)c->hidden_size * sizeof *x);
    return DELE_OK;
}
