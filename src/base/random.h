/* Random numbers.  The state is passed in, never hidden. */
#ifndef LAC_RANDOM_H
#define LAC_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* xoshiro256**, seeded through splitmix64: shuffles, initial weights, bootstrap. */
typedef struct {
    uint64_t s[4];
} lac_rng;

void lac_rng_seed(lac_rng *rng, uint64_t seed);
uint64_t lac_rng_next(lac_rng *rng);
uint64_t lac_rng_below(lac_rng *rng, uint64_t n); /* uniform in [0, n), unbiased */
double lac_rng_uniform(lac_rng *rng);             /* [0, 1) */
double lac_rng_normal(lac_rng *rng);
void lac_rng_shuffle(lac_rng *rng, size_t *index, size_t n); /* Fisher-Yates, in place */

/* numpy's legacy RandomState (MT19937 with Marsaglia's polar Gauss), bit for bit: the noise of ROME's
 * causal tracing.  Source file compiled with -ffp-contract=off. */
typedef struct {
    uint32_t mt[624];
    int index, has_gauss;
    double gauss;
} lac_numpy_rng;

void lac_numpy_seed(lac_numpy_rng *rng, uint32_t seed);
double lac_numpy_double(lac_numpy_rng *rng);                           /* random_sample */
double lac_numpy_randn(lac_numpy_rng *rng);                            /* randn */
double lac_numpy_uniform(lac_numpy_rng *rng, double low, double high); /* uniform */
double lac_numpy_chisquare(lac_numpy_rng *rng, double df);             /* chisquare */

#endif
