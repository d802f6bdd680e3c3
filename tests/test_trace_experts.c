/* Identities of tracing in mixtures of experts, on tiny random ones: one of experts alone, and one
 * with dense layers, a shared expert and norms about each sublayer. */
#include "claims.h"

#include "trace/prompt_cache.h"

#include "tiny_models.h" /* its T, V and L come after the headers that use these names */
#include "trace/run.h"

enum { BEGIN = 2, END = 4, S = 3, DIM = 32, MOST_EXPERTS = 8 };

typedef struct {
    dele_plan plan;
    dele_grid g;
} traced;

static traced trace(fixture *f, const char *kinds, double sigma)
{
    dele_err err = {0};
    dele_trace_opts o = DELE_TRACE_DEFAULTS;
    o.kinds = kinds;
    o.windows = "1";
    o.samples = S;
    o.sigma = sigma;
    traced x = {
        .g = {.ids = IDS, .n_tokens = T, .begin = BEGIN, .end = END, .foil = -1, .seed = 1}};
    if (dele_plan_make(&x.plan, &o, &f->model.config, &f->arena, &err) ||
        dele_trace_grid(&x.g, &x.plan, &f->run, &f->model, &f->arena, &err))
        fail_msg("%s", err.msg);
    return x;
}

static double p_at(const traced *x, int chart, int s, int t, int col)
{
    return (double)*dele_cell(&x->g, &x->plan.charts[chart], chart, s, DELE_PROB, t, col);
}

static double low_of(const traced *x, int s)
{
    return x->g.low[(size_t)s * DELE_N_METRICS + DELE_PROB];
}

static double forced_of(const traced *x, int s, dele_forced_run which)
{
    return x->g.routes
        ->forced[((size_t)s * DELE_N_FORCED + (size_t)which) * DELE_N_METRICS + DELE_PROB];
}

static float unchanged_of(const traced *x, int s, int t, int l)
{
    return x->g.routes->unchanged[(s * T + t) * L + l];
}

static bool chooses(const dele_routes *r, int t, int l, int e)
{
    for (int k = 0; k < r->top_k; k++)
        if (dele_route_experts(r, (size_t)t, l)[k] == e) return true;
    return false;
}

/* ---- runs of the test's own ------------------------------------------------------------------ */

/* The prompt with its subject as it is, or with the trace's noise of sample s (s < 0: clean), and
 * patches; the probability of a token after it. */
static double p_after(fixture *f, int answer, int s, double sigma, const dele_patch *patches,
                      size_t n_patches, dele_routes *routes)
{
    static float states[T * DIM], noised[(END - BEGIN) * DIM], logits[V];
    const dele_corruption noise = {.distribution = DELE_NOISE_GAUSSIAN, .sigma = sigma};
    dele_err err = {0};
    const int last = T - 1;
    dele_embed(states, &f->model, IDS, T, 0);
    if (s >= 0) {
        assert_int_equal(dele_corrupt_embed(noised, &noise, &f->model, IDS + BEGIN, END - BEGIN,
                                            BEGIN, s, 1, 1, &err),
                         DELE_OK);
        memcpy(states + BEGIN * DIM, noised, sizeof noised);
    }
    const dele_segment segment = {.states = states, .n_rows = T};
    const dele_batch batch = {.segments = &segment,
                              .n_segments = 1,
                              .patches = patches,
                              .n_patches = n_patches,
                              .output_rows = &last,
                              .n_output_rows = 1,
                              .routes = routes};
    if (dele_forward(&f->run, &f->model, &batch, &err)) fail_msg("%s", err.msg);
    dele_logits(logits, &f->run, &f->model, f->run.final, 1);
    double sum = 0;
    for (int v = 0; v < V; v++) sum += exp((double)logits[v] - (double)logits[answer]);
    return 1 / sum;
}

/* All rows of the routers of all sparse layers, read or put in.  Rows of the last layer but the
 * last are computed only where something reads them. */
