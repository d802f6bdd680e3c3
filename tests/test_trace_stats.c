/* Groups of tokens and averages over facts, on grids made by hand. */
#include "claims.h"

#include "base/json.h"
#include "trace/report/compare.h"
#include "trace/report/stats.h"
#include "trace/report/terminal_heatmap.h"

static void check_range(dele_category category, int n, int b, int e, int from, int to)
{
    int got_from, got_to;
    dele_category_range(&got_from, &got_to, category, n, b, e);
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
        next[] = {0, 1, 0, 0, 1, 2, 2, 3, 0, 0, 2, 3}, /* 3 tokens, subject [0, 2): one after it */
        end[] = {1, 2, 2, 3, 3, 4, 0, 0, 0, 0, 3, 4};  /* 4 tokens, subject [1, 4): none after it */
    for (int c = 0; c < DELE_N_CATEGORIES; c++) {
        check_range((dele_category)c, 9, 2, 6, full[2 * c], full[2 * c + 1]);
        check_range((dele_category)c, 4, 0, 1, one[2 * c], one[2 * c + 1]);
        check_range((dele_category)c, 3, 0, 2, next[2 * c], next[2 * c + 1]);
        check_range((dele_category)c, 4, 1, 4, end[2 * c], end[2 * c + 1]);
    }
}

/* One mlp chart of two layers; every metric holds the given p. */
static void fill(dele_traced *t, dele_fact *fact, float *value, double *lows, const double *p,
                 int n_tokens, int begin, int end, double high, double low, float **charts)
{
    *t = (dele_traced){
        .fact = fact,
        .grid = {.n_tokens = n_tokens, .begin = begin, .end = end, .n_samples = 1, .low = lows}};
    for (int m = 0; m < DELE_N_METRICS; m++) {
        t->grid.high[m] = high;
        lows[m] = low;
        for (int i = 0; i < 2 * n_tokens; i++) value[m * 2 * n_tokens + i] = (float)p[i];
    }
    charts[0] = value;
    t->grid.value = charts;
}

static void averages_are_over_facts_not_over_tokens(void **state)
{
    (void)state;
    /* Two layers.  A: 6 tokens, subject [0, 4), low 0.1.  B: 2 tokens, subject [0, 1), low 0.2: no
     * middle. */
    static const double a[12] = {.3, .1, .2, .1, .4, .1, .5, .1, .1, .1, .1, .6},
                        b[4] = {.6, .2, .2, .4};
    static float value_a[DELE_N_METRICS * 12], value_b[DELE_N_METRICS * 4];
    double lows[2][DELE_N_METRICS];
    float *charts[2][1];
    dele_fact facts[3] = {{.id = 1}, {.id = 2}, {.id = 3}};
    dele_traced traced[3] = {{0}, {.fact = &facts[1], .left_out = "not known"}, {0}};
    fill(&traced[0], &facts[0], value_a, lows[0], a, 6, 0, 4, .9, .1, charts[0]);
    fill(&traced[2], &facts[2], value_b, lows[1], b, 2, 0, 1, .7, .2, charts[1]);
    dele_chart chart = {.name = "mlp", .kind = DELE_MLP, .window = 1, .n_cols = 2};
    dele_trace t = {.opts = DELE_TRACE_DEFAULTS,
                    .charts = &chart,
                    .n_charts = 1,
                    .n_layers = 2,
                    .n_heads = 1,
                    .facts = traced,
                    .n = 3,
                    .n_traced = 2};
    dele_trace_stats stats;
    dele_arena arena = {0};
    dele_err err = {0};
    assert_int_equal(dele_trace_statistics(&stats, &t, &arena, &err), DELE_OK);
    assert_true(fabs(stats.high[DELE_PROB] - .8) < 1e-12 &&
                fabs(stats.low[DELE_PROB] - .15) < 1e-12);
    const dele_effect *middle = dele_effect_at(&stats, &t, 0, DELE_PROB, DELE_MIDDLE_SUBJECT, 0),
                      *first = dele_effect_at(&stats, &t, 0, DELE_PROB, DELE_FIRST_SUBJECT, 0),
                      *subject = dele_effect_at(&stats, &t, 0, DELE_PROB, DELE_LAST_SUBJECT, 0),
                      *last = dele_effect_at(&stats, &t, 0, DELE_PROB, DELE_LAST_TOKEN, 1);
    assert_int_equal(middle->n, 1); /* A alone: tokens 1 and 2, and A's own low */
    assert_true(fabs(middle->effect - (.3 - .1)) < 1e-7);
    assert_int_equal(first->n, 2);
    assert_true(fabs(first->effect - ((.3 - .1) + (.6 - .2)) / 2) < 1e-7);
    assert_true(fabs(subject->effect - ((.5 - .1) + (.6 - .2)) / 2) < 1e-7);
    assert_true(fabs(last->effect - ((.6 - .1) + (.4 - .2)) / 2) < 1e-7);
    assert_int_equal(dele_effect_at(&stats, &t, 0, DELE_PROB, DELE_FURTHER, 0)->n, 0);
    assert_true(isnan(last->ci_low) && isnan(last->ci_high)); /* two facts */
    /* rank and KL fall as the answer comes back */
    assert_true(fabs(dele_effect_at(&stats, &t, 0, DELE_KL, DELE_MIDDLE_SUBJECT, 0)->effect +
                     (.3 - .1)) < 1e-7);
    assert_int_equal(stats.suggestion.from, 0); /* all of it at layer 0 */
    assert_int_equal(stats.suggestion.to, 1);
    assert_true(fabs(stats.suggestion.share - 1) < 1e-7);
    dele_arena_release(&arena);
}

