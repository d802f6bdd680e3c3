/* Representation misdirection (RMU; Li et al., arXiv 2403.03218): states h of the stream after
 * layer l, not logits.
 *
 *   L = γ mean_rows |h_forget − c u|²/d + α mean_rows |h_retain − h_retain,before|²/d
 *
 * u is drawn once, uniform in [0, 1)^d and scaled to length 1 (not centred, as published).
 *
 *   rmu           c = steer
 *   adaptive-rmu  c = steer · mean_rows |h_forget|, over the forget rows of the first update,
 *                 before training
 *
 * A length that suits one layer of one model is lost in the states of another, which grow with
 * depth; hence the second, after Dang et al. (arXiv 2408.06223), who scale row by row, and the
 * fourth place of SemEval 2025's task 4, which takes one mean for each of its tasks, and again in
 * every epoch, when the states have been steered already.  Here: once.
 *
 * Positions are those that predict a label.  The authors' program takes every token of its texts
 * (--variant wmdp: --train-on-prompt 1 --shift-labels 0); open-unlearning takes the labels' own
 * positions, each with a weight that a broadcast makes (--variant open-unlearning: --shift-labels 0
 * --broadcast 1).  The mask says what trains: published is down_proj of the three layers up to l.
 * Default numbers: WMDP's; adaptive: SemEval's for the 1B model, --variant olmo-7b for the 7B one.
 * Published layers are of models of 32 and 16 (l = 7 of 32, 14 of 16, 26 of 32): the default is the
 * same share of the model's depth. */
#include "unlearn/objectives/objective.h"

/* x becomes slope · d|x − to|²/d; returns |x − to|²/d. */
static double steer(float *x, const float *to, size_t d_model, double slope)
{
    double sum = 0;
    for (size_t j = 0; j < d_model; j++) {
        const double off = (double)x[j] - to[j];
        sum += off * off;
        x[j] = (float)(2 * slope * off / (double)d_model);
    }
    return sum / (double)d_model;
}

static void misdirect(double loss[2], const dele_loss_batch *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        const dele_side side = (dele_side)rows->side[i];
        const double loss_weight = dele_loss_weight(rows, i);
        const float *to = side == DELE_FORGET ? rows->steer : rows->reference + i * rows->width;
        loss[side] += loss_weight * steer(rows->x + i * rows->width, to, rows->width, loss_weight);
    }
}

const dele_objective dele_objective_rmu = {
    .name = "rmu",
    .summary = "gamma |h - c u|^2/d (forget) + alpha |h - h_before|^2/d (retain); h: hidden states "
               "of a layer, u: a random vector",
    .source = "arXiv 2403.03218",
    .rows = misdirect,
    .needs_forget = true,
    .at_layer = true,
    .reference_rows = DELE_ON_RETAIN,
    .train_on_prompt = DELE_ON_FORGET | DELE_ON_RETAIN,
    .own_positions = DELE_ON_FORGET | DELE_ON_RETAIN,
    .alpha = "100",
    .settings = {{DELE_LAYER, DELE_FRACTION_OF_DEPTH(7. / 32), false},
                 {DELE_STEERING_COEFF, 20, true},
                 {DELE_GAMMA, 1, true},
                 {DELE_TRAIN_ON_PROMPT, 0, false},
                 {DELE_SHIFT_LABELS, 1, false},
                 {DELE_BROADCAST, 0, false}},
    .variants = {{"wmdp", NULL, {{DELE_TRAIN_ON_PROMPT, 1, false}, {DELE_SHIFT_LABELS, 0, false}}},
                 {"zephyr", "1200", {{DELE_STEERING_COEFF, 6.5, true}}},
                 {"open-unlearning",
                  "1",
                  {{DELE_STEERING_COEFF, 2, true},
                   {DELE_SHIFT_LABELS, 0, false},
                   {DELE_BROADCAST, 1, false}}}},
};

const dele_objective dele_objective_adaptive_rmu = {
    .name = "adaptive-rmu",
    .summary = "rmu with c = steering-coeff times the mean |h_before| of forget rows",
    .source = "arXiv 2408.06223, 2403.03218",
    .rows = misdirect,
    .needs_forget = true,
    .at_layer = true,
    .adaptive = true,
    .reference_rows = DELE_ON_RETAIN,
    .train_on_prompt = DELE_ON_FORGET | DELE_ON_RETAIN,
    .own_positions = DELE_ON_FORGET | DELE_ON_RETAIN,
    .alpha = "900",
    .settings = {{DELE_LAYER, DELE_FRACTION_OF_DEPTH(14. / 16), false},
                 {DELE_STEERING_COEFF, 3, true},
                 {DELE_GAMMA, 1, true},
                 {DELE_TRAIN_ON_PROMPT, 0, false},
                 {DELE_SHIFT_LABELS, 1, false}},
    .variants = {{"olmo-7b",
                  NULL,
                  {{DELE_LAYER, DELE_FRACTION_OF_DEPTH(26. / 32), false},
                   {DELE_STEERING_COEFF, 5, true}}}},
};
