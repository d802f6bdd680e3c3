/* Negation of a task vector (Ilharco et al., arXiv 2212.04089; MUSE, arXiv 2407.06460):
 *
 *   θ' = θ − γ (θ_learnt − θ)        θ_learnt: θ after learning the forget rows, by cross-entropy
 *
 * The rows are learnt as `deleatur finetune` learns them; the subtraction is done once, at the end,
 * in the tensors that train.  γ is 1 by default; MUSE scaled it by 5 for news. */
#include "unlearn/objectives/objective.h"

const dele_objective dele_objective_task_vector = {
    .name = "task-vector",
    .summary = "theta - gamma (theta_learnt - theta), theta_learnt by CE(forget)",
    .source = "arXiv 2212.04089, 2407.06460",
    .rows = dele_ce_rows,
    .negates = true,
    .settings = {{DELE_GAMMA, 1, true}},
    .variants = {{"muse-news", NULL, {{DELE_GAMMA, 5, true}}}},
};
