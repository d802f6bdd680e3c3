#include "base/stat.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdio.h>

static const dele_interval unknown = {(double)NAN, (double)NAN};

dele_stat dele_stat_of(const double *x, size_t n)
{
    dele_stat s = {.n = n, .mean = NAN, .sd = NAN, .se = NAN};
    if (n) s.mean = gsl_stats_mean(x, 1, n);
    if (n > 1) {
        s.sd = gsl_stats_sd_m(x, 1, n, s.mean);
        s.se = s.sd / sqrt((double)n);
    }
    return s;
}

bool dele_is_constant(const double *x, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (x[i] != x[0]) return false;
    return true;
}

double dele_spearman(const double *x, const double *y, size_t n, double *work)
{
    if (n < 2 || dele_is_constant(x, n) || dele_is_constant(y, n)) return NAN;
    return gsl_stats_spearman(x, 1, y, 1, n, work);
}

bool dele_interval_known(dele_interval x) { return !isnan(x.low) && !isnan(x.high); }

const char *dele_interval_words(char buffer[80], size_t n, const char *items)
{
    if (n < DELE_LEAST_ITEMS)
        snprintf(buffer, 80, "no intervals: fewer than %d %.40s", DELE_LEAST_ITEMS, items);
    else
        snprintf(buffer, 80, "95 %% intervals, bootstrap over %.40s", items);
    return buffer;
}

/* ---- score intervals: closed, or by halving -------------------------------------------------- */

static double normal_point(double level) { return gsl_cdf_ugaussian_Pinv((1 + level) / 2); }

dele_interval dele_proportion_interval(double p, double n, double level)
{
    if (!(n >= DELE_LEAST_ITEMS) || !(p >= 0 && p <= 1)) return unknown;
    const double z2 = pow(normal_point(level), 2), scale = 1 + z2 / n,
                 middle = (p + z2 / (2 * n)) / scale;
    const double half = sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / scale;
    return (dele_interval){p == 0 ? 0 : fmax(0, middle - half),
                           p == 1 ? 1 : fmin(1, middle + half)};
}

/* The zero of a decreasing function on [from, to], by bisection. */
typedef double (*falling)(double x, const double *numbers);

static double root(falling f, const double *numbers, double from, double to)
{
    for (int i = 0; i < 200 && to - from > 1e-15; i++) {
        const double middle = (from + to) / 2;
        *(f(middle, numbers) > 0 ? &from : &to) = middle;
    }
    return (from + to) / 2;
}

/* Tango's statistic at a difference d, less z: numbers are up, down, n, z.  The standard error is
 * taken at the maximum-likelihood fraction of pairs that went down, given d. */
static double tango(double d, const double *x)
{
    const double up = x[0], down = x[1], n = x[2];
    const double a = 2 * n, b = -up - down + (2 * n - up + down) * d, c = -down * d * (1 - d);
    const double q = (sqrt(fmax(0, b * b - 4 * a * c)) - b) / (2 * a);
    const double variance = n * (2 * q + d * (1 - d));
    const double off = up - down - n * d;
    return (variance > 0 ? off / sqrt(variance)
            : off > 0    ? INFINITY
            : off < 0    ? -INFINITY
                         : 0) -
           x[3];
}

dele_interval dele_paired_interval(size_t up, size_t down, size_t n, double level)
{
    if (n < DELE_LEAST_ITEMS) return unknown;
    const double z = normal_point(level), own = ((double)up - (double)down) / (double)n;
    const double low[] = {(double)up, (double)down, (double)n, z},
                 high[] = {(double)up, (double)down, (double)n, -z};
    return (dele_interval){root(tango, low, -1, own), root(tango, high, own, 1)};
}

/* The distance of the area above a supposed area, in standard errors at the supposed area, less z:
 * numbers are area, n, m, z. */
static double newcombe(double at, const double *x)
{
    const double half = (x[1] + x[2]) / 2 - 1;
    const double variance =
        at * (1 - at) * (1 + half * ((1 - at) / (2 - at) + at / (1 + at))) / (x[1] * x[2]);
    return x[0] - at - x[3] * sqrt(fmax(0, variance));
}

dele_interval dele_auc_interval(double auc, size_t n, size_t m, double level)
{
    if (n < DELE_LEAST_ITEMS || m < DELE_LEAST_ITEMS || !(auc >= 0 && auc <= 1)) return unknown;
    const double z = normal_point(level);
    const double low[] = {auc, (double)n, (double)m, z}, high[] = {auc, (double)n, (double)m, -z};
    return (dele_interval){auc == 0 ? 0 : root(newcombe, low, 0, auc),
                           auc == 1 ? 1 : root(newcombe, high, auc, 1)};
}

