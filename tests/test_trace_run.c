/* Facts through the tracer, on the embedded model: who is let in, with which partner, and how many
 * samples. */
#include "claims.h"

#include <sys/stat.h>

#include "trace/corrupt.h"
#include "trace/partners.h"
#include "trace/report/stats.h"
#include "trace/run.h"

typedef struct {
    dele_arena arena;
    dele_model model;
    dele_facts facts;
} fixture;

static int open_fixture(void **state)
{
    static fixture f;
    dele_err err = {0};
    char path[600];
    f = (fixture){0};
    snprintf(path, sizeof path, "%s/../data/models/demo", DELE_TESTS_DIR);
    if (dele_model_load(&f.model, path, &f.arena, &err)) fail_msg("%s", err.msg);
    snprintf(path, sizeof path, "%s/../data/facts/demo_facts.json", DELE_TESTS_DIR);
    if (dele_facts_load(&f.facts, path, &f.arena, &err)) fail_msg("%s", err.msg);
    *state = &f;
    return 0;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    dele_model_release(&f->model);
    dele_arena_release(&f->arena);
    return 0;
}

static dele_trace_opts options(void)
{
    dele_trace_opts o = DELE_TRACE_DEFAULTS;
    o.kinds = "hidden";
    o.samples = 3;
    o.limit = 3;
    return o;
}

static dele_trace run(fixture *f, const dele_trace_opts *o)
{
    dele_trace trace;
    dele_err err = {0};
    if (dele_trace_run(&trace, NULL, &f->model, &f->facts, o, NULL, &f->arena, &err))
        fail_msg("%s", err.msg);
    return trace;
}

static void facts_kept_and_left_out_are_all_facts(void **state)
{
    fixture *f = *state;
    dele_trace_opts o = options();
    o.limit = 0;
    o.samples = 1;
    o.tokens = DELE_TOKENS_LAST_SUBJECT;
    dele_facts few = f->facts;
    few.n = 40;
    dele_trace t;
    dele_err err = {0};
    if (dele_trace_run(&t, NULL, &f->model, &few, &o, NULL, &f->arena, &err))
        fail_msg("%s", err.msg);
    size_t kept = 0, out = 0;
    for (size_t i = 0; i < t.n; i++) {
        kept += !t.facts[i].left_out;
        out += t.facts[i].left_out != NULL;
    }
    assert_int_equal(kept + out, few.n);
    assert_int_equal(kept, t.n_traced);
    assert_true(kept > 0);
}

static void more_samples_are_drawn_till_the_peak_is_known(void **state)
{
    fixture *f = *state;
    dele_trace_opts o = options();
    dele_trace few = run(f, &o);
    o.until = 1e-9; /* out of reach: as many as may be */
    o.max_samples = 8;
    dele_trace many = run(f, &o);
    o.until = 0.999; /* a probability's mean is always known so well, from three draws or six */
    dele_trace sure = run(f, &o);
    for (size_t i = 0; i < few.n; i++) {
        if (few.facts[i].left_out) continue;
        assert_int_equal(few.facts[i].grid.n_samples, 3);
        assert_int_equal(many.facts[i].grid.n_samples, 8);
        assert_true(sure.facts[i].grid.n_samples < 8);
        for (int s = 0; s < 3; s++) /* the first draws are those of the short run */
            assert_true(fabs(few.facts[i].grid.low[s * DELE_N_METRICS] -
                             many.facts[i].grid.low[s * DELE_N_METRICS]) < 1e-6);
        for (int s = 0; s < 8; s++)
            assert_false(
                isnan(*dele_cell(&many.facts[i].grid, &many.charts[0], 0, s, DELE_PROB, 0, 0)));
    }
}

static void facts_have_noise_of_their_own_unless_it_is_shared(void **state)
{
    fixture *f = *state;
    dele_trace_opts o = options();
    dele_trace own = run(f, &o);
    o.noise_seed = DELE_NOISE_SHARED;
    dele_trace shared = run(f, &o);
    o.noise_seed = DELE_NOISE_PER_FACT;
    o.compat = DELE_COMPAT_ROME;
    dele_trace rome = run(f, &o);
    assert_true(own.facts[0].grid.seed != own.facts[1].grid.seed);
    assert_true(shared.facts[0].grid.seed == 1 && shared.facts[1].grid.seed == 1 &&
                rome.facts[1].grid.seed == 1);
    assert_true(fabs(own.facts[0].grid.low[0] - shared.facts[0].grid.low[0]) > 1e-9);
}