/* ---- traces made by rule --------------------------------------------------------------------- */

enum { TOKENS = 5, BEGIN = 1, END = 3 }; /* five tokens, the subject is the second and third */

/* p at a cell; low is 0, so that it is the effect too. */
typedef double (*rule)(int fact, int chart, int s, int t, int col);

typedef struct {
    dele_arena arena;
    dele_trace trace;
    dele_trace_stats stats;
    dele_err err;
} world;

static void make(world *w, int n, int n_charts, int n_cols, int samples, rule value)
{
    *w = (world){.trace = {.opts = DELE_TRACE_DEFAULTS,
                           .n_charts = n_charts,
                           .n_layers = n_cols,
                           .n_heads = 1,
                           .n = (size_t)n,
                           .n_traced = (size_t)n}};
    dele_trace *t = &w->trace;
    t->charts = DELE_NEW(&w->arena, dele_chart, (size_t)n_charts, &w->err);
    t->facts = DELE_NEW(&w->arena, dele_traced, (size_t)n, &w->err);
    for (int c = 0; c < n_charts; c++) {
        t->charts[c] =
            (dele_chart){.kind = c ? DELE_ATTN : DELE_MLP, .window = 1, .n_cols = n_cols};
        snprintf(t->charts[c].name, sizeof t->charts[c].name, "chart%d", c);
    }
    for (int i = 0; i < n; i++) {
        dele_fact *fact = DELE_NEW(&w->arena, dele_fact, 1, &w->err);
        dele_grid *g = &t->facts[i].grid;
        fact->id = i;
        t->facts[i].fact = fact;
        int *ids = DELE_NEW(&w->arena, int, TOKENS, &w->err);
        ids[0] = i;
        *g = (dele_grid){.ids = ids,
                         .n_tokens = TOKENS,
                         .begin = BEGIN,
                         .end = END,
                         .answer = ids + 1,
                         .n_answer = 1,
                         .n_samples = samples};
        for (int m = 0; m < DELE_N_METRICS; m++) g->high[m] = 1;
        g->low = DELE_NEW(&w->arena, double, (size_t)samples *DELE_N_METRICS, &w->err);
        g->value = DELE_NEW(&w->arena, float *, (size_t)n_charts, &w->err);
        for (int c = 0; c < n_charts; c++) {
            g->value[c] = DELE_NEW(&w->arena, float,
                                   (size_t)(samples * DELE_N_METRICS * TOKENS * n_cols), &w->err);
            for (int s = 0; s < samples; s++)
                for (int m = 0; m < DELE_N_METRICS; m++)
                    for (int k = 0; k < TOKENS * n_cols; k++)
                        *dele_cell(g, &t->charts[c], c, s, (dele_metric)m, k / n_cols, k % n_cols) =
                            (float)value(i, c, s, k / n_cols, k % n_cols);
        }
    }
    assert_int_equal(w->err.code, DELE_OK);
}

