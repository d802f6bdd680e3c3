#include "base/stat.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdbool.h>

lac_stat lac_stat_of(const double *x, size_t n)
{
    lac_stat s = {.n = n, .mean = NAN, .sd = NAN, .se = NAN};
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

double lac_spearman(const double *x, const double *y, size_t n, double *work)
{
    if (n < 2 || is_constant(x, n) || is_constant(y, n)) return NAN;
    return gsl_stats_spearman(x, 1, y, 1, n, work);
}

lac_status lac_bootstrap(lac_interval *out, lac_statistic statistic, const void *data, size_t n, double level, int resamples,
                         lac_rng *rng, lac_err *err)
{
    *out = (lac_interval){NAN, NAN};
    if (n == 0 || resamples < 1) return LAC_OK;
    lac_arena arena = {0};
    size_t *index = LAC_NEW(&arena, size_t, n, err);
    double *value = LAC_NEW(&arena, double, (size_t)resamples, err);
    lac_status status = index && value ? LAC_OK : LAC_ERR_MEMORY;
    if (!status) {
        for (int r = 0; r < resamples; r++) {
            for (size_t i = 0; i < n; i++) index[i] = (size_t)lac_rng_below(rng, n);
            value[r] = statistic(index, n, data);
        }
        gsl_sort(value, 1, (size_t)resamples);
        out->low = gsl_stats_quantile_from_sorted_data(value, 1, (size_t)resamples, (1 - level) / 2);
        out->high = gsl_stats_quantile_from_sorted_data(value, 1, (size_t)resamples, (1 + level) / 2);
    }
    lac_arena_release(&arena);
    return status;
}

static double mean_of(const size_t *index, size_t n, const void *data)
{
    const double *x = data;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[index[i]];
    return sum / (double)n;
}

lac_status lac_bootstrap_mean(lac_interval *out, const double *x, size_t n, double level, int resamples, lac_rng *rng,
                              lac_err *err)
{
    return lac_bootstrap(out, mean_of, x, n, level, resamples, rng, err);
}
