/* Membership attacks as open-unlearning has them, row by row
 * (tests/reference/membership_open_unlearning.py). */
#include "claims.h"

#include "base/json.h"
#include "score/suites/membership.h"
#include "tests/scratch.h"

#define FIXTURE DELE_TESTS_DIR "/fixtures/score/membership_open_unlearning.json"
#define MODEL DELE_TESTS_DIR "/../data/models/demo"

typedef struct {
    cJSON *rows; /* what PyTorch says of each */
    dele_arena arena;
    dele_model model;
    dele_run run;
    dele_err err;
    scratch *dir;
} world;

static int open_world(void **state)
{
    world *w = calloc(1, sizeof *w);
    if (!w) return -1;
    *state = w;
    w->rows = dele_json_load(FIXTURE, &w->err);
    if (!w->rows || dele_model_load(&w->model, MODEL, &w->arena, &w->err)) return -1;
    return scratch_open((void **)&w->dir);
}

static int close_world(void **state)
{
    world *w = *state;
    cJSON_Delete(w->rows);
    dele_run_release(&w->run);
    dele_model_release(&w->model);
    dele_arena_release(&w->arena);
    const int status = scratch_close((void **)&w->dir);
    free(w);
    return status;
}

/* Rows of one kind, the first half members; items receives a line a row. */
static void run(world *w, dele_items *items, bool plain, const char *compat,
                const dele_model *reference)
{
    const cJSON *row;
    FILE *file[2] = {fopen(scratch_path(w->dir, "member.jsonl"), "w"),
                     fopen(scratch_path(w->dir, "nonmember.jsonl"), "w")};
    int n = 0;
    assert_true(file[0] && file[1]);
    cJSON_ArrayForEach(row, w->rows)
    {
        if (cJSON_HasObjectItem(row, "text") != plain) continue;
        char *line = cJSON_PrintUnformatted(row);
        assert_non_null(line);
        fprintf(file[n++ / 2], "%s\n", line);
        cJSON_free(line);
    }
    fclose(file[0]);
    fclose(file[1]);
    const dele_suite_opts opts = {
        .data = w->dir->dir, .gradnorm = reference != NULL, .compat = compat};
    dele_scoring s = {.suite = &dele_suite_membership,
                      .opts = &opts,
                      .model = &w->model,
                      .reference = reference,
                      .run = &w->run,
                      .items = items,
                      .arena = &w->arena,
                      .quiet = true};
    if (dele_suite_run(&s, "membership", &w->err)) fail_msg("%s", w->err.msg);
}

static double number(const cJSON *object, const char *name)
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(object, name);
    assert_true(cJSON_IsNumber(x));
    return x->valuedouble;
}

static void compare(world *w, bool plain)
{
    static const char *const names[] = {"tokens", "loss",       "zlib",
                                        "min_k",  "min_k_plus", "gradnorm"};
    dele_items items = {.file = tmpfile()};
    const cJSON *expected;
    char line[4096];
    assert_non_null(items.file);
    run(w, &items, plain, "open-unlearning", &w->model);
    rewind(items.file);
    cJSON_ArrayForEach(expected, w->rows)
    {
        if (cJSON_HasObjectItem(expected, "text") != plain) continue;
        assert_non_null(fgets(line, sizeof line, items.file));
        cJSON *got = cJSON_Parse(line);
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            const double x = number(got, names[k]), y = number(expected, names[k]);
            if (!(fabs(x - y) <= 2e-4 * (1 + fabs(y))))
                fail_msg("%s %.9g, expected %.9g: %s", names[k], x, y, line);
        }
        assert_true(number(got, "reference") == 0); /* the model itself, its labels the same */
        cJSON_Delete(got);
    }
    fclose(items.file);
}

static void questions_are_scored_on_the_answer_alone(void **state) { compare(*state, false); }

static void plain_texts_get_no_end_of_text_and_zlib_leaves_out_the_first_token(void **state)
{
    compare(*state, true);
}

static void by_default_the_question_is_scored_too(void **state)
{
    world *w = *state;
    dele_items items = {.file = tmpfile()};
    char line[4096];
    assert_non_null(items.file);
    run(w, &items, false, NULL, NULL);
    rewind(items.file);
    assert_non_null(fgets(line, sizeof line, items.file));
    cJSON *got = cJSON_Parse(line);
    assert_true(number(got, "tokens") > number(cJSON_GetArrayItem(w->rows, 0), "tokens"));
    cJSON_Delete(got);
    fclose(items.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_are_scored_on_the_answer_alone),
        cmocka_unit_test(plain_texts_get_no_end_of_text_and_zlib_leaves_out_the_first_token),
        cmocka_unit_test(by_default_the_question_is_scored_too),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