static void analyse(world *w)
{
    assert_int_equal(dele_trace_statistics(&w->stats, &w->trace, &w->arena, &w->err), DELE_OK);
}

static const dele_effect *at(const world *w, int chart, int col)
{
    return dele_effect_at(&w->stats, &w->trace, chart, DELE_PROB, DELE_LAST_SUBJECT, col);
}

/* The same normal number for the same arguments. */
static double normal(int a, int b, int c)
{
    dele_rng rng;
    dele_rng_seed(&rng, 1 + (uint64_t)a + ((uint64_t)b << 20) + ((uint64_t)c << 40));
    return dele_rng_normal(&rng);
}

/* ---- intervals ------------------------------------------------------------------------------- */

static double scattered(int fact, int chart, int s, int t, int col)
{
    (void)s, (void)t;
    return .3 + .1 * normal(fact, chart, col);
}

static void intervals_over_facts_cover_what_they_should(void **state)
{
    (void)state;
    enum { COLS = 400 };
    world w;
    double width[2] = {0, 0};
    for (int k = 0; k < 2; k++) {
        make(&w, k ? 160 : 40, 1, COLS, 1, scattered);
        w.trace.charts[0].kind = DELE_HEAD; /* so many columns are no layers to rank */
        analyse(&w);
        int covered = 0;
        for (int col = 0; col < COLS; col++) {
            const dele_effect *e = at(&w, 0, col);
            covered += e->ci_low <= .3 && e->ci_high >= .3;
            width[k] += (e->ci_high - e->ci_low) / COLS;
        }
        assert_in_range(covered, (int)(.90 * COLS),
                        (int)(.98 * COLS)); /* a percentile interval of 40 is a little narrow */
        dele_arena_release(&w.arena);
    }
    assert_true(fabs(width[0] / width[1] - 2) < .1); /* four times the facts, half the width */
    assert_true(fabs(width[1] - 2 * 1.96 * .1 / sqrt(160)) < .002);
}

static void intervals_are_studentised(void **state)
{
    (void)state;
    dele_err err = {0};
    cJSON *f = dele_json_load(DELE_TESTS_DIR "/fixtures/intervals.json", &err);
    assert_non_null(f);
    const cJSON *sample;
    int n_samples = 0;
    cJSON_ArrayForEach(sample, cJSON_GetObjectItem(f, "samples"))
    {
        const cJSON *x = cJSON_GetObjectItem(sample, "x");
        dele_arena arena = {0};
        size_t n = (size_t)cJSON_GetArraySize(x);
        size_t *fact = DELE_NEW(&arena, size_t, n, &err);
        double *effect = DELE_NEW(&arena, double, n, &err);
        for (size_t i = 0; i < n; i++) effect[i] = cJSON_GetArrayItem(x, (int)i)->valuedouble;
        dele_fact_rows rows = {.n = n, .cols = 1, .fact = fact, .effect = effect};
        dele_draws draws = {0};
        dele_row_stat stat;
        assert_int_equal(dele_fact_rows_stats(&stat, &rows, &draws, &err), DELE_OK);
        /* 1000 resamples leave a 2.5 % point uncertain by some 0.03 of the interval's width, more
         * for the fewest items */
        double low = cJSON_GetNumberValue(cJSON_GetObjectItem(sample, "low"));
        double high = cJSON_GetNumberValue(cJSON_GetObjectItem(sample, "high")), width = high - low;
        assert_true(fabs(stat.mean - cJSON_GetNumberValue(cJSON_GetObjectItem(sample, "mean"))) <
                    1e-12);
        assert_true(fabs(stat.facts.low - low) < .15 * width &&
                    fabs(stat.facts.high - high) < .15 * width);
        assert_true(isnan(stat.noise.low));
        n_samples++;
        dele_arena_release(&arena);
    }
    assert_int_equal(n_samples, 4);
    cJSON_Delete(f);
}

