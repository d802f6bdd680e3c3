/* Groups of tokens and averages over facts, on grids made by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trace/stats.h"

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

/* One mlp chart of two layers; every metric holds the given p. */
static void fill(lac_traced *t, lac_fact *fact, float *value, double *lows, const double *p, int n_tokens, int begin, int end,
                 double high, double low, float **charts)
{
    *t = (lac_traced){.fact = fact, .grid = {.n_tokens = n_tokens, .begin = begin, .end = end, .n_samples = 1, .low = lows}};
    for (int m = 0; m < LAC_N_METRICS; m++) {
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
    /* Two layers.  A: 6 tokens, subject [0, 4), low 0.1.  B: 2 tokens, subject [0, 1), low 0.2: no middle. */
    static const double a[12] = {.3, .1, .2, .1, .4, .1, .5, .1, .1, .1, .1, .6}, b[4] = {.6, .2, .2, .4};
    static float value_a[LAC_N_METRICS * 12], value_b[LAC_N_METRICS * 4];
    double lows[2][LAC_N_METRICS];
    float *charts[2][1];
    lac_fact facts[3] = {{.id = 1}, {.id = 2}, {.id = 3}};
    lac_traced traced[3] = {{0}, {.fact = &facts[1], .left_out = "not known"}, {0}};
    fill(&traced[0], &facts[0], value_a, lows[0], a, 6, 0, 4, .9, .1, charts[0]);
    fill(&traced[2], &facts[2], value_b, lows[1], b, 2, 0, 1, .7, .2, charts[1]);
    lac_chart chart = {.name = "mlp", .kind = LAC_MLP, .window = 1, .n_cols = 2};
    lac_trace t = {.opts = LAC_TRACE_DEFAULTS, .charts = &chart, .n_charts = 1, .n_layers = 2, .n_heads = 1, .facts = traced,
                   .n = 3, .n_traced = 2};
    lac_trace_stats stats;
    lac_arena arena = {0};
    lac_err err = {0};
    assert_int_equal(lac_trace_statistics(&stats, &t, &arena, &err), LAC_OK);
    assert_true(fabs(stats.high[LAC_PROB] - .8) < 1e-12 && fabs(stats.low[LAC_PROB] - .15) < 1e-12);
    const lac_effect *middle = lac_effect_at(&stats, &t, 0, LAC_PROB, LAC_MIDDLE_SUBJECT, 0),
                     *first = lac_effect_at(&stats, &t, 0, LAC_PROB, LAC_FIRST_SUBJECT, 0),
                     *subject = lac_effect_at(&stats, &t, 0, LAC_PROB, LAC_LAST_SUBJECT, 0),
                     *last = lac_effect_at(&stats, &t, 0, LAC_PROB, LAC_LAST_TOKEN, 1);
    assert_int_equal(middle->n, 1); /* A alone: tokens 1 and 2, and A's own low */
    assert_true(fabs(middle->effect - (.3 - .1)) < 1e-7);
    assert_int_equal(first->n, 2);
    assert_true(fabs(first->effect - ((.3 - .1) + (.6 - .2)) / 2) < 1e-7);
    assert_true(fabs(subject->effect - ((.5 - .1) + (.6 - .2)) / 2) < 1e-7);
    assert_true(fabs(last->effect - ((.6 - .1) + (.4 - .2)) / 2) < 1e-7);
    assert_int_equal(lac_effect_at(&stats, &t, 0, LAC_PROB, LAC_FURTHER, 0)->n, 0);
    assert_true(last->ci_low <= last->effect && last->ci_high >= last->effect);
    /* rank and KL fall as the answer comes back */
    assert_true(fabs(lac_effect_at(&stats, &t, 0, LAC_KL, LAC_MIDDLE_SUBJECT, 0)->effect + (.3 - .1)) < 1e-7);
    assert_int_equal(stats.suggestion.from, 0); /* all of it at layer 0 */
    assert_int_equal(stats.suggestion.to, 1);
    assert_true(fabs(stats.suggestion.share - 1) < 1e-7);
    lac_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(categories_are_those_of_the_paper),
        cmocka_unit_test(averages_are_over_facts_not_over_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
