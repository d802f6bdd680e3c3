/* Scores against stored cases (reference/score_cases.py): lm_eval's log-likelihoods of choices.  Tolerances: log-
 * likelihoods 2e-4, being sums of float32 passes in another order; formulas on given numbers 1e-9 relative. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "score/choice_sets.h"
#include "score/mmlu.h"

#define FIXTURES LAC_TESTS_DIR "/fixtures/score"
#define MODEL LAC_TESTS_DIR "/../data/models/demo"

typedef struct {
    cJSON *cases;
    lac_arena arena;
    lac_model model;
    lac_run run;
    lac_err err;
} world;

static int open_world(void **state)
{
    world *w = calloc(1, sizeof *w);
    if (!w) return -1;
    *state = w;
    w->cases = lac_json_load(FIXTURES "/cases.json", &w->err);
    if (!w->cases || lac_model_load(&w->model, MODEL, &w->arena, &w->err)) fail_msg("%s", w->err.msg);
    return 0;
}

static int close_world(void **state)
{
    world *w = *state;
    cJSON_Delete(w->cases);
    lac_run_release(&w->run);
    lac_model_release(&w->model);
    lac_arena_release(&w->arena);
    free(w);
    return 0;
}

static const cJSON *part(const world *w, const char *name)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(w->cases, name);
    assert_true(cJSON_GetArraySize(found) > 0);
    return found;
}

static void is_near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance * (1 + fabs(expected)))) fail_msg("%.17g, expected %.17g", got, expected);
}

static void choices_are_as_likely_as_the_harness_says(void **state)
{
    world *w = *state;
    lac_choice_sets data;
    lac_accuracy accuracy;
    lac_items items = {.file = tmpfile()};
    char line[4096];
    assert_non_null(items.file);
    if (lac_choice_sets_load(&data, FIXTURES "/sets", 0, &w->arena, &w->err) ||
        lac_choice_sets_run(&accuracy, &data, &w->run, &w->model, &items, NULL, &w->err))
        fail_msg("%s", w->err.msg);
    assert_string_equal(data.set[0].name, "village");
    rewind(items.file);
    const cJSON *expected;
    int right = 0;
    cJSON_ArrayForEach(expected, part(w, "choices")) {
        assert_non_null(fgets(line, sizeof line, items.file));
        cJSON *item = cJSON_Parse(line);
        const cJSON *got = cJSON_GetObjectItem(item, "loglikelihoods");
        int n = cJSON_GetArraySize(expected), best = 0;
        assert_int_equal(cJSON_GetArraySize(got), n);
        for (int c = 0; c < n; c++) {
            is_near(cJSON_GetArrayItem(got, c)->valuedouble, cJSON_GetArrayItem(expected, c)->valuedouble, 2e-4);
            if (cJSON_GetArrayItem(expected, c)->valuedouble > cJSON_GetArrayItem(expected, best)->valuedouble) best = c;
        }
        assert_int_equal(cJSON_GetObjectItem(item, "pick")->valueint, best);
        right += best == cJSON_GetObjectItem(item, "answer")->valueint;
        cJSON_Delete(item);
    }
    assert_int_equal(accuracy.n, 3);
    is_near(accuracy.acc, right / 3., 1e-12);
    fclose(items.file);
}

/* The texts of hendrycks/test's evaluate.py, written down by hand: two blanks, and the question unstripped. */
static void the_old_prompt_has_two_blanks_and_the_raw_question(void **state)
{
    world *w = *state;
    lac_mmlu data;
    if (lac_mmlu_load(&data, FIXTURES "/mmlu", "val", "college_biology", 1, 0, &w->arena, &w->err))
        fail_msg("%s", w->err.msg);
    const char *text = lac_mmlu_context(&data.subject[0], &data.subject[0].item[0], LAC_MMLU_OPEN_INSTRUCT, 1, &w->arena,
                                        &w->err);
    assert_string_equal(text, "The following are multiple choice questions (with answers) about  college biology.\n\n"
                              "What is 2 + 2?\nA. 3\nB. 4\nC. 5\nD. 22\nAnswer: B\n\n"
                              "\xc2\xa0The line\nbreaks here\r\nand a CR\rthere  \nA.   padded  \nB. None\n"
                              "C. na\xc3\xafve \"caf\xc3\xa9\"\nD. D.\nAnswer:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choices_are_as_likely_as_the_harness_says),
        cmocka_unit_test(the_old_prompt_has_two_blanks_and_the_raw_question),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
