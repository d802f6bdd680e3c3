/* Causal tracing on tiny random models of both families: identities of the method, and the quick way against the
 * plain one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "trace/trace.h"

enum { T = 7, V = 61, L = 5 };

static const lac_config CONFIGS[] = {
    {.family = LAC_LLAMA, .norm = LAC_RMSNORM, .n_layers = L, .dim = 32, .hidden = 48, .n_heads = 4, .n_kv_heads = 2,
     .head_dim = 8, .vocab = V, .context = 64, .norm_eps = 1e-5f, .rope_theta = 1e4f, .tied = true},
    {.family = LAC_OLMO, .norm = LAC_LAYERNORM, .n_layers = L, .dim = 32, .hidden = 48, .n_heads = 4, .n_kv_heads = 4,
     .head_dim = 8, .vocab = V, .context = 64, .norm_eps = 1e-5f, .rope_theta = 1e4f, .clip_qkv = 2.0f,
     .tied = false}};

static const int IDS[T] = {11, 3, 42, 17, 60, 8, 29};

typedef struct {
    lac_arena arena;
    lac_model model;
    lac_run run;
} fixture;

static void open_fixture(fixture *f, int which)
{
    lac_err err = {0};
    *f = (fixture){0};
    if (lac_model_layout(&f->model, &CONFIGS[which], &f->arena, &err)) fail_msg("%s", err.msg);
    lac_model_randomise(&f->model, 0.3, 5);
}

static void close_fixture(fixture *f)
{
    lac_run_release(&f->run);
    lac_model_release(&f->model);
    lac_arena_release(&f->arena);
}

static lac_trace_opts options(int window, int samples)
{
    lac_trace_opts o = LAC_TRACE_DEFAULTS;
    o.window = window;
    o.samples = samples;
    return o;
}

static lac_grid trace(fixture *f, const lac_trace_opts *o, int begin, int end, double sigma)
{
    lac_err err = {0};
    lac_grid g = {.ids = IDS, .n_tokens = T, .begin = begin, .end = end, .answer = -1};
    if (lac_trace_grid(&g, &f->run, &f->model, o, sigma, NULL, NULL, NULL, &f->arena, &err)) fail_msg("%s", err.msg);
    return g;
}

static double worst(const double *a, const double *b, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(a[i] - b[i]));
    return most;
}

static double at(const lac_grid *g, lac_kind kind, int t, int l) { return g->scores[kind][t * L + l]; }

static void late_cells_equal_runs_from_the_tokens_up(void **state)
{
    (void)state;
    static const int windows[] = {1, 4, 10}, subjects[][2] = {{2, 4}, {0, 3}, {1, 2}, {5, 7}};
    for (int which = 0; which < 2; which++) {
        fixture f;
        open_fixture(&f, which);
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 4; j++) {
                lac_trace_opts o = options(windows[i], 3);
                lac_grid quick = trace(&f, &o, subjects[j][0], subjects[j][1], 0.5);
                o.reference = true;
                lac_grid plain = trace(&f, &o, subjects[j][0], subjects[j][1], 0.5);
                assert_true(quick.high > 1.0 / V); /* the greedy choice is no less than average */
                assert_true(fabs(quick.low - plain.low) < 1e-5 && fabs(quick.high - plain.high) < 1e-5);
                if (!(fabs(quick.low - quick.high) > 1e-4)) /* the noise did something */
                    fail_msg("model %d, subject %d: clean %g, corrupted %g", which, j, quick.high, quick.low);
                for (int kind = 0; kind < LAC_N_KINDS; kind++)
                    assert_true(worst(quick.samples[kind], plain.samples[kind], 3 * T * L) < 1e-5);
            }
        close_fixture(&f);
    }
}

static void the_plain_way_moves_when_something_is_restored(void **state)
{
    (void)state; /* or the comparison above would compare nothing */
    fixture f;
    open_fixture(&f, 0);
    lac_trace_opts o = options(3, 2);
    lac_grid g = trace(&f, &o, 2, 4, 0.5);
    for (int kind = 0; kind < LAC_N_KINDS; kind++) {
        double most = 0;
        for (int i = 0; i < T * L; i++) most = fmax(most, fabs(g.scores[kind][i] - g.low));
        assert_true(most > 1e-4);
    }
    close_fixture(&f);
}

