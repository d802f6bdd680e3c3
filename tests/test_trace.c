/* Causal tracing on tiny random models of both families: identities of the method, and the quick
 * way against the plain one. */
#include "claims.h"

#include "trace/prompt_cache.h"

#include "tests/family_fixtures.h"
#include "tiny_models.h" /* its T, V and L come after the headers that use these names */
#include "trace/run.h"

static void open_fixture(fixture *f, int which) { open_tiny(f, which, 0.3); }

static dele_trace_opts options(const char *windows, int samples)
{
    dele_trace_opts o = DELE_TRACE_DEFAULTS;
    o.windows = windows;
    o.samples = samples;
    o.sigma = 0.5;
    return o;
}

typedef struct {
    dele_plan plan;
    dele_grid g;
} traced;

/* answers: its tokens, or NULL for the greedy one. */
static traced trace_answer(fixture *f, const dele_trace_opts *o, int begin, int end,
                           const int *answer, int n_answer)
{
    static const int other[T] = {5, 50, 23, 9, 33, 44, 2};
    dele_err err = {0};
    traced x = {.g = {.ids = IDS,
                      .n_tokens = T,
                      .begin = begin,
                      .end = end,
                      .answer = answer,
                      .n_answer = n_answer,
                      .foil = -1,
                      .partner = other,
                      .seed = 1}};
    if (dele_plan_make(&x.plan, o, &f->model.config, &f->arena, &err)) fail_msg("%s", err.msg);
    if (!(x.plan.corruption.sigma > 0) && x.plan.corruption.by == DELE_CORRUPT_NOISE)
        fail_msg("no noise");
    if (dele_trace_grid(&x.g, &x.plan, &f->run, &f->model, &f->arena, &err))
        fail_msg("%s", err.msg);
    return x;
}

static traced trace(fixture *f, const dele_trace_opts *o, int begin, int end)
{
    return trace_answer(f, o, begin, end, NULL, 0);
}

static int chart_named(const traced *x, const char *name)
{
    for (int i = 0; i < x->plan.n_charts; i++)
        if (!strcmp(x->plan.charts[i].name, name)) return i;
    fail_msg("no chart %s", name);
    return -1;
}

static double at(const traced *x, int chart, dele_metric metric, int t, int col)
{
    return dele_cell_mean(&x->g, &x->plan.charts[chart], chart, metric, t, col);
}

static double p_at(const traced *x, const char *chart, int t, int col)
{
    return at(x, chart_named(x, chart), DELE_PROB, t, col);
}

static double low(const traced *x, dele_metric metric) { return dele_low_mean(&x->g, metric); }

/* The largest difference of a metric over all samples and cells of all charts; NaN where only one
 * is. */
static double worst(const traced *a, const traced *b, dele_metric metric)
{
    double most = 0;
    for (int i = 0; i < a->plan.n_charts; i++)
        for (int s = 0; s < a->g.n_samples && s < b->g.n_samples; s++)
            for (int t = 0; t < T; t++)
                for (int col = 0; col < a->plan.charts[i].n_cols; col++) {
                    double x = (double)*dele_cell(&a->g, &a->plan.charts[i], i, s, metric, t, col);
                    double y = (double)*dele_cell(&b->g, &b->plan.charts[i], i, s, metric, t, col);
                    if (isnan(x) != isnan(y)) return NAN;
                    if (!isnan(x)) most = fmax(most, fabs(x - y));
                }
    return most;
}

/* ---- the quick way against the plain one ----------------------------------------------------- */

static void assert_ways_agree(fixture *f, dele_trace_opts o, int begin, int end, const int *answer,
                              int n_answer)
{
    traced quick = trace_answer(f, &o, begin, end, answer, n_answer);
    o.reference = true;
    traced plain = trace_answer(f, &o, begin, end, answer, n_answer);
    double p = worst(&quick, &plain, DELE_PROB), logp = worst(&quick, &plain, DELE_LOGP),
           kl = worst(&quick, &plain, DELE_KL);
    if (!(p < 1e-5 && logp < 1e-4 && kl < 1e-4 && worst(&quick, &plain, DELE_LOGIT_DIFF) < 1e-4))
        fail_msg("kinds %s, windows %s, %s, %s: p differs by %g, log p by %g, KL by %g", o.kinds,
                 o.windows, dele_direction_name[o.direction], dele_corrupt_name[o.corrupt], p, logp,
                 kl);
    for (int m = 0; m < DELE_N_METRICS; m++)
        assert_true(fabs(quick.g.high[m] - plain.g.high[m]) < 1e-4 &&
                    (isnan(low(&plain, (dele_metric)m)) ||
                     fabs(low(&quick, (dele_metric)m) - low(&plain, (dele_metric)m)) < 1e-4));
}

