/* One text after another: every place that puts an answer after a prompt gives the model the same
 * ids, and what is generated keeps its blank. */
#include "byte_tokenizer.h"
#include "experiments/attack/attack.h"
#include "model/facts.h"
#include "score/choices.h"
#include "score/generate_batch.h"
#include "score/suites/facts_suite.h"
#include "score/token_scores.h"
#include "scratch.h"
#include "table_model.h"
#include "text/continuation.h"
#include "trace/depth/depth.h"
#include "trace/run.h"
#include "trace/trace.h"
#include "unlearn/dataset.h"

typedef struct {
    scratch *dir;
    dele_arena arena;
    dele_model model;
    dele_run run;
    dele_err err;
    int bos, the, cat, eos;
} fixture;

static int open_spm(void **state)
{
    static fixture f;
    f = (fixture){0};
    void *dir;
    if (scratch_open(&dir)) return -1;
    f.dir = dir;
    table_model(&f.model, spm_tokenizer(&f.arena), 64, &f.arena);
    f.bos = 1, f.eos = 2;
    f.the = dele_token_id(f.model.tokenizer, "\u2581the");
    f.cat = dele_token_id(f.model.tokenizer, "\u2581cat");
    table_says(&f.model, f.the, f.cat);
    table_says(&f.model, f.cat, f.eos);
    *state = &f;
    return 0;
}

static int close_spm(void **state)
{
    fixture *f = *state;
    void *dir = f->dir;
    dele_run_release(&f->run);
    dele_model_release(&f->model);
    dele_arena_release(&f->arena);
    return scratch_close(&dir);
}

static void expect_ids(const int *ids, size_t n, const int *want, size_t n_want)
{
    assert_int_equal(n, n_want);
    for (size_t i = 0; i < n; i++) assert_int_equal(ids[i], want[i]);
}

static const char ROW[] = "{\"id\": \"a\", \"input\": \"the\", \"output\": \"cat\"}\n";

static void training_sees_the_answer_as_the_prompt_goes_on(void **state)
{
    fixture *f = *state;
    dele_dataset set = {0};
    const dele_dataset_options o = {.eos = true, .max_tokens = 64};
    if (dele_dataset_add(&set, scratch_text(f->dir, "row.jsonl", ROW), f->model.tokenizer, &o,
                         &f->arena, &f->err))
        fail_msg("%s", f->err.msg);
    const int want[] = {f->bos, f->the, f->cat, f->eos};
    expect_ids(set.row[0].ids, set.row[0].n, want, 4);
    assert_int_equal(set.row[0].first_label, 2);
}

static void attacks_ask_for_the_ids_that_training_saw_and_score_what_is_said(void **state)
{
    fixture *f = *state;
    attack_set set;
    attack_score score = {0};
    const attack_form_opts forms = {0};
    const char *rows = scratch_text(f->dir, "row.jsonl", ROW);
    if (attack_rows_load(&set, rows, 0, &f->arena, &f->err) ||
        attack_forms_make(&set, &forms, &f->model, &f->arena, &f->err))
        fail_msg("%s", f->err.msg);
    const int want[] = {f->bos, f->the, f->cat};
    expect_ids(set.form[0].ask[0].ids, (size_t)set.form[0].ask[0].n, want, 3);
    assert_int_equal(set.form[0].ask[0].first, 2);
    attack_pass pass = {.model = "unlearned", .form = &set.form[0], .score = &score};
    dele_items items = {0};
    const attack_score_opts o = {.max_new = 3, .items = &items};
    if (attack_pass_run(&pass, &set, &f->run, &f->model, &o, &f->err)) fail_msg("%s", f->err.msg);
    assert_true(score.of[ATTACK_EXACT] == 1 && score.of[ATTACK_CONTAINS] == 1 &&
                score.of[ATTACK_P] > .999);
}