static void the_last_token_of_the_last_layer_is_the_clean_run(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 1);
    for (int reference = 0; reference < 2; reference++) {
        lac_trace_opts o = options(10, 2);
        o.reference = reference;
        lac_grid g = trace(&f, &o, 2, 4, 0.5);
        assert_true(fabs(at(&g, LAC_HIDDEN, T - 1, L - 1) - g.high) < 1e-6);
    }
    close_fixture(&f);
}

static void before_the_subject_nothing_is_gained(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 0);
    for (int reference = 0; reference < 2; reference++) {
        lac_trace_opts o = options(3, 2);
        o.reference = reference;
        lac_grid g = trace(&f, &o, 3, 5, 0.5);
        for (int kind = 0; kind < LAC_N_KINDS; kind++)
            for (int t = 0; t < 3; t++)
                for (int l = 0; l < L; l++) assert_true(fabs(at(&g, (lac_kind)kind, t, l) - g.low) < 1e-6);
    }
    close_fixture(&f);
}

static void without_noise_every_cell_is_the_clean_run(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 1);
    lac_trace_opts o = options(3, 2);
    lac_grid g = trace(&f, &o, 1, 3, 0.0);
    for (int kind = 0; kind < LAC_N_KINDS; kind++)
        for (int i = 0; i < T * L; i++) assert_true(fabs(g.scores[kind][i] - g.high) < 1e-5);
    close_fixture(&f);
}

static void a_one_token_subject_at_layer_0_comes_back_whole(void **state)
{
    (void)state; /* all that differs is one row of the stream: restored at layer 0 it is the clean run again */
    fixture f;
    open_fixture(&f, 0);
    lac_trace_opts o = options(3, 2);
    o.kinds = "hidden";
    lac_grid g = trace(&f, &o, 4, 5, 0.5);
    assert_null(g.scores[LAC_MLP]);
    double p_late = at(&g, LAC_HIDDEN, 4, 0); /* others saw the noise in layer 0's attention: near, not equal */
    assert_true(fabs(p_late - g.high) < fabs(g.low - g.high));
    g = trace(&f, &o, T - 1, T, 0.5); /* no one comes after the last token */
    for (int l = 0; l < L; l++) assert_true(fabs(at(&g, LAC_HIDDEN, T - 1, l) - g.high) < 1e-5);
    close_fixture(&f);
}

static void the_first_sample_of_many_is_the_only_sample_of_one(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 0);
    lac_trace_opts many = options(3, 5), one = options(3, 1);
    lac_grid a = trace(&f, &many, 2, 5, 0.4), b = trace(&f, &one, 2, 5, 0.4);
    assert_true(fabs(a.low_sample[0] - b.low) < 1e-6);
    for (int kind = 0; kind < LAC_N_KINDS; kind++) assert_true(worst(a.samples[kind], b.samples[kind], T * L) < 1e-6);
    close_fixture(&f);
}

static void noise_is_numpys_added_in_double(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 0);
    enum { DIM = 32 };
    float noised[2 * 3 * DIM], prefix[3 * DIM];
    lac_noise_embed(noised, &f.model, IDS, 3, 2, 0.1, 1);
    lac_noise_embed(prefix, &f.model, IDS, 3, 1, 0.1, 1);
    assert_memory_equal(noised, prefix, sizeof prefix);
    static const double z[] = {0x1.9fd5190657c50p+0, -0x1.393822fb7d9adp-1, -0x1.0e6c872548fd2p-1,
                               -0x1.12ae1255cb80cp+0, 0x1.bb16b5735117dp-1, -0x1.2698d1ecca259p+1};
    for (int i = 0; i < 6; i++) {
        volatile double step = 0.1 * z[i];
        float expected = (float)((double)f.model.embed[(size_t)IDS[0] * DIM + (size_t)i] + step);
        assert_memory_equal(&noised[i], &expected, sizeof expected);
    }
    close_fixture(&f);
}

static void a_window_over_all_layers_is_the_same_for_every_centre(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 1);
    lac_trace_opts o = options(4 * L, 2);
    lac_grid g = trace(&f, &o, 2, 4, 0.5);
    for (int kind = LAC_MLP; kind < LAC_N_KINDS; kind++)
        for (int t = 0; t < T; t++)
            for (int l = 1; l < L; l++)
                assert_true(fabs(at(&g, (lac_kind)kind, t, l) - at(&g, (lac_kind)kind, t, 0)) < 1e-6);
    close_fixture(&f);
}