static size_t at_routers(dele_patch *patches, const fixture *f, dele_patch_op op,
                         float values[L][T * MOST_EXPERTS])
{
    size_t n = 0;
    for (int l = 0; l < L; l++) {
        if (!dele_layer_is_sparse(&f->model.config, l)) continue;
        const int first = l == L - 1 ? T - 1 : 0;
        float *value = values[l] + first * f->model.config.n_experts;
        patches[n++] = (dele_patch){.layer = l,
                                    .row = first,
                                    .n_rows = T - first,
                                    .site = DELE_ROUTER_LOGITS,
                                    .op = op,
                                    .value = value,
                                    .seen = value};
    }
    return n;
}

/* ---- identities ------------------------------------------------------------------------------ */

static void each_mixture(void (*test)(fixture *f))
{
    int n = 0;
    for (int which = 0; which < N_CONFIGS; which++) {
        if (!CONFIGS[which].n_experts) continue;
        fixture f;
        open_tiny(&f, which, 0.3);
        test(&f);
        close_fixture(&f);
        n++;
    }
    assert_true(n >= 2);
}

static void forced(fixture *f)
{
    static float clean[L][T * MOST_EXPERTS], corrupted[L][T * MOST_EXPERTS];
    dele_patch patches[L];
    const double sigma = 0.5;
    const traced x = trace(f, "router", sigma);
    const int answer = x.g.answer[0];
    double most = 0;
    p_after(f, answer, -1, 0, patches, at_routers(patches, f, DELE_READ, clean), NULL);
    for (int s = 0; s < S; s++) {
        p_after(f, answer, s, sigma, patches, at_routers(patches, f, DELE_READ, corrupted), NULL);
        const double a = p_after(f, answer, s, sigma, patches,
                                 at_routers(patches, f, DELE_REPLACE, clean), NULL),
                     b = p_after(f, answer, -1, 0, patches,
                                 at_routers(patches, f, DELE_REPLACE, corrupted), NULL);
        assert_true(fabs(a - forced_of(&x, s, DELE_CLEAN_ROUTES)) < 1e-5);
        assert_true(fabs(b - forced_of(&x, s, DELE_CORRUPTED_ROUTES)) < 1e-5);
        most = fmax(most, fmax(fabs(a - low_of(&x, s)), fabs(b - x.g.high[DELE_PROB])));
    }
    assert_true(most > 1e-3); /* or routes change nothing here */
}

static void the_other_runs_routes_are_all_its_router_logits_put_in(void **state)
{
    (void)state;
    each_mixture(forced);
}

/* At token t of layer l: what every expert adds, and the shared one. */
static size_t at_experts(dele_patch *patches, const dele_config *c, int l, int t, dele_patch_op op,
                         float values[MOST_EXPERTS + 1][DIM])
{
    size_t n = 0;
    for (int e = 0; e <= c->n_experts; e++)
        if (e < c->n_experts || c->shared_size)
            patches[n++] =
                (dele_patch){.layer = l,
                             .row = t,
                             .site = e < c->n_experts ? DELE_EXPERT_OUT : DELE_SHARED_OUT,
                             .expert = e,
                             .op = op,
                             .value = values[e],
                             .seen = values[e]};
    return n;
}

static void all_experts(fixture *f)
{
    static float values[MOST_EXPERTS + 1][DIM];
    dele_patch patches[MOST_EXPERTS + 1];
    const dele_config *c = &f->model.config;
    const traced x = trace(f, "moe", 0.5);
    for (int l = 0; l < L; l++)
        for (int t = BEGIN; t < T && dele_layer_is_sparse(c, l); t++) {
            if (l == L - 1 && t < T - 1) continue;
            p_after(f, x.g.answer[0], -1, 0, patches,
                    at_experts(patches, c, l, t, DELE_READ, values), NULL);
            for (int s = 0; s < S; s++) {
                const double p = p_after(f, x.g.answer[0], s, 0.5, patches,
                                         at_experts(patches, c, l, t, DELE_REPLACE, values), NULL);
                if (!(fabs(p - p_at(&x, 0, s, t, l)) < 1e-5))
                    fail_msg("layer %d, token %d: %g by experts, %g by the block", l, t, p,
                             p_at(&x, 0, s, t, l));
            }
        }
}