/* All that the model has; router: also the router's logits, which zeros do not replace. */
static const char *all_kinds(const dele_config *config, bool router)
{
    if (!dele_config_has_site(config, DELE_RESID_MID)) return "hidden,mlp,attn,head,embed";
    if (!config->n_experts) return "hidden,mlp,attn,mid,head,embed";
    return router ? "hidden,mlp,attn,mid,head,embed,moe,router,expert"
                  : "hidden,mlp,attn,mid,head,embed,moe,expert";
}

static void late_cells_equal_runs_from_the_tokens_up(void **state)
{
    (void)state;
    static const char *const windows[] = {"1", "4", "10", "1,2,3,5,10"};
    static const int subjects[][2] = {{2, 4}, {0, 3}, {1, 2}, {5, 7}};
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        open_fixture(&f, which);
        for (int i = 0; i < 4; i++)
            for (int j = which < 2 ? 0 : i; j < (which < 2 ? 4 : i + 1); j++) /* all, or some */
                assert_ways_agree(&f, options(windows[i], 3), subjects[j][0], subjects[j][1], NULL,
                                  0);
        close_fixture(&f);
    }
}

/* As they are read from checkpoints: windows, caps, patterns of layers, all at once. */
static void every_familys_late_cells_equal_runs_from_the_tokens_up(void **state)
{
    (void)state;
    static const char *const families[] = DELE_FAMILY_FIXTURES;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        fixture f = {0};
        char path[512];
        dele_err err = {0};
        snprintf(path, sizeof path, "%s/fixtures/families/%s", DELE_TESTS_DIR, families[i]);
        if (dele_model_load(&f.model, path, &f.arena, &err)) fail_msg("%s", err.msg);
        dele_trace_opts o = options("1,2", 2);
        o.kinds = all_kinds(&f.model.config, true);
        o.sever = "mlp,attn";
        assert_ways_agree(&f, o, 1, 3, NULL, 0);
        close_fixture(&f);
    }
}

static void every_kind_direction_and_corruption_agrees_with_the_plain_way(void **state)
{
    (void)state;
    static const dele_corrupt_by corruptions[] = {DELE_CORRUPT_NOISE, DELE_CORRUPT_TOKENS,
                                                  DELE_CORRUPT_ZERO};
    static const int answer[3] = {7, 31, 2};
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        open_fixture(&f, which);
        for (int corrupt = 0; corrupt < 3; corrupt++)
            for (int direction = 0; direction < 2; direction++)
                for (int n_answer = 0; n_answer <= 3; n_answer += 3) {
                    const bool some = (corrupt + direction + n_answer / 3 + which) % 3 == 0;
                    if (which >= 2 && !some) continue; /* three of them together have all */
                    dele_trace_opts o = options("2,3", 2);
                    o.kinds = all_kinds(&f.model.config, corruptions[corrupt] != DELE_CORRUPT_ZERO);
                    o.sever = "mlp,attn";
                    o.corrupt = corruptions[corrupt];
                    o.direction = (dele_direction)direction;
                    o.edges = direction ? DELE_EDGES_PAPER : DELE_EDGES_CODE;
                    assert_ways_agree(&f, o, 2, 4, n_answer ? answer : NULL, n_answer);
                }
        close_fixture(&f);
    }
}

static void the_plain_way_moves_when_something_is_restored(void **state)
{
    (void)state; /* or the comparisons above would compare nothing */
    fixture f;
    open_fixture(&f, 0);
    dele_trace_opts o = options("3", 2);
    o.kinds = "hidden,mlp,attn,mid,head,embed";
    o.sever = "mlp,attn";
    traced x = trace(&f, &o, 2, 4);
    for (int i = 0; i < x.plan.n_charts; i++) {
        double most = 0;
        for (int t = 0; t < T; t++)
            for (int col = 0; col < x.plan.charts[i].n_cols; col++)
                most = fmax(most, fabs(at(&x, i, DELE_PROB, t, col) - low(&x, DELE_PROB)));
        if (!(most > 1e-4)) fail_msg("%s moved p by %g only", x.plan.charts[i].name, most);
    }
    close_fixture(&f);
}

/* ---- identities ------------------------------------------------------------------------------ */

static void the_last_token_of_the_last_layer_is_the_clean_run(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 1);
    for (int reference = 0; reference < 2; reference++) {
        dele_trace_opts o = options("10", 2);
        o.reference = reference;
        traced x = trace(&f, &o, 2, 4);
        int hidden = chart_named(&x, "hidden");
        for (int m = 0; m < DELE_N_METRICS; m++)
            assert_true(fabs(at(&x, hidden, (dele_metric)m, T - 1, L - 1) - x.g.high[m]) < 1e-5);
        assert_true(fabs(x.g.high[DELE_KL]) < 1e-6 && x.g.high[DELE_RANK] == 1 &&
                    low(&x, DELE_KL) > 1e-3);
    }
    close_fixture(&f);
}

