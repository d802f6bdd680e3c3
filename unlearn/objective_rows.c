/* What objectives share: losses and gradients of rows of logits z.
 *
 *   NLL     −log p(target)                       d/dz  softmax(z) − onehot(target)
 *   toward  −Σ q log p,   q held fixed           d/dz  softmax(z) − q
 *   KL      Σ q (log q − log p) is that less the entropy of q: the same gradient
 *
 * Rows run in parallel, each written by one thread; sums over rows are made afterwards in order, so that the number of
 * threads changes nothing. */
#include <math.h>

#include "tensor/ops.h"
#include "unlearn/objective.h"

double lac_share(const lac_rows *rows, size_t i)
{
    return rows->share ? rows->share[i] : 1.0 / (double)rows->group->tokens[rows->side[i]];
}

/* ---- cross-entropy ----------------------------------------------------------------------------------------------- */

/* One row; returns -log p(target).  The softmax of the largest logit is 1 / Σ exp(z − top), never far below 1/vocab, so
 * the loss is taken from there; p(target) itself may have vanished in float32. */
static double ce_row(float *z, size_t vocab, int target, double share)
{
    size_t best = 0;
    float top = z[0];
#pragma omp simd reduction(max : top)
    for (size_t j = 1; j < vocab; j++) top = z[j] > top ? z[j] : top;
    while (best + 1 < vocab && z[best] != top) best++; /* a NaN among them leads nowhere, and to a NaN below */
    const double at_target = (double)z[target] - z[best];
    softmax(z, vocab, 1);
    const double loss = -log((double)z[best]) - at_target;
    const float scale = (float)share;
    for (size_t j = 0; j < vocab; j++) z[j] *= scale;
    z[target] -= scale;
    return loss;
}

/* sides: a set. */
static void ce_sides(double loss[2], const lac_rows *rows, int sides)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < rows->n; i++)
        if (sides >> rows->side[i] & 1)
            rows->nll[i] = ce_row(rows->x + i * rows->width, rows->width, rows->target[i],
                                  lac_share(rows, i));
    for (size_t i = 0; i < rows->n; i++)
        if (sides >> rows->side[i] & 1) loss[rows->side[i]] += rows->nll[i] * lac_share(rows, i);
}

void lac_ce_rows(double loss[2], const lac_rows *rows)
{
    ce_sides(loss, rows, LAC_ON_FORGET | LAC_ON_RETAIN);
}

void lac_ce_side(double loss[2], const lac_rows *rows, lac_side side)
{
    ce_sides(loss, rows, 1 << side);
}

/* ---- NLL first, its gradient when its slope is known --------------------------------------------------------------- */

void lac_nll_side(const lac_rows *rows, lac_side side)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < rows->n; i++) {
        const float *z = rows->x + i * rows->width;
        if (rows->side[i] == side) rows->nll[i] = log_sum_exp(z, rows->width) - (double)z[rows->target[i]];
    }
}

double lac_nll_of(const lac_rows *rows, const lac_rows_of *sequence)
{
    double sum = 0;
    for (size_t i = 0; i < sequence->n; i++) sum += rows->nll[sequence->first + i];
    return sum;
}

void lac_nll_gradient(const lac_rows *rows, size_t i, double slope)
{
    float *z = rows->x + i * rows->width;
    const float scale = (float)slope;
    softmax(z, rows->width, 1);
    for (size_t j = 0; j < rows->width; j++) z[j] *= scale;
    z[rows->target[i]] -= scale;
}

void lac_nll_gradients(const lac_rows *rows, const lac_rows_of *sequence, double slope)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < sequence->n; i++) lac_nll_gradient(rows, sequence->first + i, slope);
}

double lac_minus_log_sigmoid(double x)
{
    return x > 0 ? log1p(exp(-x)) : log1p(exp(x)) - x;
}

double lac_sigmoid(double x)
{
    return x > 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

/* ---- towards a distribution ---------------------------------------------------------------------------------------- */

double lac_toward(float *z, float *q, size_t width, double slope, double *entropy)
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

void lac_kl_side(double loss[2], const lac_rows *rows, lac_side side)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < rows->n; i++) {
        double entropy;
        if (rows->side[i] != side) continue;
        rows->nll[i] = lac_toward(rows->x + i * rows->width, rows->reference + i * rows->width, rows->width,
                                  lac_share(rows, i), &entropy);
        rows->nll[i] -= entropy;
    }
    for (size_t i = 0; i < rows->n; i++)
        if (rows->side[i] == side) loss[side] += rows->nll[i] * lac_share(rows, i);
}

void lac_retain_rows(double loss[2], const lac_rows *rows)
{
    if (rows->settings[LAC_RETAIN_KL] == 1) lac_kl_side(loss, rows, LAC_RETAIN);
    else lac_ce_side(loss, rows, LAC_RETAIN);
}
