/* CE-U, cross-entropy unlearning (arXiv 2503.01224): towards the model's own distribution without
 * the label.
 *
 *   L = CE(q, p)        q = softmax(z with z_target = −∞), held fixed;  a mean over labels to
 *                       forget
 *   dL/dz = p_target at the target,  −p_target q elsewhere
 *
 * No entry of the gradient exceeds 1, so ascent cannot run away.  The first label of each row
 * carries no loss (--skip 1, the paper's footnote). */

#include "unlearn/objectives/objective.h"

#include <math.h>

#include "tensor/ops.h"

/* One row; returns its loss. */
static double without_the_label(float *z, size_t width, int target, double slope)
{
    const float own = z[target];
    z[target] = -INFINITY;
    const double rest = log_sum_exp(z, width), top = rest > own ? rest : own;
    const double norm = top + log1p(exp(-fabs(rest - own))), p_target = exp(own - norm);
    double loss = 0;
    for (size_t j = 0; j < width; j++) {
        const double q = exp(z[j] - rest); /* 0 at the target */
        if (q > 0) loss -= q * (z[j] - norm);
        z[j] = (float)(-slope * p_target * q);
    }
    z[target] = (float)(slope * p_target);
    return loss;
}

static void move_on(double loss[2], const dele_loss_batch *rows)
{
    dele_ce_side(loss, rows, DELE_RETAIN);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < rows->n; i++)
        if (rows->side[i] == DELE_FORGET)
            rows->nll[i] = without_the_label(rows->x + i * rows->width, rows->width,
                                             rows->target[i], dele_loss_weight(rows, i));
    for (size_t i = 0; i < rows->n; i++)
        if (rows->side[i] == DELE_FORGET)
            loss[DELE_FORGET] += rows->nll[i] * dele_loss_weight(rows, i);
}

const dele_objective dele_objective_ceu = {
    .name = "ceu",
    .summary =
        "gamma CE(softmax(logits without the label), p) on forget rows; alpha CE(retain), or KL",
    .source = "arXiv 2503.01224",
    .rows = move_on,
    .needs_forget = true,
    .retain_optional = true,
    .settings = {{DELE_GAMMA, 1, true}, {DELE_SKIP, 1, false}},
};
