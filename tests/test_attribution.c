/* Attribution patching on tiny random models of both families.  It is a first-order estimate, so it
 * must become exact as the noise becomes small; the exact effects are dele_trace_grid's. */
#include "claims.h"

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

/* The exact cells, each of a single layer; kinds NULL: hidden, mlp and attn. */
static dele_grid trace(fixture *f, const dele_attribution_opts *o, int begin, int end,
                       const char *kinds)
{
    dele_err err = {0};
    dele_trace_opts t = DELE_TRACE_DEFAULTS;
    t.windows = "1";
    if (kinds) t.kinds = kinds;
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

/* Effects of the exact cells [T, n_cols] of a chart on p and on log p, each the mean over
 * samples. */
static void exact_effects(double *p, double *logp, const dele_grid *g, int which, int n_cols)
{
    const dele_chart chart = {.n_cols = n_cols};
    for (int i = 0; i < T * n_cols; i++) {
        const int t = i / n_cols, col = i % n_cols;
        p[i] = dele_cell_mean(g, &chart, which, DELE_PROB, t, col) - dele_low_mean(g, DELE_PROB);
        logp[i] = dele_cell_mean(g, &chart, which, DELE_LOGP, t, col) - dele_low_mean(g, DELE_LOGP);
    }
}

/* The worst cell's gap, as a part of the largest exact effect, over n_cols columns of which layers
 * have `units` each; of: only layers with experts have cells. */
static double gap_over(const double *estimate, const double *exact, double sign, int n_cols,
                       const dele_config *of)
{
    double most = 0, largest = 0;
    for (int i = 0; i < T * n_cols; i++) {
        if (of && !dele_layer_is_sparse(of, i % n_cols / (n_cols / L))) continue;
        most = fmax(most, fabs(sign * estimate[i] - exact[i]));
        largest = fmax(largest, fabs(exact[i]));
    }
    assert_true(largest > 0);
    return most / largest;
}

static double gap(const double *estimate, const double *exact, double sign)
{
    return gap_over(estimate, exact, sign, L, NULL);
}

/* The worst gap over kinds and both measures.  sigma: beside an embedding that is not scaled. */
static double worst_gap(fixture *f, double sigma, int begin, int end, double sign)
{
    const double scale = f->model.config.embed_scale > 0 ? (double)f->model.config.embed_scale : 1;
    dele_attribution_opts o = options(3, sigma * scale);
    dele_attribution s = attribution(f, &o, begin, end);
    dele_grid g = trace(f, &o, begin, end, NULL);
    double p[CELLS], logp[CELLS], most = 0;
    assert_int_equal(s.answer, g.answer[0]);
    assert_true(fabs(s.high - g.high[DELE_PROB]) < 1e-6 &&
                fabs(s.low - dele_low_mean(&g, DELE_PROB)) < 1e-6);
    for (int kind = 0; kind < DELE_N_ATTRIBUTED; kind++) {
        exact_effects(p, logp, &g, kind, L); /* the charts are in the kinds' order */
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

/* ---- mixtures of experts --------------------------------------------------------------------- */

enum { MOST_EXPERTS = 8 };
static const dele_kind OF_EXPERTS[] = {DELE_MOE, DELE_ROUTER, DELE_EXPERT};

static int columns(const fixture *f, dele_kind kind)
{
    return kind == DELE_EXPERT ? L * f->model.config.n_experts : L;
}

static double worst_gap_of_experts(fixture *f, double sigma, double sign)
{
    static double p[T * L * MOST_EXPERTS], logp[T * L * MOST_EXPERTS];
    dele_attribution_opts o = options(3, sigma);
    o.experts = true;
    dele_attribution s = attribution(f, &o, 2, 4);
    dele_grid g = trace(f, &o, 2, 4, "moe,router,expert");
    double most = 0;
    for (int i = 0; i < 3; i++) {
        const int n_cols = columns(f, OF_EXPERTS[i]);
        const dele_config *c = &f->model.config;
        exact_effects(p, logp, &g, i, n_cols);
        most = fmax(most, gap_over(s.p[OF_EXPERTS[i]], p, sign, n_cols, c));
        most = fmax(most, gap_over(s.logp[OF_EXPERTS[i]], logp, sign, n_cols, c));
    }
    return most;
}

static void in_mixtures_little_noise_makes_blocks_routers_and_experts_exact(void **state)
{
    (void)state;
    int n_mixtures = 0;
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        if (!CONFIGS[which].n_experts) continue;
        open_fixture(&f, which);
        n_mixtures++;
        const double most =
            fmin(worst_gap_of_experts(&f, 1e-4, 1), worst_gap_of_experts(&f, 3e-4, 1));
        if (!(most < 2e-2)) fail_msg("model %d: gap %g", which, most);
        if (!(worst_gap_of_experts(&f, 3e-4, -1) > 1))
            fail_msg("model %d: a flipped sign was not noticed", which);
        close_fixture(&f);
    }
    assert_true(n_mixtures >= 3);
}

/* States of one run at a site: seen [width] at (layer, token), of one expert. */
static double run_of(fixture *f, const float *embed, int answer, dele_patch patch)
{
    static const int last = T - 1;
    dele_err err = {0};
    float logits[V];
    const dele_segment segment = {.tokens = embed ? NULL : IDS, .states = embed, .n_rows = T};
    const dele_batch batch = {.segments = &segment,
                              .n_segments = 1,
                              .patches = &patch,
                              .n_patches = 1,
                              .output_rows = &last,
                              .n_output_rows = 1};
    if (dele_forward(&f->run, &f->model, &batch, &err)) fail_msg("%s", err.msg);
    dele_logits(logits, &f->run, &f->model, f->run.final, 1);
    double sum = 0;
    for (int j = 0; j < V; j++) sum += exp((double)logits[j] - (double)logits[answer]);
    return -log(sum);
}

/* The slope of log p(answer) of the corrupted run along (clean - corrupted) at a site: two runs of
 * it with a small part of that added.  *alone: one of the two runs has nothing there. */
static double slope_by_difference(fixture *f, const float *embed, int answer, dele_patch at,
                                  int width, bool *alone)
{
    float clean[64], corrupted[64], value[64];
    double side[2], size = 0;
    at.op = DELE_READ, at.seen = clean;
    run_of(f, NULL, answer, at);
    at.seen = corrupted;
    run_of(f, embed, answer, at);
    for (int j = 0; j < width; j++)
        size = fmax(size, fabs((double)clean[j] - (double)corrupted[j]));
    *alone = false;
    if (size == 0) return 0;
    double of[2] = {0};
    for (int j = 0; j < width; j++)
        of[0] += fabs((double)clean[j]), of[1] += fabs((double)corrupted[j]);
    *alone = of[0] == 0 || of[1] == 0;
    const double eps = 1e-3 / size;
    at.op = DELE_ADD, at.value = value;
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < width; j++)
            value[j] = (float)((i ? -eps : eps) * ((double)clean[j] - (double)corrupted[j]));
        side[i] = run_of(f, embed, answer, at);
    }
    return (side[0] - side[1]) / (2 * eps);
}

