/* Answers that are numbers, against lm_eval's gsm8k and the program of Nudging
 * (reference/number_cases.py). */
#include "claims.h"

#include "base/json.h"
#include "score/number_match.h"

static bool is_true(const cJSON *c, const char *key)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(c, key));
}

static const char *text_of(const cJSON *c, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, key));
}

static void numbers_are_judged_as_by_the_harness_and_by_nudgings_program(void **state)
{
    (void)state;
    dele_err err = {0};
    dele_arena arena = {0};
    int n = 0, right[3] = {0};
    cJSON *cases = dele_json_load(DELE_TESTS_DIR "/fixtures/number_cases.json", &err), *c;
    if (!cases) fail_msg("%s", err.msg);
    cJSON_ArrayForEach(c, cases)
    {
        dele_number_verdict v;
        const char *answer = text_of(c, "answer"), *said = text_of(c, "said");
        if (dele_number_match(&v, answer, said, &arena, &err)) fail_msg("%s", err.msg);
        if (v.strict != is_true(c, "strict") || v.flexible != is_true(c, "flexible") ||
            v.last != is_true(c, "last"))
            fail_msg("answer \"%s\", text \"%s\": %d %d %d", answer, said, v.strict, v.flexible,
                     v.last);
        right[0] += v.strict, right[1] += v.flexible, right[2] += v.last;
        n++;
        dele_arena_reset(&arena);
    }
    assert_true(n >= 600);
    for (int k = 0; k < 3; k++) assert_true(right[k] > 5 && right[k] < n - 100);
    cJSON_Delete(cases);
    dele_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_judged_as_by_the_harness_and_by_nudgings_program)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
