/* Gradient ascent (Jang et al., arXiv 2210.01504; "GA" of TOFU, arXiv 2401.06121):
 *
 *   L = −CE_forget
 *
 * Nothing holds what is to be kept, and nothing bounds the loss from below. */
#include "unlearn/objectives/objective.h"

const dele_objective dele_objective_grad_ascent = {
    .name = "grad-ascent",
    .summary = "-CE(forget)",
    .source = "arXiv 2210.01504, 2401.06121",
    .rows = dele_ce_rows,
    .needs_forget = true,
    .ascends = true,
    .retain_optional = true,
    .settings = {{DELE_GAMMA, 1, true}},
};
