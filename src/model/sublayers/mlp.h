/* The gated MLP, SwiGLU, as a forward and backward pair:
 *
 *   x ── norm ── gate, up (+ bias) ── silu(gate) ⊙ up ── down (+ bias) ── out */
#ifndef DELE_SUBLAYER_MLP_H
#define DELE_SUBLAYER_MLP_H

#include "model/sublayers/norm.h"
#include "tensor/matrix.h"

typedef struct {
    dele_norm_weights norm;    /* [d_model] */
    dele_matrix gate_up;       /* [2 d_ff, d_model] */
    const float *gate_up_bias; /* [2 d_ff] or NULL */
    dele_matrix down;          /* [d_model, d_ff] */
    const float *down_bias;    /* [d_model] or NULL */
} dele_mlp_weights;

/* What the backward pass needs of n rows.  A forward pass without one uses a single struct for all
 * layers, whose x is NULL. */
typedef struct {
    float *x; /* [n, d_model] the input */
    dele_norm_saved norm;
    float *gate_up; /* [n, 2 d_ff] */
} dele_mlp_saved;

dele_status dele_mlp_lay_saved(dele_mlp_saved *s, const dele_config *config, size_t n,
                               bool for_backward, dele_arena *arena, dele_err *err);

/* Gradients of the weights, NULL where frozen. */
typedef struct {
    dele_norm_grads norm;
    float *gate, *up, *gate_up_bias[2], *down, *down_bias;
} dele_mlp_grads;

/* Scratch of n rows; the backward pass needs all of it, the forward pass xn, h and tile. */
typedef struct {
    float *xn, *dxn;          /* [n, d_model] */
    float *h, *dh, *dgate_up; /* [n, d_ff], [n, d_ff], [n, 2 d_ff] */
    float *tile;              /* for matrices that are not wide */
} dele_mlp_scratch;

/* out [n, d_model] = beta out + MLP(x); out may be x. */
void mlp_forward(float *out, float beta, dele_mlp_saved *s, const float *x, size_t n,
                 const dele_mlp_weights *w, const dele_config *config,
                 const dele_mlp_scratch *scratch);

/* dx += d loss / d x, unless dx is NULL, from dout [n, d_model]; dx may be dout. */
void mlp_backward(float *dx, const dele_mlp_grads *grads, const float *dout,
                  const dele_mlp_saved *s, size_t n, const dele_mlp_weights *w,
                  const dele_config *config, const dele_mlp_scratch *scratch);

/* Floating-point operations of n rows, two for each multiplication. */
double dele_mlp_flops(const dele_config *config, double n);

#endif
