/* AdamW (Loshchilov & Hutter, arXiv 1711.05101) as torch.optim.AdamW computes it, and clipping by
 * global norm.
 *
 *   θ  ← θ (1 − lr·λ)                          decay, decoupled from the gradient
 *   m  ← m + (1 − β1)(g − m)                   v ← β2 v + (1 − β2) g²
 *   θ  ← θ − lr/(1 − β1ᵗ) · m / (√v / √(1 − β2ᵗ) + ε)
 *
 * Weights and moments are float32: bfloat16 weights would lose most updates at the learning rates
 * used here (at lr 1.5e-5 a nearest-rounded bf16 weight above 2^-8 cannot move at all). */
#ifndef DELE_ADAMW_H
#define DELE_ADAMW_H

#include "base/arena.h"

typedef struct {
    double lr, beta1, beta2, eps, weight_decay;
} dele_adamw_rule;

#define DELE_ADAMW_DEFAULTS                                                                        \
    {                                                                                              \
        .lr = 1e-4, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0                   \
    }

/* One step of one tensor; t counts from 1.  p, m, v change, g does not. */
void dele_adamw_step(float *p, float *m, float *v, const float *g, size_t n,
                     const dele_adamw_rule *rule, long t);

/* Sum of squares in double, in an order that does not depend on the number of threads. */
double dele_sum_squares(const float *g, size_t n);

/* What torch.nn.utils.clip_grad_norm_ multiplies gradients with; 1 when max_norm is 0 or not
 * reached. */
double dele_clip_factor(double norm, double max_norm);

/* y = a x + y, and y = a y, over the threads. */
void dele_add_scaled(float *y, const float *x, double a, size_t n);
void dele_scale(float *y, double a, size_t n);

#endif
