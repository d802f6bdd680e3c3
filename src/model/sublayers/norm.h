/* The norm of a family, as a forward and backward pair (equations: tensor/ops.h). */
#ifndef DELE_NORM_H
#define DELE_NORM_H

#include "base/arena.h"
#include "model/families/family.h"

/* What the backward pass needs of n rows beside their input. */
typedef struct {
    float *rstd, *mean; /* [n]; mean: of LayerNorm */
} dele_norm_saved;

dele_status dele_norm_lay_saved(dele_norm_saved *s, size_t n, dele_arena *arena, dele_err *err);

/* y = norm(x) ⊙ w.  x, y [n, d_model]; w [d_model], NULL where the family has none. */
void norm_forward(float *y, const dele_norm_saved *s, const float *x, const float *w, size_t n,
                  const dele_config *config);

/* dx += d loss / d x; dw += d loss / d w, NULL where frozen. */
void norm_backward(float *dx, float *dw, const float *dy, const float *x, const float *w,
                   const dele_norm_saved *s, size_t n, const dele_config *config);

#endif
