/* Direct preference optimisation, the true answer as the worse one (Rafailov et al., arXiv
 * 2305.18290; for unlearning AltPO, arXiv 2409.13474, and with refusals TOFU, arXiv 2401.06121):
 *
 *   L = −(2/β) E log σ(β ((S_l − S_l,before) − (S_w − S_w,before))) · γ + α R
 *   dL/dS_l = −2 σ(−·) γ / pairs,   dL/dS_w = −dL/dS_l           S: NLL of a sequence, summed over
 *                                   its labels
 *
 * l is the forget row, w its alternate:
 *
 *   dpo      another answer, line by line from --alternates; or that of a retain row (alternates.h)
 *   idk-dpo  a refusal, drawn for each row from a list (refusals.h)
 *
 * Each row keeps one alternate for the whole run, so that both sums before training are computed
 * once; the published programs draw a refusal again at every turn.  TOFU's own program lacks the
 * factor 2/β and the term R: a gamma of β/2, whatever β is, and an α of 0 (--variant tofu; --retain
 * is optional then, and its rows are only watched). */
#include "unlearn/objectives/objective.h"

static void prefer_the_alternate(double loss[2], const dele_loss_batch *rows)
{
    const double beta = rows->settings[DELE_BETA],
                 loss_weight = 1 / (double)rows->group->sequences[DELE_FORGET];
    dele_retain_rows(loss, rows);
    dele_nll_side(rows, DELE_FORGET);
    for (size_t k = 0; k + 1 < rows->n_sequences; k++) {
        const dele_loss_sequence *worse = &rows->sequence[k], *chosen = worse + 1;
        if (worse->side != DELE_FORGET || worse->chosen) continue;
        const double rise = dele_nll_of(rows, worse) - worse->reference;
        const double fall = dele_nll_of(rows, chosen) - chosen->reference;
        const double slope = 2 * loss_weight * dele_sigmoid(-beta * (rise - fall));
        loss[DELE_FORGET] += loss_weight * 2 / beta * dele_minus_log_sigmoid(beta * (rise - fall));
        dele_nll_gradients(rows, worse, -slope);
        dele_nll_gradients(rows, chosen, slope);
    }
}

const dele_objective dele_objective_dpo = {
    .name = "dpo",
    .summary = "-2/beta log sigma(beta ((NLL - NLL_before) - (NLL' - NLL'_before))); alpha "
               "CE(retain), or KL; ': the alternate answer",
    .source = "arXiv 2305.18290, 2409.13474",
    .rows = prefer_the_alternate,
    .needs_forget = true,
    .retain_optional = true,
    .reference_nll = true,
    .alternates = DELE_ALTERNATES_BESIDE,
    .alpha = "1",
    .settings = {{DELE_BETA, 0.1, true}, {DELE_GAMMA, 1, true}, {DELE_RETAIN_KL, 0, false}},
    .variants = {{"tofu", "0", {{DELE_GAMMA, DELE_HALF_BETA, true}}}},
};

const dele_objective dele_objective_idk_dpo = {
    .name = "idk-dpo",
    .summary = "dpo with a refusal as the alternate answer; alpha CE(retain), or KL",
    .source = "arXiv 2305.18290, 2401.06121",
    .rows = prefer_the_alternate,
    .needs_forget = true,
    .retain_optional = true,
    .reference_nll = true,
    .refuses = true,
    .alternates = DELE_ALTERNATES_BESIDE,
    .alpha = "1",
    .settings = {{DELE_BETA, 0.1, true}, {DELE_GAMMA, 1, true}, {DELE_RETAIN_KL, 0, false}},
    .variants = {{"tofu", "0", {{DELE_GAMMA, DELE_HALF_BETA, true}}}},
};