static double noiseless(int fact, int chart, int s, int t, int col)
{
    (void)s;
    return scattered(fact, chart, s, t, col);
}

static double noisy(int fact, int chart, int s, int t, int col)
{
    (void)t;
    return .3 + .1 * normal(fact, chart, col + 100 * (s + 1));
}

static double noisy_alike(int fact, int chart, int s, int t, int col)
{
    (void)fact;
    return noisy(0, chart, s, t, col);
}

static double mean_noise_width(world *w, int cols)
{
    double width = 0;
    analyse(w);
    for (int col = 0; col < cols; col++)
        width += (at(w, 0, col)->noise_ci_high - at(w, 0, col)->noise_ci_low) / cols;
    return width;
}

static void equal_noise_samples_leave_no_doubt_about_the_noise(void **state)
{
    (void)state;
    world w;
    make(&w, 20, 1, 8, 5, noiseless);
    analyse(&w);
    for (int col = 0; col < 8; col++) {
        const dele_effect *e = at(&w, 0, col);
        assert_true(e->noise_ci_high == e->noise_ci_low);
        assert_true(fabs(e->noise_ci_low - e->effect) < 1e-12);
        assert_true(e->ci_high > e->ci_low);
    }
    dele_arena_release(&w.arena);
    make(&w, 20, 1, 8, 1, noiseless); /* one sample: nothing is known of the noise */
    analyse(&w);
    assert_true(isnan(at(&w, 0, 0)->noise_ci_low) && isnan(at(&w, 0, 0)->noise_ci_high));
    dele_arena_release(&w.arena);
}

/* Ten samples of deviation 0.1, 16 facts: 2 * 1.96 * 0.1 / sqrt(10) and a little less (the
 * bootstrap divides by S, not S - 1), again by sqrt(16) where facts have noise of their own. */
static void shared_noise_does_not_average_out_over_facts(void **state)
{
    (void)state;
    enum { COLS = 60 };
    const double one = 2 * 1.96 * .1 / sqrt(10) * sqrt(.9);
    world w;
    make(&w, 16, 1, COLS, 10, noisy);
    double own = mean_noise_width(&w, COLS);
    dele_arena_release(&w.arena);
    make(&w, 16, 1, COLS, 10, noisy_alike);
    w.trace.opts.noise_seed = DELE_NOISE_SHARED;
    double shared = mean_noise_width(&w, COLS);
    dele_arena_release(&w.arena);
    make(&w, 16, 1, COLS, 10, noisy_alike);
    w.trace.opts.compat = DELE_COMPAT_ROME;
    double rome = mean_noise_width(&w, COLS);
    dele_arena_release(&w.arena);
    assert_true(fabs(own / (one / 4) - 1) < .1);
    assert_true(fabs(shared / one - 1) < .1);
    assert_true(rome == shared);
}