static void noised_at_the_last_token_of_the_last_layer_the_run_is_the_corrupted_one(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 0);
    dele_trace_opts o = options("3", 2);
    o.direction = DELE_NOISE;
    traced x = trace(&f, &o, 2, 4);
    for (int m = 0; m < DELE_N_METRICS; m++)
        assert_true(fabs(at(&x, chart_named(&x, "hidden"), (dele_metric)m, T - 1, L - 1) -
                         low(&x, (dele_metric)m)) < 1e-5);
    close_fixture(&f);
}

static void before_the_subject_nothing_is_gained(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 0);
    for (int reference = 0; reference < 2; reference++) {
        dele_trace_opts o = options("3", 2);
        o.reference = reference;
        traced x = trace(&f, &o, 3, 5);
        for (int i = 0; i < x.plan.n_charts; i++)
            for (int t = 0; t < 3; t++)
                for (int l = 0; l < L; l++)
                    assert_true(fabs(at(&x, i, DELE_PROB, t, l) - low(&x, DELE_PROB)) < 1e-6);
    }
    close_fixture(&f);
}

static void without_noise_every_cell_is_the_clean_run(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 1);
    dele_trace_opts o = options("3", 2);
    o.sigma = 1e-12;
    traced x = trace(&f, &o, 1, 3);
    for (int i = 0; i < x.plan.n_charts; i++)
        for (int t = 0; t < T; t++)
            for (int l = 0; l < L; l++)
                assert_true(fabs(at(&x, i, DELE_PROB, t, l) - x.g.high[DELE_PROB]) < 1e-5);
    close_fixture(&f);
}

static void a_one_token_subject_comes_back_whole(void **state)
{
    (void)state; /* with its embedding; and where it is the last token, in every layer */
    fixture f;
    open_fixture(&f, 0);
    dele_trace_opts o = options("3", 2);
    o.kinds = "hidden,embed";
    traced x = trace(&f, &o, 4, 5);
    assert_true(fabs(p_at(&x, "embed", 4, 0) - x.g.high[DELE_PROB]) < 1e-5);
    assert_true(fabs(p_at(&x, "hidden", 4, 0) - x.g.high[DELE_PROB]) <
                fabs(low(&x, DELE_PROB) - x.g.high[DELE_PROB]));
    x = trace(&f, &o, T - 1, T); /* no one comes after the last token */
    for (int l = 0; l < L; l++)
        assert_true(fabs(p_at(&x, "hidden", T - 1, l) - x.g.high[DELE_PROB]) < 1e-5);
    close_fixture(&f);
}

static void between_its_halves_a_layer_holds_what_it_will_hold_after_them(void **state)
{
    (void)state; /* the MLP reads its own row alone; the plain way patches the two places one by one
                  */
    fixture f;
    open_fixture(&f, 1);
    dele_trace_opts o = options("3", 2);
    o.kinds = "hidden,mid";
    o.reference = true;
    traced x = trace(&f, &o, 2, 4);
    for (int t = 0; t < T; t++)
        for (int l = 0; l < L; l++)
            assert_true(fabs(p_at(&x, "mid", t, l) - p_at(&x, "hidden", t, l)) < 1e-6);
    close_fixture(&f);
}

static void one_sample_is_the_first_of_many(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 0);
    dele_trace_opts many = options("3", 5), one = options("3", 1);
    traced a = trace(&f, &many, 2, 5), b = trace(&f, &one, 2, 5);
    assert_true(fabs(a.g.low[DELE_PROB] - b.g.low[DELE_PROB]) < 1e-6);
    assert_int_equal(a.g.foil, b.g.foil);
    for (int m = 0; m < DELE_N_METRICS; m++) assert_true(worst(&b, &a, (dele_metric)m) < 1e-5);
    close_fixture(&f);
}

static void a_window_over_all_layers_is_the_same_for_every_centre(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 1);
    for (int reference = 0; reference < 2;
         reference++) { /* the plain way computes each by itself */
        dele_trace_opts o = options("20", 2);
        o.reference = reference;
        traced x = trace(&f, &o, 2, 4);
        for (int i = 1; i < x.plan.n_charts; i++)
            for (int t = 0; t < T; t++)
                for (int l = 1; l < L; l++)
                    assert_true(fabs(at(&x, i, DELE_PROB, t, l) - at(&x, i, DELE_PROB, t, 0)) <
                                1e-6);
    }
    close_fixture(&f);
}

static void all_heads_of_a_layer_together_are_not_less_than_its_attention(void **state)
{
    (void)state; /* with one head there is no difference at all */
    fixture f = {0};
    dele_err err = {0};
    dele_config one = CONFIGS[0];
    one.n_heads = one.n_kv_heads = 1;
    one.head_dim = 32;
    if (dele_model_layout(&f.model, &one, &f.arena, &err)) fail_msg("%s", err.msg);
    dele_model_randomise(&f.model, 0.3, 5);
    dele_trace_opts o = options("1", 2);
    o.kinds = "attn,head";
    traced x = trace(&f, &o, 2, 4);
    for (int t = 0; t < T; t++)
        for (int l = 0; l < L; l++)
            assert_true(fabs(p_at(&x, "attn", t, l) - p_at(&x, "head", t, l)) < 1e-6);
    close_fixture(&f);
}

