/* Means with standard errors, and confidence intervals.  All intervals of the program are computed
 * here.
 *
 *   a mean                    studentised bootstrap (bootstrap-t; Efron & Tibshirani 1993, 12.5)
 *   a proportion              Wilson's score interval (1927): of positive width also where all
 *                             items are equal
 *   paired proportions        Tango's score interval of their difference (1998): the same
 *   any other statistic       BCa bootstrap (Efron 1987), its points moved out as Hesterberg (2015)
 *                             does: Student's t with n - 1 degrees, times √(n / (n - 1)), in the
 *                             place of the normal's
 *   a distance of two samples the basic bootstrap, with the same points
 *   area under a ROC curve    Newcombe's method 5 (2006): Hanley and McNeil's variance, taken at
 *                             the limit itself
 *
 * The percentile bootstrap of version 0.1 has too low a coverage for few items: 84 % for five
 * normal values, 71 % for five lognormal ones.  experiments/results/intervals/README.md has the
 * coverage of the present intervals.
 *
 * Fewer than DELE_LEAST_ITEMS items have no interval (NaN, NaN), because no method covers well with
 * so few.  Items are treated as independent.  Observations that vary together (questions about one
 * person) must be one item, otherwise the interval is too narrow. */
#ifndef DELE_STAT_H
#define DELE_STAT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/random.h"

enum { DELE_LEAST_ITEMS = 5 };

typedef struct {
    size_t n;
    double mean;
    double sd; /* with n - 1; NaN for n < 2 */
    double se; /* sd / sqrt(n) */
} dele_stat;

dele_stat dele_stat_of(const double *x, size_t n);

/* Whether all x[n] are equal. */
bool dele_is_constant(const double *x, size_t n);

/* Spearman's rank correlation, ties by their mean rank; NaN where either side is constant or n < 2.
 * work: [2 n]. */
double dele_spearman(const double *x, const double *y, size_t n, double *work);

typedef struct {
    double low, high;
} dele_interval;

/* Whether the interval exists. */
bool dele_interval_known(dele_interval x);

/* "95 % intervals, bootstrap over facts", or "no intervals: fewer than 5 facts"; items: "facts".
 * buffer: [80]. */
const char *dele_interval_words(char buffer[80], size_t n, const char *items);

/* A statistic of a sample: the items index[0 .. n-1] of data, each counted as often as its index
 * occurs. */
typedef double (*dele_statistic)(const size_t *index, size_t n, const void *data);

/* BCa interval of any statistic, from `resamples` resamples of n of the n items with replacement.
 * Resamples that give NaN are left out; infinite ones are kept, so that an end of the interval may
 * be infinite. */
dele_status dele_bootstrap(dele_interval *out, dele_statistic statistic, const void *data, size_t n,
                           double level, int resamples, dele_rng *rng, dele_err *err);

/* Interval of the mean of x.  Items that are all equal give an interval of width 0.  That is right
 * if they are equal by construction (an effect above a frozen layer); otherwise use one of the two
 * functions below. */
dele_status dele_bootstrap_mean(dele_interval *out, const double *x, size_t n, double level,
                                int resamples, dele_rng *rng, dele_err *err);

/* Interval of the mean of x, each between 0 and 1: within these bounds, and Wilson's where all x
 * are 0 or 1, or all equal. */
dele_status dele_bootstrap_share(dele_interval *out, const double *x, size_t n, double level,
                                 int resamples, dele_rng *rng, dele_err *err);

/* Interval of the mean of after - before over pairs, each value between 0 and 1: Tango's where all
 * are 0 or 1, or no pair differs. */
dele_status dele_bootstrap_change(dele_interval *out, const double *before, const double *after,
                                  size_t n, double level, int resamples, dele_rng *rng,
                                  dele_err *err);

/* Wilson's interval of a proportion p of n items; n need not be whole (an effective number). */
dele_interval dele_proportion_interval(double p, double n, double level);

/* Tango's interval of (up - down) / n, where of n pairs `up` went from 0 to 1 and `down` from 1 to
 * 0. */
dele_interval dele_paired_interval(size_t up, size_t down, size_t n, double level);

/* Newcombe's of an area under a ROC curve with n items on one side and m on the other. */
dele_interval dele_auc_interval(double auc, size_t n, size_t m, double level);

/* ---- parts for callers that draw many resamples at once (trace/rows.c) ----------------------- */

/* Bootstrap-t: mean - se t*, t [resamples] being the (mean* - mean) / se* of each (written over).
 * An infinite end (where many resamples hold only equal items) is replaced by that of
 * `otherwise`. */
dele_interval dele_studentised(double mean, double se, double *t, size_t resamples, double level,
                               dele_interval otherwise);

/* BCa of the resamples' values (written over), around the sample's own value; skew: Σ d³ / (Σ
 * d²)^1.5 over the jackknife's d (of a mean: the items less their mean), 0 for no correction. */
dele_interval dele_bca(double *value, size_t resamples, double own, double skew, size_t n,
                       double level);

/* Percentiles of the resamples (written over) at Student's points, `free` being the degrees of
 * freedom of their spread and `inflate` the factor that the resamples' deviation lacks, √(n /
 * (n - 1)). */
dele_interval dele_expanded(double *value, size_t resamples, double free, double inflate,
                            double level);

/* The basic bootstrap (Davison & Hinkley 1997, 5.2), its points moved out as dele_expanded's:
 * 2 own - q, q being the resamples' points.  For a statistic that noise can only raise, as a
 * distance: resamples are too high by as much as the sample is, and BCa's points then lie at the
 * resamples' lower end. */
dele_interval dele_basic(double *value, size_t resamples, double own, double free, double inflate,
                         double level);

#endif