static void depth_measures_the_ids_that_training_saw(void **state)
{
    fixture *f = *state;
    dele_depth depth;
    const dele_depth_opts o = DELE_DEPTH_DEFAULTS;
    const dele_model *const models[DELE_N_DEPTH_MODELS] = {&f->model, &f->model, &f->model};
    if (dele_depth_read(&depth, scratch_text(f->dir, "row.jsonl", ROW), models, &o, &f->arena,
                        &f->err))
        fail_msg("%s", f->err.msg);
    const int want[] = {f->bos, f->the, f->cat};
    assert_null(depth.rows[0].left_out);
    expect_ids(depth.rows[0].ids, (size_t)depth.rows[0].n_ids, want, 3);
    assert_int_equal(depth.rows[0].first, 2);
}

static void trace_and_the_facts_suite_take_the_same_answer(void **state)
{
    fixture *f = *state;
    dele_facts facts;
    dele_trace trace;
    dele_facts_scores scores;
    dele_facts_opts opts = {0};
    dele_trace_opts o = DELE_TRACE_DEFAULTS;
    o.kinds = "hidden", o.samples = 1, o.answer = DELE_ANSWER_GREEDY;
    const char *file = scratch_text(
        f->dir, "facts.jsonl",
        "{\"subject\": \"the\", \"prompt\": \"the\", \"attribute\": \"cat\", \"foil\": \"the\"}\n");
    if (dele_facts_load(&facts, file, &f->arena, &f->err) ||
        dele_trace_run(&trace, NULL, &f->model, &facts, &o, NULL, &f->arena, &f->err) ||
        dele_facts_score(&scores, &facts, &f->run, &f->model, &opts, &f->arena, &f->err))
        fail_msg("%s", f->err.msg);
    const dele_traced *traced = &trace.facts[0];
    if (traced->left_out) fail_msg("%s", traced->left_out);
    expect_ids(traced->grid.answer, (size_t)traced->grid.n_answer, &f->cat, 1);
    assert_int_equal(traced->grid.foil, f->the);
    assert_string_equal(traced->answer, " cat");
    assert_true(traced->grid.high[DELE_PROB] > .999);
    assert_true(scores.fact[0][DELE_FORM_PROMPT].p > .999 &&
                scores.fact[0][DELE_FORM_PROMPT].n_tokens == 1);
}

typedef struct {
    char text[64];
} heard;

static dele_status hear(void *data, size_t i, char *text, bool ended, dele_err *err)
{
    (void)i, (void)ended, (void)err;
    snprintf(((heard *)data)->text, sizeof((heard *)data)->text, "%s", text);
    return DELE_OK;
}

static void generated_text_keeps_the_blank_between_it_and_the_prompt(void **state)
{
    fixture *f = *state;
    const char *prompt = "the";
    heard h;
    const dele_generate_batch_opts o = {.max_new = 3, .on_output = hear, .data = &h};
    if (dele_generate_batch(&prompt, 1, &f->run, &f->model, &o, &f->err))
        fail_msg("%s", f->err.msg);
    assert_string_equal(h.text, " cat");
}

/* What one id says across the border is said by ids of either side. */
static void a_token_that_straddles_the_border_is_split_and_no_text_is_lost(void **state)
{
    fixture *f = *state;
    const dele_tokenizer *t = f->model.tokenizer;
    dele_continued_ids both;
    const char text[] = "thethe";
    if (dele_encode_continuation(&both, t, text, 6, 3, true, DELE_STRADDLE_SPLIT, &f->arena,
                                 &f->err))
        fail_msg("%s", f->err.msg);
    assert_string_equal(dele_decode(t, both.id, both.n, true, &f->arena, &f->err), text);
    assert_int_equal(both.first, 2);
    /* "▁th" + "e": the whole begins with ▁the */
    if (dele_encode_continuation(&both, t, "the", 3, 2, true, DELE_STRADDLE_SPLIT, &f->arena,
                                 &f->err))
        fail_msg("%s", f->err.msg);
    const int want[] = {f->bos, dele_token_id(t, "\u2581th"), dele_token_id(t, "e")};
    expect_ids(both.id, both.n, want, 3);
    /* the harness has nothing left of the answer */
    if (dele_encode_continuation(&both, t, "the", 3, 2, true, DELE_STRADDLE_LM_EVAL, &f->arena,
                                 &f->err))
        fail_msg("%s", f->err.msg);
    assert_int_equal(both.n, both.first);
}