static void facts_may_have_different_numbers_of_samples(void **state)
{
    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        world w;
        make(&w, 6, 1, 3, 8, noisy);
        if (shared) w.trace.opts.noise_seed = DELE_NOISE_SHARED;
        w.trace.facts[1].grid.n_samples = 1;
        w.trace.facts[4].grid.n_samples = 5;
        analyse(&w);
        for (int col = 0; col < 3; col++) {
            double mean = 0;
            for (int i = 0; i < 6; i++)
                mean += dele_cell_mean(&w.trace.facts[i].grid, w.trace.charts, 0, DELE_PROB,
                                       END - 1, col) /
                        6;
            const dele_effect *e = at(&w, 0, col);
            assert_true(fabs(e->effect - mean) < 1e-12);
            assert_true(e->noise_ci_low < mean && e->noise_ci_high > mean);
        }
        for (size_t r = 0; r < DELE_RESAMPLES; r++) /* each fact's weights are a mean's */
            for (size_t i = 0; i < 6; i++) {
                double sum = 0;
                for (int s = 0; s < w.trace.facts[i].grid.n_samples; s++)
                    sum += (double)w.stats.draws
                               .weight[r * w.stats.draws.n + w.stats.draws.first[i] + (size_t)s];
                assert_true(fabs(sum - 1) < 1e-6);
            }
        dele_arena_release(&w.arena);
    }
}

static double with_holes(int fact, int chart, int s, int t, int col)
{
    if (fact == 2 && t == END - 1) return NAN; /* not asked for */
    return noisy(fact, chart, s, t, col);
}

static void a_fact_without_the_cells_is_left_out_and_not_counted(void **state)
{
    (void)state;
    world w;
    make(&w, 5, 1, 2, 3, with_holes);
    analyse(&w);
    double mean = 0;
    for (int i = 0; i < 5; i++)
        if (i != 2)
            mean +=
                dele_cell_mean(&w.trace.facts[i].grid, w.trace.charts, 0, DELE_PROB, END - 1, 1) /
                4;
    assert_int_equal(at(&w, 0, 1)->n, 4);
    assert_true(fabs(at(&w, 0, 1)->effect - mean) < 1e-12);
    assert_true(isfinite(at(&w, 0, 1)->noise_ci_low));
    assert_int_equal(dele_effect_at(&w.stats, &w.trace, 0, DELE_PROB, DELE_FIRST_SUBJECT, 1)->n, 5);
    assert_int_equal(w.stats.rankings[0].n, 4);
    dele_arena_release(&w.arena);
}

/* ---- differences, ties, controls ------------------------------------------------------------- */

static void a_chart_differs_from_itself_by_nothing(void **state)
{
    (void)state;
    world w;
    make(&w, 9, 2, 4, 3, noisy);
    analyse(&w);
    dele_fact_rows rows[2], minus;
    dele_row_stat stat[4];
    for (int c = 0; c < 2; c++)
        assert_int_equal(dele_fact_rows_category(&rows[c], &w.trace, &w.stats.draws, c, DELE_PROB,
                                                 DELE_LAST_SUBJECT, &w.arena, &w.err),
                         DELE_OK);
    assert_int_equal(dele_fact_rows_minus(&minus, &w.trace, &w.stats.draws, &rows[0], &rows[0], -1,
                                          &w.arena, &w.err),
                     DELE_OK);
    assert_int_equal(dele_fact_rows_stats(stat, &minus, &w.stats.draws, &w.err), DELE_OK);
    for (int c = 0; c < 4; c++) {
        assert_int_equal(stat[c].n, 9);
        assert_true(stat[c].mean == 0 && stat[c].facts.low == 0 && stat[c].facts.high == 0);
        assert_true(stat[c].noise.low == 0 && stat[c].noise.high == 0);
    }
    assert_int_equal(dele_fact_rows_minus(&minus, &w.trace, &w.stats.draws, &rows[0], &rows[1], -1,
                                          &w.arena, &w.err),
                     DELE_OK);
    assert_int_equal(dele_fact_rows_stats(stat, &minus, &w.stats.draws, &w.err), DELE_OK);
    for (int c = 0; c < 4; c++) {
        assert_true(fabs(stat[c].mean - (at(&w, 0, c)->effect - at(&w, 1, c)->effect)) < 1e-12);
        assert_true(stat[c].facts.low < stat[c].mean && stat[c].facts.high > stat[c].mean);
    }
    dele_arena_release(&w.arena);
}

