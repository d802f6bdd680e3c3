/* Attribution patching on tiny random models of both families.  It is a first-order estimate, so it
 * must become exact as the noise becomes small; the exact effects are dele_trace_grid's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "trace/attribution.h"
#include "trace/plan.h"

#include "tiny_models.h" /* its T, V and L come after the headers that use these names */
#include "trace/run.h"

enum { CELLS = T * L };

static void open_fixture(fixture *f, int which) { open_tiny(f, which, 0.15); }

static dele_attribution_opts options(int samples, double sigma)
{
    return (dele_attribution_opts){.samples = samples, .sigma = sigma, .seed = 1, .memory = 64};
}

static dele_attribution attribution(fixture *f, const dele_attribution_opts *o, int begin, int end)
{
    dele_err err = {0};
    dele_attribution s = {.ids = IDS, .n_tokens = T, .begin = begin, .end = end, .answer = -1};
    if (dele_attribution_run(&s, &f->run, &f->model, o, &f->arena, &err)) fail_msg("%s", err.msg);
    return s;
}

/* The exact cells, each of a single layer. */
static dele_grid trace(fixture *f, const dele_attribution_opts *o, int begin, int end)
{
    dele_err err = {0};
    dele_trace_opts t = DELE_TRACE_DEFAULTS;
    t.windows = "1";
    t.samples = o->samples;
    t.sigma = o->sigma;
    dele_plan plan;
    dele_grid g = {
        .ids = IDS, .n_tokens = T, .begin = begin, .end = end, .foil = -1, .seed = o->seed};
    if (dele_plan_make(&plan, &t, &f->model.config, &f->arena, &err) ||
        dele_trace_grid(&g, &plan, &f->run, &f->model, &f->arena, &err))
        fail_msg("%s", err.msg);
    return g;
}

/* Effects of the exact cells on p and on log p, each the mean over samples. */
static void exact_effects(double *p, double *logp, const dele_grid *g, dele_kind kind)
{
    for (int i = 0; i < CELLS; i++) {
        p[i] = logp[i] = 0;
        for (int s = 0; s < g->n_samples; s++) {
            const dele_chart chart = {.n_cols = L}; /* the charts are in the kinds' order */
            const double *low = g->low + s * DELE_N_METRICS;
            p[i] += ((double)*dele_cell(g, &chart, (int)kind, s, DELE_PROB, i / L, i % L) -
                     low[DELE_PROB]) /
                    g->n_samples;
            logp[i] += ((double)*dele_cell(g, &chart, (int)kind, s, DELE_LOGP, i / L, i % L) -
                        low[DELE_LOGP]) /
                       g->n_samples;
        }
    }
}

/* The worst cell's gap, as a part of the largest exact effect. */
static double gap(const double *estimate, const double *exact, double sign)
{
    double most = 0, largest = 0;
    for (int i = 0; i < CELLS; i++) {
        most = fmax(most, fabs(sign * estimate[i] - exact[i]));
        largest = fmax(largest, fabs(exact[i]));
    }
    assert_true(largest > 0);
    return most / largest;
}

/* The worst gap over kinds and both measures.  sigma: beside an embedding that is not scaled. */
static double worst_gap(fixture *f, double sigma, int begin, int end, double sign)
{
    const double scale = f->model.config.embed_scale > 0 ? (double)f->model.config.embed_scale : 1;
    dele_attribution_opts o = options(3, sigma * scale);
    dele_attribution s = attribution(f, &o, begin, end);
    dele_grid g = trace(f, &o, begin, end);
    double p[CELLS], logp[CELLS], most = 0;
    assert_int_equal(s.answer, g.answer[0]);
    assert_true(fabs(s.high - g.high[DELE_PROB]) < 1e-6 &&
                fabs(s.low - dele_low_mean(&g, DELE_PROB)) < 1e-6);
    for (int kind = 0; kind < DELE_N_ATTRIBUTED; kind++) {
        exact_effects(p, logp, &g, (dele_kind)kind);
        most = fmax(most, fmax(gap(s.p[kind], p, sign), gap(s.logp[kind], logp, sign)));
    }
    return most;
}

/* The gap falls with the noise until float32's rounding of the exact effects, which are
 * differences, takes over: in these models the two meet between 1e-4 and 3e-4, a part in 1500 to
 * 500 of an embedding's spread. */
