/* Two samples beside each other: do they differ, and how surely?  All of it exact, nothing
 * approximated for large n. */
#ifndef DELE_TWO_SAMPLES_H
#define DELE_TWO_SAMPLES_H

#include "base/arena.h"

/* Area under the ROC curve: the share of pairs (a, b) in which a is larger, an equal pair counting
 * half (Mann-Whitney's U / (n m); what scikit-learn's roc_auc_score gives with a for positives).
 * n, m >= 1. */
dele_status dele_auc(double *auc, const double *a, size_t n, const double *b, size_t m,
                     dele_arena *scratch, dele_err *err);

/* Kolmogorov-Smirnov: d = max |F_a - F_b|, and the two-sided probability that samples of one
 * distribution lie at least so far apart, as its natural logarithm: TOFU's forget quality reaches
 * exp(-550), where doubles end at exp(-745).
 *
 *   n = m, h = nd    P = 2 (A₁ - A₂ + A₃ - ...), A_k = C(2n, n + kh) / C(2n, n)   (Gnedenko &
 *                    Korolyuk 1951); at d = 1 that is 2 / C(2n, n), the floor
 *   n ≠ m            the share of lattice paths from (0,0) to (n,m) that leave the corridor (Hodges
 *                    1957), in logarithms
 *
 * scipy.stats.ks_2samp(method="exact") counts the same. */
typedef struct {
    double d, log_p;
} dele_ks;

dele_status dele_ks_two_samples(dele_ks *ks, const double *a, size_t n, const double *b, size_t m,
                                dele_arena *scratch, dele_err *err);

/* McNemar, exact: of the questions whose prediction changed, b one way and c the other, the
 * two-sided binomial probability of so uneven a split at one half; 1 where none turned. */
double dele_mcnemar(size_t b, size_t c);

/* n / Σ 1/x; 0 where one of them is 0 or less, as Python's statistics.harmonic_mean (which refuses
 * the less). */
double dele_harmonic_mean(const double *x, size_t n);

#endif