static void a_whole_layer_put_back_is_the_clean_run(void **state)
{
    (void)state; /* every position from the subject on, at once: whatever the noise did below is
                    gone */
    fixture f;
    dele_err err = {0};
    open_fixture(&f, 0);
    enum { B = 2, E = 4, DIM = 32 };
    static float clean[T * DIM], noised[(E - B) * DIM], final[DIM];
    const dele_corruption c = {.distribution = DELE_NOISE_GAUSSIAN, .sigma = 0.5};
    assert_int_equal(dele_corrupt_embed(noised, &c, &f.model, IDS + B, E - B, B, 0, 1, 1, &err),
                     DELE_OK);
    for (int l = 0; l < L; l++) {
        dele_patch patches[T + E - B];
        int last = T - 1;
        for (int t = 0; t < T; t++)
            patches[t] = (dele_patch){.layer = l,
                                      .row = t,
                                      .site = DELE_RESID_POST,
                                      .op = DELE_READ,
                                      .seen = clean + t * DIM};
        dele_segment segment = {.tokens = IDS, .n_rows = T};
        dele_batch batch = {.segments = &segment,
                            .n_segments = 1,
                            .patches = patches,
                            .n_patches = T,
                            .output_rows = &last,
                            .n_output_rows = 1};
        assert_int_equal(dele_forward(&f.run, &f.model, &batch, &err), DELE_OK);
        memcpy(final, f.run.final, sizeof final);
        for (int put_back = 0; put_back < 2; put_back++) {
            size_t n = 0;
            for (int t = B; t < E; t++)
                patches[n++] = (dele_patch){.layer = 0,
                                            .row = t,
                                            .site = DELE_EMBED,
                                            .op = DELE_REPLACE,
                                            .value = noised + (t - B) * DIM};
            for (int t = B; t < T && put_back; t++)
                patches[n++] = (dele_patch){.layer = l,
                                            .row = t,
                                            .site = DELE_RESID_POST,
                                            .op = DELE_REPLACE,
                                            .value = clean + t * DIM};
            batch.n_patches = n;
            assert_int_equal(dele_forward(&f.run, &f.model, &batch, &err), DELE_OK);
            double most = 0;
            for (int i = 0; i < DIM; i++)
                most = fmax(most, fabs((double)f.run.final[i] - (double) final[i]));
            assert_true(put_back ? most < 1e-5 : most > 1e-2);
        }
    }
    close_fixture(&f);
}

static void severing_nothing_that_flows_changes_nothing(void **state)
{
    (void)state; /* at the last layer there is no later MLP or attention to cut */
    fixture f;
    open_fixture(&f, 0);
    dele_trace_opts o = options("3", 2);
    o.kinds = "hidden";
    o.sever = "mlp,attn";
    traced x = trace(&f, &o, 2, 4);
    double moved = 0;
    for (int t = 0; t < T; t++) {
        assert_true(fabs(p_at(&x, "hidden_no_mlp", t, L - 1) - p_at(&x, "hidden", t, L - 1)) <
                    1e-6);
        assert_true(fabs(p_at(&x, "hidden_no_attn", t, L - 1) - p_at(&x, "hidden", t, L - 1)) <
                    1e-6);
        for (int l = 0; l < L; l++)
            moved = fmax(moved, fabs(p_at(&x, "hidden_no_mlp", t, l) - p_at(&x, "hidden", t, l)));
    }
    assert_true(moved > 1e-4);
    close_fixture(&f);
}

static void an_answer_of_one_token_given_is_the_answer_found(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 0);
    dele_trace_opts o = options("3", 2);
    traced found = trace(&f, &o, 2, 4), given = trace_answer(&f, &o, 2, 4, found.g.answer, 1);
    assert_true(found.g.greedy && given.g.greedy);
    for (int m = 0; m < DELE_N_METRICS; m++)
        assert_true(worst(&found, &given, (dele_metric)m) < 1e-6);
    int two[2] = {found.g.answer[0], 5};
    traced longer = trace_answer(
        &f, &o, 2, 4, two, 2); /* another token can only take away; the first one's metrics stay */
    for (int t = 0; t < T; t++)
        for (int l = 0; l < L; l++) {
            assert_true(p_at(&longer, "mlp", t, l) < p_at(&found, "mlp", t, l));
            assert_true(fabs(at(&longer, 1, DELE_KL, t, l) - at(&found, 1, DELE_KL, t, l)) < 1e-5);
        }
    close_fixture(&f);
}