static void with_little_noise_attribution_patching_equals_the_trace(void **state)
{
    (void)state;
    static const int subjects[][2] = {{2, 4}, {0, 3}, {1, 2}, {5, 7}};
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        open_fixture(&f, which);
        for (int i = 0; i < 4; i++) {
            double most = fmin(worst_gap(&f, 1e-4, subjects[i][0], subjects[i][1], 1),
                               worst_gap(&f, 3e-4, subjects[i][0], subjects[i][1], 1));
            if (!(most < 2e-2)) fail_msg("model %d, subject %d: gap %g", which, i, most);
            if (!(worst_gap(&f, 3e-4, subjects[i][0], subjects[i][1], -1) > 1))
                fail_msg("model %d, subject %d: a flipped sign was not noticed", which, i);
        }
        close_fixture(&f);
    }
}

static void the_attribution_error_falls_with_the_noise(void **state)
{
    (void)state;
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        open_fixture(&f, which);
        double large = worst_gap(&f, 1e-2, 2, 4, 1), small = worst_gap(&f, 1e-3, 2, 4, 1);
        if (!(small < large / 5))
            fail_msg("model %d: gap %g with a tenth of the noise that gives %g", which, small,
                     large);
        close_fixture(&f);
    }
}

static void where_nothing_differs_nothing_is_estimated(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 0);
    dele_attribution_opts o = options(2, 0.5), quiet = options(2, 0);
    dele_attribution s = attribution(&f, &o, 3, 5), none = attribution(&f, &quiet, 3, 5);
    for (int kind = 0; kind < DELE_N_ATTRIBUTED; kind++) {
        double most = 0;
        for (int i = 0; i < CELLS; i++) {
            if (i < 3 * L)
                assert_true(s.p[kind][i] == 0 && s.logp[kind][i] == 0); /* before the subject */
            assert_true(fabs(none.logp[kind][i]) < 1e-5);
            most = fmax(most, fabs(s.logp[kind][i]));
        }
        for (int t = 0; t < T - 1; t++)
            assert_true(s.logp[kind][t * L + L - 1] == 0); /* no way to the answer */
        assert_true(most > 1e-2);
    }
    close_fixture(&f);
}

static void the_slope_of_p_is_p_times_that_of_log_p(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 1);
    dele_attribution_opts o = options(1, 0.5);
    dele_attribution s = attribution(&f, &o, 2, 4);
    assert_true(fabs(s.low - exp(s.log_low)) < 1e-12 && fabs(s.high - exp(s.log_high)) < 1e-12);
    for (int kind = 0; kind < DELE_N_ATTRIBUTED; kind++)
        for (int i = 0; i < CELLS; i++)
            assert_true(fabs(s.p[kind][i] - s.low * s.logp[kind][i]) < 1e-12);
    close_fixture(&f);
}

static void a_small_memory_changes_nothing_but_the_passes(void **state)
{
    (void)state;
    enum { S = 40 };
    fixture f;
    open_fixture(&f, 1);
    dele_attribution_opts o = options(S, 0.5);
    double before = f.run.row_layers;
    dele_attribution a = attribution(&f, &o, 2, 4);
    assert_true(f.run.row_layers - before ==
                (S + 1) * T * L); /* the price: S + 1 prompts, for all cells and kinds */
    assert_int_equal(f.run.n_rows, S * T);
    o.memory = 1;
    dele_attribution b = attribution(&f, &o, 2, 4);
    assert_true(f.run.n_rows < S * T); /* the last of several passes */
    for (int kind = 0; kind < DELE_N_ATTRIBUTED; kind++)
        for (int i = 0; i < CELLS; i++) assert_true(fabs(a.logp[kind][i] - b.logp[kind][i]) < 1e-5);
    close_fixture(&f);
}

static void what_attribution_patching_cannot_estimate_is_refused(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 0);
    static const int beyond[T] = {11, 3, V, 17, 60, 8, 29};
    const dele_attribution bad[] = {
        {.ids = IDS, .n_tokens = T, .begin = 3, .end = 3, .answer = -1},
        {.ids = IDS, .n_tokens = T, .begin = -1, .end = 3, .answer = -1},
        {.ids = IDS, .n_tokens = T, .begin = 3, .end = T + 1, .answer = -1},
        {.ids = IDS, .n_tokens = T, .begin = 3, .end = 4, .answer = V},
        {.ids = beyond, .n_tokens = T, .begin = 3, .end = 4, .answer = -1}};
    dele_attribution_opts o = options(2, 0.5);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dele_err err = {0};
        dele_attribution s = bad[i];
        assert_int_equal(dele_attribution_run(&s, &f.run, &f.model, &o, &f.arena, &err),
                         DELE_ERR_DATA);
    }
    dele_err err = {0};
    dele_attribution s = {.ids = IDS, .n_tokens = T, .begin = 3, .end = 4, .answer = -1};
    o.samples = 100000;
    o.memory = 1;
    assert_int_equal(dele_attribution_run(&s, &f.run, &f.model, &o, &f.arena, &err),
                     DELE_ERR_MEMORY);
    assert_non_null(strstr(err.msg, "--batch-memory"));
    close_fixture(&f);
}

