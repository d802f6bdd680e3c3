/* Cross-entropy: learning.
 *
 *   L = 1/N Σ_rows −log p(target)        dL/dz = (softmax(z) − onehot(target)) / N
 *
 * N is the number of labelled tokens of the row's side in the whole group. */
#include "unlearn/objectives/objective.h"

const dele_objective dele_objective_ce = {
    .name = "ce",
    .summary = "cross-entropy of every label",
    .rows = dele_ce_rows,
};
