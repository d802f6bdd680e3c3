/* α, the weight of the retain loss, in the two published definitions of "Selective Amnesia"
 * (arXiv 2504.12996).
 *
 *   γ = 0.3 · 6^ΔL + 0.8        ΔL = retain loss − mean of earlier retain losses, so that α rises
 *                               when the retain loss rises
 *
 *   paper   α = clip(γ, 1.2, 2.8).  The mean is over the retain losses of all groups before this
 *           one (each the token mean of its rows), in any epoch; for the first group ΔL = 0.
 *   code    what the published program does:
 *             - α = clip(round(γ, 1 decimal), 1.2, 2.3), which has 12 values;
 *             - in epoch 0, α = 1.2; later the mean is the one collected in epoch 0, without
 *               updates.  An update that begins in epoch 0 and ends in the next belongs to epoch 0,
 *               because the program counts epochs between updates only;
 *             - that mean is too small: it adds losses of batches, each already a mean, and divides
 *               by the number of retain sequences.  With six sequences in a batch it is a sixth of
 *               the true mean, so ΔL is about 5/6 of the retain loss even when that did not rise;
 *             - a group is one micro-batch, so α follows a single noisy loss.
 *           One difference remains: the program also adds the losses of its evaluation batches to
 *           the mean.
 *   NUMBER  that number for the whole run.
 *   dual    a Lagrange multiplier (objective_pdu.c): α = fixed, then fixed ← max(0, fixed +
 *           η (retain loss − ε)) from epoch `warmup` on.  No word of --alpha selects it; the
 *           objective sets it up. */
#ifndef DELE_ALPHA_H
#define DELE_ALPHA_H

#include <stddef.h>

#include "base/err.h"

typedef enum {
    DELE_ALPHA_FIXED,
    DELE_ALPHA_PAPER,
    DELE_ALPHA_CODE,
    DELE_ALPHA_DUAL
} dele_alpha_mode;

typedef struct {
    dele_alpha_mode mode;
    double fixed;
    double sum, count;   /* of the mean */
    double eta, epsilon; /* of the multiplier */
    int warmup;
} dele_alpha;

/* "paper", "code" or a number. */
dele_status dele_alpha_parse(dele_alpha *alpha, const char *text, dele_err *err);

double dele_alpha_paper(double rise); /* rise: ΔL */
double dele_alpha_code(double rise);

/* α for a group with this retain loss, a token mean over n_sequences sequences.  The loss is then
 * added to the mean. */
double dele_alpha_next(dele_alpha *alpha, double retain_loss, size_t n_sequences, int epoch);

#endif
