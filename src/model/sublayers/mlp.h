/* The MLP as a forward and backward pair.  a: the config's activation; a family with the slot GATE
 * has the gated form.
 *
 *   gated   x ── norm ── gate, up (+ bias) ── a(gate) ⊙ up ── down (+ bias) ── norm ── out
 *   plain   x ── norm ── up (+ bias) ──────── a(up) ───────── down (+ bias) ── norm ── out
 *
 * Which of the norms stand there is the family's (sublayers/norm.h). */
#ifndef DELE_SUBLAYER_MLP_H
#define DELE_SUBLAYER_MLP_H

#include "model/sublayers/norm.h"
#include "tensor/matrix.h"

/* Channels between the norm and the activation: 2 d_ff gated, the gate's first, else d_ff. */
size_t dele_mlp_width(const dele_config *config);

typedef struct {
    dele_norm_weights norm;      /* [d_model] before it */
    dele_matrix gate_up;         /* [width, d_model]; plain: up alone */
    const float *gate_up_bias;   /* [width] or NULL */
    dele_matrix down;            /* [d_model, d_ff] */
    const float *down_bias;      /* [d_model] or NULL */
    dele_norm_weights post_norm; /* [d_model] of the output */
} dele_mlp_weights;

/* What the backward pass needs of n rows.  A forward pass without one uses a single struct for all
 * layers, whose x is NULL. */
typedef struct {
    float *x; /* [n, d_model] the input */
    dele_norm_saved norm;
    float *gate_up; /* [n, width] */
    dele_norm_after_saved post;
} dele_mlp_saved;

dele_status dele_mlp_lay_saved(dele_mlp_saved *s, const dele_config *config, size_t n,
                               bool for_backward, dele_arena *arena, dele_err *err);

/* Gradients of the weights, NULL where frozen. */
typedef struct {
    dele_norm_grads norm, post_norm;
    float *gate, *up, *gate_bias, *up_bias, *down, *down_bias;
} dele_mlp_grads;

/* Scratch of n rows; the backward pass needs all of it, the forward pass xn, h and tile. */
typedef struct {
    float *xn, *dxn;          /* [n, d_model] */
    float *h, *dh, *dgate_up; /* [n, d_ff], [n, d_ff], [n, width] */
    float *tile;              /* for matrices that are not wide */
} dele_mlp_scratch;

/* out [n, d_model] = MLP(x), or += where it adds; out may be x. */
void mlp_forward(float *out, bool adds, dele_mlp_saved *s, const float *x, size_t n,
                 const dele_mlp_weights *w, const dele_config *config,
                 const dele_mlp_scratch *scratch);

/* dx += d loss / d x, unless dx is NULL, from dout [n, d_model]; dx may be dout. */
void mlp_backward(float *dx, const dele_mlp_grads *grads, const float *dout,
                  const dele_mlp_saved *s, size_t n, const dele_mlp_weights *w,
                  const dele_config *config, const dele_mlp_scratch *scratch);

/* Floating-point operations of n rows, two for each multiplication. */
double dele_mlp_flops(const dele_config *config, double n);

#endif
