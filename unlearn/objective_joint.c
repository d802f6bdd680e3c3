/* The joint loss of "Selective Amnesia" (arXiv 2504.12996), on output tokens:
 *
 *   L = −CE_forget + α · CE_retain
 *
 * Both are token means over the group's rows of that side; α is in alpha.h. */
#include "unlearn/objective.h"

static bool waits_unless_fixed(const lac_alpha *alpha)
{
    return alpha->mode != LAC_ALPHA_FIXED;
}

static void ascend_and_hold(double weight[2], lac_alpha *alpha, double retain_loss, const lac_group *group)
{
    weight[LAC_FORGET] = -1;
    weight[LAC_RETAIN] = group->sequences[LAC_RETAIN]
                             ? lac_alpha_next(alpha, retain_loss, group->sequences[LAC_RETAIN], group->epoch)
                             : 0;
}

const lac_objective lac_objective_joint = {
    .name = "joint",
    .summary = "-CE(forget) + alpha CE(retain)",
    .needs_forget = true,
    .rows = lac_ce_rows,
    .weights_wait = waits_unless_fixed,
    .weigh = ascend_and_hold,
};
