/* Forward and backward of the MLP.
 *
 *   forward    x̂ = norm(x)      g u = x̂ Wᵀ + b      h = silu(g) ⊙ u      out = h Wdᵀ + bd
 *   backward   dh = dout Wd      dWd += doutᵀ h       dbd += Σ dout
 *              d(g u) from dh (tensor/ops.h, SwiGLU)
 *              dW += d(g u)ᵀ x̂  db += Σ d(g u)       dx̂ = d(g u) W
 *
 * x̂ and h are computed again from what is saved, and only where a gradient needs them. */
#include "model/sublayers/mlp.h"

#include <string.h>

#include "tensor/ops.h"

dele_status dele_mlp_lay_saved(dele_mlp_saved *s, const dele_config *c, size_t n, bool for_backward,
                               dele_arena *arena, dele_err *err)
{
    const size_t width = 2 * (size_t)c->intermediate_size;
    *s = (dele_mlp_saved){0};
    if (for_backward) s->x = dele_alloc_raw(arena, n, (size_t)c->hidden_size * sizeof *s->x, err);
    s->gate_up = dele_alloc_raw(arena, n, width * sizeof *s->gate_up, err);
    if (!s->gate_up || (for_backward && !s->x)) return DELE_ERR_MEMORY;
    return dele_norm_lay_saved(&s->norm, n, arena, err);
}

void mlp_forward(float *out, float beta, dele_mlp_saved *s, const float *x, size_t n,
                 const dele_mlp_weights *w, const dele_config *c, const dele_mlp_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size, d_ff = (size_t)c->intermediate_size;
    if (s->x) memcpy(s->x, x, n * d_model * sizeof *x);
    norm_forward(scratch->xn, &s->norm, x, w->norm, n, d_model, c);
    linear_forward(s->gate_up, 2 * d_ff, 0, scratch->xn, d_model, n, &w->gate_up, scratch->tile);
    bias_forward(s->gate_up, 2 * d_ff, w->gate_up_bias, n, 2 * d_ff);
    swiglu_forward(scratch->h, s->gate_up, n, d_ff);
    linear_forward(out, d_model, beta, scratch->h, d_ff, n, &w->down, scratch->tile);
    bias_forward(out, d_model, w->down_bias, n, d_model);
}

void mlp_backward(float *dx, const dele_mlp_grads *grads, const float *dout,
                  const dele_mlp_saved *s, size_t n, const dele_mlp_weights *w,
                  const dele_config *c, const dele_mlp_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size, d_ff = (size_t)c->intermediate_size;
    float *const *db = grads->gate_up_bias;
    bias_backward(grads->down_bias, dout, d_model, n, d_model);
    if (grads->down) {
        swiglu_forward(scratch->h, s->gate_up, n, d_ff);
        linear_weight_backward(grads->down, dout, d_model, scratch->h, n, d_model, d_ff);
    }
    if (!dx && !grads->gate && !grads->up && !grads->norm.weight && !grads->norm.bias && !db[0] &&
        !db[1])
        return;
    linear_backward(scratch->dh, d_ff, dout, d_model, n, &w->down, scratch->tile);
    swiglu_backward(scratch->dgate_up, scratch->dh, s->gate_up, n, d_ff);
    if (grads->gate || grads->up) {
        norm_forward(scratch->xn, &s->norm, s->x, w->norm, n, d_model, c);
        linear_weight_backward(grads->gate, scratch->dgate_up, 2 * d_ff, scratch->xn, n, d_ff,
                               d_model);
        linear_weight_backward(grads->up, scratch->dgate_up + d_ff, 2 * d_ff, scratch->xn, n, d_ff,
                               d_model);
    }
    bias_backward(db[0], scratch->dgate_up, 2 * d_ff, n, d_ff);
    bias_backward(db[1], scratch->dgate_up + d_ff, 2 * d_ff, n, d_ff);
    if (!dx) return;
    linear_backward(scratch->dxn, d_model, scratch->dgate_up, 2 * d_ff, n, &w->gate_up,
                    scratch->tile);
    norm_backward(dx, grads->norm, scratch->dxn, s->x, w->norm, &s->norm, n, d_model, c);
}

double dele_mlp_flops(const dele_config *c, double n)
{
    return 6 * n * c->hidden_size * c->intermediate_size;
}