static void tokens_left_out_are_left_open(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 0);
    dele_trace_opts o = options("3", 2);
    traced all = trace(&f, &o, 2, 4);
    o.tokens = DELE_TOKENS_LAST_SUBJECT;
    traced x = trace(&f, &o, 2, 4);
    for (int i = 0; i < x.plan.n_charts; i++)
        for (int t = 0; t < T; t++)
            for (int l = 0; l < L; l++)
                if (t == 3)
                    assert_true(fabs(at(&x, i, DELE_PROB, t, l) - at(&all, i, DELE_PROB, t, l)) <
                                1e-6);
                else
                    assert_true(isnan(at(&x, i, DELE_PROB, t, l)));
    close_fixture(&f);
}

static void noise_is_numpys_added_in_double(void **state)
{
    (void)state;
    fixture f;
    dele_err err = {0};
    open_fixture(&f, 0);
    enum { DIM = 32 };
    float noised[2 * 3 * DIM], prefix[3 * DIM], second[3 * DIM];
    const dele_corruption c = {.distribution = DELE_NOISE_GAUSSIAN, .sigma = 0.1},
                          u = {.distribution = DELE_NOISE_UNIFORM, .sigma = 1, .replace = true};
    assert_int_equal(dele_corrupt_embed(noised, &c, &f.model, IDS, 3, 0, 0, 2, 1, &err), DELE_OK);
    assert_int_equal(dele_corrupt_embed(prefix, &c, &f.model, IDS, 3, 0, 0, 1, 1, &err), DELE_OK);
    assert_int_equal(dele_corrupt_embed(second, &c, &f.model, IDS, 3, 0, 1, 1, 1, &err), DELE_OK);
    assert_memory_equal(noised, prefix, sizeof prefix);
    assert_memory_equal(noised + 3 * DIM, second, sizeof second);
    static const double z[] = {0x1.9fd5190657c50p+0,  -0x1.393822fb7d9adp-1, -0x1.0e6c872548fd2p-1,
                               -0x1.12ae1255cb80cp+0, 0x1.bb16b5735117dp-1,  -0x1.2698d1ecca259p+1};
    for (int i = 0; i < 6; i++) {
        volatile double step = 0.1 * z[i];
        float expected =
            (float)((double)f.model.embed.wide[(size_t)IDS[0] * DIM + (size_t)i] + step);
        assert_memory_equal(&noised[i], &expected, sizeof expected);
    }
    assert_int_equal(dele_corrupt_embed(noised, &u, &f.model, IDS, 3, 0, 0, 1, 1, &err), DELE_OK);
    static const float uniform[] = {-0.16595599f, 0.44064899f, -0.99977125f};
    for (int i = 0; i < 3; i++) assert_true(fabsf(noised[i] - uniform[i]) < 1e-7f);
    close_fixture(&f);
}

/* Noise is of the token's embedding, as the config scales it; a learned position is added to the
 * result, also where noise takes the embedding's place. */
static void noise_leaves_the_position_and_knows_the_scale(void **state)
{
    (void)state;
    enum { DIM = 32, N = 3, AT = 2 };
    for (int which = 0; which < N_CONFIGS; which++) {
        fixture f;
        dele_err err = {0};
        open_fixture(&f, which);
        const float scale = f.model.config.embed_scale > 0 ? f.model.config.embed_scale : 1,
                    *positions = f.model.positions, *rows = f.model.embed.wide;
        float noise[N * DIM], out[2][N * DIM];
        dele_corruption c = {.distribution = DELE_NOISE_GAUSSIAN, .sigma = 0.1};
        dele_numpy_rng rng;
        dele_numpy_seed(&rng, 1);
        for (int i = 0; i < N * DIM; i++) noise[i] = (float)(0.1 * dele_numpy_randn(&rng));
        for (int replace = 0; replace < 2; replace++) {
            c.replace = replace;
            assert_int_equal(
                dele_corrupt_embed(out[replace], &c, &f.model, IDS, N, AT, 0, 1, 1, &err), DELE_OK);
        }
        for (int i = 0; i < N * DIM; i++) {
            const int t = i / DIM, k = i % DIM;
            const float position = positions ? positions[(AT + t) * DIM + k] : 0,
                        token = scale * rows[IDS[t] * DIM + k];
            assert_true(fabsf(out[0][i] - (token + position + noise[i])) < 1e-6f);
            assert_true(fabsf(out[1][i] - (position + noise[i])) < 1e-6f);
        }
        close_fixture(&f);
    }
}

/* What Student's noise is stretched by against the Gaussian of the same seed, at each of n
 * samples. */
static void stretches(double *out, fixture *f, bool shared, uint64_t seed, int n)
{
    enum { DIM = 32 };
    static double mean[DIM], root[DIM * DIM];
    static float plain[4 * DIM], stretched[4 * DIM];
    dele_err err = {0};
    for (int i = 0; i < DIM; i++) root[i * DIM + i] = 1;
    dele_corruption c = {.distribution = DELE_NOISE_COVARIANCE,
                         .sigma = 1,
                         .replace = true,
                         .shared = shared,
                         .mean = mean,
                         .root = root};
    assert_int_equal(dele_corrupt_embed(plain, &c, &f->model, IDS, 1, 0, 0, n, seed, &err),
                     DELE_OK);
    c.student = 3;
    assert_int_equal(dele_corrupt_embed(stretched, &c, &f->model, IDS, 1, 0, 0, n, seed, &err),
                     DELE_OK);
    for (int s = 0; s < n; s++) out[s] = (double)stretched[s * DIM] / (double)plain[s * DIM];
}

