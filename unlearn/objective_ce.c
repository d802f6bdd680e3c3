/* Cross-entropy: learning.
 *
 *   L = 1/N Σ_rows −log p(target)        dL/dz = (softmax(z) − onehot(target)) / N
 *
 * N is the number of labelled tokens of the row's side in the whole group. */
#include <math.h>

#include "tensor/ops.h"
#include "unlearn/objective.h"

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

void lac_ce_rows(double loss[2], const lac_rows *rows)
{
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < rows->n; i++)
        rows->nll[i] = ce_row(rows->logits + i * rows->vocab, rows->vocab, rows->target[i],
                              1.0 / (double)rows->group->tokens[rows->side[i]]);
    for (size_t i = 0; i < rows->n; i++)
        loss[rows->side[i]] += rows->nll[i] / (double)rows->group->tokens[rows->side[i]];
}

static bool never_waits(const lac_alpha *alpha)
{
    (void)alpha;
    return false;
}

static void learn(double weight[2], lac_alpha *alpha, double retain_loss, const lac_group *group)
{
    (void)alpha, (void)retain_loss, (void)group;
    weight[LAC_FORGET] = weight[LAC_RETAIN] = 1;
}

const lac_objective lac_objective_ce = {
    .name = "ce",
    .summary = "cross-entropy of every label: learning",
    .rows = lac_ce_rows,
    .weights_wait = never_waits,
    .weigh = learn,
};
