/* Corruption of the subject: its kinds, its strength, and how the random numbers are drawn.
 *
 *   --noise    added to each of the subject's embeddings (with --replace: replaces them)
 *   sF         F sigma z, sigma the unbiased standard deviation of all entries of all the file's
 *              subjects' embeddings, each subject encoded alone; z ~ N(0, 1)
 *   0.1        0.1 z
 *   uX, usF    X u or F sigma u, u uniform in (-1, 1).  (ROME's uX is absolute: the paper's +-3
 *              sigma is us3 here.)
 *   m          a draw of the Gaussian with the covariance of a text's embeddings; its mean is added
 *              only with --replace
 *   tN         the same, times sqrt((N - 2) / chi2(N)): Student's t, N > 2; chi2 has a stream of
 *              its own
 *
 * z and u come from numpy's RandomState(seed), in C order of [sample, token, channel], so that
 * fewer samples are a prefix of more.  Sums are made in double and rounded once: x =
 * (float)((double)x + sigma z), as torch's in-place add of a float64 array does; with that the
 * published programs' corrupted embeddings are reproduced bit for bit.
 *
 * --compat rome --sever: severed cells start from new noise (the generator continues: sample S +
 * s), and keep the path's outputs of the first draw, as ROME's trace_with_repatch does.  Otherwise
 * there is one draw, so that the outputs that the severed path keeps are those of the run that they
 * are patched into, and a severed cell differs from the plain one only by the severed path.
 *
 * --compat rome: m and tN add the mean as well, low is measured with added noise even under
 * --replace, and all facts share one seed.  (m and tN draw through a Cholesky factor where ROME
 * takes an SVD: the same distribution, other numbers.) */
#ifndef DELE_TRACE_CORRUPT_H
#define DELE_TRACE_CORRUPT_H

#include "model/facts.h"

/* What corrupts: noise on the subject's embeddings, another fact's subject in its place, or zero or
 * mean ablation of the patched site itself. */
typedef enum {
    DELE_CORRUPT_NOISE,
    DELE_CORRUPT_TOKENS,
    DELE_CORRUPT_ZERO,
    DELE_CORRUPT_MEAN
} dele_corrupt_by;
extern const char *const dele_corrupt_name[]; /* "noise", "tokens", "zero", "mean"; NULL */

typedef enum {
    DELE_NOISE_GAUSSIAN,
    DELE_NOISE_UNIFORM,
    DELE_NOISE_COVARIANCE
} dele_noise_distribution;

typedef struct {
    dele_corrupt_by by;
    dele_noise_distribution distribution;
    bool relative;  /* factor counts standard deviations of the subjects' embeddings */
    double factor;  /* as given */
    double sigma;   /* factor of the noise; for DELE_NOISE_COVARIANCE 1 */
    double student; /* degrees of freedom, 0: Gaussian */
    bool replace, rome;
    bool shared; /* all facts have one seed; then chi2 has ROME's seed, 2, else one that is derived
                    from the fact's */
    const double *mean, *root; /* [d_model], [dim, d_model] lower: covariance = root rootᵀ */
} dele_corruption;

static inline bool dele_ablates(const dele_corruption *c)
{
    return c->by == DELE_CORRUPT_ZERO || c->by == DELE_CORRUPT_MEAN;
}

/* Parses --noise.  What depends on the model is measured by dele_corruption_measure. */
dele_status dele_noise_parse(dele_corruption *c, const char *noise, dele_err *err);

/* Measures sigma on the facts' subjects, and the covariance on `text` (a file) or, where it is "",
 * on the facts' prompts.  The arena owns mean and root. */
dele_status dele_corruption_measure(dele_corruption *c, const dele_model *model,
                                    const dele_facts *facts, const char *text, dele_arena *arena,
                                    dele_err *err);

/* Samples [first, first + n_samples) of what enters the first layer for ids[0..n) at positions from
 * first_pos on, out [n_samples, n, d_model].  Noise is added to the token's embedding, as the
 * config scales it, or replaces it; a learned position is added to the result, as in ROME, whose
 * noise changes the output of the token's embedding alone. */
dele_status dele_corrupt_embed(float *out, const dele_corruption *c, const dele_model *model,
                               const int *ids, int n, int first_pos, int first, int n_samples,
                               uint64_t seed, dele_err *err);

#endif