static void more_samples_take_no_more_memory(void **state)
{
    (void)
        state; /* those before them are let go, and what is kept is what --memory is held against */
    for (int rome = 0; rome < 2; rome++) {
        fixture f;
        dele_err err = {0};
        dele_arena scratch = {0}, drawn = {0};
        dele_plan plan;
        dele_grid g = {.ids = IDS, .n_tokens = T, .begin = 2, .end = 4, .foil = -1, .seed = 1};
        dele_trace_opts o = options("3", 40);
        o.compat = rome ? DELE_COMPAT_ROME : DELE_COMPAT_NONE;
        o.replace = rome;
        open_fixture(&f, 0);
        assert_int_equal(dele_plan_make(&plan, &o, &f.model.config, &f.arena, &err), DELE_OK);
        dele_prompt_cache c = {
            .plan = &plan, .model = &f.model, .grid = &g, .scratch = &scratch, .drawn = &drawn};
        if (dele_prompt_cache_clean(&c, &f.run, &err)) fail_msg("%s", err.msg);
        size_t clean = scratch.reserved, once = 0;
        for (int turn = 0; turn < 3; turn++) {
            if (dele_prompt_cache_corrupt(&c, &f.run, 40 * turn, 40, &f.arena, &err))
                fail_msg("%s", err.msg);
            if (!turn) once = drawn.used;
            assert_true(drawn.used <= once); /* the foil is looked for once */
            assert_int_equal(scratch.reserved, clean);
        }
        const size_t told = dele_prompt_cache_bytes(&plan, &g, 40),
                     used = scratch.used + drawn.used;
        if (used > told ||
            told > (size_t)(1 + rome) * (used + used / 50) + 20000) /* rome_low's are gone */
            fail_msg("%zu bytes used, %zu foretold", used, told);
        dele_arena_release(&scratch);
        dele_arena_release(&drawn);
        close_fixture(&f);
    }
}

static void students_noise_is_each_facts_own_unless_it_is_shared(void **state)
{
    (void)state;
    fixture f;
    double a[4], b[4];
    open_fixture(&f, 0);
    stretches(a, &f, false, 1, 4);
    stretches(b, &f, false, 7, 4);
    for (int s = 0; s < 4; s++) assert_true(fabs(a[s] - b[s]) > 1e-4);
    stretches(a, &f, true, 1, 3); /* numpy's RandomState(2).chisquare(3) */
    static const double chi[] = {1.54386075, 2.21388151, 0.20774936};
    for (int s = 0; s < 3; s++) assert_true(fabs(a[s] - sqrt(1 / chi[s])) < 1e-5);
    dele_trace_opts o = options("1", 1);
    dele_err err = {0};
    for (int i = 0; i < 3; i++) { /* the words that say so */
        dele_plan plan;
        o.noise_seed = i == 1 ? DELE_NOISE_SHARED : DELE_NOISE_PER_FACT;
        o.compat = i == 2 ? DELE_COMPAT_ROME : DELE_COMPAT_NONE;
        assert_int_equal(dele_plan_make(&plan, &o, &f.model.config, &f.arena, &err), DELE_OK);
        assert_int_equal(plan.corruption.shared, i > 0);
    }
    close_fixture(&f);
}

static void noise_is_spelt_as_rome_spells_it(void **state)
{
    (void)state;
    dele_err err = {0};
    dele_corruption c = {0};
    assert_int_equal(dele_noise_parse(&c, "s3", &err), DELE_OK);
    assert_true(c.relative && c.factor == 3 && c.distribution == DELE_NOISE_GAUSSIAN);
    assert_int_equal(dele_noise_parse(&c, "0.1", &err), DELE_OK);
    assert_true(!c.relative && c.sigma == 0.1);
    assert_int_equal(dele_noise_parse(&c, "us3", &err), DELE_OK);
    assert_true(c.relative && c.factor == 3 && c.distribution == DELE_NOISE_UNIFORM);
    assert_int_equal(dele_noise_parse(&c, "t3", &err), DELE_OK);
    assert_true(c.student == 3 && c.distribution == DELE_NOISE_COVARIANCE);
    static const char *const bad[] = {"", "x", "s3x", "t2", "m3", "-1", "u", "nan"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dele_err e = {0};
        if (dele_noise_parse(&c, bad[i], &e) != DELE_ERR_USAGE) fail_msg("\"%s\" passed", bad[i]);
    }
}