static void a_partner_differs_in_the_subject_alone_and_has_another_answer(void **state)
{
    fixture *f = *state;
    dele_err err = {0};
    const dele_encoded_fact *all =
        dele_facts_encode(&f->facts, f->model.tokenizer, DELE_CHAT_NONE, &f->arena, &err);
    assert_non_null(all);
    size_t found = 0;
    for (size_t i = 0; i < f->facts.n; i++) {
        size_t k = dele_partner(&f->facts, all, i, i);
        if (k == f->facts.n) continue;
        found++;
        assert_int_not_equal(k, i);
        assert_string_not_equal(f->facts.fact[i].attribute, f->facts.fact[k].attribute);
        assert_int_equal(all[i].ids.n, all[k].ids.n);
        for (int t = 0; t < (int)all[i].ids.n; t++)
            if (t < all[i].begin || t >= all[i].end)
                assert_int_equal(all[i].ids.id[t], all[k].ids.id[t]);
    }
    assert_true(found > f->facts.n / 10);
}

static void the_partners_answer_is_the_foil(void **state)
{
    fixture *f = *state;
    dele_trace_opts o = options();
    o.corrupt = DELE_CORRUPT_TOKENS;
    dele_trace t = run(f, &o);
    assert_true(t.n_traced > 0);
    for (size_t i = 0; i < t.n; i++) {
        const dele_traced *x = &t.facts[i];
        if (x->left_out) continue;
        assert_non_null(x->partner);
        assert_string_not_equal(x->partner, x->fact->subject);
        assert_int_equal(x->grid.n_samples, 1);
        assert_int_not_equal(x->grid.foil, x->grid.answer[0]);
        /* with another subject the model turns to the other answer: at least, away from this one */
        assert_true(x->grid.low[DELE_LOGIT_DIFF] < x->grid.high[DELE_LOGIT_DIFF]);
    }
}

/* The first fact that the model knows and its partner; the latter's attribute begins as the
 * former's does. */
static dele_facts alike(fixture *f, dele_fact *three, const char *second, const char *third)
{
    dele_trace_opts o = options();
    o.corrupt = DELE_CORRUPT_TOKENS;
    o.limit = 1;
    dele_trace t = run(f, &o);
    const dele_traced *x = &t.facts[t.n - 1];
    assert_null(x->left_out);
    size_t k = 0, n = 0;
    while (strcmp(f->facts.fact[k].subject, x->partner)) k++;
    three[n++] = *x->fact;
    three[n] = f->facts.fact[k];
    three[n++].attribute = dele_printf(&f->arena, NULL, "%s %s", x->fact->attribute, second);
    if (third) {
        three[n] = f->facts.fact[k];
        three[n].id = 4711;
        three[n++].attribute = third;
    }
    three[0].attribute = dele_printf(&f->arena, NULL, "%s town", x->fact->attribute);
    return (dele_facts){.fact = three, .n = n, .path = "by hand"};
}

static dele_traced trace_first(fixture *f, const dele_facts *facts, dele_corrupt_by corrupt,
                               dele_answer answer)
{
    dele_trace t;
    dele_err err = {0};
    dele_trace_opts o = options();
    o.corrupt = corrupt;
    o.answer = answer;
    if (dele_trace_run(&t, NULL, &f->model, facts, &o, NULL, &f->arena, &err))
        fail_msg("%s", err.msg);
    return t.facts[0];
}

