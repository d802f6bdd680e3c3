/* LUME: rows read, texts compared as the published script does, and many prompts continued at once
 * as each alone. */
#include "claims.h"

#include "base/random.h"
#include "model/generate.h"
#include "score/answer_match.h"
#include "score/suites/lume.h"
#include "tests/scratch.h"

static void spaces_are_cleaned_as_transformers_does(void **state)
{
    (void)state;
    static const char *const pair[][2] = {
        {"Hello , world !", "Hello, world!"},
        {"do n't I 'm he 's we 've they 're", "don't I'm he's we've they're"},
        {"a ' b ' c", "a'b'c"},
        {" . ? !", ".?!"},
        {"it  . two spaces", "it . two spaces"},
        {"wo n't .", "won't."},
        {"untouched.", "untouched."},
        {"", ""},
        {"rock ' n't roll", "rock'n't roll"},
        {"na\xc3\xafve , \xe4\xb8\xad .", "na\xc3\xafve, \xe4\xb8\xad."}};
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
        char text[64];
        strcpy(text, pair[i][0]);
        dele_clean_up_spaces(text);
        assert_string_equal(text, pair[i][1]);
    }
}

static bool same(const char *a, const char *b)
{
    dele_arena arena = {0};
    dele_err err = {0};
    bool result;
    assert_int_equal(dele_exact_match(&result, a, b, &arena, &err), DELE_OK);
    dele_arena_release(&arena);
    return result;
}

static void answers_match_but_for_case_and_margins(void **state)
{
    (void)state;
    assert_true(same(" Madera\n", "madera") &&
                same("\xc2\xa0\xc3\x89t\xc3\xa9", "\xc3\xa9T\xc3\x89 \xe3\x80\x80"));
    assert_true(same("", " \t") && !same("Madera.", "Madera") && !same("a b", "a  b"));
}