/* Layers 0 and 1 alike, 2 far below, 3 lower by as much for every fact. */
static double one_far_below(int fact, int chart, int s, int t, int col)
{
    (void)s, (void)t, (void)chart;
    double own = normal(fact, 0, 9);
    return (col == 3   ? .25
            : col == 2 ? .1
                       : .5) +
           .03 * own + (col == 3 ? 0 : .02 * normal(fact, col % 2, 3));
}

static void equal_layers_are_tied_and_a_far_one_is_not(void **state)
{
    (void)state;
    world w;
    make(&w, 20, 1, 4, 1, one_far_below);
    analyse(&w);
    const dele_ranking *r = w.stats.rankings;
    assert_true(r->tied[0] && r->tied[1] && !r->tied[2] && !r->tied[3]);
    assert_int_equal(r->n_tied, 2);
    assert_int_equal(r->rank[r->best], 1);
    assert_int_equal(r->rank[3], 3);
    assert_int_equal(r->rank[2], 4);
    char words[80];
    snprintf(words, sizeof words, "layers 0-1 are not significantly different from the best (%d)",
             r->best);
    assert_string_equal(dele_ranking_words(r, &w.arena, &w.err), words);
    dele_arena_release(&w.arena);
}

static void of_one_to_four_facts_nothing_can_be_told(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        world w;
        make(&w, n, 1, 4, 1, one_far_below);
        analyse(&w);
        assert_int_equal(w.stats.rankings[0].n_tied, 4);
        const dele_effect *e = at(&w, 0, 2);
        if (n == 1) assert_true(isnan(e->se));
        assert_true(isnan(e->ci_low) && isnan(e->ci_high));
        char words[80];
        snprintf(words, sizeof words,
                 "%d fact%s: no layer is significantly different from the best (%d)", n,
                 n == 1 ? "" : "s", w.stats.rankings[0].best);
        assert_string_equal(dele_ranking_words(&w.stats.rankings[0], &w.arena, &w.err), words);
        dele_arena_release(&w.arena);
    }
}

static double all_the_same(int fact, int chart, int s, int t, int col)
{
    (void)s, (void)t;
    return .1 * normal(fact, 1 + chart, col) + .2 * normal(fact, 0, 1 << 18);
}

/* Where all layers are the best, none may be excluded more often than in 5 of 100 samples; few of
 * those that the selection of the largest mean would exclude. */
static void a_layer_that_is_the_best_is_seldom_excluded(void **state)
{
    (void)state;
    enum { SETS = 40, LAYERS = 12 };
    int excluded = 0;
    world w;
    make(&w, 24, SETS, LAYERS, 1, all_the_same);
    analyse(&w);
    for (int chart = 0; chart < SETS; chart++) excluded += LAYERS - w.stats.rankings[chart].n_tied;
    dele_arena_release(&w.arena);
    assert_in_range(excluded, 0, SETS * LAYERS / 20);
}

static double loud_at_the_subject(int fact, int chart, int s, int t, int col)
{
    (void)fact, (void)chart, (void)s;
    return t == END - 1 ? 100 + col : t;
}

static void controls_are_drawn_elsewhere(void **state)
{
    (void)state;
    world w;
    make(&w, 200, 1, 4, 1, loud_at_the_subject);
    w.trace.facts[7].noop = 3e-7;
    analyse(&w);
    const dele_effect *token = w.stats.controls[0].token, *layer = w.stats.controls[0].layer;
    for (int col = 0; col < 4; col++) { /* tokens 0 and 3 alike: 1.5 on average, and in deviation */
        assert_int_equal(token[col].n, 200);
        assert_true(fabs(token[col].effect - 1.5) < 4 * 1.5 / sqrt(200));
    }
    assert_true(fabs(layer->effect - 101.5) < 4 * 1.12 / sqrt(200)); /* columns 0 to 3 alike */
    assert_true(layer->ci_low < layer->effect && layer->ci_high > layer->effect);
    assert_true(w.stats.noop == 3e-7);
    for (size_t i = 0; i < w.trace.n; i++)
        w.trace.facts[i].grid.begin = 0, w.trace.facts[i].grid.end = TOKENS - 1;
    analyse(&w); /* nothing but subject and last: all but the subject's last, 0 to 2 by what they
                    say, and 4 */
    for (int col = 0; col < 4; col++)
        assert_true(fabs(w.stats.controls[0].token[col].effect - (0 + 1 + 100 + col + 4) / 4.) <
                    4 * 50 / sqrt(200));
    dele_arena_release(&w.arena);
}