static void a_foil_that_begins_as_the_answer_does_is_not_taken(void **state)
{
    fixture *f = *state;
    static const dele_corrupt_by corrupt[] = {DELE_CORRUPT_NOISE, DELE_CORRUPT_TOKENS,
                                              DELE_CORRUPT_ZERO};
    dele_fact three[3];
    for (int i = 0; i < 3; i++)
        for (int known = 0; known < 2; known++) {
            dele_facts facts = alike(f, three, "city", NULL);
            int n = (int)strcspn(three[0].attribute, " ");
            const char *word = dele_printf(&f->arena, NULL, "%.*s", n, three[0].attribute);
            three[0].foil = three[1].attribute;
            if (known) three[0].attribute = word; /* found by argmax, after the foil */
            dele_traced x = trace_first(f, &facts, corrupt[i],
                                        known ? DELE_ANSWER_ARGMAX : DELE_ANSWER_ATTRIBUTE);
            if (x.left_out) fail_msg("%s", x.left_out);
            assert_true(x.grid.foil >= 0 && x.grid.foil != x.grid.answer[0]);
            assert_true(fabs(x.grid.high[DELE_LOGIT_DIFF]) > 1e-3);
        }
}

static void a_partner_whose_answer_begins_otherwise_comes_first(void **state)
{
    fixture *f = *state;
    dele_fact three[3];
    dele_facts facts = alike(f, three, "city", " nowhere");
    three[2].subject = three[1].subject;
    dele_traced both = trace_first(f, &facts, DELE_CORRUPT_TOKENS, DELE_ANSWER_ATTRIBUTE);
    three[2].attribute = " nowhere "; /* what the foil is then, alone */
    three[1].attribute =
        dele_printf(&f->arena, NULL, "%s ", three[0].attribute); /* not another answer */
    dele_traced alone = trace_first(f, &facts, DELE_CORRUPT_TOKENS, DELE_ANSWER_ATTRIBUTE);
    assert_null(both.left_out);
    assert_null(alone.left_out);
    assert_int_not_equal(both.grid.foil, both.grid.answer[0]);
    assert_int_equal(both.grid.foil, alone.grid.foil);
    facts.n = 2;
    assert_non_null(trace_first(f, &facts, DELE_CORRUPT_TOKENS, DELE_ANSWER_ATTRIBUTE).left_out);
}

static void putting_back_ones_own_value_changes_nothing(void **state)
{
    fixture *f = *state;
    dele_trace_opts o = options();
    for (int noising = 0; noising < 2; noising++) {
        o.direction = noising ? DELE_NOISE : DELE_DENOISE;
        dele_trace t = run(f, &o);
        for (size_t i = 0; i < t.n; i++) assert_true(t.facts[i].left_out || t.facts[i].noop < 1e-5);
    }
    o.corrupt = DELE_CORRUPT_ZERO; /* there is no corrupted run: nothing was measured, not even 0 */
    dele_trace t = run(f, &o);
    dele_trace_stats stats;
    dele_err err = {0};
    for (size_t i = 0; i < t.n; i++) assert_true(t.facts[i].left_out || isnan(t.facts[i].noop));
    assert_int_equal(dele_trace_statistics(&stats, &t, &f->arena, &err), DELE_OK);
    assert_true(isnan(stats.noop));
}

static void a_long_attribute_is_traced_when_all_of_it_is_said(void **state)
{
    fixture *f = *state;
    dele_trace_opts o = options();
    dele_trace greedy = run(f, &o);
    o.answer = DELE_ANSWER_ATTRIBUTE;
    dele_trace given = run(f, &o);
    for (size_t i = 0; i < greedy.n && i < given.n; i++)
        if (!greedy.facts[i].left_out && given.facts[i].grid.n_answer == 1)
            assert_true(fabs(greedy.facts[i].grid.low[0] - given.facts[i].grid.low[0]) < 1e-6);
    dele_fact two = f->facts.fact[0];
    two.attribute = dele_printf(&f->arena, NULL, "%s nowhere", greedy.facts[0].answer);
    dele_facts one = {.fact = &two, .n = 1, .path = "by hand"};
    dele_trace t;
    dele_err err = {0};
    assert_int_equal(dele_trace_run(&t, NULL, &f->model, &one, &o, NULL, &f->arena, &err), DELE_OK);
    assert_true(t.facts[0].grid.n_answer > 1);
    assert_true(t.facts[0].grid.high[DELE_PROB] < greedy.facts[0].grid.high[DELE_PROB]);
    o.answer = DELE_ANSWER_GREEDY; /* the model does not say "nowhere" */
    assert_int_equal(dele_trace_run(&t, NULL, &f->model, &one, &o, NULL, &f->arena, &err), DELE_OK);
    assert_non_null(t.facts[0].left_out);
}

