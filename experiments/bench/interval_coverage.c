/* How often do the intervals of base/stat.h hold the truth?  Samples of n items of a known
 * distribution, the share of intervals that hold its mean (or ratio of means), and their median
 * width.
 *
 *   bench_interval_coverage [TRIALS]      a table in Markdown; 2000 trials of 1000 resamples take a
 *                                         minute or two
 *
 * experiments/results/intervals/README.md has the result. */
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/stat.h"

enum { RESAMPLES = 1000, MOST = 30 };

typedef struct {
    double x[MOST], y[MOST];
} sample;

typedef struct {
    const char *name;
    double truth;
    void (*draw)(sample *s, size_t n, dele_rng *rng);
    dele_status (*interval)(dele_interval *out, const sample *s, size_t n, dele_rng *rng);
} shape;

/* ---- distributions --------------------------------------------------------------------------- */

static void draw_normal(sample *s, size_t n, dele_rng *rng)
{
    for (size_t i = 0; i < n; i++) s->x[i] = dele_rng_normal(rng);
}

static void draw_lognormal(sample *s, size_t n, dele_rng *rng)
{
    for (size_t i = 0; i < n; i++) s->x[i] = exp(dele_rng_normal(rng));
}

/* u^4: between 0 and 1, most of it near 0, as the probabilities of answers are; mean 1/5. */
static void draw_skewed_share(sample *s, size_t n, dele_rng *rng)
{
    for (size_t i = 0; i < n; i++) s->x[i] = pow(dele_rng_uniform(rng), 4);
}

static void draw_binary(sample *s, size_t n, double p, dele_rng *rng)
{
    for (size_t i = 0; i < n; i++) s->x[i] = dele_rng_uniform(rng) < p;
}

static void draw_seven_in_ten(sample *s, size_t n, dele_rng *rng) { draw_binary(s, n, .7, rng); }
static void draw_nineteen_in_twenty(sample *s, size_t n, dele_rng *rng)
{
    draw_binary(s, n, .95, rng);
}

/* x is right before with .6; after, half of those are still right and a tenth of the others: y - x
 * has mean -.26. */
static void draw_paired(sample *s, size_t n, dele_rng *rng)
{
    for (size_t i = 0; i < n; i++) {
        s->x[i] = dele_rng_uniform(rng) < .6;
        s->y[i] = dele_rng_uniform(rng) < (s->x[i] > 0 ? .5 : .1);
    }
}

/* What came back over what was forgotten: y uniform in [.5, 1.5), x a share of it of mean .3 and
 * much spread. */
static void draw_ratio(sample *s, size_t n, dele_rng *rng)
{
    for (size_t i = 0; i < n; i++) {
        s->y[i] = .5 + dele_rng_uniform(rng);
        s->x[i] = s->y[i] * (dele_rng_uniform(rng) < .5 ? 0 : .6 + .3 * dele_rng_normal(rng));
    }
}

/* ---- their intervals ------------------------------------------------------------------------- */

static dele_status of_mean(dele_interval *out, const sample *s, size_t n, dele_rng *rng)
{
    return dele_bootstrap_mean(out, s->x, n, .95, RESAMPLES, rng, NULL);
}

static dele_status of_share(dele_interval *out, const sample *s, size_t n, dele_rng *rng)
{
    return dele_bootstrap_share(out, s->x, n, .95, RESAMPLES, rng, NULL);
}

static dele_status of_change(dele_interval *out, const sample *s, size_t n, dele_rng *rng)
{
    return dele_bootstrap_change(out, s->x, s->y, n, .95, RESAMPLES, rng, NULL);
}

static double ratio(const size_t *index, size_t n, const void *data)
{
    const sample *s = data;
    double up = 0, down = 0;
    for (size_t i = 0; i < n; i++) up += s->x[index[i]], down += s->y[index[i]];
    return up / down;
}

static dele_status of_ratio(dele_interval *out, const sample *s, size_t n, dele_rng *rng)
{
    return dele_bootstrap(out, ratio, s, n, .95, RESAMPLES, rng, NULL);
}

/* What was used before: plain percentiles of resampled means. */
static dele_status percentile(dele_interval *out, const sample *s, size_t n, dele_rng *rng)
{
    double mean[RESAMPLES];
    for (int r = 0; r < RESAMPLES; r++) {
        mean[r] = 0;
        for (size_t i = 0; i < n; i++) mean[r] += s->x[dele_rng_below(rng, n)] / (double)n;
    }
    gsl_sort(mean, 1, RESAMPLES);
    *out = (dele_interval){gsl_stats_quantile_from_sorted_data(mean, 1, RESAMPLES, .025),
                           gsl_stats_quantile_from_sorted_data(mean, 1, RESAMPLES, .975)};
    return DELE_OK;
}

static const shape shapes[] = {
    {"normal, before", 0, draw_normal, percentile},
    {"normal", 0, draw_normal, of_mean},
    {"lognormal, before", 1.6487212707001282, draw_lognormal, percentile},
    {"lognormal", 1.6487212707001282, draw_lognormal, of_mean},
    {"share, most of it near 0, before", .2, draw_skewed_share, percentile},
    {"share, most of it near 0", .2, draw_skewed_share, of_share},
    {"0 or 1, p = .7, before", .7, draw_seven_in_ten, percentile},
    {"0 or 1, p = .7", .7, draw_seven_in_ten, of_share},
    {"0 or 1, p = .95, before", .95, draw_nineteen_in_twenty, percentile},
    {"0 or 1, p = .95", .95, draw_nineteen_in_twenty, of_share},
    {"0 or 1, after - before", -.26, draw_paired, of_change},
    {"ratio of means", .3, draw_ratio, of_ratio},
};

/* Share of `trials` intervals that hold the truth, and their median width. */
static void measure(double *covered, double *width, const shape *s, size_t n, int trials)
{
    double *widths = calloc((size_t)trials, sizeof *widths);
    dele_rng rng;
    dele_rng_seed(&rng, 20 + n);
    *covered = 0;
    for (int t = 0; widths && t < trials; t++) {
        sample drawn;
        dele_interval ci;
        s->draw(&drawn, n, &rng);
        if (s->interval(&ci, &drawn, n, &rng)) exit(1);
        *covered += (ci.low <= s->truth + 1e-12 && ci.high >= s->truth - 1e-12) / (double)trials;
        widths[t] = ci.high - ci.low;
    }
    if (!widths) exit(1);
    gsl_sort(widths, 1, (size_t)trials);
    *width = gsl_stats_median_from_sorted_data(widths, 1, (size_t)trials);
    free(widths);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {5, 10, 20, 30};
    const int trials = argc > 1 ? atoi(argv[1]) : 2000;
    if (trials < 1) return 2;
    printf("| items | 5 | 10 | 20 | 30 | width at 5, 10, 20, 30 |\n|---|---|---|---|---|---|\n");
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        double covered[4], width[4];
        for (int i = 0; i < 4; i++) measure(&covered[i], &width[i], &shapes[k], sizes[i], trials);
        printf("| %s | %.1f | %.1f | %.1f | %.1f | %.2f, %.2f, %.2f, %.2f |\n", shapes[k].name,
               100 * covered[0], 100 * covered[1], 100 * covered[2], 100 * covered[3], width[0],
               width[1], width[2], width[3]);
        fflush(stdout);
    }
    return 0;
}
