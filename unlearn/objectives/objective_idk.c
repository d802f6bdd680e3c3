/* "I don't know" by plain learning (TOFU, arXiv 2401.06121): the forget rows get refusals for their
 * answers (drawn from a list, refusals.h, or --alternates line by line), and both sets are learnt
 * together.
 *
 *   L = 1/N Σ −log p(target)        over all labels of refusals and retain rows, N their number
 *
 * The two losses are shown apart, each a token mean; weighted by tokens they are the one mean. */
#include "unlearn/objectives/objective.h"

const dele_objective dele_objective_idk = {
    .name = "idk",
    .summary = "CE(refusals and retain), one mean",
    .source = "arXiv 2401.06121",
    .rows = dele_ce_rows,
    .needs_forget = true,
    .pooled = true,
    .refuses = true,
    .alternates = DELE_ALTERNATES_IN_PLACE,
};