/* ---- points of resamples --------------------------------------------------------------------- */

/* The p-quantile of sorted values, interpolated except between infinite neighbours. */
static double quantile(const double *sorted, size_t n, double p)
{
    const double at = fmin(fmax(p, 0), 1) * (double)(n - 1);
    const size_t k = (size_t)at;
    const double part = at - (double)k;
    if (part == 0 || k + 1 >= n || sorted[k] == sorted[k + 1]) return sorted[k];
    return sorted[k] + part * (sorted[k + 1] - sorted[k]);
}

dele_interval dele_studentised(double mean, double se, double *t, size_t resamples, double level,
                               dele_interval otherwise)
{
    gsl_sort(t, 1, resamples);
    const size_t tail = (size_t)floor(
        (1 - level) / 2 * (double)resamples); /* no interpolation: neighbours may be infinite */
    const double low = mean - se * t[resamples - 1 - tail], high = mean - se * t[tail];
    return (dele_interval){isfinite(low) ? low : otherwise.low,
                           isfinite(high) ? high : otherwise.high};
}

dele_interval dele_expanded(double *value, size_t resamples, double free, double inflate,
                            double level)
{
    const double tail = gsl_cdf_ugaussian_P(inflate * gsl_cdf_tdist_Pinv((1 - level) / 2, free));
    gsl_sort(value, 1, resamples);
    return (dele_interval){quantile(value, resamples, tail), quantile(value, resamples, 1 - tail)};
}

dele_interval dele_basic(double *value, size_t resamples, double own, double free, double inflate,
                         double level)
{
    const dele_interval q = dele_expanded(value, resamples, free, inflate, level);
    return (dele_interval){2 * own - q.high, 2 * own - q.low};
}

/* The fraction of resamples below BCa's point, for a normal quantile z. */
static double corrected(double z, double bias, double acceleration)
{
    const double w = bias + z, scale = 1 - acceleration * w;
    return scale > 0 ? gsl_cdf_ugaussian_P(bias + w / scale) : w > 0 ? 1 : 0;
}

dele_interval dele_bca(double *value, size_t resamples, double own, double skew, size_t n,
                       double level)
{
    double below = 0, R = (double)resamples, N = (double)n;
    for (size_t r = 0; r < resamples; r++) below += value[r] < own ? 1 : value[r] == own ? .5 : 0;
    const double bias = gsl_cdf_ugaussian_Pinv(fmin(fmax(below, .5), R - .5) / R);
    const double z = sqrt(N / (N - 1)) * gsl_cdf_tdist_Pinv((1 - level) / 2, N - 1);
    gsl_sort(value, 1, resamples);
    return (dele_interval){quantile(value, resamples, corrected(z, bias, skew / 6)),
                           quantile(value, resamples, corrected(-z, bias, skew / 6))};
}

/* ---- any statistic --------------------------------------------------------------------------- */

/* Σ d³ / (Σ d²)^1.5 of d = mean - x; 0 where that is no number. */
static double skew_of(const double *x, size_t n)
{
    double mean = 0, squares = 0, cubes = 0;
    for (size_t i = 0; i < n; i++) mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        squares += (mean - x[i]) * (mean - x[i]);
        cubes += (mean - x[i]) * (mean - x[i]) * (mean - x[i]);
    }
    const double skew = cubes / pow(squares, 1.5);
    return isfinite(skew) ? skew : 0;
}

/* left [n]: the statistic without each item; index: room for n. */
static void jackknife(double *left, dele_statistic statistic, const void *data, size_t n,
                      size_t *index)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0, m = 0; k < n; k++)
            if (k != i) index[m++] = k;
        left[i] = statistic(index, n - 1, data);
    }
}