static void a_reply_behind_a_line_break_begins_without_a_blank(void **state)
{
    fixture *f = *state;
    dele_continued_ids both;
    const dele_layout *layout;
    if (dele_chat_open(&layout, DELE_CHAT_OLMO, f->model.tokenizer, &f->arena, &f->err) ||
        dele_encode_answer(&both, f->model.tokenizer, layout, "the", "cat", false, &f->arena,
                           &f->err))
        fail_msg("%s", f->err.msg);
    assert_int_equal(both.n - both.first, 3); /* c, a, t */
    assert_int_equal(both.id[both.first], dele_token_id(f->model.tokenizer, "c"));
}

/* Bytes as tokens: " 1969" begins with a lone blank.  Both answers have the blank at p near 1. */
static void a_lone_blank_is_no_answer(void **state)
{
    scratch *s = *state;
    dele_arena arena = {0};
    dele_model model = {0};
    dele_run run = {0};
    dele_facts facts;
    dele_facts_scores scores;
    dele_facts_opts opts = {0};
    dele_err err = {0};
    dele_tokenizer *t = bytes_only(&arena);
    table_model(&model, t, 64, &arena);
    const int blank = dele_token_id(t, "\u0120");
    table_says(&model, dele_token_id(t, "r"), blank);
    table_says(&model, blank, dele_token_id(t, "1"));
    const char *file =
        scratch_text(s, "num.jsonl",
                     "{\"prompt\":\"year\",\"subject\":\"y\",\"attribute\":\"1\",\"foil\":\"5\"}\n"
                     "{\"prompt\":\"year\",\"subject\":\"y\",\"attribute\":\"5023\"}\n");
    if (dele_facts_load(&facts, file, &arena, &err) ||
        dele_facts_score(&scores, &facts, &run, &model, &opts, &arena, &err))
        fail_msg("%s", err.msg);
    const dele_facts_cell *all = &scores.cell[DELE_FACT_SPLIT_ALL][DELE_FORM_PROMPT];
    assert_true(all->top1 == .5);
    assert_true(scores.fact[0][0].p > .999 && scores.fact[0][0].rank == 1 &&
                scores.fact[0][0].n_blank == 1);
    assert_true(scores.fact[1][0].p < 1e-6 && scores.fact[1][0].rank > 1 &&
                scores.fact[1][0].top == dele_token_id(t, "1"));

    dele_trace trace; /* ROME's filter holds the model's next token against "1": it is the one
                         after the blank */
    dele_trace_opts o = DELE_TRACE_DEFAULTS;
    o.kinds = "hidden", o.samples = 1, o.limit = 1;
    facts.fact[1].id = 7;
    if (dele_trace_run(&trace, NULL, &model, &facts, &o, NULL, &arena, &err))
        fail_msg("%s", err.msg);
    if (trace.facts[0].left_out) fail_msg("%s", trace.facts[0].left_out);
    assert_int_equal(trace.facts[0].grid.n_tokens, 5);
    assert_int_equal(trace.facts[0].grid.foil, dele_token_id(t, "5"));
    dele_run_release(&run);
    dele_model_release(&model);
    dele_arena_release(&arena);
}

/* A character of two bytes, one in the prompt: what is added is the whole of it. */
static void a_character_cut_between_the_two_belongs_to_what_is_added(void **state)
{
    dele_arena arena = {0};
    dele_err err = {0};
    dele_tokenizer *t = bytes_only(&arena);
    dele_ids ids;
    (void)state;
    if (dele_encode(&ids, t, "a\u00e9b", 4, true, &arena, &err)) fail_msg("%s", err.msg);
    assert_string_equal(dele_decode_continuation(t, ids.id, 2, ids.id + 2, 2, true, &arena, &err),
                        "\u00e9b");
    assert_string_equal(dele_decode_continuation(t, ids.id, 3, ids.id + 3, 1, true, &arena, &err),
                        "b");
    assert_string_equal(dele_decode_continuation(t, ids.id, 4, NULL, 0, true, &arena, &err), "");
    dele_tokenizer_close(t);
    dele_arena_release(&arena);
}

