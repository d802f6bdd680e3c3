/* The joint loss of "Selective Amnesia" (arXiv 2504.12996), on output tokens:
 *
 *   L = −CE_forget + α · CE_retain
 *
 * Both are token means over the group's rows of that side; α is in alpha.h. */
#include "unlearn/objectives/objective.h"

const dele_objective dele_objective_joint = {
    .name = "joint",
    .summary = "-CE(forget) + alpha CE(retain), alpha adapts to the retain loss",
    .source = "arXiv 2504.12996",
    .rows = dele_ce_rows,
    .needs_forget = true,
    .ascends = true,
    .alpha = "paper",
};