static void every_corruption_agrees_with_the_plain_way(void **state)
{
    static const dele_corrupt_by corrupt[] = {DELE_CORRUPT_MEAN, DELE_CORRUPT_TOKENS,
                                              DELE_CORRUPT_NOISE, DELE_CORRUPT_NOISE};
    static const char *const noise[] = {"s3", "s3", "us3", "t4"};
    fixture *f = *state;
    for (int i = 0; i < 4; i++) {
        dele_trace_opts o = options();
        o.kinds = "hidden,mlp,attn,mid,head";
        o.windows = "3";
        o.corrupt = corrupt[i];
        o.noise = noise[i];
        o.replace = i == 3;
        o.limit = 1;
        o.samples = 2;
        dele_trace quick = run(f, &o);
        o.reference = true;
        dele_trace plain = run(f, &o);
        size_t k = 0;
        while (quick.facts[k].left_out) k++;
        const dele_grid *a = &quick.facts[k].grid, *b = &plain.facts[k].grid;
        double most = 0, moved = 0;
        for (int chart = 0; chart < quick.n_charts; chart++)
            for (int t = 0; t < a->n_tokens; t++)
                for (int col = 0; col < quick.charts[chart].n_cols; col++) {
                    double x = dele_cell_mean(a, &quick.charts[chart], chart, DELE_PROB, t, col);
                    most = fmax(most, fabs(x - dele_cell_mean(b, &plain.charts[chart], chart,
                                                              DELE_PROB, t, col)));
                    moved = fmax(moved, fabs(x - a->high[DELE_PROB]));
                }
        if (!(most < 1e-5 && moved > 1e-3))
            fail_msg("%s %s: differs by %g, moves by %g", dele_corrupt_name[corrupt[i]], noise[i],
                     most, moved);
    }
}

static void a_check_by_the_plain_way_passes_and_finds_what_is_wrong(void **state)
{
    static const dele_corrupt_by corrupt[] = {DELE_CORRUPT_NOISE, DELE_CORRUPT_TOKENS,
                                              DELE_CORRUPT_ZERO, DELE_CORRUPT_MEAN};
    fixture *f = *state;
    dele_err err = {0};
    for (int i = 0; i < 5; i++) {
        dele_trace_opts o = options();
        dele_trace_checked checked;
        o.kinds = "hidden,mlp,head";
        o.windows = "3";
        o.sever = "mlp";
        o.corrupt = corrupt[i % 4];
        o.direction = i == 4 ? DELE_NOISE : DELE_DENOISE;
        o.tokens = i == 4 ? DELE_TOKENS_SUBJECT : DELE_TOKENS_ALL;
        o.until = i ? 0 : 1e-9;
        o.max_samples = 5;
        dele_trace t = run(f, &o);
        if (dele_trace_check(&checked, &t, &f->model, &f->facts, 7, &f->arena, &err))
            fail_msg("%s", err.msg);
        if (!(checked.difference < 1e-5))
            fail_msg("%s: p differs by %g", dele_corrupt_name[o.corrupt], checked.difference);
        assert_int_equal(checked.n_cells, 7);
        assert_int_equal(checked.n_facts, 3);
        assert_true(checked.difference > 0 || checked.fact); /* something was compared */
        for (size_t k = 0; k < t.n; k++) {
            dele_grid *g = &t.facts[k].grid;
            size_t cells = (size_t)(g->n_samples * DELE_N_METRICS * g->n_tokens);
            for (int c = 0; c < t.n_charts && !t.facts[k].left_out; c++)
                for (size_t j = 0; j < cells * (size_t)t.charts[c].n_cols; j++)
                    g->value[c][j] += 1e-4f;
        }
        if (dele_trace_check(&checked, &t, &f->model, &f->facts, 2, &f->arena, &err))
            fail_msg("%s", err.msg);
        assert_true(checked.difference > 5e-5 && checked.chart >= 0 && checked.token >= 0);
    }
}

