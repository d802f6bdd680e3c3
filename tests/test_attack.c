/* What comes back, from scores made by hand; and the ways of asking, on the embedded model's
 * rows. */
#include "model_files.h"

#include "experiments/attack/attack.h"
#include "scratch.h"

#define DEMO DELE_TESTS_DIR "/../data/models/demo"
#define FORGET DELE_TESTS_DIR "/../data/demo/forget.jsonl"
#define TEMPLATES DELE_TESTS_DIR "/../data/attacks/templates.jsonl"

static dele_arena arena;
static dele_err err;

static int fresh(void **state)
{
    err = (dele_err){0};
    return scratch_open(state);
}

/* ---- shares ---------------------------------------------------------------------------------- */

enum { N = 40 };

typedef struct {
    attack_score before[N], unlearned[N], attacked[N], never[N];
} scores;

static attack_summary summarise(const scores *s, bool before, bool never)
{
    attack_summary out;
    const attack_outcome o = {.attack = "quantise",
                              .variant = "q4_0",
                              .n = N,
                              .before = before ? s->before : NULL,
                              .never = never ? s->never : NULL,
                              .unlearned = s->unlearned,
                              .attacked = s->attacked};
    if (attack_summarise(&out, &o, ATTACK_P, 500, 1, &err)) fail_msg("%s", err.msg);
    return out;
}

static void recovery_is_the_fraction_of_the_forgotten_that_the_attack_brought_back(void **state)
{
    (void)state;
    scores s = {0};
    for (int i = 0; i < N; i++) {
        s.before[i].of[ATTACK_P] = 0.9;
        s.unlearned[i].of[ATTACK_P] = 0.1;
        s.attacked[i].of[ATTACK_P] = i % 4 == 0 ? 0.9 : 0.1;
    }
    attack_summary x = summarise(&s, true, false);
    assert_true(fabs(x.recovery.share - 0.25) < 1e-12);
    assert_null(x.recovery.why);
    assert_true(x.recovery.ci.low > 0.05 && x.recovery.ci.low < 0.25);
    assert_true(x.recovery.ci.high < 0.5 && x.recovery.ci.high > 0.25);
    assert_true(fabs(x.change - 0.2) < 1e-12);
    assert_true(isnan(x.recovery_above_never_trained.share) && isnan(x.never));
}

/* Nine rows forgotten, none of which comes back: not "between 0 and 0", and of four rows nothing is
 * said. */
static void rows_that_are_all_alike_leave_no_point_and_few_leave_no_interval(void **state)
{
    (void)state;
    for (size_t n = 4; n <= 9; n += 5)
        for (int back = 0; back < 2; back++) {
            scores s = {0};
            for (int i = 0; i < N; i++)
                s.before[i].of[ATTACK_EXACT] = 1, s.attacked[i].of[ATTACK_EXACT] = back;
            const attack_outcome o = {.attack = "prefix",
                                      .variant = "50",
                                      .n = n,
                                      .before = s.before,
                                      .unlearned = s.unlearned,
                                      .attacked = s.attacked};
            attack_summary x;
            if (attack_summarise(&x, &o, ATTACK_EXACT, 500, 1, &err)) fail_msg("%s", err.msg);
            assert_true(x.recovery.share == back && !x.recovery.why);
            const dele_interval all[] = {x.attacked_ci, x.change_ci, x.recovery.ci};
            for (int k = 0; k < 3; k++) {
                assert_int_equal(dele_interval_known(all[k]), n >= 5);
                if (n >= 5)
                    assert_true(all[k].low <= back && all[k].high >= back &&
                                all[k].high - all[k].low > .25);
            }
            attack_summary every[ATTACK_N_MEASURES] = {0};
            every[ATTACK_EXACT] = x;
            cJSON *json = attack_outcomes_json(&o, every, 1);
            const cJSON *exact = cJSON_GetObjectItem(cJSON_GetArrayItem(json, 0), "exact_match");
            assert_int_equal(cJSON_HasObjectItem(exact, "recovery_interval_note"), n < 5);
            cJSON_Delete(json);
        }
}

static void an_attack_that_makes_it_worse_brings_back_less_than_nothing(void **state)
{
    (void)state;
    scores s = {0};
    for (int i = 0; i < N; i++) s.before[i].of[ATTACK_P] = 1, s.unlearned[i].of[ATTACK_P] = 0.5;
    attack_summary x = summarise(&s, true, false);
    assert_true(fabs(x.recovery.share + 1) < 1e-12);
}

