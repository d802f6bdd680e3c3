/* Forward and backward of the MLP.  g u: gate and up, or up alone, which is then h's argument.
 *
 *   forward    x̂ = norm(x)      g u = x̂ Wᵀ + b      h = a(g) ⊙ u      y = h Wdᵀ + bd
 *              out = norm(y)
 *   backward   dy from dout      dh = dy Wd           dWd += dyᵀ h      dbd += Σ dy
 *              d(g u) from dh (tensor/ops.h)
 *              dW += d(g u)ᵀ x̂  db += Σ d(g u)       dx̂ = d(g u) W
 *
 * x̂ and h are computed again from what is saved, and only where a gradient needs them. */
#include "model/sublayers/mlp.h"

#include <string.h>

#include "model/families/families.h"
#include "model/sublayers/activation.h"
#include "tensor/ops.h"

static bool gated(const dele_config *c)
{
    return dele_family_tensor(c->family, DELE_SLOT_GATE) != NULL;
}

size_t dele_mlp_width(const dele_config *c)
{
    return (size_t)c->intermediate_size * (gated(c) ? 2 : 1);
}

dele_status dele_mlp_lay_saved(dele_mlp_saved *s, const dele_config *c, size_t n, bool for_backward,
                               dele_arena *arena, dele_err *err)
{
    *s = (dele_mlp_saved){0};
    if (for_backward) s->x = dele_alloc_raw(arena, n, (size_t)c->hidden_size * sizeof *s->x, err);
    s->gate_up = dele_alloc_raw(arena, n, dele_mlp_width(c) * sizeof *s->gate_up, err);
    if (!s->gate_up || (for_backward && !s->x)) return DELE_ERR_MEMORY;
    dele_status status = dele_norm_lay_saved(&s->norm, n, arena, err);
    return status ? status : dele_norm_after_lay_saved(&s->post, c, n, arena, err);
}

void mlp_forward(float *out, bool adds, dele_mlp_saved *s, const float *x, size_t n,
                 const dele_mlp_weights *w, const dele_config *c, const dele_mlp_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size, d_ff = (size_t)c->intermediate_size,
                 width = dele_mlp_width(c);
    if (s->x) memcpy(s->x, x, n * d_model * sizeof *x);
    const float *xn = norm_before_forward(scratch->xn, &s->norm, x, w->norm, n, c);
    linear_forward(s->gate_up, width, 0, xn, d_model, n, &w->gate_up, scratch->tile);
    bias_forward(s->gate_up, width, w->gate_up_bias, n, width);
    dele_activation_of(c->activation, gated(c)).forward(scratch->h, s->gate_up, n, d_ff);
    float *y = s->post.x ? s->post.x : out;
    linear_forward(y, d_model, adds && y == out ? 1 : 0, scratch->h, d_ff, n, &w->down,
                   scratch->tile);
    bias_forward(y, d_model, w->down_bias, n, d_model);
    norm_after_forward(out, adds, &s->post, w->post_norm, n, c, scratch->xn);
}

/* What gate, up and their biases get from dgate_up. */
static void first_matrix_gradients(const dele_mlp_grads *grads, const dele_mlp_saved *s, size_t n,
                                   const dele_mlp_weights *w, const dele_config *c,
                                   const dele_mlp_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size, d_ff = (size_t)c->intermediate_size,
                 width = dele_mlp_width(c);
    const float *dgate = scratch->dgate_up, *dup = dgate + (gated(c) ? d_ff : 0);
    if (grads->gate || grads->up) {
        const float *xn = norm_before_forward(scratch->xn, &s->norm, s->x, w->norm, n, c);
        linear_weight_backward(grads->gate, dgate, width, xn, n, d_ff, d_model);
        linear_weight_backward(grads->up, dup, width, xn, n, d_ff, d_model);
    }
    bias_backward(grads->gate_bias, dgate, width, n, d_ff);
    bias_backward(grads->up_bias, dup, width, n, d_ff);
}

void mlp_backward(float *dx, const dele_mlp_grads *grads, const float *dout,
                  const dele_mlp_saved *s, size_t n, const dele_mlp_weights *w,
                  const dele_config *c, const dele_mlp_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size, d_ff = (size_t)c->intermediate_size;
    const float *dy =
        norm_after_backward(scratch->dxn, grads->post_norm, dout, w->post_norm, &s->post, n, c);
    bias_backward(grads->down_bias, dy, d_model, n, d_model);
    if (grads->down) {
        dele_activation_of(c->activation, gated(c)).forward(scratch->h, s->gate_up, n, d_ff);
        linear_weight_backward(grads->down, dy, d_model, scratch->h, n, d_model, d_ff);
    }
    if (!dx && !grads->gate && !grads->up && !grads->gate_bias && !grads->up_bias) return;
    linear_backward(scratch->dh, d_ff, dy, d_model, n, &w->down, scratch->tile);
    dele_activation_of(c->activation, gated(c))
        .backward(scratch->dgate_up, scratch->dh, s->gate_up, n, d_ff);
    first_matrix_gradients(grads, s, n, w, c, scratch);
    if (!dx) return;
    linear_backward(scratch->dxn, d_model, scratch->dgate_up, dele_mlp_width(c), n, &w->gate_up,
                    scratch->tile);
    norm_before_backward(dx, grads->norm, scratch->dxn, s->x, w->norm, &s->norm, n, c);
}

double dele_mlp_flops(const dele_config *c, double n)
{
    return 2 * n * c->hidden_size * ((double)dele_mlp_width(c) + c->intermediate_size);
}
