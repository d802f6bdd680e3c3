/* The numbers of a study: where they are in results, the front of a trade-off, rank correlation
 * over windows of layers. */
#include "claims.h"

#include "experiments/study/study_scores.h"

static study_number at(const char *json, const char *path)
{
    cJSON *parsed = cJSON_Parse(json);
    assert_non_null(parsed);
    study_number x = study_number_at(parsed, path);
    cJSON_Delete(parsed);
    return x;
}

static void a_number_is_found_with_its_error_and_count_beside_it(void **state)
{
    (void)state;
    const char *facts =
        "{\"forget\": {\"prompt\": {\"n\": 40, \"top1\": 0.5, \"top1_stderr\": 0.08}}}";
    const char *lume =
        "{\"scores\": [{\"type\": \"sc\", \"task\": \"Task2\", \"n\": 3, \"score\": 0.1, "
        "\"stderr\": 0.2},"
        "{\"type\": \"qa\", \"task\": \"Task2\", \"n\": 7, \"score\": 0.25, \"stderr\": 0.125}]}";
    study_number x = at(facts, "forget.prompt.top1");
    assert_true(x.value == 0.5 && x.error == 0.08 && x.n == 40);
    x = at(lume, "scores[type=qa,task=Task2].score");
    assert_true(x.value == 0.25 && x.error == 0.125 && x.n == 7);
    assert_true(isnan(at(lume, "scores[type=mc].score").value));
    assert_true(isnan(at(facts, "forget.paraphrase.top1").value));
    assert_true(isnan(at("{\"a\": \"text\"}", "a").value) && isnan(at("{\"a\": 1}", "").value));
}

static void the_front_holds_what_no_other_is_better_than(void **state)
{
    (void)state;
    const double forget[] = {1.0, 0.4, 0.4, 0.2, 0.6, NAN, 0.2},
                 retain[] = {1.0, 0.9, 0.8, 0.5, 0.9, 1.0, 0.5};
    const bool expected[] = {true,  true,  false, true,
                             false, false, true}; /* equals stay together; NaN is nowhere */
    bool front[7];
    study_front(front, forget, retain, 7, true, false);
    for (int i = 0; i < 7; i++) assert_int_equal(front[i], expected[i]);
    const double lower[] = {-1.0, -0.9, -0.8, -0.5, -0.9, -1.0, -0.5}; /* the same turned over */
    study_front(front, forget, lower, 7, true, true);
    for (int i = 0; i < 7; i++) assert_int_equal(front[i], expected[i]);
}

/* scipy 1.17: spearmanr(x, y).statistic = -0.4167381299493578 and 0.18531232916527532; both sides
 * have ties. */
static void spearman_is_scipys(void **state)
{
    (void)state;
    const double x[] = {3.1, 1.2, 5.5, 2.2, 4.0, 1.2, 0.3}, y[] = {2, 7, 1, 1, 8, 2, 8};
    const double u[] = {0.06, 0.05, 0.03, 0.01, 0.02, 0.00, -0.01},
                 v[] = {0.55, 0.80, 0.80, 0.79, 0.80, 0.78, 0.72};
    const double same[] = {1, 1, 1, 1, 1, 1, 1};
    double work[14];
    assert_true(fabs(dele_spearman(x, y, 7, work) + 0.4167381299493578) < 1e-12);
    assert_true(fabs(dele_spearman(u, v, 7, work) - 0.18531232916527532) < 1e-12);
    assert_true(isnan(dele_spearman(x, same, 7, work)) && isnan(dele_spearman(x, y, 1, work)));
}

static void sets_of_layers_are_read_or_refused(void **state)
{
    (void)state;
    bool chosen[8];
    assert_int_equal(study_layers(chosen, 8, "0-2,5"), 4);
    assert_true(chosen[0] && chosen[2] && chosen[5] && !chosen[3] && !chosen[7]);
    assert_int_equal(study_layers(chosen, 8, "all"), 8);
    assert_int_equal(study_layers(chosen, 8, "3"), 1);
    static const char *const wrong[] = {"middle", "2-8", "3-1", "-1", "1;2", "$m", ""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(study_layers(chosen, 8, wrong[i]), 0);
}

static void tokens_are_places_or_sums_of_them(void **state)
{
    (void)state;
    static const char *const good[] = {"last subject", "first subject", "last",
                                       "last subject + last", " last+first subject "};
    static const char *const wrong[] = {
        "", "subject", "last +", "+", "last subject + verb", "last subjects"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(study_tokens_known(good[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(study_tokens_known(wrong[i]));
}

/* 27 windows of 4 of 30 layers: seven of them side by side.  Noise around a line gives an interval
 * around its rho, wider than if the 27 were taken for so many observations; and with few windows
 * there is none. */
static void windows_that_share_layers_are_not_counted_as_so_many_observations(void **state)
{
    (void)state;
    double effect[27], score[27], wobble;
    int first[27], apart[27];
    dele_rng rng;
    dele_err err = {0};
    study_correlation overlapping, single, few;
    dele_rng_seed(&rng, 3);
    wobble = 0;
    for (int i = 0; i < 27;
         i++) { /* what wobbles along layers is shared by windows that share them */
        wobble = 0.75 * wobble + dele_rng_normal(&rng);
        effect[i] = i;
        score[i] = -0.2 * i + 2 * wobble;
        first[i] = i;
        apart[i] = 4 * i;
    }
    assert_int_equal(study_rank_correlation(&overlapping, effect, score, first, 27, 4, &err),
                     DELE_OK);
    assert_int_equal(study_rank_correlation(&single, effect, score, apart, 27, 4, &err), DELE_OK);
    assert_int_equal(study_rank_correlation(&few, effect, score, first, 12, 4, &err), DELE_OK);
    assert_int_equal(overlapping.n, 27);
    assert_int_equal(overlapping.apart, 7);
    assert_int_equal(single.apart, 27);
    assert_int_equal(few.apart, 3);
    assert_true(overlapping.rho < 0 && overlapping.rho == single.rho);
    assert_true(overlapping.interval.low <= overlapping.rho &&
                overlapping.rho <= overlapping.interval.high);
    assert_true(overlapping.interval.high - overlapping.interval.low >
                single.interval.high - single.interval.low);
    assert_true(isfinite(few.rho) && isnan(few.interval.low));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_found_with_its_error_and_count_beside_it),
        cmocka_unit_test(the_front_holds_what_no_other_is_better_than),
        cmocka_unit_test(spearman_is_scipys),
        cmocka_unit_test(sets_of_layers_are_read_or_refused),
        cmocka_unit_test(tokens_are_places_or_sums_of_them),
        cmocka_unit_test(windows_that_share_layers_are_not_counted_as_so_many_observations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