static void windows_have_the_codes_edges_or_the_papers(void **state)
{
    (void)state;
    static const struct {
        int l, w, n, from, to;
        bool paper;
    } cases[] = {{8, 10, 16, 3, 13, false},   {0, 10, 16, 0, 5, false}, {5, 10, 16, 0, 10, false},
                 {15, 10, 16, 10, 16, false}, {7, 1, 16, 7, 8, false},  {7, 3, 16, 6, 9, false},
                 {7, 4, 16, 5, 9, false},     {0, 1, 1, 0, 1, false},   {8, 10, 16, 4, 14, true},
                 {7, 3, 16, 6, 9, true},      {7, 1, 16, 7, 8, true},   {7, 4, 16, 6, 10, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int from, to;
        dele_window(&from, &to, cases[i].l, cases[i].w, cases[i].n, cases[i].paper);
        assert_int_equal(from, cases[i].from);
        assert_int_equal(to, cases[i].to);
    }
}

/* ---- what it costs --------------------------------------------------------------------------- */

/* The rows times layers that a plan asks for: the clean and the corrupted runs, and for each cell
 * the rows from its token on in the layers above the one where it starts. */
static double row_layers_of(const dele_plan *plan, const dele_grid *prompt)
{
    int from, to;
    const int first = dele_plan_first(plan, prompt), layers = plan->config->n_layers;
    const double n_rows = prompt->n_tokens + (prompt->n_answer > 1 ? prompt->n_answer - 1 : 0),
                 S = prompt->n_samples;
    double sum = n_rows * layers + S * (n_rows - first) * layers;
    dele_plan_tokens(&from, &to, plan, prompt);
    for (int k = 0; k < plan->n_restorations; k++) {
        const dele_restoration *r = &plan->restorations[k];
        const int start = r->trunk < 0 ? r->start_layer : r->to;
        for (int t = from > first ? from : first; t < to && !plan->reference; t++)
            if (dele_plan_reaches(plan, r, prompt, t)) sum += (layers - start) * S * (n_rows - t);
        if (plan->reference) sum += (double)r->n_targets * (to - from) * S * n_rows * layers;
    }
    return sum;
}

/* The rows times layers of a trace, which are exactly those of its plan.  The operations counted
 * are those of the plan's price, but for MLPs whose output is replaced and logits that are formed
 * for choosing answer and foil. */
static double counted(fixture *f, const dele_trace_opts *o, int begin, int end)
{
    const double before = f->run.row_layers, flops_before = f->run.flops;
    traced x = trace(f, o, begin, end);
    const double flops = f->run.flops - flops_before,
                 price = dele_plan_price(&x.plan, &x.g, x.g.n_samples);
    if (fabs(flops - price) > 0.15 * price)
        fail_msg("%s, windows %s: %g operations, the price says %g", o->kinds, o->windows, flops,
                 price);
    if (f->run.row_layers - before != row_layers_of(&x.plan, &x.g))
        fail_msg("%s, windows %s: %g row-layers, the plan says %g", o->kinds, o->windows,
                 f->run.row_layers - before, row_layers_of(&x.plan, &x.g));
    return f->run.row_layers - before;
}

static void a_trace_computes_as_many_rows_as_its_formula_says(void **state)
{
    (void)state;
    static const char *const kinds[] = {"hidden", "mlp", "attn", "hidden,mlp,attn", "head,embed"},
                             *const windows[] = {"1", "2", "3", "4", "5", "7", "1,3,5"};
    fixture f;
    open_fixture(&f, 0);
    for (size_t w = 0; w < sizeof windows / sizeof *windows; w++)
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            for (int reference = 0; reference < 2; reference++) {
                dele_trace_opts o = options(windows[w], 2);
                o.kinds = kinds[i];
                o.reference = reference;
                counted(&f, &o, 2, 4);
            }
    /* T L + S R L for the two runs, and S D (sum over columns of the layers above the join) */
    double S = 10, R = 5, D = R * (R + 1) / 2, runs = T * L + S * R * L;
    dele_trace_opts o = options("1", 10);
    o.kinds = "hidden";
    assert_true(counted(&f, &o, 2, 4) == runs + S * D * L * (L - 1) / 2);
    for (int attn = 0; attn < 2; attn++) {
        o.kinds = attn ? "attn" : "mlp";
        o.windows = "1"; /* W = L (L - 1) - n (n - 1) / 2, n = L - floor(w / 2) */
        assert_true(counted(&f, &o, 2, 4) == runs + S * D * L * (L - 1) / 2);
        o.windows =
            "2"; /* n = L - 1; two windows begin at layer 0, and share layer 0 .. 0: nothing */
        assert_true(counted(&f, &o, 2, 4) ==
                    runs + S * D * (L * (L - 1) - (L - 1) * (L - 2) / 2.0));
        o.windows = "4"; /* n = L - 2; [0, 2), [0, 3) and [0, 4) share: the first two leave the
                            third at 2 and 3 */
        assert_true(counted(&f, &o, 2, 4) ==
                    runs + S * D * (L * (L - 1) - (L - 2) * (L - 3) / 2.0 - 1 - 2));
    }
    close_fixture(&f);
}

static void a_small_memory_changes_nothing_but_the_batches(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, 1);
    dele_trace_opts o = options("1,3", 10);
    traced a = trace(&f, &o, 2, 4);
    o.memory = 1;
    traced b = trace(&f, &o, 2, 4);
    for (int m = 0; m < DELE_N_METRICS; m++) assert_true(worst(&a, &b, (dele_metric)m) < 1e-5);
    close_fixture(&f);
}

