/* Layers other than the matrix product, as forward / backward pairs.  Arguments run outputs,
 * inputs, sizes; the gradient of x is dx.  Everything is row-major float32; sums over a row are in
 * double.  Kernels cannot fail. */
#ifndef DELE_OPS_H
#define DELE_OPS_H

#include <stdbool.h>
#include <stddef.h>

/* RMSNorm      y = (w + offset) ⊙ x r,   r = 1 / sqrt(mean(x²) + eps)        w NULL: y = x r
 *   backward   dx += r (g - x̂ mean(g ⊙ x̂)),   g = dy ⊙ (w + offset),  x̂ = x r
 *              dw += Σ dy ⊙ x̂                                                 dw NULL: frozen
 * x, y, dx, dy [n, dim]; y may be x; rstd [n] keeps r. */
void rmsnorm_forward(float *y, float *rstd, const float *x, const float *w, float offset, size_t n,
                     size_t dim, float eps);
void rmsnorm_backward(float *dx, float *dw, const float *dy, const float *x, const float *rstd,
                      const float *w, float offset, size_t n, size_t dim);

/* LayerNorm    y = w ⊙ x̂ + b,   x̂ = (x - μ) r,   r = 1 / sqrt(var(x) + eps)
 *   w, b NULL: ones, zeros
 *   backward   dx += r (g - mean(g) - x̂ mean(g ⊙ x̂)),   g = dy ⊙ w
 *              dw += Σ dy ⊙ x̂;   db as a bias's                               dw NULL: frozen
 * rstd and mean [n] keep r and μ. */
void layernorm_forward(float *y, float *rstd, float *mean, const float *x, const float *w,
                       const float *b, size_t n, size_t dim, float eps);
void layernorm_backward(float *dx, float *dw, const float *dy, const float *x, const float *rstd,
                        const float *mean, const float *w, size_t n, size_t dim);

/* Activations a(x), each as a pair and, with a gate, as another.
 *
 *   silu        x σ(x)
 *   gelu        x Φ(x)
 *   gelu_tanh   x / 2 (1 + tanh(√(2/π) (x + 0.044715 x³)))
 *
 *   NAME_forward       h = a(x)                               x [n, width], h [n, width]
 *   NAME_backward      dx = dh a'(x)                          written over
 *   NAME_glu_forward   h = a(g) ⊙ u                           x [n, 2 width] holds g then u
 *   NAME_glu_backward  dg = dh u a'(g),   du = dh a(g)        written over */
#define DELE_ACTIVATION(name)                                                                      \
    void name##_forward(float *h, const float *x, size_t n, size_t width);                         \
    void name##_backward(float *dx, const float *dh, const float *x, size_t n, size_t width);      \
    void name##_glu_forward(float *h, const float *x, size_t n, size_t width);                     \
    void name##_glu_backward(float *dx, const float *dh, const float *x, size_t n, size_t width);
DELE_ACTIVATION(silu)
DELE_ACTIVATION(gelu)
DELE_ACTIVATION(gelu_tanh)
#undef DELE_ACTIVATION

/* The angles of a rotation: cos_sin [n, 2 half] of positions first_pos .. first_pos + n - 1, each
 * the cosines and then the sines of pos · inv_freq[i], times `factor`. */
void rope_angles(float *cos_sin, const float *inv_freq, size_t half, float factor, int first_pos,
                 size_t n);

/* Rotary embedding, half-split form: channels i and i + half of each head are rotated by the row's
 * angle i; those from 2 half on stay.  sign -1 is the backward pass, which rotates back where the
 * factor is 1.  x: n rows of stride ld, each beginning with n_heads heads. */
void rope(float *x, size_t ld, const float *cos_sin, size_t half, size_t n, size_t n_heads,
          size_t head_dim, float sign);

void add(float *y, const float *x, size_t n); /* y += x */

/* A bias b [cols] on every row of y [n, cols]; b NULL: none.  Backward: db += Σ dy over the rows,
 * db NULL: frozen.  ld: floats from one row to the next. */
void bias_forward(float *y, size_t ld, const float *b, size_t n, size_t cols);
void bias_backward(float *db, const float *dy, size_t ld, size_t n, size_t cols);

/* In place: soft cap, x := cap tanh(x scale / cap), within 2 ulp of libm's tanh.
 *   backward   dx = dy scale (1 - (y / cap)²), in place of y */
void softcap(float *x, size_t n, float scale, float cap);
void softcap_backward(float *y, const float *dy, size_t n, float scale, float cap);

/* In place: softmax of n values times scale, exp(x·scale - max) / sum. */
void softmax(float *x, size_t n, float scale);

/* log Σ exp x, in double. */
double log_sum_exp(const float *x, size_t n);

/* The index of the largest; the first of equals. */
size_t argmax(const float *x, size_t n);

/* Whether no x is NaN or infinite. */
bool all_finite(const float *x, size_t n);

#endif