static void where_nothing_was_forgotten_nothing_is_divided_by_zero_and_it_is_said(void **state)
{
    (void)state;
    scores s = {0};
    for (int i = 0; i < N; i++) {
        s.before[i].of[ATTACK_P] = s.unlearned[i].of[ATTACK_P] = 0.5 + 0.01 * i;
        s.attacked[i].of[ATTACK_P] = 1;
    }
    attack_summary x = summarise(&s, true, false);
    assert_true(isnan(x.recovery.share) && isnan(x.recovery.ci.low));
    assert_non_null(strstr(x.recovery.why, "nothing to recover"));
    x = summarise(&s, false, false);
    assert_true(isnan(x.recovery.share) && isnan(x.before));
    assert_non_null(strstr(x.recovery.why, "--before"));
    assert_true(fabs(x.attacked - 1) < 1e-12); /* what can be told is told */
    s.before[0].of[ATTACK_P] =
        2; /* one row alone: a height that one draw of rows in three does not have */
    x = summarise(&s, true, false);
    assert_true(isnan(x.recovery.share));
}

static void what_any_model_says_is_not_counted_beyond_the_one_that_never_saw_the_rows(void **state)
{
    (void)state;
    scores s = {0};
    for (int i = 0; i < N; i++) {
        s.before[i].of[ATTACK_P] = 1;
        s.never[i].of[ATTACK_P] = s.attacked[i].of[ATTACK_P] = 0.8; /* a prefix gives it away */
    }
    attack_summary x = summarise(&s, true, true);
    assert_true(fabs(x.recovery.share - 0.8) < 1e-12);
    assert_true(fabs(x.recovery_above_never_trained.share) < 1e-12);
    for (int i = 0; i < N; i++) s.attacked[i].of[ATTACK_P] = 0.9;
    assert_true(fabs(summarise(&s, true, true).recovery_above_never_trained.share - 0.5) < 1e-9);
}

/* ---- forms ----------------------------------------------------------------------------------- */

typedef struct {
    dele_model model;
    attack_set set;
} asked;

static void ask(asked *a, const char *rows, const attack_form_opts *o)
{
    if (dele_model_load(&a->model, DEMO, &arena, &err) ||
        attack_rows_load(&a->set, rows, 0, &arena, &err) ||
        attack_forms_make(&a->set, o, &a->model, &arena, &err))
        fail_msg("%s", err.msg);
}

static char *text_of(const asked *a, const int *ids, int n)
{
    return dele_decode(a->model.tokenizer, ids, (size_t)n, false, &arena, &err);
}

static const attack_form *form_of(const asked *a, const char *name)
{
    for (size_t f = 0; f < a->set.n_forms; f++)
        if (!strcmp(a->set.form[f].name, name)) return &a->set.form[f];
    fail_msg("no form %s", name);
    return NULL;
}

static void every_template_holds_the_prompt_and_asks_for_the_same_answer(void **state)
{
    (void)state;
    asked a;
    const attack_form_opts o = {.templates = TEMPLATES};
    ask(&a, FORGET, &o);
    assert_int_equal(a.set.n, 80);
    assert_true(a.set.n_forms > 5);
    for (size_t f = 0; f < a.set.n_forms; f++)
        for (size_t i = 0; i < a.set.n; i++) {
            const attack_ask *plain = &a.set.form[0].ask[i], *x = &a.set.form[f].ask[i];
            assert_int_equal(x->row, i);
            assert_non_null(strstr(text_of(&a, x->ids, x->first), a.set.row[i].prompt));
            assert_int_equal(x->n - x->first, plain->n - plain->first);
            assert_memory_equal(x->ids + x->first, plain->ids + plain->first,
                                (size_t)(x->n - x->first) * sizeof(int));
        }
    dele_model_release(&a.model);
}

static const char LONG_ROWS[] =
    "{\"id\": \"a\", \"input\": \"Gorm Ashgrove\", \"output\": \"lives in the town of Tovik.\"}\n"
    "{\"id\": \"b\", \"input\": \"Gorm Ashgrove works as a\", \"output\": \"tailor.\"}\n"
    "{\"id\": \"c\", \"input\": \"Question: Where does Gorm Ashgrove live? Answer:\", \"output\": "
    "\"Tovik\"}\n"
    "{\"id\": \"d\", \"input\": \"Letters to\", \"output\": \"Gorm Ashgrove are sent to "
    "Tovik.\"}\n";

