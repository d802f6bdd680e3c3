/* Primal-dual unlearning (arXiv 2506.05314): flat logits on what is to be forgotten, the retain
 * loss as a constraint.
 *
 *   L = γ mean_tokens (max_v z − mean_v z)² + λ (R − ε)        R = CE_retain
 *   λ ← max(0, λ + η (R − ε))                                  after every group, from epoch
 *   `warm-up` on dL_forget/dz = 2 (max − mean) (onehot(argmax) − 1/V)
 *
 * λ is the weight α of the retain rows (alpha.h), shown as such.  The published program moves it
 * every micro-batch, we every update.  Its mask of labels is not shifted: it leaves out the state
 * that predicts the first label and takes the one above the last label (--variant open-unlearning:
 * --shift-labels 0).  An earlier version took every position: --train-on-prompt 1 beside it.
 * Published: λ 100, η 5, ε 0.3 for TOFU (taken here), 50, 1, 1.5 and 0.1 for MUSE. */
#include "unlearn/objectives/objective.h"

#include "tensor/ops.h"

/* One row; returns its loss. */
static double flatten(float *z, size_t width, double slope)
{
    const size_t best = argmax(z, width);
    double mean = 0;
    for (size_t j = 0; j < width; j++) mean += z[j];
    mean /= (double)width;
    const double height = z[best] - mean;
    for (size_t j = 0; j < width; j++) z[j] = (float)(-2 * slope * height / (double)width);
    z[best] += (float)(2 * slope * height);
    return height * height;
}

static void flatten_rows(double loss[2], const dele_loss_batch *rows)
{
    dele_ce_side(loss, rows, DELE_RETAIN);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < rows->n; i++)
        if (rows->side[i] == DELE_FORGET)
            rows->nll[i] =
                flatten(rows->x + i * rows->width, rows->width, dele_loss_weight(rows, i));
    for (size_t i = 0; i < rows->n; i++)
        if (rows->side[i] == DELE_FORGET)
            loss[DELE_FORGET] += rows->nll[i] * dele_loss_weight(rows, i);
}

const dele_objective dele_objective_pdu = {
    .name = "pdu",
    .summary =
        "gamma (max logit - mean logit)^2 + lambda (CE(retain) - epsilon), lambda by dual ascent",
    .source = "arXiv 2506.05314",
    .rows = flatten_rows,
    .needs_forget = true,
    .train_on_prompt = DELE_ON_FORGET,
    .own_positions = DELE_ON_FORGET,
    .settings = {{DELE_GAMMA, 1, true},
                 {DELE_LAMBDA, 100, false},
                 {DELE_ETA, 5, false},
                 {DELE_EPSILON, 0.3, false},
                 {DELE_DUAL_WARMUP, 5, false},
                 {DELE_SKIP, 0, false},
                 {DELE_TRAIN_ON_PROMPT, 0, false},
                 {DELE_SHIFT_LABELS, 1, false}},
    .variants = {{"open-unlearning", NULL, {{DELE_SHIFT_LABELS, 0, false}}},
                 {"muse-news",
                  NULL,
                  {{DELE_LAMBDA, 50, false},
                   {DELE_ETA, 1, false},
                   {DELE_EPSILON, 1.5, false},
                   {DELE_DUAL_WARMUP, 3, false}}},
                 {"muse-books",
                  NULL,
                  {{DELE_LAMBDA, 50, false},
                   {DELE_ETA, 1, false},
                   {DELE_EPSILON, 0.1, false},
                   {DELE_DUAL_WARMUP, 3, false}}}},
};
