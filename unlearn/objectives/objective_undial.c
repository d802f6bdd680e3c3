/* UNDIAL, unlearning by self-distillation with adjusted logits (Dong et al., arXiv 2402.10052):
 *
 *   L = CE(q, p) · γ + α R        q = softmax(z_before − β onehot(target)),  a mean over the
 *                                 labelled forget rows
 *   dL/dz = p − q
 *
 * α is 0 as published; then --retain is optional, and its rows are only watched.  open-unlearning's
 * program takes every position, and its mask's label -100 lowers the logit of token V - 100 at the
 * positions of the prompt: --variant open-unlearning.  It pads the rows of a batch to one length
 * and counts the padding too; here there is none. */
#include "unlearn/objectives/objective.h"

static void distil(double loss[2], const dele_loss_batch *rows)
{
    dele_retain_rows(loss, rows);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < rows->n; i++) {
        if (rows->side[i] != DELE_FORGET) continue;
        float *before = rows->reference + i * rows->width;
        before[rows->target[i]] -= (float)rows->settings[DELE_BETA];
        rows->nll[i] = dele_soft_cross_entropy(rows->x + i * rows->width, before, rows->width,
                                               dele_loss_weight(rows, i), NULL);
    }
    for (size_t i = 0; i < rows->n; i++)
        if (rows->side[i] == DELE_FORGET)
            loss[DELE_FORGET] += rows->nll[i] * dele_loss_weight(rows, i);
}

const dele_objective dele_objective_undial = {
    .name = "undial",
    .summary = "gamma CE(softmax(logits_before - beta onehot(label)), p) on forget rows; alpha "
               "CE(retain), or KL",
    .source = "arXiv 2402.10052",
    .rows = distil,
    .needs_forget = true,
    .retain_optional = true,
    .reference_rows = DELE_ON_FORGET,
    .train_on_prompt = DELE_ON_FORGET,
    .alpha = "0",
    .settings = {{DELE_BETA, 10, false},
                 {DELE_GAMMA, 1, true},
                 {DELE_TRAIN_ON_PROMPT, 0, false},
                 {DELE_MASK_AS_LABEL, 0, false},
                 {DELE_RETAIN_KL, 0, false}},
    .variants = {{"open-unlearning",
                  NULL,
                  {{DELE_TRAIN_ON_PROMPT, 1, false}, {DELE_MASK_AS_LABEL, 1, false}}}},
};
