/* How sure are we?  Means with standard errors, and intervals from the bootstrap. */
#ifndef DELE_STAT_H
#define DELE_STAT_H

#include "base/arena.h"
#include "base/random.h"

typedef struct {
    size_t n;
    double mean;
    double sd; /* with n - 1; NaN for n < 2 */
    double se; /* sd / sqrt(n) */
} dele_stat;

dele_stat dele_stat_of(const double *x, size_t n);

/* Spearman's rank correlation, ties by their mean rank; NaN where either side is constant or n < 2.  work: [2 n]. */
double dele_spearman(const double *x, const double *y, size_t n, double *work);

typedef struct {
    double low, high;
} dele_interval;

/* A number computed from a sample: the items index[0 .. n-1] of whatever data is, each as often as it is named. */
typedef double (*dele_statistic)(const size_t *index, size_t n, const void *data);

/* The percentile bootstrap (Efron 1979): draw n of the n items with replacement, compute the statistic, do so
 * `resamples` times, and take the quantiles (1 - level)/2 and (1 + level)/2 of what came out.  Draw whole *facts* (or
 * subjects, or questions) as items: what varies together must be drawn together.  n = 0 gives NaN. */
dele_status dele_bootstrap(dele_interval *out, dele_statistic statistic, const void *data, size_t n, double level, int resamples,
                         dele_rng *rng, dele_err *err);

/* The same for the mean of x; of differences x[i] = a[i] - b[i] it is the paired test. */
dele_status dele_bootstrap_mean(dele_interval *out, const double *x, size_t n, double level, int resamples, dele_rng *rng,
                              dele_err *err);

#endif
