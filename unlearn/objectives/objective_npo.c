/* Negative preference optimisation (Zhang et al., arXiv 2404.05868):
 *
 *   L = −(2/β) E log σ(β (S − S_before)) · γ + α R        S = NLL of a sequence, summed over its
 *                                                         labels
 *   dL/dS = −2 σ(−β (S − S_before)) γ / sequences
 *
 * E is a mean over the sequences to forget.  As β → 0 the slope becomes −1 everywhere: gradient
 * ascent on the mean NLL of a sequence.  As S grows the slope dies away, which is the point.  S is
 * a sum, as in the authors' program; others published a token mean over the batch in its place, or
 * differences of raw logits, which are other losses. */
#include "unlearn/objectives/objective.h"

static void prefer_less(double loss[2], const dele_loss_batch *rows)
{
    const double beta = rows->settings[DELE_BETA],
                 loss_weight = 1 / (double)rows->group->sequences[DELE_FORGET];
    dele_retain_rows(loss, rows);
    dele_nll_side(rows, DELE_FORGET);
    for (size_t k = 0; k < rows->n_sequences; k++) {
        const dele_loss_sequence *s = &rows->sequence[k];
        if (s->side != DELE_FORGET) continue;
        const double rise = beta * (dele_nll_of(rows, s) - s->reference);
        loss[DELE_FORGET] += loss_weight * 2 / beta * dele_minus_log_sigmoid(rise);
        dele_nll_gradients(rows, s, -2 * loss_weight * dele_sigmoid(-rise));
    }
}

const dele_objective dele_objective_npo = {
    .name = "npo",
    .summary = "-2/beta log sigma(beta (NLL - NLL_before)), per sequence; alpha CE(retain), or KL",
    .source = "arXiv 2404.05868",
    .rows = prefer_less,
    .needs_forget = true,
    .reference_nll = true,
    .alpha = "1",
    .settings = {{DELE_BETA, 0.1, true}, {DELE_GAMMA, 1, true}, {DELE_RETAIN_KL, 0, false}},
};