/* A family whose sublayers run side by side has no state between them. */
static void a_kind_that_a_family_has_no_site_for_is_refused_by_name(void **state)
{
    (void)state;
    dele_family parallel = dele_family_llama;
    dele_config config = CONFIGS[0];
    dele_arena arena = {0};
    dele_err err = {0};
    dele_plan plan;
    dele_trace_opts o = DELE_TRACE_DEFAULTS;
    parallel.hf = "side-by-side";
    parallel.site[DELE_RESID_MID] = false;
    config.family = &parallel;
    o.kinds = "hidden,mlp,attn,head,embed";
    assert_int_equal(dele_plan_make(&plan, &o, &config, &arena, &err), DELE_OK);
    o.kinds = "hidden,mid";
    assert_int_equal(dele_plan_make(&plan, &o, &config, &arena, &err), DELE_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "mid"));
    assert_non_null(strstr(err.msg, "side-by-side"));
    config.family = &dele_family_llama; /* where a key of the config decides */
    assert_int_equal(dele_plan_make(&plan, &o, &config, &arena, &err), DELE_OK);
    config.parallel_residual = true;
    assert_int_equal(dele_plan_make(&plan, &o, &config, &arena, &err), DELE_ERR_UNSUPPORTED);
    o.kinds = "hidden,mlp,attn,head,embed";
    assert_int_equal(dele_plan_make(&plan, &o, &config, &arena, &err), DELE_OK);
    static const char *const of_experts[] = {"moe", "router", "expert"};
    for (int i = 0; i < 3; i++) {
        err = (dele_err){0};
        o.kinds = of_experts[i];
        assert_int_equal(dele_plan_make(&plan, &o, &config, &arena, &err), DELE_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.msg, of_experts[i]));
        assert_non_null(strstr(err.msg, "no mixture of experts"));
        assert_int_equal(dele_plan_check(&o, &err), DELE_OK); /* a model may have them */
    }
    o.kinds = "router";
    o.corrupt = DELE_CORRUPT_ZERO;
    err = (dele_err){0};
    assert_int_equal(dele_plan_check(&o, &err), DELE_ERR_USAGE);
    dele_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kind_that_a_family_has_no_site_for_is_refused_by_name),
        cmocka_unit_test(late_cells_equal_runs_from_the_tokens_up),
        cmocka_unit_test(every_familys_late_cells_equal_runs_from_the_tokens_up),
        cmocka_unit_test(every_kind_direction_and_corruption_agrees_with_the_plain_way),
        cmocka_unit_test(the_plain_way_moves_when_something_is_restored),
        cmocka_unit_test(the_last_token_of_the_last_layer_is_the_clean_run),
        cmocka_unit_test(noised_at_the_last_token_of_the_last_layer_the_run_is_the_corrupted_one),
        cmocka_unit_test(before_the_subject_nothing_is_gained),
        cmocka_unit_test(without_noise_every_cell_is_the_clean_run),
        cmocka_unit_test(a_one_token_subject_comes_back_whole),
        cmocka_unit_test(between_its_halves_a_layer_holds_what_it_will_hold_after_them),
        cmocka_unit_test(one_sample_is_the_first_of_many),
        cmocka_unit_test(a_window_over_all_layers_is_the_same_for_every_centre),
        cmocka_unit_test(all_heads_of_a_layer_together_are_not_less_than_its_attention),
        cmocka_unit_test(a_whole_layer_put_back_is_the_clean_run),
        cmocka_unit_test(severing_nothing_that_flows_changes_nothing),
        cmocka_unit_test(an_answer_of_one_token_given_is_the_answer_found),
        cmocka_unit_test(tokens_left_out_are_left_open),
        cmocka_unit_test(noise_is_numpys_added_in_double),
        cmocka_unit_test(noise_leaves_the_position_and_knows_the_scale),
        cmocka_unit_test(more_samples_take_no_more_memory),
        cmocka_unit_test(students_noise_is_each_facts_own_unless_it_is_shared),
        cmocka_unit_test(noise_is_spelt_as_rome_spells_it),
        cmocka_unit_test(windows_have_the_codes_edges_or_the_papers),
        cmocka_unit_test(a_trace_computes_as_many_rows_as_its_formula_says),
        cmocka_unit_test(a_small_memory_changes_nothing_but_the_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