static void all_experts_and_the_shared_one_together_are_the_block(void **state)
{
    (void)state;
    each_mixture(all_experts);
}

static void moe_is_mlp(fixture *f)
{
    const traced x = trace(f, "mlp,moe", 0.5);
    for (int s = 0; s < S; s++)
        for (int t = 0; t < T; t++)
            for (int l = 0; l < L; l++) {
                const double mlp = p_at(&x, 0, s, t, l), moe = p_at(&x, 1, s, t, l);
                if (dele_layer_is_sparse(&f->model.config, l))
                    assert_true(moe == mlp);
                else
                    assert_true(isnan(moe) && !isnan(mlp));
            }
}

static void moe_is_mlp_where_the_layer_has_experts_and_empty_elsewhere(void **state)
{
    (void)state;
    each_mixture(moe_is_mlp);
}

/* Of each cell of the expert chart: what it must be by the two runs' routes. */
static void neither(fixture *f)
{
    dele_err err = {0};
    dele_routes clean, corrupted;
    const dele_config *c = &f->model.config;
    const traced x = trace(f, "expert", 0.5);
    int same = 0, other = 0;
    assert_int_equal(dele_routes_init(&clean, c, T, &f->arena, &err), DELE_OK);
    assert_int_equal(dele_routes_init(&corrupted, c, T, &f->arena, &err), DELE_OK);
    static float states[T * DIM];
    const dele_patch all = {/* so that all rows of the last layer are computed */
                            .layer = L - 1,
                            .n_rows = T,
                            .site = DELE_RESID_POST,
                            .op = DELE_READ,
                            .seen = states};
    p_after(f, x.g.answer[0], -1, 0, &all, 1, &clean);
    for (int s = 0; s < S; s++) {
        p_after(f, x.g.answer[0], s, 0.5, &all, 1, &corrupted);
        for (int l = 0; l < L; l++)
            for (int t = 0; t < T; t++) {
                if (!dele_layer_is_sparse(c, l)) {
                    assert_true(isnan(unchanged_of(&x, s, t, l)));
                    assert_true(isnan(p_at(&x, 0, s, t, l * c->n_experts)));
                    continue;
                }
                int both = 0;
                for (int e = 0; e < c->n_experts; e++) {
                    const bool before = chooses(&clean, t, l, e),
                               after = chooses(&corrupted, t, l, e);
                    const double p = p_at(&x, 0, s, t, l * c->n_experts + e);
                    both += before && after;
                    if (!before && !after) {
                        assert_true(p == (double)(float)low_of(&x, s));
                        same++;
                    } else if (t >= BEGIN && (l < L - 1 || t == T - 1)) {
                        other += fabs(p - low_of(&x, s)) > 1e-6;
                    }
                }
                assert_true(fabsf(unchanged_of(&x, s, t, l) - (float)both / (float)c->top_k) <
                            1e-6f);
            }
    }
    assert_true(same > 0 && other > 0);
}

static void an_expert_that_neither_run_chooses_changes_nothing(void **state)
{
    (void)state;
    each_mixture(neither);
}

static void without_noise(fixture *f)
{
    const traced x = trace(f, "moe,router,expert", 1e-12);
    for (int i = 0; i < x.plan.n_charts; i++)
        for (int s = 0; s < S; s++)
            for (int t = 0; t < T; t++)
                for (int col = 0; col < x.plan.charts[i].n_cols; col++)
                    if (dele_plan_has_cells(&x.plan, &x.plan.charts[i], col))
                        assert_true(fabs(p_at(&x, i, s, t, col) - x.g.high[DELE_PROB]) < 1e-5);
    for (int s = 0; s < S; s++) {
        for (int which = 0; which < DELE_N_FORCED; which++)
            assert_true(fabs(forced_of(&x, s, (dele_forced_run)which) - x.g.high[DELE_PROB]) <
                        1e-5);
        for (int i = 0; i < T * L; i++)
            if (dele_layer_is_sparse(&f->model.config, i % L))
                assert_true(unchanged_of(&x, s, i / L, i % L) == 1);
    }
}

