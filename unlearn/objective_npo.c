/* Negative preference optimisation (Zhang et al., arXiv 2404.05868):
 *
 *   L = −(2/β) E log σ(β (S − S_before)) · γ + α R        S = NLL of a sequence, summed over its labels
 *   dL/dS = −2 σ(−β (S − S_before)) γ / sequences
 *
 * E is a mean over the sequences to forget.  As β → 0 the slope becomes −1 everywhere: gradient ascent on the mean
 * NLL of a sequence.  As S grows the slope dies away, which is the point.  S is a sum, as in the authors' program;
 * others published a token mean over the batch in its place, or differences of raw logits, which are other losses. */
#include "unlearn/objective.h"

static void prefer_less(double loss[2], const lac_rows *rows)
{
    const double beta = rows->settings[LAC_BETA], share = 1 / (double)rows->group->sequences[LAC_FORGET];
    lac_retain_rows(loss, rows);
    lac_nll_side(rows, LAC_FORGET);
    for (size_t k = 0; k < rows->n_sequences; k++) {
        const lac_rows_of *s = &rows->sequence[k];
        if (s->side != LAC_FORGET) continue;
        const double rise = beta * (lac_nll_of(rows, s) - s->reference);
        loss[LAC_FORGET] += share * 2 / beta * lac_minus_log_sigmoid(rise);
        lac_nll_gradients(rows, s, -2 * share * lac_sigmoid(-rise));
    }
}

const lac_objective lac_objective_npo = {
    .name = "npo",
    .summary = "-2/beta log sigma(beta (NLL - NLL before)), a sequence; alpha CE(retain), or KL",
    .source = "arXiv 2404.05868",
    .rows = prefer_less,
    .needs_forget = true,
    .reference_nll = true,
    .alpha = "1",
    .settings = {{LAC_BETA, 0.1, true}, {LAC_GAMMA, 1, true}, {LAC_RETAIN_KL, 0, false}},
};
