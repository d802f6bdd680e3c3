/* Cross-entropy: learning.
 *
 *   L = 1/N Σ_rows −log p(target)        dL/dz = (softmax(z) − onehot(target)) / N
 *
 * N is the number of labelled tokens of the row's side in the whole group. */
#include <math.h>

#include "unlearn/objective.h"

/* One row; returns -log p(target).  The largest logit is taken off first, the sum is in double. */
static double ce_row(float *z, size_t vocab, int target, double share)
{
    float top = z[0];
    for (size_t j = 1; j < vocab; j++) top = z[j] > top ? z[j] : top;
    const double at_target = (double)z[target] - top;
    double sum = 0;
    for (size_t j = 0; j < vocab; j++) {
        z[j] = expf(z[j] - top);
        sum += z[j];
    }
    const float scale = (float)(share / sum);
    for (size_t j = 0; j < vocab; j++) z[j] *= scale;
    z[target] -= (float)share;
    return log(sum) - at_target;
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