/* ---- before and after ------------------------------------------------------------------------ */

static double higher(int fact, int chart, int s, int t, int col)
{
    return noisy(fact, chart, s, t, col) + (col == 2 ? .25 : 0);
}

static void only_what_changed_differs_after(void **state)
{
    (void)state;
    world before, after;
    dele_comparison c;
    make(&before, 8, 2, 4, 3, noisy);
    make(&after, 8, 2, 4, 3, higher);
    for (int i = 0; i < 8; i++)
        for (int s = 0; s < 3; s++)
            after.trace.facts[i].grid.low[s * DELE_N_METRICS + DELE_PROB] = .05;
    after.trace.facts[5].left_out = "forgotten";
    after.trace.n_traced--;
    assert_int_equal(
        dele_trace_compare(&c, &before.trace, &after.trace, &before.arena, &before.err), DELE_OK);
    assert_int_equal(c.before.n, 7);
    assert_int_equal(c.n_before, 8);
    assert_int_equal(c.n_after, 7);
    assert_int_equal(c.before.facts[5].fact->id, 6);
    assert_int_equal(c.after.facts[5].fact->id, 6);
    assert_int_equal(c.n_charts, 2);
    assert_true(fabs(c.clean.difference) < 1e-12 && fabs(c.corrupted.difference - .05) < 1e-12);
    assert_true(fabs(c.clean.before - 1) < 1e-12 && fabs(c.corrupted.after - .05) < 1e-12);
    for (int col = 0; col <= 4; col++) {
        const dele_change *x = dele_change_at(&c, 1, 0, DELE_LAST_SUBJECT, col);
        double want = (col == 2   ? .25
                       : col == 4 ? .25 / 4
                                  : 0) -
                      .05; /* the last is the mean over columns */
        assert_int_equal(x->n, 7);
        assert_true(fabs(x->difference - want) < 1e-6);
        assert_true(fabs(x->ci.low - want) < 1e-6 &&
                    fabs(x->ci.high - want) < 1e-6); /* the same for each fact */
        assert_true(fabs(x->after - x->before - want) < 1e-6);
    }
    dele_arena_release(&before.arena);
    dele_arena_release(&after.arena);
}

static void facts_of_other_answers_or_prompts_are_no_pairs(void **state)
{
    (void)state;
    static const int other[1] = {77}, prompt[TOKENS] = {99};
    world before, after;
    dele_comparison c;
    make(&before, 3, 1, 2, 1, noisy);
    make(&after, 3, 1, 2, 1, noisy);
    after.trace.facts[1].grid.answer = other;
    assert_int_equal(
        dele_trace_compare(&c, &before.trace, &after.trace, &before.arena, &before.err), DELE_OK);
    assert_int_equal(c.before.n, 2);
    assert_int_equal(c.n_other_answer, 1);
    after.trace.facts[0].grid.answer = after.trace.facts[2].grid.answer = other;
    assert_int_equal(
        dele_trace_compare(&c, &before.trace, &after.trace, &before.arena, &before.err),
        DELE_ERR_DATA);
    assert_non_null(strstr(before.err.msg, "3 with other answers"));
    before.err = (dele_err){0};
    after.trace.facts[0].grid.ids = prompt;
    assert_int_equal(
        dele_trace_compare(&c, &before.trace, &after.trace, &before.arena, &before.err),
        DELE_ERR_DATA);
    assert_non_null(strstr(before.err.msg, "fact 0 has another prompt"));
    dele_arena_release(&before.arena);
    dele_arena_release(&after.arena);
}

