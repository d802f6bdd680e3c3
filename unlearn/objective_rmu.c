/* Representation misdirection (RMU; Li et al., arXiv 2403.03218): states h of the stream after layer l, not logits.
 *
 *   L = γ mean_rows |h_forget − c u|²/d + α mean_rows |h_retain − h_retain,before|²/d
 *
 * u is drawn once, uniform in [0, 1)^d and scaled to length 1 (not centred, as published).
 *
 * Rows are those that predict a label; --whole 1 takes every token, as the authors' program does (their texts have no
 * prompt).  open-unlearning takes the states above the labels, one position later.  The mask says what trains:
 * published is down_proj of the three layers up to l.  Defaults: WMDP's; --variant zephyr and open-unlearning. */
#include "unlearn/objective.h"

/* x becomes slope · d|x − to|²/d; returns |x − to|²/d. */
static double steer(float *x, const float *to, size_t dim, double slope)
{
    double sum = 0;
    for (size_t j = 0; j < dim; j++) {
        const double off = (double)x[j] - to[j];
        sum += off * off;
        x[j] = (float)(2 * slope * off / (double)dim);
    }
    return sum / (double)dim;
}

static void misdirect(double loss[2], const lac_rows *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        const lac_side side = (lac_side)rows->side[i];
        const double share = lac_share(rows, i);
        const float *to = side == LAC_FORGET ? rows->steer : rows->reference + i * rows->width;
        loss[side] += share * steer(rows->x + i * rows->width, to, rows->width, share);
    }
}

const lac_objective lac_objective_rmu = {
    .name = "rmu",
    .summary = "states of a layer: forget ones towards a random vector, retain ones where they were",
    .source = "arXiv 2403.03218",
    .rows = misdirect,
    .needs_forget = true,
    .at_layer = true,
    .reference_rows = LAC_ON_RETAIN,
    .whole = LAC_ON_FORGET | LAC_ON_RETAIN,
    .alpha = "100",
    .settings = {{LAC_LAYER, 7, false}, {LAC_STEER, 20, true}, {LAC_GAMMA, 1, true}, {LAC_WHOLE, 0, false}},
    .variants = {{"zephyr", "1200", {{LAC_STEER, 6.5, true}}}, {"open-unlearning", "1", {{LAC_STEER, 2, true}}}},
};
