/* MMLU: prompts byte for byte lm_eval's (fixtures made by reference/mmlu_prompts.py), means by
 * hand, and the engine of shared prefixes against a plain forward pass of every choice. */
#include "claims.h"

#include "base/json.h"
#include "base/random.h"
#include "base/stat.h"
#include "score/choices.h"
#include "score/report.h"
#include "score/suites/mmlu.h"
#include "tests/scratch.h"

#define FIXTURES DELE_TESTS_DIR "/fixtures/score"

/* ---- texts ----------------------------------------------------------------------------------- */

static const dele_mmlu_subject *subject_of(const dele_mmlu *data, const char *name)
{
    for (size_t i = 0; i < data->n_subjects; i++)
        if (strcmp(data->subject[i].name, name) == 0) return &data->subject[i];
    fail_msg("no subject %s", name);
    return NULL;
}

static void prompts_are_those_of_the_harness(void **state)
{
    (void)state;
    dele_arena arena = {0};
    dele_err err = {0};
    dele_mmlu data;
    dele_records r = {0};
    if (dele_mmlu_load(&data, FIXTURES "/mmlu", "val", NULL, 3, 0, &arena, &err) ||
        dele_records_open(&r, FIXTURES "/mmlu_prompts.jsonl", &err))
        fail_msg("%s", err.msg);
    int n = 0;
    for (const cJSON *row; (row = dele_records_next(&r, &err)); n++) {
        const dele_mmlu_subject *s =
            subject_of(&data, dele_record_string(&r, row, "subject", &err));
        const dele_mmlu_item *item = &s->item[cJSON_GetObjectItem(row, "index")->valueint];
        dele_mmlu_style style;
        assert_int_equal(
            dele_mmlu_parse_style(&style, dele_record_string(&r, row, "style", &err), &err),
            DELE_OK);
        int shots = cJSON_GetObjectItem(row, "shots")->valueint;
        assert_string_equal(dele_mmlu_context(s, item, style, shots, &arena, &err),
                            dele_record_string(&r, row, "context", &err));
        const cJSON *continuations = cJSON_GetObjectItem(row, "continuations");
        for (int c = 0; c < DELE_MMLU_CHOICES; c++)
            assert_string_equal(dele_mmlu_continuation(item, c, style, &arena, &err),
                                cJSON_GetArrayItem(continuations, c)->valuestring);
    }
    assert_int_equal(err.code, DELE_OK);
    assert_int_equal(n, 16);
    dele_records_close(&r);
    dele_arena_release(&arena);
}