dele_status dele_bootstrap(dele_interval *out, dele_statistic statistic, const void *data, size_t n,
                           double level, int resamples, dele_rng *rng, dele_err *err)
{
    *out = unknown;
    if (n < DELE_LEAST_ITEMS || resamples < 1) return DELE_OK;
    dele_arena arena = {0};
    size_t *index = DELE_NEW(&arena, size_t, n, err), used = 0;
    double *value = DELE_NEW(&arena, double, (size_t)resamples, err),
           *left = DELE_NEW(&arena, double, n, err);
    dele_status status = index && value && left ? DELE_OK : DELE_ERR_MEMORY;
    if (!status) {
        for (int r = 0; r < resamples; r++) {
            for (size_t i = 0; i < n; i++) index[i] = (size_t)dele_rng_below(rng, n);
            value[used] = statistic(index, n, data);
            used += !isnan(value[used]);
        }
        jackknife(left, statistic, data, n, index);
        for (size_t i = 0; i < n; i++) index[i] = i;
        const double own = statistic(index, n, data);
        if (used && !isnan(own)) *out = dele_bca(value, used, own, skew_of(left, n), n, level);
    }
    dele_arena_release(&arena);
    return status;
}

/* ---- means ----------------------------------------------------------------------------------- */

/* The mean of one resample minus the sample's mean, and this difference divided by the resample's
 * standard error. */
static void draw_mean(double *off, double *t, const double *x, size_t n, double mean, dele_rng *rng)
{
    double sum = 0, squares = 0, N = (double)n;
    for (size_t i = 0; i < n; i++) {
        const double d = x[dele_rng_below(rng, n)] - mean;
        sum += d;
        squares += d * d;
    }
    const double variance = (squares - sum * sum / N) / (N - 1);
    *off = sum / N;
    if (variance > 1e-12 * squares / N)
        *t = *off / sqrt(variance / N);
    else
        *t = *off == 0 ? 0 : copysign(INFINITY, *off); /* one item again and again */
}

dele_status dele_bootstrap_mean(dele_interval *out, const double *x, size_t n, double level,
                                int resamples, dele_rng *rng, dele_err *err)
{
    *out = unknown;
    if (n < DELE_LEAST_ITEMS || resamples < 1) return DELE_OK;
    *out = (dele_interval){x[0], x[0]};
    if (dele_is_constant(x, n)) return DELE_OK;
    const dele_stat s = dele_stat_of(x, n);
    const size_t R = (size_t)resamples;
    dele_arena arena = {0};
    double *off = DELE_NEW(&arena, double, 2 * R, err), *t = off + R;
    if (off) {
        for (size_t r = 0; r < R; r++) draw_mean(&off[r], &t[r], x, n, s.mean, rng);
        dele_interval around = dele_bca(off, R, 0, -skew_of(x, n), n, level);
        *out = dele_studentised(s.mean, s.se, t, R, level,
                                (dele_interval){s.mean + around.low, s.mean + around.high});
    }
    dele_arena_release(&arena);
    return off ? DELE_OK : DELE_ERR_MEMORY;
}

static bool is_binary(const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0 && x[i] != 1) return false;
    return true;
}

static dele_interval within(dele_interval x, double low, double high)
{
    return dele_interval_known(x) ? (dele_interval){fmax(x.low, low), fmin(x.high, high)} : x;
}

dele_status dele_bootstrap_share(dele_interval *out, const double *x, size_t n, double level,
                                 int resamples, dele_rng *rng, dele_err *err)
{
    *out = unknown;
    if (n < DELE_LEAST_ITEMS) return DELE_OK;
    if (is_binary(x, n) ||
        dele_is_constant(
            x, n)) { /* of all variables between 0 and 1, one of zeros and ones varies most */
        *out = dele_proportion_interval(dele_stat_of(x, n).mean, (double)n, level);
        return DELE_OK;
    }
    dele_status status = dele_bootstrap_mean(out, x, n, level, resamples, rng, err);
    *out = within(*out, 0, 1);
    return status;
}

dele_status dele_bootstrap_change(dele_interval *out, const double *before, const double *after,
                                  size_t n, double level, int resamples, dele_rng *rng,
                                  dele_err *err)
{
    size_t up = 0, down = 0;
    *out = unknown;
    if (n < DELE_LEAST_ITEMS) return DELE_OK;
    for (size_t i = 0; i < n; i++) up += after[i] > before[i], down += after[i] < before[i];
    if ((is_binary(before, n) && is_binary(after, n)) || up + down == 0) {
        *out = dele_paired_interval(up, down, n, level);
        return DELE_OK;
    }
    dele_arena arena = {0};
    double *x = DELE_NEW(&arena, double, n, err);
    for (size_t i = 0; x && i < n; i++) x[i] = after[i] - before[i];
    dele_status status =
        x ? dele_bootstrap_mean(out, x, n, level, resamples, rng, err) : DELE_ERR_MEMORY;
    *out = within(*out, -1, 1);
    dele_arena_release(&arena);
    return status;
}
