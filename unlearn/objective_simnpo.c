/* SimNPO (Fan et al., arXiv 2410.07163): NPO without a model to compare with, by the token.
 *
 *   L = −(2/β) E log σ(β (S/n − δ)) · γ + α R        S = NLL of a sequence, n = its labels
 *   dL/dS = −2 σ(−β (S/n − δ)) γ / (n · sequences)
 *
 * Defaults are open-unlearning's; --variant author-tofu, muse-news and muse-books are those of the authors' program
 * (whose MUSE code has the logits' sign the other way round; the formula here is the paper's throughout). */
#include "unlearn/objective.h"

static void prefer_less_by_the_token(double loss[2], const lac_rows *rows)
{
    const double beta = rows->settings[LAC_BETA], share = 1 / (double)rows->group->sequences[LAC_FORGET];
    lac_retain_rows(loss, rows);
    lac_nll_side(rows, LAC_FORGET);
    for (size_t k = 0; k < rows->n_sequences; k++) {
        const lac_rows_of *s = &rows->sequence[k];
        if (s->side != LAC_FORGET) continue;
        const double rise = beta * (lac_nll_of(rows, s) / (double)s->n - rows->settings[LAC_DELTA]);
        loss[LAC_FORGET] += share * 2 / beta * lac_minus_log_sigmoid(rise);
        lac_nll_gradients(rows, s, -2 * share * lac_sigmoid(-rise) / (double)s->n);
    }
}

const lac_objective lac_objective_simnpo = {
    .name = "simnpo",
    .summary = "-2/beta log sigma(beta (NLL a token - delta)); alpha CE(retain), or KL",
    .source = "arXiv 2410.07163",
    .rows = prefer_less_by_the_token,
    .needs_forget = true,
    .alpha = "1",
    .settings = {{LAC_BETA, 4.5, true}, {LAC_DELTA, 0, false}, {LAC_GAMMA, 0.125, true}, {LAC_RETAIN_KL, 0, false}},
    .variants = {{"author-tofu", NULL, {{LAC_BETA, 2.5, true}, {LAC_GAMMA, 0.1375, true}}},
                 {"muse-news", "0.1", {{LAC_BETA, 0.7, true}, {LAC_GAMMA, 1, true}}},
                 {"muse-books", "0.1", {{LAC_BETA, 0.75, true}, {LAC_GAMMA, 1, true}}}},
};