static void windows_have_the_codes_edges(void **state)
{
    (void)state;
    static const struct { int l, w, n, from, to; } cases[] = {
        {8, 10, 16, 3, 13}, {0, 10, 16, 0, 5}, {5, 10, 16, 0, 10}, {15, 10, 16, 10, 16}, {7, 1, 16, 7, 8},
        {7, 3, 16, 6, 9}, {7, 4, 16, 5, 9}, {0, 1, 1, 0, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int from, to;
        lac_window(&from, &to, cases[i].l, cases[i].w, cases[i].n);
        assert_int_equal(from, cases[i].from);
        assert_int_equal(to, cases[i].to);
    }
}

static void a_trace_computes_as_many_rows_as_its_formula_says(void **state)
{
    (void)state;
    static const char *const kinds[] = {"hidden", "mlp", "attn", "hidden,mlp,attn"};
    fixture f;
    open_fixture(&f, 0);
    for (int w = 1; w < 8; w++)
        for (int i = 0; i < 4; i++) {
            lac_trace_opts o = options(w, 2);
            o.kinds = kinds[i];
            double before = f.run.row_layers;
            trace(&f, &o, 2, 4, 0.5);
            assert_true(f.run.row_layers - before == lac_trace_price(&o, L, T, 2));
        }
    /* hidden cells, and mlp windows, cost what the algebra says: S D L(L-1)/2, and S D (L(L-1) - n(n-1)/2) */
    lac_trace_opts o = options(2, 10);
    double R = 5, n = L - 1, common = T * L + 10 * R * L;
    o.kinds = "hidden";
    assert_true(lac_trace_price(&o, L, T, 2) == common + 10 * R * (R + 1) / 2 * L * (L - 1) / 2);
    o.kinds = "mlp";
    assert_true(lac_trace_price(&o, L, T, 2) == common + 10 * R * (R + 1) / 2 * (L * (L - 1) - n * (n - 1) / 2));
    close_fixture(&f);
}

static void a_small_memory_changes_nothing_but_the_batches(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 1);
    lac_trace_opts o = options(3, 10);
    lac_grid a = trace(&f, &o, 2, 4, 0.5);
    o.memory = 1;
    lac_grid b = trace(&f, &o, 2, 4, 0.5);
    for (int kind = 0; kind < LAC_N_KINDS; kind++) assert_true(worst(a.samples[kind], b.samples[kind], 10 * T * L) < 1e-6);
    close_fixture(&f);
}

/* ---- averages --------------------------------------------------------------------------------------------------- */

static void check_range(lac_category category, int n, int b, int e, int from, int to)
{
    int got_from, got_to;
    lac_category_range(&got_from, &got_to, category, n, b, e);
    if (from == to) {
        assert_int_equal(got_from, got_to);
    } else {
        assert_int_equal(got_from, from);
        assert_int_equal(got_to, to);
    }
}

static void categories_are_those_of_the_paper(void **state)
{
    (void)state;
    static const int full[] = {2, 3, 3, 5, 5, 6, 6, 7, 7, 8, 8, 9}, /* 9 tokens, subject [2, 6) */
        one[] = {0, 1, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4},               /* 4 tokens, subject [0, 1) */
        next[] = {0, 1, 0, 0, 1, 2, 2, 3, 0, 0, 2, 3},              /* 3 tokens, subject [0, 2): one after it */
        end[] = {1, 2, 2, 3, 3, 4, 0, 0, 0, 0, 3, 4};               /* 4 tokens, subject [1, 4): none after it */
    for (int c = 0; c < LAC_N_CATEGORIES; c++) {
        check_range((lac_category)c, 9, 2, 6, full[2 * c], full[2 * c + 1]);
        check_range((lac_category)c, 4, 0, 1, one[2 * c], one[2 * c + 1]);
        check_range((lac_category)c, 3, 0, 2, next[2 * c], next[2 * c + 1]);
        check_range((lac_category)c, 4, 1, 4, end[2 * c], end[2 * c + 1]);
    }
}

