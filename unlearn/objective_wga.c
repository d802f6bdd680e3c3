/* Weighted gradient ascent: each token's ascent weighted by what the model makes of it now.
 *
 *   L = −γ mean_tokens( w NLL ) + α R        w held fixed in the gradient
 *
 *   wga      w = p^β                     (Wang et al., arXiv 2502.19301)        β = 0: gradient ascent
 *   satimp   w = p^β (1 − p)^importance  (Yang et al., arXiv 2505.11953)        p = p(target)
 *
 * SatImp's published defaults contradict each other: γ 1, α 0.1 in the class and the text beside it (taken here), γ
 * 0.1, α 1 in the recipe (--variant recipe). */
#include <math.h>

#include "unlearn/objective.h"

static double importance_of(const lac_rows *rows, double nll)
{
    const double power = rows->settings[LAC_IMPORTANCE];
    return isnan(power) || power == 0 ? 1 : pow(-expm1(-nll), power);
}

static void ascend_by_weight(double loss[2], const lac_rows *rows)
{
    const double beta = rows->settings[LAC_BETA];
    lac_retain_rows(loss, rows);
    lac_nll_side(rows, LAC_FORGET);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < rows->n; i++) {
        if (rows->side[i] != LAC_FORGET) continue;
        const double nll = fmax(rows->nll[i], 0), weight = exp(-beta * nll) * importance_of(rows, nll);
        lac_nll_gradient(rows, i, lac_share(rows, i) * weight);
        rows->nll[i] = weight * nll;
    }
    for (size_t i = 0; i < rows->n; i++)
        if (rows->side[i] == LAC_FORGET) loss[LAC_FORGET] += rows->nll[i] * lac_share(rows, i);
}

const lac_objective lac_objective_wga = {
    .name = "wga",
    .summary = "-gamma p^beta NLL, a token; alpha CE(retain), or KL",
    .source = "arXiv 2502.19301",
    .rows = ascend_by_weight,
    .needs_forget = true,
    .ascends = true,
    .alpha = "1",
    .settings = {{LAC_BETA, 1, false}, {LAC_GAMMA, 1, true}, {LAC_RETAIN_KL, 0, false}},
};

const lac_objective lac_objective_satimp = {
    .name = "satimp",
    .summary = "-gamma p^beta (1 - p)^importance NLL, a token; alpha CE(retain), or KL",
    .source = "arXiv 2505.11953",
    .rows = ascend_by_weight,
    .needs_forget = true,
    .ascends = true,
    .alpha = "0.1",
    .settings = {{LAC_BETA, 5, false}, {LAC_IMPORTANCE, 1, false}, {LAC_GAMMA, 1, true}, {LAC_RETAIN_KL, 0, false}},
    .variants = {{"recipe", "1", {{LAC_GAMMA, 0.1, true}}}},
};
