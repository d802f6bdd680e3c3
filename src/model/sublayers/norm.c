#include "model/sublayers/norm.h"

#include "tensor/ops.h"

dele_status dele_norm_lay_saved(dele_norm_saved *s, size_t n, dele_arena *arena, dele_err *err)
{
    s->rstd = dele_alloc_raw(arena, 2 * n, sizeof *s->rstd, err);
    s->mean = s->rstd ? s->rstd + n : NULL;
    return s->rstd ? DELE_OK : DELE_ERR_MEMORY;
}

/* What is added to the weight of an RMSNorm. */
static float offset(const dele_config *c)
{
    return c->family->norm == DELE_RMSNORM_PLUS_ONE ? 1.0f : 0.0f;
}

void norm_forward(float *y, const dele_norm_saved *s, const float *x, dele_norm_weights w, size_t n,
                  size_t dim, const dele_config *config)
{
    switch (config->family->norm) {
    case DELE_RMSNORM:
    case DELE_RMSNORM_PLUS_ONE:
        rmsnorm_forward(y, s->rstd, x, w.weight, offset(config), n, dim, config->norm_eps);
        break;
    case DELE_LAYERNORM:
        layernorm_forward(y, s->rstd, s->mean, x, w.weight, w.bias, n, dim, config->norm_eps);
        break;
    }
}

void norm_backward(float *dx, dele_norm_grads grads, const float *dy, const float *x,
                   dele_norm_weights w, const dele_norm_saved *s, size_t n, size_t dim,
                   const dele_config *config)
{
    switch (config->family->norm) {
    case DELE_RMSNORM:
    case DELE_RMSNORM_PLUS_ONE:
        rmsnorm_backward(dx, grads.weight, dy, x, s->rstd, w.weight, offset(config), n, dim);
        break;
    case DELE_LAYERNORM:
        layernorm_backward(dx, grads.weight, dy, x, s->rstd, s->mean, w.weight, n, dim);
        bias_backward(grads.bias, dy, dim, n, dim);
        break;
    }
}
