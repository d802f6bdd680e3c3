/* The norm of a family, as a forward and backward pair (equations: tensor/ops.h), and its places
 * about a sublayer f:
 *
 *   before   x + f(norm x)            Llama, GPT-2
 *   after    x + norm(f(x))           OLMo-2
 *   both     x + norm(f(norm x))      Gemma-2
 *
 * Attention and MLP have it in the same places. */
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

/* ---- before a sublayer ----------------------------------------------------------------------- */

/* What the sublayer reads of its input x [n, d_model]: norm(x), written to y, or x itself where the
 * family has no norm there. */
const float *norm_before_forward(float *y, const dele_norm_saved *s, const float *x,
                                 dele_norm_weights w, size_t n, const dele_config *config);

/* dx += d loss / d x, from dy, that of what the sublayer reads. */
void norm_before_backward(float *dx, dele_norm_grads grads, const float *dy, const float *x,
                          dele_norm_weights w, const dele_norm_saved *s, size_t n,
                          const dele_config *config);

/* ---- after a sublayer ------------------------------------------------------------------------ */

typedef struct {
    float *x; /* [n, d_model] the norm's input; NULL: the family has no norm after a sublayer */
    dele_norm_saved norm;
} dele_norm_after_saved;

dele_status dele_norm_after_lay_saved(dele_norm_after_saved *s, const dele_config *config, size_t n,
                                      dele_arena *arena, dele_err *err);

/* A sublayer writes its output to s->x where there is a norm, else to its destination; then this
 * writes the norm of s->x over out [n, d_model], or adds it.  xn: scratch [n, d_model]. */
void norm_after_forward(float *out, bool adds, const dele_norm_after_saved *s, dele_norm_weights w,
                        size_t n, const dele_config *config, float *xn);

/* The gradient of the sublayer's output, from dout, that of what joins the stream: dy [n, d_model],
 * written, or dout itself where there is no norm. */
const float *norm_after_backward(float *dy, dele_norm_grads grads, const float *dout,
                                 dele_norm_weights w, const dele_norm_after_saved *s, size_t n,
                                 const dele_config *config);

#endif
