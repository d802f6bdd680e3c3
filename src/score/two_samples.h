/* Comparison of two samples.  All tests are exact, without approximations for large n. */
#ifndef DELE_TWO_SAMPLES_H
#define DELE_TWO_SAMPLES_H

#include "base/arena.h"

/* Area under the ROC curve: the fraction of pairs (a, b) in which a is larger, an equal pair
 * counting half (Mann-Whitney's U / (n m); scikit-learn's roc_auc_score with a as positives).  n, m
 * >= 1. */
dele_status dele_auc(double *auc, const double *a, size_t n, const double *b, size_t m,
                     dele_arena *scratch, dele_err *err);

/* Kolmogorov-Smirnov: d = max |F_a - F_b|, and the natural logarithm of the two-sided p-value.
 * TOFU's forget quality reaches exp(-550), close to the least double, exp(-745).
 *
 *   n = m, h = nd    P = 2 (A₁ - A₂ + A₃ - ...), A_k = C(2n, n + kh) / C(2n, n)   (Gnedenko &
 *                    Korolyuk 1951); at d = 1 that is 2 / C(2n, n), the floor
 *   n ≠ m            the fraction of lattice paths from (0,0) to (n,m) that leave the band (Hodges
 *                    1957), in logarithms
 *
 * scipy.stats.ks_2samp(method="exact") computes the same. */
typedef struct {
    double d, log_p;
} dele_ks;

dele_status dele_ks_two_samples(dele_ks *ks, const double *a, size_t n, const double *b, size_t m,
                                dele_arena *scratch, dele_err *err);

/* McNemar, exact: of the questions whose prediction changed, b one way and c the other, the
 * two-sided binomial p-value of this split at one half; 1 where no prediction changed. */
double dele_mcnemar(size_t b, size_t c);

/* n / Σ 1/x; 0 if an x is 0, as in Python's statistics.harmonic_mean, or negative (which Python
 * refuses). */
double dele_harmonic_mean(const double *x, size_t n);

#endif
