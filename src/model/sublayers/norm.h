/* The norm of a family, as a forward and backward pair (equations: tensor/ops.h). */
#ifndef DELE_NORM_H
#define DELE_NORM_H

#include "base/arena.h"
#include "model/families/family.h"

/* [dim] each, NULL where the family has none. */
typedef struct {
    const float *weight, *bias;
} dele_norm_weights;

/* Gradients of the parameters, NULL where frozen. */
typedef struct {
    float *weight, *bias;
} dele_norm_grads;

/* What the backward pass needs of n rows beside their input. */
typedef struct {
    float *rstd, *mean; /* [n]; mean: of LayerNorm */
} dele_norm_saved;

dele_status dele_norm_lay_saved(dele_norm_saved *s, size_t n, dele_arena *arena, dele_err *err);

/* y = norm(x) with its weight and bias, of n rows of width dim each.  x, y [n, dim]; y may be x.
 * The config gives the type and the epsilon. */
void norm_forward(float *y, const dele_norm_saved *s, const float *x, dele_norm_weights w, size_t n,
                  size_t dim, const dele_config *config);

/* dx += d loss / d x from dy [n, dim] and the input x; the gradients of the parameters are added
 * to. */
void norm_backward(float *dx, dele_norm_grads grads, const float *dy, const float *x,
                   dele_norm_weights w, const dele_norm_saved *s, size_t n, size_t dim,
                   const dele_config *config);

#endif
