/* SimNPO (Fan et al., arXiv 2410.07163): NPO without a model to compare with, by the token.
 *
 *   L = −(2/β) E log σ(β (S/n − δ)) · γ + α R        S = NLL of a sequence, n = its labels
 *   dL/dS = −2 σ(−β (S/n − δ)) γ / (n · sequences)
 *
 * Defaults are open-unlearning's; --variant author-tofu, muse-news and muse-books are those of the
 * authors' program (whose MUSE code has the logits' sign the other way round; the formula here is
 * the paper's throughout). */
#include "unlearn/objectives/objective.h"

static void prefer_less_by_the_token(double loss[2], const dele_loss_batch *rows)
{
    const double beta = rows->settings[DELE_BETA],
                 loss_weight = 1 / (double)rows->group->sequences[DELE_FORGET];
    dele_retain_rows(loss, rows);
    dele_nll_side(rows, DELE_FORGET);
    for (size_t k = 0; k < rows->n_sequences; k++) {
        const dele_loss_sequence *s = &rows->sequence[k];
        if (s->side != DELE_FORGET) continue;
        const double rise =
            beta * (dele_nll_of(rows, s) / (double)s->n - rows->settings[DELE_DELTA]);
        loss[DELE_FORGET] += loss_weight * 2 / beta * dele_minus_log_sigmoid(rise);
        dele_nll_gradients(rows, s, -2 * loss_weight * dele_sigmoid(-rise) / (double)s->n);
    }
}

const dele_objective dele_objective_simnpo = {
    .name = "simnpo",
    .summary = "-2/beta log sigma(beta (NLL per token - delta)); alpha CE(retain), or KL",
    .source = "arXiv 2410.07163",
    .rows = prefer_less_by_the_token,
    .needs_forget = true,
    .alpha = "1",
    .settings = {{DELE_BETA, 4.5, true},
                 {DELE_DELTA, 0, false},
                 {DELE_GAMMA, 0.125, true},
                 {DELE_RETAIN_KL, 0, false}},
    .variants = {{"author-tofu", NULL, {{DELE_BETA, 2.5, true}, {DELE_GAMMA, 0.1375, true}}},
                 {"muse-news", "0.1", {{DELE_BETA, 0.7, true}, {DELE_GAMMA, 1, true}}},
                 {"muse-books", "0.1", {{DELE_BETA, 0.75, true}, {DELE_GAMMA, 1, true}}}},
};