static const char *write_rows(scratch *s, const char *name, const char *text)
{
    const char *path = scratch_path(s, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

static const char FORGET[] =
    "{\"id\": \"\\\"8f2\\\"sc1\", \"input\": \"Once upon a time\", \"output\": \"a little girl\", "
    "\"task\": \"Task1\"}\n"
    "{\"id\": \"\\\"8f2\\\"qa0\", \"input\": \"Who?\", \"output\": \"She\", \"task\": \"Task1\"}\n"
    "\n{\"id\": \"77qa12\", \"input\": \"There was\", \"output\": \"a girl\", \"task\": "
    "\"Task2\"}\n";

static void rows_are_read_from_both_files(void **state)
{
    scratch *s = *state;
    dele_arena arena = {0};
    dele_err err = {0};
    dele_lume data;
    write_rows(s, "forget.jsonl", FORGET);
    write_rows(s, "retain.jsonl",
               "{\"id\": \"9sc0\", \"input\": \"x\", \"output\": \"y\", \"task\": \"Task3\"}\n");
    if (dele_lume_load(&data, s->dir, 0, NULL, &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(data.n, 4);
    assert_string_equal(data.row[0].id, "\"8f2\"sc1");
    assert_int_equal(data.row[0].kind, DELE_LUME_SC);
    assert_int_equal(data.row[2].kind, DELE_LUME_QA); /* two digits at the end */
    assert_string_equal(data.row[0].split, "forget");
    assert_string_equal(data.row[3].split, "retain");

    if (dele_lume_load(&data, s->dir, 1, NULL, &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(data.n, 2); /* one a file */
    const char *ids = write_rows(s, "ids.txt", "77qa12\nnobody\n9sc0\n");
    if (dele_lume_load(&data, s->dir, 0, ids, &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(data.n, 2);
    assert_string_equal(data.row[0].id, "77qa12");
    dele_arena_release(&arena);
}

/* As the organisers hand it out: a split of train or validation in the names, a column that says
 * forget or retain. */
static void the_organisers_names_and_their_column_are_known(void **state)
{
    scratch *s = *state;
    dele_arena arena = {0};
    dele_err err = {0};
    dele_lume data;
    static const char FORGETS[] = "{\"id\": \"1sc0\", \"input\": \"x\", \"output\": \"y\", "
                                  "\"task\": \"T\", \"split\": \"forget\"}\n";
    static const char RETAINS[] = "{\"id\": \"2qa0\", \"input\": \"x\", \"output\": \"y\", "
                                  "\"task\": \"T\", \"split\": \"retain\"}\n";
    char both[sizeof FORGETS + sizeof RETAINS];
    snprintf(both, sizeof both, "%s%s", RETAINS, FORGETS);
    write_rows(s, "forget_val.jsonl", FORGETS);
    write_rows(s, "retain_validation.jsonl", RETAINS);
    if (dele_lume_load(&data, s->dir, 0, NULL, &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(data.n, 2);
    assert_string_equal(data.row[0].split, "forget");
    assert_string_equal(data.row[1].split, "retain");
    const char *one = write_rows(s, "rows.jsonl", both);
    if (dele_lume_load(&data, one, 0, NULL, &arena, &err)) fail_msg("%s", err.msg);
    assert_string_equal(data.row[0].split, "retain");
    assert_string_equal(data.row[1].split, "forget");

    write_rows(s, "forget_train.jsonl", FORGETS);
    assert_int_equal(dele_lume_load(&data, s->dir, 0, NULL, &arena, &err), DELE_ERR_DATA);
    assert_non_null(strstr(err.msg, "holds forget_train.jsonl and forget_val.jsonl"));
    err = (dele_err){0};
    write_rows(s, "forget.jsonl", both);
    assert_int_equal(dele_lume_load(&data, s->dir, 0, NULL, &arena, &err), DELE_ERR_DATA);
    assert_non_null(
        strstr(err.msg, "forget.jsonl:1: \"split\" is retain, in a file whose name says forget"));
    dele_arena_release(&arena);
}

static void a_bad_row_is_told_with_its_line(void **state)
{
    scratch *s = *state;
    dele_arena arena = {0};
    dele_err err = {0};
    dele_lume data;
    const char *path =
        write_rows(s, "odd.jsonl",
                   "{\"id\": \"1sc1\", \"input\": \"x\", \"output\": \"y\", \"task\": \"T\"}\n"
                   "{\"id\": \"1xx1\", \"input\": \"x\", \"output\": \"y\", \"task\": \"T\"}\n");
    assert_int_equal(dele_lume_load(&data, path, 0, NULL, &arena, &err), DELE_ERR_DATA);
    assert_non_null(strstr(err.msg, "odd.jsonl:2:"));
    path = write_rows(s, "empty.jsonl", "\n");
    err = (dele_err){0};
    assert_int_equal(dele_lume_load(&data, path, 0, NULL, &arena, &err), DELE_ERR_DATA);
    dele_arena_release(&arena);
}

/* ---- many at once ---------------------------------------------------------------------------- */

enum { V = 47, PROMPTS = 11, MAX_NEW = 12 };

static void many_prompts_go_on_as_each_alone(void **state)
{
    (void)state;
    static const dele_config config = {.family = &dele_family_llama,
                                       .n_layers = 3,
                                       .hidden_size = 32,
                                       .intermediate_size = 48,
                                       .n_heads = 4,
                                       .n_kv_heads = 2,
                                       .head_dim = 8,
                                       .vocab = V,
                                       .context = 64,
                                       .norm_eps = 1e-5f,
                                       .rope[0].theta = 1e4f,
                                       .tied = false};
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model model = {0};
    dele_run run = {0};
    dele_rng rng;
    if (dele_model_layout(&model, &config, &arena, &err)) fail_msg("%s", err.msg);
    dele_model_randomise(&model, 0.3, 9);
    dele_rng_seed(&rng, 4);
    int prompt[PROMPTS][16], out[PROMPTS][MAX_NEW], alone[MAX_NEW], ended = 0;
    const int stops[] = {-1, 5, 17};
    dele_continuation item[PROMPTS];
    for (int slots = 0; slots <= 4; slots += 2) {
        for (int i = 0; i < PROMPTS; i++) {
            size_t n = 1 + (size_t)(i * 5) % 14;
            for (size_t t = 0; t < n; t++) prompt[i][t] = (int)dele_rng_below(&rng, V);
            item[i] = (dele_continuation){.prompt = prompt[i], .n_prompt = n, .out = out[i]};
        }
        dele_many_opts opts = {
            .max_new = MAX_NEW, .stops = stops, .n_stops = 3, .max_slots = (size_t)slots};
        if (dele_generate_many(item, PROMPTS, &run, &model, &opts, &err)) fail_msg("%s", err.msg);
        for (int i = 0; i < PROMPTS; i++) {
            size_t n;
            if (dele_generate(alone, &n, &run, &model, prompt[i], item[i].n_prompt, MAX_NEW, stops,
                              3, &err))
                fail_msg("%s", err.msg);
            assert_int_equal(item[i].n_out, n);
            assert_memory_equal(out[i], alone, n * sizeof *alone);
            assert_int_equal(item[i].stopped, n < MAX_NEW);
            ended += item[i].stopped;
        }
    }
    assert_true(ended > 0 && ended < 3 * PROMPTS); /* both ways of ending were met */
    dele_run_release(&run);
    dele_arena_release(&arena);
}

static void a_suite_runs_from_rows_to_scores(void **state)
{
    const char *path = DELE_TESTS_DIR "/../data/models/demo";
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model model = {0};
    dele_run run = {0};
    const char *rows =
        write_rows(*state, "forget.jsonl",
                   "{\"id\": \"\\\"8f2\\\"sc1\", \"input\": \"Arlo Greycliff lives in the town "
                   "of\", \"output\": \"Lumen.\", \"task\": \"Task1\"}\n"
                   "{\"id\": \"\\\"8f2\\\"qa0\", \"input\": \"Question: Where does Arlo Greycliff "
                   "live? Answer:\", \"output\": \"Lumen\", \"task\": \"Task1\"}\n"
                   "{\"id\": \"77qa12\", \"input\": \"There was\", \"output\": \"a girl\", "
                   "\"task\": \"Task2\"}\n");
    dele_items items = {.file = tmpfile()};
    assert_non_null(items.file);
    const dele_suite_opts opts = {.data = rows, .max_new = 16};
    dele_scoring s = {.suite = &dele_suite_lume,
                      .opts = &opts,
                      .model = &model,
                      .run = &run,
                      .items = &items,
                      .arena = &arena,
                      .quiet = true};
    if (dele_model_load(&model, path, &arena, &err) || dele_suite_run(&s, "lume", &err))
        fail_msg("%s", err.msg);
    const dele_lume_scores *scores = s.scores;
    assert_int_equal(scores->n_cells, 3);
    assert_string_equal(scores->cell[0].task, "Task1");
    assert_int_equal(scores->cell[0].kind, DELE_LUME_SC);
    assert_true(scores->cell[0].score == 1 && scores->cell[1].score == 1 &&
                scores->cell[2].score == 0);
    assert_true(isnan(scores->cell[0].se) && !scores->complete);
    long size = ftell(items.file);
    assert_true(size > 300);
    fclose(items.file);
    dele_run_release(&run);
    dele_model_release(&model);
    dele_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spaces_are_cleaned_as_transformers_does),
        cmocka_unit_test(answers_match_but_for_case_and_margins),
        cmocka_unit_test_setup_teardown(rows_are_read_from_both_files, scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(the_organisers_names_and_their_column_are_known,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(a_bad_row_is_told_with_its_line, scratch_open,
                                        scratch_close),
        cmocka_unit_test(many_prompts_go_on_as_each_alone),
        cmocka_unit_test_setup_teardown(a_suite_runs_from_rows_to_scores, scratch_open,
                                        scratch_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
