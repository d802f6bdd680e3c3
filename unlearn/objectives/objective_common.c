/* What objectives share: losses and gradients of rows of logits z.
 *
 *   NLL     −log p(target)                       d/dz  softmax(z) − onehot(target)
 *   toward  −Σ q log p,   q held fixed           d/dz  softmax(z) − q
 *   KL      Σ q (log q − log p) is that less the entropy of q: the same gradient
 *
 * Rows run in parallel, each written by one thread; sums over rows are made afterwards in order, so
 * that the number of threads changes nothing. */

#include "unlearn/objectives/objective.h"

#include <math.h>

#include "tensor/ops.h"

double dele_loss_weight(const dele_loss_batch *rows, size_t i)
{
    return rows->loss_weight ? rows->loss_weight[i]
                             : 1.0 / (double)rows->group->tokens[rows->side[i]];
}

/* ---- cross-entropy --------------------------------------------------------------------------- */

/* One row; returns -log p(target).  The softmax of the largest logit is 1 / Σ exp(z − top), never
 * far below 1/vocab, so the loss is taken from there; p(target) itself may have vanished in
 * float32. */
static double ce_row(float *z, size_t vocab, int target, double loss_weight)
{
    size_t best = 0;
    float top = z[0];
#pragma omp simd reduction(max : top)
    for (size_t j = 1; j < vocab; j++) top = z[j] > top ? z[j] : top;
    while (best + 1 < vocab && z[best] != top)
        best++; /* a NaN among them leads nowhere, and to a NaN below */
    const double at_target = (double)z[target] - z[best];
    softmax(z, vocab, 1);
    const double loss = -log((double)z[best]) - at_target;
    const float scale = (float)loss_weight;
    for (size_t j = 0; j < vocab; j++) z[j] *= scale;
    z[target] -= scale;
    return loss;
}

/* sides: a set. */
static void ce_sides(double loss[2], const dele_loss_batch *rows, int sides)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < rows->n; i++)
        if (sides >> rows->side[i] & 1)
            rows->nll[i] = ce_row(rows->x + i * rows->width, rows->width, rows->target[i],
                                  dele_loss_weight(rows, i));
    for (size_t i = 0; i < rows->n; i++)
        if (sides >> rows->side[i] & 1)
            loss[rows->side[i]] += rows->nll[i] * dele_loss_weight(rows, i);
}

void dele_ce_rows(double loss[2], const dele_loss_batch *rows)
{
    ce_sides(loss, rows, DELE_ON_FORGET | DELE_ON_RETAIN);
}

void dele_ce_side(double loss[2], const dele_loss_batch *rows, dele_side side)
{
    ce_sides(loss, rows, 1 << side);
}

/* ---- NLL first, its gradient when its slope is known ----------------------------------------- */

void dele_nll_side(const dele_loss_batch *rows, dele_side side)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < rows->n; i++) {
        const float *z = rows->x + i * rows->width;
        if (rows->side[i] == side)
            rows->nll[i] = log_sum_exp(z, rows->width) - (double)z[rows->target[i]];
    }
}

double dele_nll_of(const dele_loss_batch *rows, const dele_loss_sequence *sequence)
{
    double sum = 0;
    for (size_t i = 0; i < sequence->n; i++) sum += rows->nll[sequence->first + i];
    return sum;
}

void dele_nll_gradient(const dele_loss_batch *rows, size_t i, double slope)
{
    float *z = rows->x + i * rows->width;
    const float scale = (float)slope;
    softmax(z, rows->width, 1);
    for (size_t j = 0; j < rows->width; j++) z[j] *= scale;
    z[rows->target[i]] -= scale;
}

void dele_nll_gradients(const dele_loss_batch *rows, const dele_loss_sequence *sequence,
                        double slope)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < sequence->n; i++) dele_nll_gradient(rows, sequence->first + i, slope);
}

double dele_minus_log_sigmoid(double x) { return x > 0 ? log1p(exp(-x)) : log1p(exp(x)) - x; }

double dele_sigmoid(double x) { return x > 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }

/* ---- towards a distribution ------------------------------------------------------------------ */

double dele_soft_cross_entropy(float *z, float *q, size_t width, double slope, double *entropy)
{
    const double norm = log_sum_exp(z, width), of_q = log_sum_exp(q, width);
    double cross = 0, own = 0;
    for (size_t j = 0; j < width; j++) {
        const double log_p = z[j] - norm, log_q = q[j] - of_q, weight = exp(log_q);
        if (weight > 0) {
            cross -= weight * log_p;
            own -= weight * log_q;
        }
        z[j] = (float)(slope * (exp(log_p) - weight));
    }
    if (entropy) *entropy = own;
    return cross;
}

void dele_kl_side(double loss[2], const dele_loss_batch *rows, dele_side side)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < rows->n; i++) {
        double entropy;
        if (rows->side[i] != side) continue;
        rows->nll[i] =
            dele_soft_cross_entropy(rows->x + i * rows->width, rows->reference + i * rows->width,
                                    rows->width, dele_loss_weight(rows, i), &entropy);
        rows->nll[i] -= entropy;
    }
    for (size_t i = 0; i < rows->n; i++)
        if (rows->side[i] == side) loss[side] += rows->nll[i] * dele_loss_weight(rows, i);
}

void dele_retain_rows(double loss[2], const dele_loss_batch *rows)
{
    if (rows->settings[DELE_RETAIN_KL] >= 1)
        dele_kl_side(loss, rows, DELE_RETAIN);
    else
        dele_ce_side(loss, rows, DELE_RETAIN);
}