static void averages_are_over_facts_not_over_tokens(void **state)
{
    (void)state;
    /* Two layers.  A: 6 tokens, subject [0, 4), low 0.1.  B: 2 tokens, subject [0, 1), low 0.2: no middle. */
    double a[12] = {.3, .1, .2, .1, .4, .1, .5, .1, .1, .1, .1, .6}, b[4] = {.6, .2, .2, .4}, lows[2] = {.1, .2};
    lac_fact facts[3] = {{.id = 1}, {.id = 2}, {.id = 3}};
    lac_traced traced[3] = {
        {.fact = &facts[0], .grid = {.n_tokens = 6, .begin = 0, .end = 4, .n_layers = 2, .n_samples = 1, .high = .9,
                                     .low = .1, .low_sample = &lows[0], .scores = {[LAC_MLP] = a}}},
        {.fact = &facts[1], .left_out = "not known"},
        {.fact = &facts[2], .grid = {.n_tokens = 2, .begin = 0, .end = 1, .n_layers = 2, .n_samples = 1, .high = .7,
                                     .low = .2, .low_sample = &lows[1], .scores = {[LAC_MLP] = b}}}};
    lac_trace t = {.opts = LAC_TRACE_DEFAULTS, .kind = {[LAC_MLP] = true}, .n_layers = 2, .facts = traced, .n = 3};
    t.opts.window = 1;
    lac_arena arena = {0};
    lac_err err = {0};
    assert_int_equal(lac_trace_average(&t, &arena, &err), LAC_OK);
    const lac_effect *e = t.effects[LAC_MLP];
    assert_int_equal(t.n_traced, 2);
    assert_true(fabs(t.high - .8) < 1e-12 && fabs(t.low - .15) < 1e-12);
    assert_int_equal(e[2 * LAC_MIDDLE_SUBJECT].n, 1); /* A alone: tokens 1 and 2, and A's own low */
    assert_true(fabs(e[2 * LAC_MIDDLE_SUBJECT].effect - (.3 - .1)) < 1e-12);
    assert_int_equal(e[2 * LAC_FIRST_SUBJECT].n, 2);
    assert_true(fabs(e[2 * LAC_FIRST_SUBJECT].effect - ((.3 - .1) + (.6 - .2)) / 2) < 1e-12);
    assert_true(fabs(e[2 * LAC_LAST_SUBJECT].effect - ((.5 - .1) + (.6 - .2)) / 2) < 1e-12);
    assert_true(fabs(e[2 * LAC_LAST_TOKEN + 1].effect - ((.6 - .1) + (.4 - .2)) / 2) < 1e-12);
    assert_int_equal(e[2 * LAC_FURTHER].n, 0);
    assert_true(e[2 * LAC_LAST_TOKEN + 1].ci_low <= e[2 * LAC_LAST_TOKEN + 1].effect);
    assert_true(e[2 * LAC_LAST_TOKEN + 1].ci_high >= e[2 * LAC_LAST_TOKEN + 1].effect);
    assert_int_equal(t.suggestion.from, 0); /* all of it at layer 0 */
    assert_int_equal(t.suggestion.to, 1);
    assert_true(fabs(t.suggestion.share - 1) < 1e-12);
    lac_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(late_cells_equal_runs_from_the_tokens_up),
        cmocka_unit_test(the_plain_way_moves_when_something_is_restored),
        cmocka_unit_test(the_last_token_of_the_last_layer_is_the_clean_run),
        cmocka_unit_test(before_the_subject_nothing_is_gained),
        cmocka_unit_test(without_noise_every_cell_is_the_clean_run),
        cmocka_unit_test(a_one_token_subject_at_layer_0_comes_back_whole),
        cmocka_unit_test(the_first_sample_of_many_is_the_only_sample_of_one),
        cmocka_unit_test(noise_is_numpys_added_in_double),
        cmocka_unit_test(a_window_over_all_layers_is_the_same_for_every_centre),
        cmocka_unit_test(windows_have_the_codes_edges),
        cmocka_unit_test(a_trace_computes_as_many_rows_as_its_formula_says),
        cmocka_unit_test(a_small_memory_changes_nothing_but_the_batches),
        cmocka_unit_test(categories_are_those_of_the_paper),
        cmocka_unit_test(averages_are_over_facts_not_over_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