/* With so much noise that the two runs choose other experts. */
static void estimates_of_experts_are_the_slope_along_what_is_restored(void **state)
{
    (void)state;
    const double sigma = 0.3;
    int n = 0, n_alone = 0;
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        dele_err err = {0};
        float embed[T * 32];
        if (!CONFIGS[which].n_experts) continue;
        open_fixture(&f, which);
        const dele_config *c = &f.model.config;
        dele_attribution_opts o = options(1, sigma);
        o.experts = true;
        const dele_attribution s = attribution(&f, &o, 2, 4);
        const dele_corruption noise = {
            .by = DELE_CORRUPT_NOISE, .distribution = DELE_NOISE_GAUSSIAN, .sigma = sigma};
        dele_embed(embed, &f.model, IDS, T, 0);
        if (dele_corrupt_embed(embed + 2 * 32, &noise, &f.model, IDS + 2, 2, 2, 0, 1, o.seed, &err))
            fail_msg("%s", err.msg);
        for (int t = 2; t < T; t++)
            for (int l = 0; l < L; l++)
                for (int e = 0; e <= c->n_experts && dele_layer_is_sparse(c, l); e++) {
                    bool alone;
                    const bool router = e == c->n_experts;
                    const dele_patch at = {.layer = l,
                                           .row = t,
                                           .expert = e,
                                           .site = router ? DELE_ROUTER_LOGITS : DELE_EXPERT_OUT};
                    const double ours = router
                                            ? s.logp[DELE_ROUTER][t * L + l]
                                            : s.logp[DELE_EXPERT][(t * L + l) * c->n_experts + e],
                                 slope = slope_by_difference(&f, embed, s.answer, at,
                                                             router ? c->n_experts : 32, &alone);
                    if (!(fabs(ours - slope) < 2e-3 + 2e-2 * fabs(slope)))
                        fail_msg("model %d, token %d, layer %d, expert %d: %g, by differences %g",
                                 which, t, l, e, ours, slope);
                    n += !router && ours != 0;
                    n_alone += alone;
                }
        close_fixture(&f);
    }
    assert_true(n > 100 && n_alone > 20); /* of other experts than the clean run's, too */
}

static void a_model_without_experts_has_no_estimates_of_them(void **state)
{
    (void)state;
    fixture f;
    dele_err err = {0};
    open_fixture(&f, 0);
    dele_attribution_opts o = options(1, 0.1);
    dele_attribution s = attribution(&f, &o, 2, 4);
    assert_null(s.p[DELE_ROUTER]);
    o.experts = true;
    s = (dele_attribution){.ids = IDS, .n_tokens = T, .begin = 2, .end = 4, .answer = -1};
    assert_int_equal(dele_attribution_run(&s, &f.run, &f.model, &o, &f.arena, &err),
                     DELE_ERR_USAGE);
    assert_non_null(strstr(err.msg, "mixtures of experts"));
    close_fixture(&f);
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
    assert_int_equal(dele_attribution_agreement(&a, &s, x, y, 1, 1, NULL, &err), DELE_OK);
    assert_int_equal(a.n, (T - 2) * L - (T - 3));
    assert_true(fabs(a.pearson - 1) < 1e-12 && fabs(a.scale - 2) < 1e-12);
    assert_int_equal(dele_attribution_agreement(&a, &s, x, y, 3, 1, NULL, &err),
                     DELE_OK); /* a wider window reaches lower layers */
    assert_int_equal(a.n, (T - 2) * L);
    const bool sparse[L] = {false, true}; /* one layer of five, of two experts */
    double estimate[2 * CELLS] = {0};
    assert_int_equal(dele_attribution_agreement(&a, &s, estimate, estimate, 1, 2, sparse, &err),
                     DELE_OK);
    assert_int_equal(a.n, (T - 2) * 2);
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
        cmocka_unit_test(in_mixtures_little_noise_makes_blocks_routers_and_experts_exact),
        cmocka_unit_test(estimates_of_experts_are_the_slope_along_what_is_restored),
        cmocka_unit_test(a_model_without_experts_has_no_estimates_of_them),
        cmocka_unit_test(agreement_is_of_size_of_order_and_of_the_top),
        cmocka_unit_test(only_cells_that_can_matter_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
