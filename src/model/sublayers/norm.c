#include "model/sublayers/norm.h"

#include <string.h>

#include "model/families/families.h"
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

/* ---- before a sublayer ----------------------------------------------------------------------- */

/* A family whose norms have no parameters has them before the sublayers. */
static bool stands_before(const dele_family *f)
{
    return dele_family_tensor(f, DELE_SLOT_ATTN_NORM) ||
           !dele_family_tensor(f, DELE_SLOT_FINAL_NORM);
}

const float *norm_before_forward(float *y, const dele_norm_saved *s, const float *x,
                                 dele_norm_weights w, size_t n, const dele_config *c)
{
    if (!stands_before(c->family)) return x;
    norm_forward(y, s, x, w, n, (size_t)c->hidden_size, c);
    return y;
}

void norm_before_backward(float *dx, dele_norm_grads grads, const float *dy, const float *x,
                          dele_norm_weights w, const dele_norm_saved *s, size_t n,
                          const dele_config *c)
{
    const size_t d_model = (size_t)c->hidden_size;
    if (stands_before(c->family))
        norm_backward(dx, grads, dy, x, w, s, n, d_model, c);
    else
        add(dx, dy, n * d_model);
}

/* ---- after a sublayer ------------------------------------------------------------------------ */

dele_status dele_norm_after_lay_saved(dele_norm_after_saved *s, const dele_config *c, size_t n,
                                      dele_arena *arena, dele_err *err)
{
    *s = (dele_norm_after_saved){0};
    if (!dele_family_tensor(c->family, DELE_SLOT_ATTN_POST_NORM)) return DELE_OK;
    s->x = dele_alloc_raw(arena, n, (size_t)c->hidden_size * sizeof *s->x, err);
    return s->x ? dele_norm_lay_saved(&s->norm, n, arena, err) : DELE_ERR_MEMORY;
}

void norm_after_forward(float *out, bool adds, const dele_norm_after_saved *s, dele_norm_weights w,
                        size_t n, const dele_config *c, float *xn)
{
    const size_t d_model = (size_t)c->hidden_size;
    if (!s->x) return;
    norm_forward(adds ? xn : out, &s->norm, s->x, w, n, d_model, c);
    if (adds) add(out, xn, n * d_model);
}

const float *norm_after_backward(float *dy, dele_norm_grads grads, const float *dout,
                                 dele_norm_weights w, const dele_norm_after_saved *s, size_t n,
                                 const dele_config *c)
{
    const size_t d_model = (size_t)c->hidden_size;
    if (!s->x) return dout;
    memset(dy, 0, n * d_model * sizeof *dy);
    norm_backward(dy, grads, dout, s->x, w, &s->norm, n, d_model, c);
    return dy;
}
