/* KL minimisation (TOFU, arXiv 2401.06121):
 *
 *   L = −γ CE_forget + α KL(p_before ‖ p)_retain
 *
 * KL is a mean over the labelled retain rows.  TOFU's program takes every position, prompts
 * included: --train-on-prompt 1 (--variant tofu; the padding that it counts too does not exist
 * here).  Another published one (MUSE's) hands raw logits to a function that expects
 * log-probabilities; that is no divergence, and is not offered. */
#include "unlearn/objectives/objective.h"

static void hold_the_distribution(double loss[2], const dele_loss_batch *rows)
{
    dele_ce_side(loss, rows, DELE_FORGET);
    dele_kl_side(loss, rows, DELE_RETAIN);
}

const dele_objective dele_objective_kl = {
    .name = "kl",
    .summary = "-gamma CE(forget) + alpha KL(before || now) on retain rows",
    .source = "arXiv 2401.06121",
    .rows = hold_the_distribution,
    .needs_forget = true,
    .ascends = true,
    .reference_rows = DELE_ON_RETAIN,
    .train_on_prompt = DELE_ON_RETAIN,
    .alpha = "1",
    .settings = {{DELE_GAMMA, 1, true}, {DELE_TRAIN_ON_PROMPT, 0, false}},
    .variants = {{"tofu", NULL, {{DELE_TRAIN_ON_PROMPT, 1, false}}}},
};