static void noise_of_the_full_covariance_has_it(void **state)
{
    fixture *f = *state;
    enum { N = 1000, LOOK = 6 };
    dele_err err = {0};
    dele_corruption c = {.by = DELE_CORRUPT_NOISE, .replace = true};
    if (dele_noise_parse(&c, "m", &err) ||
        dele_corruption_measure(&c, &f->model, &f->facts, "", &f->arena, &err))
        fail_msg("%s", err.msg);
    size_t d_model = (size_t)f->model.config.hidden_size;
    int id = 5;
    float *x = dele_alloc(&f->arena, N, d_model * sizeof *x, &err);
    assert_int_equal(dele_corrupt_embed(x, &c, &f->model, &id, 1, 0, 0, N, 3, &err), DELE_OK);
    for (size_t i = 0; i < LOOK; i++)
        for (size_t j = 0; j <= i; j++) {
            double expected = 0, sum = 0, mean_i = 0, mean_j = 0, var_i = 0, var_j = 0;
            for (size_t k = 0; k <= j; k++)
                expected += c.root[i * d_model + k] * c.root[j * d_model + k];
            for (size_t k = 0; k <= i; k++)
                var_i += c.root[i * d_model + k] * c.root[i * d_model + k];
            for (size_t k = 0; k <= j; k++)
                var_j += c.root[j * d_model + k] * c.root[j * d_model + k];
            for (size_t n = 0; n < N; n++) {
                sum += (x[n * d_model + i] - c.mean[i]) * (x[n * d_model + j] - c.mean[j]) / N;
                mean_i += x[n * d_model + i] / N, mean_j += x[n * d_model + j] / N;
            }
            assert_true(fabs(mean_i - c.mean[i]) < 5 * sqrt(var_i / N));
            assert_true(fabs(sum - expected) <
                        5 * sqrt((var_i * var_j + expected * expected) / N)); /* five deviations */
        }
    dele_corruption added = c;
    added.replace = false; /* then the mean is not added, but in ROME's program it is */
    float *plain = dele_alloc(&f->arena, d_model, sizeof *plain, &err),
          *rome = dele_alloc(&f->arena, d_model, sizeof *rome, &err);
    assert_int_equal(dele_corrupt_embed(plain, &added, &f->model, &id, 1, 0, 0, 1, 3, &err),
                     DELE_OK);
    added.rome = true;
    assert_int_equal(dele_corrupt_embed(rome, &added, &f->model, &id, 1, 0, 0, 1, 3, &err),
                     DELE_OK);
    for (size_t i = 0; i < d_model; i++)
        assert_true(fabs((double)rome[i] - plain[i] - c.mean[i]) < 1e-5);
}

/* The largest difference of p between two traces' cells, as both have them. */
static double cells_apart(const dele_trace *a, const dele_trace *b)
{
    double most = 0;
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        const dele_grid *g = &a->facts[i].grid, *h = &b->facts[i].grid;
        assert_true(!a->facts[i].left_out == !b->facts[i].left_out);
        for (int t = 0; t < g->n_tokens && !a->facts[i].left_out; t++)
            for (int l = 0; l < a->n_layers; l++) {
                double x = dele_cell_mean(g, &a->charts[0], 0, DELE_PROB, t, l);
                most = fmax(most, fabs(x - dele_cell_mean(h, &b->charts[0], 0, DELE_PROB, t, l)));
            }
    }
    return most;
}

/* Its low is that of added noise, its cells are those of noise in the embedding's place. */
static void romes_low_under_replace_is_that_of_added_noise(void **state)
{
    fixture *f = *state;
    dele_trace_opts o = options();
    o.noise_seed = DELE_NOISE_SHARED;
    dele_trace added = run(f, &o);
    o.replace = true;
    dele_trace replaced = run(f, &o);
    o.compat = DELE_COMPAT_ROME;
    dele_trace rome = run(f, &o);
    assert_true(rome.n_traced > 0 && cells_apart(&rome, &replaced) < 1e-6 &&
                cells_apart(&rome, &added) > 1e-4);
    for (size_t i = 0; i < rome.n; i++) {
        if (rome.facts[i].left_out) continue;
        double low = dele_low_mean(&rome.facts[i].grid, DELE_PROB);
        assert_true(fabs(low - dele_low_mean(&added.facts[i].grid, DELE_PROB)) < 1e-6);
        assert_true(fabs(low - dele_low_mean(&replaced.facts[i].grid, DELE_PROB)) > 1e-6);
    }
}