static void a_windows_estimate_is_the_sum_over_its_layers(void **state)
{
    (void)state;
    static const double
        single[2 * L] = {1, 2, 4, 8, 16, 0, 0, -3, 0, 0},
                   three[2 * L] = {3, 7, 14, 28, 24, 0, -3, -3, -3, 0},
                   two[2 * L] = {1, 3, 6,  12, 24,
                                 0, 0, -3, -3, 0}; /* the even one reaches down, as dele_window */
    double out[2 * L];
    dele_attribution_window(out, single, 2, L, 3);
    assert_memory_equal(out, three, sizeof out);
    dele_attribution_window(out, single, 2, L, 2);
    assert_memory_equal(out, two, sizeof out);
    dele_attribution_window(out, single, 2, L, 1);
    assert_memory_equal(out, single, sizeof out);
}

/* ---- agreement ------------------------------------------------------------------------------- */

static void agreement_is_of_size_of_order_and_of_the_top(void **state)
{
    (void)state;
    enum { N = 40 }; /* top 5 %: two */
    double x[N], y[N], flat[N] = {0};
    dele_agreement a;
    dele_err err = {0};
    for (int i = 0; i < N; i++) x[i] = i - 7, y[i] = 0.5 * x[i];
    assert_int_equal(dele_agreement_of(&a, x, y, N, &err), DELE_OK);
    assert_true(fabs(a.pearson - 1) < 1e-12 && fabs(a.spearman - 1) < 1e-12 && a.overlap == 1);
    assert_true(fabs(a.scale - 0.5) < 1e-12 && a.n == N && a.n_top == 2);
    for (int i = 0; i < N; i++) y[i] = exp(x[i]); /* the same order, bent */
    assert_int_equal(dele_agreement_of(&a, x, y, N, &err), DELE_OK);
    assert_true(a.pearson < 0.7 && fabs(a.spearman - 1) < 1e-12 && a.overlap == 1);
    for (int i = 0; i < N; i++) y[i] = -x[i];
    y[N - 1] = 100; /* the opposite, but for the largest */
    assert_int_equal(dele_agreement_of(&a, x, y, N, &err), DELE_OK);
    assert_true(a.spearman < -0.7 && a.overlap == 0.5);
    assert_int_equal(dele_agreement_of(&a, x, flat, N, &err), DELE_OK);
    assert_true(isnan(a.pearson) && isnan(a.spearman) && isnan(a.overlap) && isnan(a.scale));
    y[3] = NAN;
    assert_int_equal(dele_agreement_of(&a, x, y, N, &err), DELE_ERR_DATA);
}

static void only_cells_that_can_matter_are_compared(void **state)
{
    (void)state;
    dele_attribution s = {.n_tokens = T, .begin = 2, .end = 4, .n_layers = L};
    double x[CELLS], y[CELLS];
    for (int i = 0; i < CELLS; i++) {
        int t = i / L, l = i % L;
        bool counts = t >= 2 && (l < L - 1 || t == T - 1);
        x[i] = i, y[i] = counts ? 2 * i : 1e6; /* one cell too many and they do not agree */
    }
    dele_agreement a;
    dele_err err = {0};
    assert_int_equal(dele_attribution_agreement(&a, &s, x, y, 1, &err), DELE_OK);
    assert_int_equal(a.n, (T - 2) * L - (T - 3));
    assert_true(fabs(a.pearson - 1) < 1e-12 && fabs(a.scale - 2) < 1e-12);
    assert_int_equal(dele_attribution_agreement(&a, &s, x, y, 3, &err),
                     DELE_OK); /* a wider window reaches lower layers */
    assert_int_equal(a.n, (T - 2) * L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_little_noise_attribution_patching_equals_the_trace),
        cmocka_unit_test(the_attribution_error_falls_with_the_noise),
        cmocka_unit_test(where_nothing_differs_nothing_is_estimated),
        cmocka_unit_test(the_slope_of_p_is_p_times_that_of_log_p),
        cmocka_unit_test(a_small_memory_changes_nothing_but_the_passes),
        cmocka_unit_test(a_windows_estimate_is_the_sum_over_its_layers),
        cmocka_unit_test(what_attribution_patching_cannot_estimate_is_refused),
        cmocka_unit_test(agreement_is_of_size_of_order_and_of_the_top),
        cmocka_unit_test(only_cells_that_can_matter_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