static void statistics_fail_politely_wherever_memory_ends(void **state)
{
    (void)state;
    world before, after;
    make(&before, 3, 2, 4, 3, noisy);
    make(&after, 3, 2, 4, 3, higher);
    int refused = 0;
    dele_status status = DELE_ERR_MEMORY;
    for (size_t limit = 1; status; limit += 4096) {
        dele_arena arena = {.limit = limit};
        dele_err err = {0};
        dele_trace_stats stats;
        dele_comparison c;
        status = dele_trace_statistics(&stats, &before.trace, &arena, &err);
        if (!status) status = dele_trace_compare(&c, &before.trace, &after.trace, &arena, &err);
        if (status) {
            assert_int_equal(status, DELE_ERR_MEMORY);
            assert_true(*err.msg);
            refused++;
        }
        dele_arena_release(&arena);
    }
    assert_true(refused > 0);
    dele_arena_release(&before.arena);
    dele_arena_release(&after.arena);
}

static void a_map_in_the_terminal_tells_the_other_way_from_nothing(void **state)
{
    (void)state;
    static const double p[8] = {.1,  .5, .1, .08,
                                .01, .1, .3, .1}; /* low .1: effects 0 .4 0 -.02, -.09 0 .2 0 */
    static float value[DELE_N_METRICS * 8];
    double low[DELE_N_METRICS];
    float *charts[1];
    const char *tokens[] = {"The", " tower", " stands", " in"};
    dele_fact fact = {.id = 1};
    dele_traced traced;
    fill(&traced, &fact, value, low, p, 4, 0, 2, .9, .1, charts);
    traced.tokens = tokens;
    traced.answer = " Seoul";
    dele_chart chart = {.name = "mlp", .kind = DELE_MLP, .window = 1, .n_cols = 2};
    dele_trace trace = {.charts = &chart,
                        .n_charts = 1,
                        .n_layers = 2,
                        .n_heads = 1,
                        .facts = &traced,
                        .n = 1,
                        .n_traced = 1};
    char said[2000] = "";
    FILE *to = fmemopen(said, sizeof said, "w");
    dele_trace_print_heatmap(to, &trace, &traced, 0);
    fclose(to);
    assert_non_null(strstr(said, "0 The*             ·  █\n"));
    assert_non_null(strstr(said, "1  tower*          ·  ·   <- last subject token\n"));
    assert_non_null(strstr(said, "2  stands          -  ·\n"));
    chart.n_cols = 300;
    to = fmemopen(said, sizeof said, "w");
    dele_trace_print_heatmap(to, &trace, &traced, 0);
    fclose(to);
    assert_non_null(strstr(said, "mlp: 300 columns, more than fit here"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(categories_are_those_of_the_paper),
        cmocka_unit_test(averages_are_over_facts_not_over_tokens),
        cmocka_unit_test(intervals_over_facts_cover_what_they_should),
        cmocka_unit_test(intervals_are_studentised),
        cmocka_unit_test(equal_noise_samples_leave_no_doubt_about_the_noise),
        cmocka_unit_test(shared_noise_does_not_average_out_over_facts),
        cmocka_unit_test(facts_may_have_different_numbers_of_samples),
        cmocka_unit_test(a_fact_without_the_cells_is_left_out_and_not_counted),
        cmocka_unit_test(a_chart_differs_from_itself_by_nothing),
        cmocka_unit_test(equal_layers_are_tied_and_a_far_one_is_not),
        cmocka_unit_test(of_one_to_four_facts_nothing_can_be_told),
        cmocka_unit_test(a_layer_that_is_the_best_is_seldom_excluded),
        cmocka_unit_test(controls_are_drawn_elsewhere),
        cmocka_unit_test(only_what_changed_differs_after),
        cmocka_unit_test(facts_of_other_answers_or_prompts_are_no_pairs),
        cmocka_unit_test(a_map_in_the_terminal_tells_the_other_way_from_nothing),
        cmocka_unit_test(statistics_fail_politely_wherever_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
