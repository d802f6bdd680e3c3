/* ROUGE-L: what holds for any pair, then rouge_score's own numbers (fixtures/score/rouge.jsonl,
 * made by reference/rouge_pairs.py; DELE_ROUGE_PAIRS names another, longer list). */
#include "claims.h"

#include "base/json.h"
#include "score/rouge.h"

static dele_rouge rouge(const char *target, const char *prediction, bool stem)
{
    dele_arena arena = {0};
    dele_err err = {0};
    dele_rouge r;
    if (dele_rouge_l(&r, target, prediction, stem, &arena, &err)) fail_msg("%s", err.msg);
    dele_arena_release(&arena);
    return r;
}

static void a_text_is_wholly_in_itself(void **state)
{
    (void)state;
    dele_rouge r = rouge("The quick, brown fox: it's 7!", "the QUICK brown fox it s 7", true);
    assert_true(r.recall == 1 && r.precision == 1 && r.f == 1);
}

static void swapping_the_texts_swaps_recall_and_precision(void **state)
{
    (void)state;
    const char *five = "one two three four five", *three = "two five six";
    dele_rouge a = rouge(five, three, true), b = rouge(three, five, true);
    assert_true(a.recall == b.precision && a.precision == b.recall && fabs(a.f - b.f) < 1e-15);
    assert_true(a.recall == 2.0 / 5 && a.precision == 2.0 / 3);
}

static void a_text_without_words_scores_nothing(void **state)
{
    (void)state;
    assert_true(rouge("", "word", true).f == 0 && rouge("word", "...", true).f == 0 &&
                rouge("", "", true).recall == 0);
}

static void stemming_joins_what_plain_words_keep_apart(void **state)
{
    (void)state;
    assert_true(rouge("connected", "connections", true).recall == 1);
    assert_true(rouge("connected", "connections", false).recall == 0);
}

static void scores_are_those_of_rouge_score(void **state)
{
    (void)state;
    dele_err err = {0};
    dele_records r = {0};
    const char *path = getenv("DELE_ROUGE_PAIRS");
    if (dele_records_open(&r, path ? path : DELE_TESTS_DIR "/fixtures/score/rouge.jsonl", &err))
        fail_msg("%s", err.msg);
    const cJSON *row;
    int n = 0;
    while ((row = dele_records_next(&r, &err))) {
        const char *target = dele_record_string(&r, row, "target", &err);
        dele_rouge got = rouge(target, dele_record_string(&r, row, "prediction", &err), true);
        double recall = cJSON_GetObjectItem(row, "recall")->valuedouble,
               f = cJSON_GetObjectItem(row, "f")->valuedouble;
        double precision = cJSON_GetObjectItem(row, "precision")->valuedouble;
        if (got.recall != recall || got.precision != precision || fabs(got.f - f) > 1e-15)
            fail_msg("line %d: %.17g %.17g %.17g, rouge_score has %.17g %.17g %.17g", r.line,
                     got.recall, got.precision, got.f, recall, precision, f);
        n++;
    }
    assert_int_equal(err.code, DELE_OK);
    dele_records_close(&r);
    assert_true(n > 70);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_wholly_in_itself),
        cmocka_unit_test(swapping_the_texts_swaps_recall_and_precision),
        cmocka_unit_test(a_text_without_words_scores_nothing),
        cmocka_unit_test(stemming_joins_what_plain_words_keep_apart),
        cmocka_unit_test(scores_are_those_of_rouge_score),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
