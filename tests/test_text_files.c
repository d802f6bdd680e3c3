/* Text files as other programs write them: a byte order mark before the first line, UTF-16, lists
 * for one text. */
#include <math.h>

#include "base/json_out.h"
#include "score/suites/lume.h"
#include "score/suites/tofu.h"
#include "scratch.h"
#include "table_model.h"
#include "text/csv.h"
#include "unlearn/dataset.h"
#include "unlearn/refusals.h"

#define MARK "\xef\xbb\xbf"

static dele_arena arena;
static dele_err err;

static void a_byte_order_mark_is_no_part_of_a_text(void **state)
{
    scratch *s = *state;
    dele_csv csv;
    if (dele_csv_load(&csv, scratch_text(s, "a.csv", MARK "\"q, one\",b\nc,d\n"), 2, &arena, &err))
        fail_msg("%s", err.msg);
    assert_string_equal(dele_csv_field(&csv, 0, 0), "q, one");
    assert_int_equal(csv.line[1], 2);

    cJSON *json = dele_json_load(scratch_text(s, "a.json", MARK "{\"a\": 1}"), &err);
    assert_non_null(json);
    cJSON_Delete(json);
    static const char *const records[] = {MARK "{\"a\": \"x\"}\n", MARK "[{\"a\": \"x\"}]"};
    for (int i = 0; i < 2; i++) {
        dele_records r = {0};
        assert_int_equal(dele_records_open(&r, scratch_text(s, "r.jsonl", records[i]), &err),
                         DELE_OK);
        const cJSON *row = dele_records_next(&r, &err);
        assert_string_equal(dele_record_string(&r, row, "a", &err), "x");
        dele_records_close(&r);
    }

    dele_refusals refusals;
    if (dele_refusals_open(&refusals, scratch_text(s, "r.txt", MARK "I do not know.\n"), 1, &arena,
                           &err))
        fail_msg("%s", err.msg);
    assert_string_equal(refusals.text[0], "I do not know.");

    dele_tokenizer *t = spm_tokenizer(&arena);
    dele_dataset set = {0};
    const dele_dataset_options o = {.max_tokens = 64};
    if (dele_dataset_add_text(&set, scratch_text(s, "t.txt", MARK "the cat"), t, &o, &arena, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(set.row[0].n, 3); /* <s> the cat */
    dele_tokenizer_close(t);

    dele_lume lume;
    const char *rows = "{\"id\": \"a1qa0\", \"input\": \"x\", \"output\": \"y\", \"task\": "
                       "\"Task1\", \"split\": \"forget\"}\n";
    const char *file = scratch_text(s, "rows.jsonl", rows),
               *ids = scratch_text(s, "ids.txt", MARK "a1qa0\n");
    if (dele_lume_load(&lume, file, 0, ids, &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(lume.n, 1);
    dele_arena_release(&arena);
}

static void utf_16_is_refused_with_the_way_to_convert_it(void **state)
{
    static const char little[] = "\xff\xfe{\0}\0\n", big[] = "\xfe\xff\0{\0}\0\n",
                      wide[] = "\xff\xfe\0\0{\0\0\0";
    scratch *s = *state;
    const struct {
        const char *bytes, *name;
        size_t n;
    } texts[] = {{little, "UTF-16", sizeof little - 1},
                 {big, "UTF-16", sizeof big - 1},
                 {wide, "UTF-32", sizeof wide - 1}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *path = scratch_write(s, "a.txt", texts[i].bytes, texts[i].n);
        dele_csv csv;
        dele_refusals refusals;
        dele_records r = {0};
        dele_err e[4] = {{0}};
        assert_null(dele_json_load(path, &e[0]));
        assert_int_not_equal(dele_records_open(&r, path, &e[1]), DELE_OK);
        assert_int_not_equal(dele_csv_load(&csv, path, 1, &arena, &e[2]), DELE_OK);
        assert_int_not_equal(dele_refusals_open(&refusals, path, 1, &arena, &e[3]), DELE_OK);
        for (int k = 0; k < 4; k++)
            if (!strstr(e[k].msg, texts[i].name) || !strstr(e[k].msg, "iconv"))
                fail_msg("reader %d: %s", k, e[k].msg);
    }
    dele_arena_release(&arena);
}

/* The row's loss_correct, with what is given as its paraphrase. */
static double loss_of(scratch *s, dele_model *model, const char *paraphrase)
{
    char text[400];
    snprintf(text, sizeof text,
             "{\"question\": \"the\", \"answer\": \"cat\", \"paraphrased_answer\": %s, "
             "\"perturbed_answer\": [\"the\", \"the the\"]}\n",
             paraphrase);
    dele_run run = {0};
    dele_items items = {.file = tmpfile()};
    const dele_suite_opts opts = {.data = scratch_text(s, "forget_perturbed.jsonl", text),
                                  .max_new = 1};
    dele_scoring scoring = {.suite = &dele_suite_tofu,
                            .opts = &opts,
                            .model = model,
                            .run = &run,
                            .items = &items,
                            .arena = &arena,
                            .quiet = true};
    if (dele_suite_run(&scoring, "tofu", &err)) fail_msg("%s", err.msg);
    rewind(items.file);
    char line[2000];
    assert_non_null(fgets(line, sizeof line, items.file));
    const char *at = strstr(line, "\"loss_correct\":");
    assert_non_null(at);
    double loss = atof(at + strlen("\"loss_correct\":"));
    fclose(items.file);
    dele_run_release(&run);
    return loss;
}

static void a_list_of_paraphrased_answers_counts_by_its_mean_loss(void **state)
{
    scratch *s = *state;
    dele_model model = {0};
    table_model(&model, spm_tokenizer(&arena), 64, &arena);
    table_says(&model, dele_token_id(model.tokenizer, "\u2581the"),
               dele_token_id(model.tokenizer, "\u2581cat"));
    const double a = loss_of(s, &model, "\"cat the\""), b = loss_of(s, &model, "\"the cat\"");
    assert_true(fabs(a - b) > 1);
    assert_true(fabs(loss_of(s, &model, "[\"cat the\", \"the cat\"]") - (a + b) / 2) < 1e-9);
    assert_true(fabs(loss_of(s, &model, "[\"the cat\"]") - b) < 1e-9);
    assert_true(fabs(loss_of(s, &model, "null") - loss_of(s, &model, "\"cat\"")) <
                1e-9); /* the answer itself */
    dele_tofu data;
    const char *bad = "{\"question\": \"q\", \"answer\": \"a\", \"paraphrased_answer\": 3, "
                      "\"perturbed_answer\": [\"b\"]}\n";
    assert_int_not_equal(
        dele_tofu_load(&data, scratch_text(s, "forget.jsonl", bad), 0, &arena, &err), DELE_OK);
    assert_non_null(strstr(err.msg, "paraphrased_answer"));
    err = (dele_err){0};
    dele_model_release(&model);
    dele_arena_release(&arena);
}

int main(void)
{
#define IN_A_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        IN_A_DIRECTORY(a_byte_order_mark_is_no_part_of_a_text),
        IN_A_DIRECTORY(utf_16_is_refused_with_the_way_to_convert_it),
        IN_A_DIRECTORY(a_list_of_paraphrased_answers_counts_by_its_mean_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
