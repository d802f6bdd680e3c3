#include "base/stat.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdbool.h>

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

static bool is_constant(const double *x, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (x[i] != x[0]) return false;
    return true;
}

double dele_spearman(const double *x, const double *y, size_t n, double *work)
{
    if (n < 2 || is_constant(x, n) || is_constant(y, n)) return NAN;
    return gsl_stats_spearman(x, 1, y, 1, n, work);
}

dele_status dele_bootstrap(dele_interval *out, dele_statistic statistic, const void *data, size_t n, double level, int resamples,
                         dele_rng *rng, dele_err *err)
{
    *out = (dele_interval){NAN, NAN};
    if (n == 0 || resamples < 1) return DELE_OK;
    dele_arena arena = {0};
    size_t *index = DELE_NEW(&arena, size_t, n, err);
    double *value = DELE_NEW(&arena, double, (size_t)resamples, err);
    dele_status status = index && value ? DELE_OK : DELE_ERR_MEMORY;
    if (!status) {
        for (int r = 0; r < resamples; r++) {
            for (size_t i = 0; i < n; i++) index[i] = (size_t)dele_rng_below(rng, n);
            value[r] = statistic(index, n, data);
        }
        gsl_sort(value, 1, (size_t)resamples);
        out->low = gsl_stats_quantile_from_sorted_data(value, 1, (size_t)resamples, (1 - level) / 2);
        out->high = gsl_stats_quantile_from_sorted_data(value, 1, (size_t)resamples, (1 + level) / 2);
    }
    dele_arena_release(&arena);
    return status;
}

static double mean_of(const size_t *index, size_t n, const void *data)
{
    const double *x = data;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[index[i]];
    return sum / (double)n;
}

dele_status dele_bootstrap_mean(dele_interval *out, const double *x, size_t n, double level, int resamples, dele_rng *rng,
                              dele_err *err)
{
    return dele_bootstrap(out, mean_of, x, n, level, resamples, rng, err);
}