static void quoted_line_breaks_and_padding_survive_reading(void **state)
{
    (void)state;
    dele_arena arena = {0};
    dele_err err = {0};
    dele_mmlu data;
    if (dele_mmlu_load(&data, FIXTURES "/mmlu", "val", "virology", 0, 0, &arena, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(data.n_subjects, 1);
    assert_int_equal(data.n_items, 2);
    const dele_mmlu_item *item = &data.subject[0].item[0];
    assert_string_equal(item->question,
                        "The line\nbreaks here\r\nand a CR\rthere"); /* U+00A0 is white space too */
    assert_string_equal(item->choice[0], "  padded  ");
    assert_string_equal(item->choice[1], "None");
    assert_int_equal(item->answer, 2);
    assert_int_equal(data.subject[0].group, DELE_MMLU_OTHER);
    dele_arena_release(&arena);
}

static void bad_data_is_told_where(void **state)
{
    dele_arena arena = {0};
    dele_mmlu data;
    const char *dir = ((scratch *)*state)->dir;
    char path[512];
    snprintf(path, sizeof path, "mkdir -p %s/val", dir);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof path, "%s/val/anatomy_val.csv", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("q,a,b,c,d,A\n\"two\nlines\",a,b,c,d,B\nq,a,b,c,d,E\n", file);
    fclose(file);

    dele_err err = {0};
    assert_int_equal(dele_mmlu_load(&data, dir, "val", NULL, 0, 0, &arena, &err), DELE_ERR_FORMAT);
    assert_non_null(strstr(err.msg, "anatomy_val.csv:4:"));
    err = (dele_err){0};
    assert_int_equal(dele_mmlu_load(&data, dir, "val", "anatomy,anatomie", 0, 0, &arena, &err),
                     DELE_ERR_USAGE);
    err = (dele_err){0};
    assert_int_equal(dele_mmlu_load(&data, dir, "test", NULL, 0, 0, &arena, &err), DELE_ERR_FILE);
    err = (dele_err){0};
    assert_true(dele_mmlu_load(&data, dir, "val", NULL, 2, 2, &arena, &err) !=
                DELE_OK); /* no dev file */
    dele_arena_release(&arena);
}

/* ---- means ----------------------------------------------------------------------------------- */

static void a_subjects_error_is_that_of_its_sample(void **state)
{
    (void)state;
    const unsigned char right[] = {1, 0, 0, 1, 1}, norm[] = {1, 1, 1, 1, 1};
    dele_accuracy s = dele_accuracy_mean(right, norm, 5);
    double sum = 0;
    for (int i = 0; i < 5; i++) sum += (right[i] - 0.6) * (right[i] - 0.6);
    assert_true(fabs(s.acc - 0.6) < 1e-15 && fabs(s.acc_se - sqrt(sum / 4) / sqrt(5)) < 1e-15);
    assert_true(s.acc_norm == 1 && s.acc_norm_se == 0);
    assert_true(isnan(dele_accuracy_mean(right, norm, 1).acc_se));
}

/* All right: the standard error is 0, the interval is not. */
static void accuracies_that_are_all_right_have_an_interval_and_few_have_none(void **state)
{
    (void)state;
    const unsigned char right[5] = {1, 1, 1, 1, 1};
    for (size_t n = 4; n <= 5; n++) {
        const dele_accuracy a = dele_accuracy_mean(right, right, n), two[] = {a, a},
                            macro = dele_accuracy_macro(two, 2);
        cJSON *json = dele_accuracy_json(&a, true), *both = dele_accuracy_json(&macro, false);
        char *printed = cJSON_Print(json),
             *printed_both = cJSON_Print(both); /* numbers are raw until they are read */
        cJSON_Delete(json);
        cJSON_Delete(both);
        json = cJSON_Parse(printed), both = cJSON_Parse(printed_both);
        cJSON_free(printed);
        cJSON_free(printed_both);
        const cJSON *interval = cJSON_GetObjectItem(json, "acc_norm_interval");
        assert_int_equal(cJSON_IsNull(interval), n < 5);
        assert_int_equal(cJSON_HasObjectItem(json, "acc_interval_note"), n < 5);
        if (n == 5)
            assert_true(fabs(cJSON_GetArrayItem(interval, 0)->valuedouble - .565518) <
                        1e-6); /* scipy's, 5 of 5 */
        /* two subjects of n are as sure as 2 n questions */
        const double low =
            cJSON_GetArrayItem(cJSON_GetObjectItem(both, "acc_interval"), 0)->valuedouble;
        assert_true(fabs(low - dele_proportion_interval(1, 2. * (double)n, .95).low) < 1e-12);
        cJSON_Delete(json);
        cJSON_Delete(both);
    }
}

static void groups_pool_as_the_harness_does(void **state)
{
    (void)state;
    const dele_accuracy s[] = {
        {100, .5, .05, .5, .05, 100}, {20, .25, .1, .25, .1, 20}, {350, .8, .02, .8, .02, 350}};
    dele_accuracy all = dele_accuracy_pool(s, 3), macro = dele_accuracy_macro(s, 3);
    double variance =
        (99 * .05 * .05 * 100 + 19 * .1 * .1 * 20 + 349 * .02 * .02 * 350) / (470 - 3);
    assert_int_equal(all.n, 470);
    assert_true(fabs(all.acc - (50 + 5 + 280) / 470.) < 1e-12 &&
                fabs(all.acc_se - sqrt(variance / 470)) < 1e-12);
    assert_true(fabs(macro.acc - 1.55 / 3) < 1e-12 &&
                fabs(macro.acc_se - sqrt(.05 * .05 + .01 + .0004) / 3) < 1e-12);
    assert_true(fabs(dele_accuracy_pool(s, 1).acc_se - .05) <
                1e-12); /* a group of one is that one */
}

/* ---- the engine of shared prefixes ----------------------------------------------------------- */

enum { V = 61, QUESTIONS = 7, CHOICES = 4, LONGEST = 40 };

typedef struct {
    dele_arena arena;
    dele_model model;
    dele_run run;
    dele_rng rng;
    int ids[QUESTIONS][CHOICES][LONGEST];
    dele_choice choice[QUESTIONS][CHOICES];
    dele_question question[QUESTIONS];
} engine;

static int any_id(engine *e) { return (int)dele_rng_below(&e->rng, V); }

/* shape 0: letters (one token each); 1: texts of different lengths; 2: texts that begin alike, two
 * the same; 3: nothing shared at all, as when a context is cut from the left. */
static void make_question(engine *e, int q, int shape, int n_prefix)
{
    int n_context = n_prefix + 3 + q;
    int context[LONGEST];
    for (int i = 0; i < n_context; i++) context[i] = i < n_prefix ? (i * 7 + 3) % V : any_id(e);
    int alike = any_id(e);
    for (int c = 0; c < CHOICES; c++) {
        int n_scored = shape == 0             ? 1
                       : shape == 2 && c == 3 ? 3
                                              : 1 + (c * 5 + q) % 6,
            *ids = e->ids[q][c];
        for (int i = 0; i < n_context + n_scored; i++)
            ids[i] = i < n_context && shape != 3 ? context[i] : any_id(e);
        if (shape == 2) ids[n_context] = alike;
        if (shape == 2 && c == 3)
            n_scored = e->choice[q][2].n_scored, memcpy(ids, e->ids[q][2], sizeof e->ids[q][2]);
        e->choice[q][c] =
            (dele_choice){.ids = ids, .n = n_context + n_scored, .n_scored = n_scored};
    }
    e->question[q] = (dele_question){e->choice[q], CHOICES};
}

static void open_engine(engine *e)
{
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
                                       .tied = true};
    dele_err err = {0};
    *e = (engine){0};
    if (dele_model_layout(&e->model, &config, &e->arena, &err)) fail_msg("%s", err.msg);
    dele_model_randomise(&e->model, 0.2, 5);
    dele_rng_seed(&e->rng, 11);
}

static void close_engine(engine *e)
{
    dele_run_release(&e->run);
    dele_arena_release(&e->arena);
}

/* Every choice by itself, whole. */
static double plainly(engine *e, const dele_choice *c, double *first)
{
    dele_err err = {0};
    int output_rows[LONGEST];
    double logp[LONGEST], sum = 0;
    for (int i = 0; i < c->n_scored; i++) output_rows[i] = c->n - c->n_scored - 1 + i;
    dele_segment segment = {.tokens = c->ids, .n_rows = c->n - 1};
    dele_batch batch = {.segments = &segment,
                        .n_segments = 1,
                        .output_rows = output_rows,
                        .n_output_rows = (size_t)c->n_scored};
    if (dele_forward(&e->run, &e->model, &batch, &err) ||
        dele_logprobs(logp, NULL, &e->run, &e->model, e->run.final, c->ids + c->n - c->n_scored,
                      batch.n_output_rows, &err))
        fail_msg("%s", err.msg);
    for (int i = 0; i < c->n_scored; i++) sum += logp[i];
    *first = logp[0];
    return sum;
}

static void check_shape(const int *shapes, int n_prefix, size_t max_rows)
{
    engine e;
    open_engine(&e);
    for (int q = 0; q < QUESTIONS; q++) make_question(&e, q, shapes[q], n_prefix);
    dele_err err = {0};
    if (dele_choices_score(e.question, QUESTIONS, &e.run, &e.model,
                           &(dele_choices_opts){.max_rows = max_rows}, &err))
        fail_msg("%s", err.msg);
    for (int q = 0; q < QUESTIONS; q++)
        for (int c = 0; c < CHOICES; c++) {
            double first, expected = plainly(&e, &e.choice[q][c], &first),
                          got = e.choice[q][c].logp;
            if (fabs(got - expected) > 2e-5 || fabs(e.choice[q][c].first_logp - first) > 2e-5)
                fail_msg("question %d (shape %d), choice %d: %g, plainly %g", q, shapes[q], c, got,
                         expected);
            assert_true(e.choice[q][c].first_rank >= 1 && e.choice[q][c].first_rank <= V);
            const dele_choice *scored = &e.choice[q][c];
            assert_int_equal(scored->first_rank == 1,
                             scored->first_top == scored->ids[scored->n - scored->n_scored]);
        }
    close_engine(&e);
}

static void shared_prefixes_change_nothing(void **state)
{
    (void)state;
    static const int letters[QUESTIONS] = {0}, texts[QUESTIONS] = {1, 1, 1, 1, 1, 1, 1};
    static const int mixed[QUESTIONS] = {1, 2, 0, 3, 2, 1, 0},
                     odd_first[QUESTIONS] = {3, 1, 2, 0, 1, 3, 1};
    const int *shapes[] = {letters, texts, mixed, odd_first};
    for (int s = 0; s < 4; s++)
        for (int n_prefix = 0; n_prefix <= 12; n_prefix += 6)
            for (size_t rows = 0; rows <= 24; rows += 12)
                check_shape(shapes[s], n_prefix, rows ? rows : 0);
}

static void a_shared_prefix_is_computed_once(void **state)
{
    (void)state;
    engine e;
    open_engine(&e);
    for (int q = 0; q < QUESTIONS; q++) make_question(&e, q, 0, 12);
    dele_err err = {0};
    if (dele_choices_score(e.question, QUESTIONS, &e.run, &e.model, &(dele_choices_opts){0}, &err))
        fail_msg("%s", err.msg);
    double rows = 12; /* the prefix, then each question's 3 + q; letters cost no row of their own */
    for (int q = 0; q < QUESTIONS; q++) rows += 3 + q;
    assert_true(e.run.row_layers <= rows * e.model.config.n_layers);
    close_engine(&e);
}

static void a_long_context_loses_its_beginning(void **state)
{
    (void)state;
    const char *path = DELE_TESTS_DIR "/../data/models/demo/tokenizer.json";
    dele_arena arena = {0};
    dele_err err = {0};
    dele_choice whole, cut;
    dele_tokenizer *t = dele_tokenizer_load(path, &arena, &err);
    const char *context = "Once upon a time there was a little girl";
    if (!t || dele_choice_encode(&whole, t, context, " who sang", 512, &arena, &err) ||
        dele_choice_encode(&cut, t, context, " who sang", 6, &arena, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(cut.n, 7); /* the model reads six, the seventh is only scored */
    assert_int_equal(cut.n_scored, whole.n_scored);
    assert_memory_equal(cut.ids, whole.ids + whole.n - 7, 7 * sizeof *cut.ids);
    dele_tokenizer_close(t);
    dele_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_are_those_of_the_harness),
        cmocka_unit_test(quoted_line_breaks_and_padding_survive_reading),
        cmocka_unit_test_setup_teardown(bad_data_is_told_where, scratch_open, scratch_close),
        cmocka_unit_test(a_subjects_error_is_that_of_its_sample),
        cmocka_unit_test(accuracies_that_are_all_right_have_an_interval_and_few_have_none),
        cmocka_unit_test(groups_pool_as_the_harness_does),
        cmocka_unit_test(shared_prefixes_change_nothing),
        cmocka_unit_test(a_shared_prefix_is_computed_once),
        cmocka_unit_test(a_long_context_loses_its_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