static void a_prefix_and_its_rest_are_the_answer_and_both_hold_something(void **state)
{
    scratch *s = *state;
    asked a;
    const attack_form_opts o = {.prefixes = "1,50,99"};
    ask(&a, scratch_text(s, "rows.jsonl", LONG_ROWS), &o);
    assert_int_equal(a.set.n_forms, 3); /* of 99 % a full stop is left, and no row has that form */
    for (size_t f = 1; f < a.set.n_forms; f++)
        for (size_t i = 0; i < a.set.form[f].n; i++) {
            const attack_ask *x = &a.set.form[f].ask[i], *plain = &a.set.form[0].ask[x->row];
            assert_true(x->ids == plain->ids && x->n == plain->n);
            assert_true(x->first > plain->first && x->first < x->n);
            assert_string_equal(x->target, text_of(&a, x->ids + x->first, x->n - x->first));
        }
    /* "tailor" + "." leaves no word, "Tovik" no rest */
    assert_int_equal(form_of(&a, "1 %")->n, 2);
    assert_int_equal(form_of(&a, "1 %")->ask[1].row, 3);
    assert_int_equal(form_of(&a, "50 %")->n, 2);
    dele_model_release(&a.model);
}

static void paraphrases_find_their_rows_and_the_second_of_a_row_is_another_form(void **state)
{
    scratch *s = *state;
    asked a;
    const char *rows = scratch_text(s, "rows.jsonl", LONG_ROWS);
    const char *file =
        scratch_text(s, "para.jsonl",
                     "{\"id\": \"b\", \"input\": \"The profession of Gorm is that of a\"}\n"
                     "{\"id\": \"b\", \"input\": \"Gorm earns bread as a\"}\n"
                     "{\"id\": \"a\", \"input\": \"That Gorm\"}\n"
                     "{\"id\": \"z\", \"input\": \"of a row that --limit left out\"}\n");
    const attack_form_opts o = {.paraphrases = file};
    ask(&a, rows, &o);
    assert_int_equal(a.set.n_forms, 3);
    assert_int_equal(form_of(&a, "paraphrase 1")->n, 2);
    assert_int_equal(form_of(&a, "paraphrase 1")->ask[0].row, 0);
    assert_int_equal(form_of(&a, "paraphrase 2")->n, 1);
    assert_string_equal(text_of(&a, form_of(&a, "paraphrase 2")->ask[0].ids,
                                form_of(&a, "paraphrase 2")->ask[0].first),
                        "Gorm earns bread as a");
    dele_model_release(&a.model);
}

static void what_cannot_be_asked_is_refused_with_its_line(void **state)
{
    scratch *s = *state;
    static const struct {
        const char *templates, *paraphrases, *prefixes, *words;
    } cases[] = {
        {"{\"name\": \"x\", \"template\": \"no hole\"}", NULL, NULL,
         "t.jsonl:1: the template has no {input}"},
        {"{\"name\": \"plain\", \"template\": \"{input}\"}", NULL, NULL, "is used already"},
        {"\n", NULL, NULL, "holds no template"},
        {NULL, "{\"input\": \"x\"}", NULL, "p.jsonl:1: a paraphrase needs the \"id\""},
        {NULL, "{\"id\": \"nobody\", \"input\": \"x\"}", NULL, "no paraphrase has the id"},
        {NULL, NULL, "25,100", "\"100\" is not a percentage"},
        {NULL, NULL, "half", "\"half\" is not a percentage"}};
    dele_model model;
    attack_set set;
    if (dele_model_load(&model, DEMO, &arena, &err)) fail_msg("%s", err.msg);
    const char *rows = dele_strdup(&arena, scratch_text(s, "rows.jsonl", LONG_ROWS), &err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err = (dele_err){0};
        const attack_form_opts o = {
            .templates = cases[i].templates ? scratch_text(s, "t.jsonl", cases[i].templates) : NULL,
            .paraphrases =
                cases[i].paraphrases ? scratch_text(s, "p.jsonl", cases[i].paraphrases) : NULL,
            .prefixes = cases[i].prefixes};
        if (attack_rows_load(&set, rows, 0, &arena, &err)) fail_msg("%s", err.msg);
        assert_true(attack_forms_make(&set, &o, &model, &arena, &err) != DELE_OK);
        if (!strstr(err.msg, cases[i].words))
            fail_msg("\"%s\" does not say \"%s\"", err.msg, cases[i].words);
    }
    dele_model_release(&model);
}

