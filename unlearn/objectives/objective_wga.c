/* Weighted gradient ascent: each token's ascent weighted by what the model makes of it now.
 *
 *   L = −γ mean_tokens( w NLL ) + α R        w held fixed in the gradient
 *
 *   wga      w = p^β                     (Wang et al., arXiv 2502.19301)        β = 0: gradient
 *                                        ascent
 *   satimp   w = p^β (1 − p)^importance  (Yang et al., arXiv 2505.11953)        p = p(target)
 *
 * SatImp's published defaults contradict each other: γ 1, α 0.1 in the class and the text beside it
 * (taken here), γ 0.1, α 1 in the recipe (--variant recipe). */
#include <math.h>

#include "unlearn/objectives/objective.h"

static double importance_of(const dele_loss_batch *rows, double nll)
{
    const double power = rows->settings[DELE_IMPORTANCE];
    return isnan(power) || power == 0 ? 1 : pow(-expm1(-nll), power);
}

static void ascend_by_weight(double loss[2], const dele_loss_batch *rows)
{
    const double beta = rows->settings[DELE_BETA];
    dele_retain_rows(loss, rows);
    dele_nll_side(rows, DELE_FORGET);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < rows->n; i++) {
        if (rows->side[i] != DELE_FORGET) continue;
        const double nll = fmax(rows->nll[i], 0),
                     weight = exp(-beta * nll) * importance_of(rows, nll);
        dele_nll_gradient(rows, i, dele_loss_weight(rows, i) * weight);
        rows->nll[i] = weight * nll;
    }
    for (size_t i = 0; i < rows->n; i++)
        if (rows->side[i] == DELE_FORGET)
            loss[DELE_FORGET] += rows->nll[i] * dele_loss_weight(rows, i);
}

const dele_objective dele_objective_wga = {
    .name = "wga",
    .summary = "-gamma p^beta NLL, per token; alpha CE(retain), or KL",
    .source = "arXiv 2502.19301",
    .rows = ascend_by_weight,
    .needs_forget = true,
    .ascends = true,
    .alpha = "1",
    .settings = {{DELE_BETA, 1, false}, {DELE_GAMMA, 1, true}, {DELE_RETAIN_KL, 0, false}},
};

const dele_objective dele_objective_satimp = {
    .name = "satimp",
    .summary = "-gamma p^beta (1 - p)^importance NLL, per token; alpha CE(retain), or KL",
    .source = "arXiv 2505.11953",
    .rows = ascend_by_weight,
    .needs_forget = true,
    .ascends = true,
    .alpha = "0.1",
    .settings = {{DELE_BETA, 5, false},
                 {DELE_IMPORTANCE, 1, false},
                 {DELE_GAMMA, 1, true},
                 {DELE_RETAIN_KL, 0, false}},
    .variants = {{"recipe", "1", {{DELE_GAMMA, 0.1, true}}}},
};
