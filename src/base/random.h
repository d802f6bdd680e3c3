/* Random numbers.  The caller owns the state. */
#ifndef DELE_RANDOM_H
#define DELE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* xoshiro256**, seeded through splitmix64: shuffles, initial weights, bootstrap. */
typedef struct {
    uint64_t s[4];
} dele_rng;

void dele_rng_seed(dele_rng *rng, uint64_t seed);
uint64_t dele_rng_next(dele_rng *rng);
uint64_t dele_rng_below(dele_rng *rng, uint64_t n); /* uniform in [0, n), unbiased */
double dele_rng_uniform(dele_rng *rng);             /* [0, 1) */
double dele_rng_normal(dele_rng *rng);
void dele_rng_shuffle(dele_rng *rng, size_t *index, size_t n); /* Fisher-Yates, in place */

/* numpy's legacy RandomState (MT19937 with Marsaglia's polar Gauss), bit for bit: the noise of
 * ROME's causal tracing.  Source file compiled with -ffp-contract=off. */
typedef struct {
    uint32_t mt[624];
    int index, has_gauss;
    double gauss;
} dele_numpy_rng;

void dele_numpy_seed(dele_numpy_rng *rng, uint32_t seed);
double dele_numpy_randn(dele_numpy_rng *rng);                            /* randn */
double dele_numpy_uniform(dele_numpy_rng *rng, double low, double high); /* uniform */
double dele_numpy_chisquare(dele_numpy_rng *rng, double df);             /* chisquare */

#endif