/* A text of the program ends at a zero byte: what a model says after one is not lost. */
static void what_is_said_behind_a_zero_byte_is_kept(void **state)
{
    dele_arena arena = {0};
    dele_err err = {0};
    dele_tokenizer *t = bytes_only(&arena);
    dele_ids ids;
    size_t n;
    (void)state;
    if (dele_encode(&ids, t, "a\0b\0", 4, true, &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(ids.n, 4);
    assert_string_equal(dele_decode(t, ids.id, 4, true, &arena, &err), "a\uFFFDb\uFFFD");
    assert_string_equal(dele_decode_continuation(t, ids.id, 1, ids.id + 1, 2, true, &arena, &err),
                        "\uFFFDb");
    assert_memory_equal(dele_decode_bytes(&n, t, ids.id, 4, true, &arena, &err), "a\0b\0", 4);
    assert_int_equal(n, 4);
    dele_tokenizer_close(t);
    dele_arena_release(&arena);
}

/* Longer than the context with its answer: left out and counted, not cut. */
static void prompts_longer_than_the_context_are_left_out_of_the_facts_suite(void **state)
{
    fixture *f = *state;
    dele_facts facts;
    dele_facts_scores scores;
    dele_facts_opts opts = {0};
    char text[800] = "{\"subject\": \"the\", \"attribute\": \"cat\", \"prompt\": \"the";
    for (int i = 0; i < 70; i++) strcat(text, " the");
    strcat(text, "\"}\n{\"subject\": \"the\", \"attribute\": \"cat\", \"prompt\": \"the\"}\n");
    if (dele_facts_load(&facts, scratch_text(f->dir, "facts.jsonl", text), &f->arena, &f->err) ||
        dele_facts_score(&scores, &facts, &f->run, &f->model, &opts, &f->arena, &f->err))
        fail_msg("%s", f->err.msg);
    assert_int_equal(scores.n_too_long, 1);
    assert_int_equal(scores.cell[DELE_FACT_SPLIT_ALL][DELE_FORM_PROMPT].n, 1);
    assert_int_equal(scores.fact[0][DELE_FORM_PROMPT].n_tokens, 0);
}

static void what_is_cut_at_the_context_says_so(void **state)
{
    fixture *f = *state;
    const dele_tokenizer *t = f->model.tokenizer;
    dele_choice c;
    dele_scored_text text;
    if (dele_choice_encode(&c, t, "the the the", " cat", 4, &f->arena, &f->err))
        fail_msg("%s", f->err.msg);
    assert_true(!c.cut && c.n == 5);
    if (dele_choice_encode(&c, t, "the the the", " cat", 2, &f->arena, &f->err))
        fail_msg("%s", f->err.msg);
    assert_true(c.cut && c.n == 3 && c.n_scored == 1);
    char long_text[400] = "the";
    for (int i = 0; i < 70; i++) strcat(long_text, " the");
    if (dele_scored_text_encode(&text, &f->model, long_text, &f->arena, &f->err))
        fail_msg("%s", f->err.msg);
    assert_true(text.cut && text.n == 64);
    if (dele_scored_text_encode(&text, &f->model, "the cat", &f->arena, &f->err))
        fail_msg("%s", f->err.msg);
    assert_false(text.cut);
}

int main(void)
{
#define SPM(test) cmocka_unit_test_setup_teardown(test, open_spm, close_spm)
    const struct CMUnitTest tests[] = {
        SPM(training_sees_the_answer_as_the_prompt_goes_on),
        SPM(attacks_ask_for_the_ids_that_training_saw_and_score_what_is_said),
        SPM(depth_measures_the_ids_that_training_saw),
        SPM(trace_and_the_facts_suite_take_the_same_answer),
        SPM(generated_text_keeps_the_blank_between_it_and_the_prompt),
        SPM(a_token_that_straddles_the_border_is_split_and_no_text_is_lost),
        SPM(a_reply_behind_a_line_break_begins_without_a_blank),
        SPM(prompts_longer_than_the_context_are_left_out_of_the_facts_suite),
        SPM(what_is_cut_at_the_context_says_so),
        cmocka_unit_test_setup_teardown(a_lone_blank_is_no_answer, scratch_open, scratch_close),
        cmocka_unit_test(a_character_cut_between_the_two_belongs_to_what_is_added),
        cmocka_unit_test(what_is_said_behind_a_zero_byte_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
