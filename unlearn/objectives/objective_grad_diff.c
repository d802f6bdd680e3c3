/* Gradient difference (Liu et al., arXiv 2203.12817; TOFU, arXiv 2401.06121):
 *
 *   L = −γ CE_forget + α R        R = CE_retain, or with --retain-kl 1   KL(p_before ‖ p) on the
 *                                 retain rows
 *
 * joint with a fixed α; γ = α = 1 in open-unlearning. */
#include "unlearn/objectives/objective.h"

static void descend(double loss[2], const dele_loss_batch *rows)
{
    dele_ce_side(loss, rows, DELE_FORGET);
    dele_retain_rows(loss, rows);
}

const dele_objective dele_objective_grad_diff = {
    .name = "grad-diff",
    .summary = "-gamma CE(forget) + alpha CE(retain), or KL",
    .source = "arXiv 2203.12817, 2401.06121",
    .rows = descend,
    .needs_forget = true,
    .ascends = true,
    .alpha = "1",
    .settings = {{DELE_GAMMA, 1, true}, {DELE_RETAIN_KL, 0, false}},
};