/* ---- passes ---------------------------------------------------------------------------------- */

static void an_answer_is_exact_just_where_greedy_continuation_says_it(void **state)
{
    scratch *s = *state;
    asked a;
    dele_items items;
    dele_run run = {0};
    const attack_form_opts plain = {0};
    const attack_score_opts o = {.max_new = 12, .items = &items};
    ask(&a, FORGET, &plain);
    /* half of the answers are made wrong */
    for (size_t i = 0; i < a.set.n; i += 2) a.set.row[i].output = "Nowhere";
    if (attack_forms_make(&a.set, &plain, &a.model, &arena, &err)) fail_msg("%s", err.msg);
    attack_pass pass = {.model = "before",
                        .form = &a.set.form[0],
                        .score = DELE_NEW(&arena, attack_score, a.set.n, &err)};
    if (dele_items_open(&items, scratch_path(s, "items.jsonl"), &err) ||
        attack_pass_run(&pass, &a.set, &run, &a.model, &o, &err) || dele_items_close(&items, &err))
        fail_msg("%s", err.msg);
    dele_records r = {0};
    dele_records_open(&r, scratch_path(s, "items.jsonl"), &err);
    for (size_t i = 0; i < a.set.n; i++) {
        const cJSON *line = dele_records_next(&r, &err);
        const char *said = dele_record_string(&r, line, "generated", &err),
                   *output = a.set.row[i].output;
        while (said && *said == ' ') said++;
        const bool begins = said && !strncmp(said, output, strlen(output));
        assert_int_equal(pass.score[i].of[ATTACK_EXACT], begins);
        assert_int_equal(pass.score[i].of[ATTACK_EXACT], i % 2);
        assert_int_equal(pass.score[i].of[ATTACK_CONTAINS], i % 2);
        assert_true(i % 2 ? pass.score[i].of[ATTACK_P] > 0.5 : pass.score[i].of[ATTACK_P] < 0.01);
        assert_true(i % 2 ? pass.score[i].of[ATTACK_ROUGE] == 1
                          : pass.score[i].of[ATTACK_ROUGE] == 0);
    }
    dele_records_close(&r);
    /* read back, the pass stands, with the same scores */
    attack_score *again = DELE_NEW(&arena, attack_score, a.set.n, &err);
    attack_pass known = {.model = "before", .form = &a.set.form[0], .score = again};
    assert_int_equal(dele_items_open(&items, scratch_path(s, "items.jsonl"), &err), DELE_OK);
    assert_true(attack_pass_done(&known, &a.set, &items, &err));
    assert_memory_equal(again, pass.score, a.set.n * sizeof *again);
    /* a line is held against its row: the second is not the first row's */
    known.first = 1;
    assert_false(attack_pass_done(&known, &a.set, &items, &err));
    assert_non_null(strstr(err.msg, "items.jsonl: line 2 is not item 1: \"id\" differs"));
    err = (dele_err){0};
    dele_items_close(&items, &err);
    dele_run_release(&run);
    dele_model_release(&a.model);
}

int main(void)
{
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, fresh, scratch_close)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(recovery_is_the_fraction_of_the_forgotten_that_the_attack_brought_back),
        IN_SCRATCH(rows_that_are_all_alike_leave_no_point_and_few_leave_no_interval),
        IN_SCRATCH(an_attack_that_makes_it_worse_brings_back_less_than_nothing),
        IN_SCRATCH(where_nothing_was_forgotten_nothing_is_divided_by_zero_and_it_is_said),
        IN_SCRATCH(what_any_model_says_is_not_counted_beyond_the_one_that_never_saw_the_rows),
        IN_SCRATCH(every_template_holds_the_prompt_and_asks_for_the_same_answer),
        IN_SCRATCH(a_prefix_and_its_rest_are_the_answer_and_both_hold_something),
        IN_SCRATCH(paraphrases_find_their_rows_and_the_second_of_a_row_is_another_form),
        IN_SCRATCH(what_cannot_be_asked_is_refused_with_its_line),
        IN_SCRATCH(an_answer_is_exact_just_where_greedy_continuation_says_it),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dele_arena_release(&arena);
    return failed;
}
