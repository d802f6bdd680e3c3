#include "score/two_samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/texts.h"

static double *sorted(const double *x, size_t n, dele_arena *scratch, dele_err *err)
{
    double *copy = DELE_NEW(scratch, double, n, err);
    if (!copy) return NULL;
    memcpy(copy, x, n * sizeof *copy);
    qsort(copy, n, sizeof *copy, dele_by_value);
    return copy;
}

dele_status dele_auc(double *auc, const double *a, size_t n, const double *b, size_t m,
                     dele_arena *scratch, dele_err *err)
{
    const double *x = sorted(a, n, scratch, err), *y = x ? sorted(b, m, scratch, err) : NULL;
    if (!y) return DELE_ERR_MEMORY;
    double pairs = 0;
    for (size_t i = 0, below = 0, upto = 0; i < n; i++) {
        while (below < m && y[below] < x[i]) below++;
        while (upto < m && y[upto] <= x[i]) upto++;
        pairs += (double)below + .5 * (double)(upto - below);
    }
    *auc = pairs / ((double)n * (double)m);
    return DELE_OK;
}

/* ---- Kolmogorov-Smirnov ---------------------------------------------------------------------- */

/* nm d, an integer: the largest |i m - j n| over all values, i and j being the numbers of items not
 * above the value. */
static double distance(const double *x, size_t n, const double *y, size_t m)
{
    double most = 0;
    for (size_t i = 0, j = 0; i < n || j < m;) {
        double at = i < n && (j >= m || x[i] <= y[j]) ? x[i] : y[j];
        while (i < n && x[i] <= at) i++;
        while (j < m && y[j] <= at) j++;
        most = fmax(most, fabs((double)i * (double)m - (double)j * (double)n));
    }
    return most;
}

static double log_same_sizes(double n, double h)
{
    /* P/2 = A₁ (1 - (A₂/A₁)(1 - (A₃/A₂)(1 - ...))): every factor in brackets is between 0 and 1. */
    double inner = 1, whole = 2 * lgamma(n + 1);
    for (double k = floor(n / h); k >= 1; k--) {
        double log_a = whole - lgamma(n + k * h + 1) - lgamma(n - k * h + 1);
        if (k == 1) return log(2) + log_a + log(inner);
        double log_before = whole - lgamma(n + (k - 1) * h + 1) - lgamma(n - (k - 1) * h + 1);
        inner = 1 - exp(log_a - log_before) * inner;
    }
    return 0;
}

static double log_sum(double a, double b)
{
    double high = fmax(a, b), low = fmin(a, b);
    return isinf(low) ? high : high + log1p(exp(low - high));
}

/* row[j]: log of the fraction of paths to (i, j) that pass a point with |i m - j n| >= limit. */
static dele_status log_other_sizes(double *log_p, size_t n, size_t m, double limit,
                                   dele_arena *scratch, dele_err *err)
{
    double *row = DELE_NEW(scratch, double, m + 1, err);
    if (!row) return DELE_ERR_MEMORY;
    for (size_t i = 0; i <= n; i++)
        for (size_t j = 0; j <= m; j++) {
            double di = (double)i, dj = (double)j, total = log(di + dj);
            if (fabs(di * (double)m - dj * (double)n) >= limit)
                row[j] = 0;
            else if (i + j == 0)
                row[j] = -INFINITY;
            else if (i == 0)
                row[j] = row[j - 1];
            else if (j > 0)
                row[j] = log_sum(row[j] + log(di) - total, row[j - 1] + log(dj) - total);
        }
    *log_p = row[m];
    return DELE_OK;
}

dele_status dele_ks_two_samples(dele_ks *ks, const double *a, size_t n, const double *b, size_t m,
                                dele_arena *scratch, dele_err *err)
{
    const double *x = sorted(a, n, scratch, err), *y = x ? sorted(b, m, scratch, err) : NULL;
    if (!y) return DELE_ERR_MEMORY;
    double far = distance(x, n, y, m);
    *ks = (dele_ks){.d = far / ((double)n * (double)m)};
    if (far == 0) return DELE_OK;
    if (n != m) return log_other_sizes(&ks->log_p, n, m, far, scratch, err);
    ks->log_p = fmin(0, log_same_sizes((double)n, far / (double)n));
    return DELE_OK;
}

/* ---- McNemar, harmonic mean ------------------------------------------------------------------ */

double dele_mcnemar(size_t b, size_t c)
{
    double n = (double)(b + c), k = (double)(b < c ? b : c), sum = 0;
    if (b == c) return 1;
    /* Σ_{i<=k} C(n, i) relative to C(n, k), from the largest term down. */
    double term = 1;
    for (double i = k; i >= 0 && term > 1e-18; i--) {
        sum += term;
        term *= i / (n - i + 1);
    }
    return fmin(
        1, exp(log(2) + log(sum) + lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) - n * log(2)));
}

double dele_harmonic_mean(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] > 0)) return 0;
        sum += 1 / x[i];
    }
    return (double)n / sum;
}
