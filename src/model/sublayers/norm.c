#include "model/sublayers/norm.h"

#include "tensor/ops.h"

dele_status dele_norm_lay_saved(dele_norm_saved *s, size_t n, dele_arena *arena, dele_err *err)
{
    s->rstd = dele_alloc_raw(arena, 2 * n, sizeof *s->rstd, err);
    s->mean = s->rstd ? s->rstd + n : NULL;
    return s->rstd ? DELE_OK : DELE_ERR_MEMORY;
}

void norm_forward(float *y, const dele_norm_saved *s, const float *x, const float *w, size_t n,
                  const dele_config *config)
{
    const size_t d_model = (size_t)config->hidden_size;
    switch (config->family->norm) {
    case DELE_RMSNORM:
    case DELE_RMSNORM_PLUS_ONE:
        rmsnorm_forward(y, s->rstd, x, w, n, d_model, config->norm_eps);
        break;
    case DELE_LAYERNORM:
        layernorm_forward(y, s->rstd, s->mean, x, n, d_model, config->norm_eps);
        break;
    }
}

void norm_backward(float *dx, float *dw, const float *dy, const float *x, const float *w,
                   const dele_norm_saved *s, size_t n, const dele_config *config)
{
    const size_t d_model = (size_t)config->hidden_size;
    switch (config->family->norm) {
    case DELE_RMSNORM:
    case DELE_RMSNORM_PLUS_ONE:
        rmsnorm_backward(dx, dw, dy, x, s->rstd, w, n, d_model);
        break;
    case DELE_LAYERNORM:
        layernorm_backward(dx, dy, x, s->rstd, s->mean, n, d_model);
        break;
    }
}