static void without_noise_routes_and_cells_are_the_clean_runs(void **state)
{
    (void)state;
    each_mixture(without_noise);
}

/* ---- what it costs --------------------------------------------------------------------------- */

/* Clean run, corrupted runs and those under the other's routes; of each layer's experts those that
 * one of two runs chooses, 2 k - k u with the fraction u in both: each from its layer up. */
static void cost(fixture *f)
{
    const dele_config *c = &f->model.config;
    const double before = f->run.row_layers;
    const traced x = trace(f, "expert", 0.5);
    const double runs = T * L + S * (1 + DELE_N_FORCED) * (T - BEGIN) * L;
    double sum = runs, most = 0;
    for (int s = 0; s < S; s++)
        for (int t = BEGIN; t < T; t++)
            for (int l = 0; l < L; l++) {
                if (!dele_layer_is_sparse(c, l) || (l == L - 1 && t < T - 1)) continue;
                const double k = c->top_k, both = k * (double)unchanged_of(&x, s, t, l);
                sum += (2 * k - both) * (T - t) * (L - l);
                most += fmin(2 * k, c->n_experts) * (T - t);
            }
    const double counted = f->run.row_layers - before;
    if (fabs(counted - sum) > 1e-3) fail_msg("%g row-layers, not %g", counted, sum);
    /* the rows that memory is laid out for are those of experts that differ in all */
    assert_true(fabs(dele_plan_rows(&x.plan, &x.g, S) - most) < 1e-6 * most);
    assert_true(sum - runs < most * L);
}

static void experts_cost_no_more_than_two_runs_choose(void **state)
{
    (void)state;
    each_mixture(cost);
}

/* The caches' bytes are those that the plan's memory is held against. */
static void memory(fixture *f)
{
    dele_err err = {0};
    for (int direction = 0; direction < 2; direction++) {
        dele_arena scratch = {0}, drawn = {0};
        dele_plan plan;
        dele_grid g = {
            .ids = IDS, .n_tokens = T, .begin = BEGIN, .end = END, .foil = -1, .seed = 1};
        dele_trace_opts o = DELE_TRACE_DEFAULTS;
        o.kinds = "moe,router,expert";
        o.samples = 20;
        o.sigma = 0.5;
        o.direction = (dele_direction)direction;
        assert_int_equal(dele_plan_make(&plan, &o, &f->model.config, &f->arena, &err), DELE_OK);
        dele_prompt_cache c = {
            .plan = &plan, .model = &f->model, .grid = &g, .scratch = &scratch, .drawn = &drawn};
        if (dele_prompt_cache_clean(&c, &f->run, &err) ||
            dele_prompt_cache_corrupt(&c, &f->run, 0, 20, &f->arena, &err))
            fail_msg("%s", err.msg);
        const size_t told = dele_prompt_cache_bytes(&plan, &g, 20),
                     used = scratch.used + drawn.used, run = dele_prompt_run_bytes(&plan, &g, 20);
        if (used > told || told > used + used / 50 + 20000)
            fail_msg("%zu bytes used, %zu foretold", used, told);
        if (f->run.arena.used > run)
            fail_msg("a run of %zu bytes, %zu foretold", f->run.arena.used, run);
        dele_arena_release(&scratch);
        dele_arena_release(&drawn);
    }
}

static void what_is_kept_is_what_memory_is_held_against(void **state)
{
    (void)state;
    each_mixture(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_other_runs_routes_are_all_its_router_logits_put_in),
        cmocka_unit_test(all_experts_and_the_shared_one_together_are_the_block),
        cmocka_unit_test(moe_is_mlp_where_the_layer_has_experts_and_empty_elsewhere),
        cmocka_unit_test(an_expert_that_neither_run_chooses_changes_nothing),
        cmocka_unit_test(without_noise_routes_and_cells_are_the_clean_runs),
        cmocka_unit_test(experts_cost_no_more_than_two_runs_choose),
        cmocka_unit_test(what_is_kept_is_what_memory_is_held_against),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
