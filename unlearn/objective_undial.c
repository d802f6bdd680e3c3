/* UNDIAL, unlearning by self-distillation with adjusted logits (Dong et al., arXiv 2402.10052):
 *
 *   L = CE(q, p) · γ + α R        q = softmax(z_before − β onehot(target)),  a mean over the labelled rows to forget
 *   dL/dz = p − q
 *
 * α is 0 as published; then --retain is optional, and its rows are only watched.  open-unlearning's program takes every
 * position: --whole 1 (--variant open-unlearning), each with its next token as the target (there, positions without a
 * label lower the logit of an arbitrary token). */
#include "unlearn/objective.h"

static void distil(double loss[2], const lac_rows *rows)
{
    lac_retain_rows(loss, rows);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < rows->n; i++) {
        if (rows->side[i] != LAC_FORGET) continue;
        float *before = rows->reference + i * rows->width;
        before[rows->target[i]] -= (float)rows->settings[LAC_BETA];
        rows->nll[i] = lac_toward(rows->x + i * rows->width, before, rows->width, lac_share(rows, i), NULL);
    }
    for (size_t i = 0; i < rows->n; i++)
        if (rows->side[i] == LAC_FORGET) loss[LAC_FORGET] += rows->nll[i] * lac_share(rows, i);
}

const lac_objective lac_objective_undial = {
    .name = "undial",
    .summary = "cross-entropy to the model's own logits before, the label's lowered by beta; alpha CE(retain), or KL",
    .source = "arXiv 2402.10052",
    .rows = distil,
    .needs_forget = true,
    .retain_optional = true,
    .reference_rows = LAC_ON_FORGET,
    .whole = LAC_ON_FORGET,
    .alpha = "0",
    .settings = {{LAC_BETA, 10, false}, {LAC_GAMMA, 1, true}, {LAC_WHOLE, 0, false}, {LAC_RETAIN_KL, 0, false}},
    .variants = {{"open-unlearning", NULL, {{LAC_WHOLE, 1, false}}}},
};