static void a_chat_turn_is_traced_at_the_subject_in_it(void **state)
{
    fixture *f = *state;
    dele_trace_opts o = options();
    dele_err open = {0};
    const dele_layout *layout;
    o.chat = DELE_CHAT_SMOLLM2;
    assert_int_equal(dele_chat_open(&layout, o.chat, f->model.tokenizer, &f->arena, &open),
                     DELE_OK);
    o.answer = DELE_ANSWER_ATTRIBUTE;
    o.limit = 2;
    dele_trace quick = run(f, &o);
    o.reference = true;
    dele_trace plain = run(f, &o);
    assert_int_equal(quick.n_traced, 2);
    assert_true(cells_apart(&quick, &plain) < 1e-5);
    for (size_t i = 0; i < quick.n; i++) {
        const dele_grid *g = &quick.facts[i].grid;
        const dele_fact *fact = quick.facts[i].fact;
        dele_err err = {0};
        const char *all =
            dele_decode(f->model.tokenizer, g->ids, (size_t)g->n_tokens, false, &f->arena, &err);
        const char *named = dele_decode(f->model.tokenizer, g->ids + g->begin,
                                        (size_t)(g->end - g->begin), false, &f->arena, &err);
        assert_string_equal(all, dele_chat_prompt(layout, fact->prompt, &f->arena, &err));
        assert_non_null(strstr(named, fact->subject));
        assert_true(isfinite(*dele_cell(g, &quick.charts[0], 0, 0, DELE_PROB, g->end - 1, 0)));
    }
}

static void memory_that_does_not_suffice_is_refused_with_what_would(void **state)
{
    fixture *f = *state;
    dele_trace_opts o = options();
    dele_trace t;
    dele_err err = {0};
    o.memory = 1;
    o.samples = 50;
    assert_int_equal(dele_trace_run(&t, NULL, &f->model, &f->facts, &o, NULL, &f->arena, &err),
                     DELE_ERR_MEMORY);
    const char *need = strstr(err.msg, "at least ");
    assert_true(need && strstr(err.msg, "--batch-memory"));
    o.memory = atoi(need + strlen("at least "));
    o.limit = 1;
    err = (dele_err){0};
    if (dele_trace_run(&t, NULL, &f->model, &f->facts, &o, NULL, &f->arena, &err))
        fail_msg("%s", err.msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_kept_and_left_out_are_all_facts),
        cmocka_unit_test(more_samples_are_drawn_till_the_peak_is_known),
        cmocka_unit_test(facts_have_noise_of_their_own_unless_it_is_shared),
        cmocka_unit_test(a_partner_differs_in_the_subject_alone_and_has_another_answer),
        cmocka_unit_test(the_partners_answer_is_the_foil),
        cmocka_unit_test(a_foil_that_begins_as_the_answer_does_is_not_taken),
        cmocka_unit_test(a_partner_whose_answer_begins_otherwise_comes_first),
        cmocka_unit_test(putting_back_ones_own_value_changes_nothing),
        cmocka_unit_test(every_corruption_agrees_with_the_plain_way),
        cmocka_unit_test(a_check_by_the_plain_way_passes_and_finds_what_is_wrong),
        cmocka_unit_test(noise_of_the_full_covariance_has_it),
        cmocka_unit_test(romes_low_under_replace_is_that_of_added_noise),
        cmocka_unit_test(a_chat_turn_is_traced_at_the_subject_in_it),
        cmocka_unit_test(memory_that_does_not_suffice_is_refused_with_what_would),
        cmocka_unit_test(a_long_attribute_is_traced_when_all_of_it_is_said),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
