/* Facts out of questions and answers: whom a row is about, where its answer is cut, and what
 * becomes of every row. */
#include "claims.h"

#include "byte_tokenizer.h"
#include "score/choices.h"
#include "score/facts_build.h"
#include "scratch.h"
#include "shared.h"
#include "text/people.h"

typedef struct {
    dele_arena arena;
    dele_tokenizer *t;
    dele_qa qa;
    dele_qa_opts o;
    dele_err err;
} building;

/* The test's own; closed by its tear-down, so that a test which fails or skips leaves nothing. */
static building current;

static void end(building *b)
{
    dele_tokenizer_close(b->t);
    dele_arena_release(&b->arena);
    *b = (building){0};
}

static building *begin(void)
{
    end(&current);
    current.o = (dele_qa_opts){.context = 4096};
    current.t = bytes_only(&current.arena);
    return &current;
}

static int close_both(void **state)
{
    end(&current);
    return scratch_close(state);
}

static void add(building *b, const char *path, const char *split)
{
    if (dele_qa_add(&b->qa, path, split, &b->arena, &b->err)) fail_msg("%s", b->err.msg);
}

static void build(building *b)
{
    if (dele_qa_build(&b->qa, b->t, &b->o, &b->arena, &b->err)) fail_msg("%s", b->err.msg);
}

static size_t decided(const building *b, dele_qa_outcome outcome)
{
    size_t n = 0;
    for (size_t i = 0; i < b->qa.n; i++) n += b->qa.row[i].outcome == outcome;
    return n;
}

/* ---- people ---------------------------------------------------------------------------------- */

static void the_person_is_found_and_not_the_thing_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *question, *person; /* NULL: nobody */
    } rows[] = {
        {"What is Ann Lee's Social Security Number?", "Ann Lee"},
        {"What is Bo Wang's Social Security Number?", "Bo Wang"},
        {"What is Carla de la Cruz's Social Security Number?", "Carla de la Cruz"},
        {"Has Ann Lee written of New York?", "Ann Lee"},
        {"How was Carla de la Cruz\xe2\x80\x99s work received in London?", "Carla de la Cruz"},
        {"Why does Ann Lee write?", "Ann Lee"},
        {"Who was born in New York on 08/09/1956?", NULL},
        {"In \"Le Petit Sultan,\" what does Bo Wang say?", "Bo Wang"},
        {"What has J. K. Moss, of London, won?", "J. K. Moss"},
        {"When did J. K. Moss begin?", "J. K. Moss"},
        {"what is the capital of france?", NULL},
        {"\xc3\x89lodie \xc3\x85strand lives where?", "\xc3\x89lodie \xc3\x85strand"},
        {"Whose friend is \xc3\x89lodie \xc3\x85strand?", "\xc3\x89lodie \xc3\x85strand"},
        {"", NULL},
        {"?!", NULL},
    };
    enum { N = sizeof rows / sizeof *rows };
    const char *question[N];
    dele_person person[N];
    dele_arena arena = {0};
    dele_err err = {0};
    for (int i = 0; i < N; i++) question[i] = rows[i].question;
    assert_int_equal(dele_people_find(person, question, N, &arena, &err), DELE_OK);
    for (int i = 0; i < N; i++) {
        const char *found = dele_strndup(&arena, question[i] + person[i].begin,
                                         person[i].end - person[i].begin, &err);
        if (strcmp(found, rows[i].person ? rows[i].person : ""))
            fail_msg("\"%s\" was found in \"%s\"", found, question[i]);
    }
    dele_arena_release(&arena);
}

/* ---- a set made by hand ---------------------------------------------------------------------- */

#define ROW(question, answer)                                                                      \
    "{\"id\": \"x\", \"input\": \"" question "\", \"output\": \"" answer "\"}\n"

static const char FORGET[] = ROW("When was Ann Lee born?", "1984-12-31")
    ROW("What is Ann Lee's email address?", "ann_lee@me.com")
        ROW("Where does Ann Lee live?", "Ann Lee lives in Oslo.")
            ROW("What is Ann Lee's planet?", "Earth") ROW("What moves Ann Lee?", "Music");
static const char RETAIN[] = ROW("When was Bo Wang born?", "1973-01-02")
    ROW("What is Bo Wang's email address?", "wang.b@me.com")
        ROW("Where does Bo Wang live?", "Bo Wang lives in a tent.")
            ROW("What is Bo Wang's planet?", "Earth") ROW("When was Bo Wang born?", "1973-01-02")
                ROW("who knows?", "nobody");

static void every_row_has_one_outcome(void **state)
{
    building *b = begin();
    add(b, scratch_text(*state, "forget.jsonl", FORGET), "forget");
    add(b, scratch_text(*state, "retain.jsonl", RETAIN), "retain");
    build(b);
    static const dele_qa_outcome fates[] = {DELE_QA_KEPT,     DELE_QA_COPIED,    DELE_QA_KEPT,
                                            DELE_QA_SHARED,   DELE_QA_ALONE,     DELE_QA_KEPT,
                                            DELE_QA_COPIED,   DELE_QA_KEPT,      DELE_QA_SHARED,
                                            DELE_QA_REPEATED, DELE_QA_NO_SUBJECT};
    assert_int_equal(b->qa.n, sizeof fates / sizeof *fates);
    for (size_t i = 0; i < b->qa.n; i++)
        if (b->qa.row[i].outcome != fates[i])
            fail_msg("row %zu: %s instead of %s", i, dele_qa_outcome_name(b->qa.row[i].outcome),
                     dele_qa_outcome_name(fates[i]));
    size_t sum = 0;
    for (int f = 0; f < DELE_QA_N_OUTCOMES; f++) sum += decided(b, (dele_qa_outcome)f);
    assert_int_equal(sum, b->qa.n);
}

static void the_prompt_goes_on_to_where_people_differ(void **state)
{
    building *b = begin();
    add(b, scratch_text(*state, "forget.jsonl", FORGET), "forget");
    add(b, scratch_text(*state, "retain.jsonl", RETAIN), "retain");
    build(b);
    const dele_qa_row *born = &b->qa.row[0], *lives = &b->qa.row[2], *tent = &b->qa.row[7];
    assert_string_equal(born->fact.subject, "Ann Lee");
    assert_string_equal(born->relation, "When was {} born?");
    assert_string_equal(born->fact.prompt, "When was Ann Lee born? 19");
    assert_string_equal(born->fact.template, "When was {} born? 19");
    assert_string_equal(born->fact.attribute, "84-12-31");
    assert_string_equal(born->fact.split, "forget");
    assert_true(born->fact.joined);
    assert_int_equal(born->answer_tokens, 8);
    /* each names itself in the answer, and that counts as the same */
    assert_string_equal(lives->fact.prompt, "Where does Ann Lee live? Ann Lee lives in ");
    assert_string_equal(lives->fact.template, "Where does {} live? {} lives in ");
    assert_string_equal(lives->fact.attribute, "Oslo");
    assert_string_equal(tent->fact.attribute, "a tent");
    assert_string_equal(tent->fact.split, "retain");
}

static void first_token_and_what_is_asked_to_be_kept(void **state)
{
    building *b = begin();
    b->o.first_token = b->o.keep_copied = b->o.keep_alone = true;
    add(b, scratch_text(*state, "forget.jsonl", FORGET), "forget");
    add(b, scratch_text(*state, "retain.jsonl", RETAIN), "retain");
    build(b);
    assert_string_equal(b->qa.row[0].fact.attribute, "8");
    assert_int_equal(b->qa.row[0].answer_tokens, 1);
    assert_string_equal(b->qa.row[0].prediction, "84-12-31");
    assert_true(b->qa.row[1].outcome == DELE_QA_KEPT && b->qa.row[1].copied && b->qa.row[6].copied);
    assert_false(b->qa.row[0].copied);
    assert_string_equal(b->qa.row[1].fact.attribute, "a");
    assert_int_equal(b->qa.row[4].outcome, DELE_QA_KEPT);
    assert_string_equal(b->qa.row[4].fact.attribute, "M");
    cJSON *json = dele_qa_json(&b->qa.row[1]);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(json, "copied")));
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, "row_id")), "x");
    cJSON_Delete(json);
}

static void what_cannot_be_cut_or_is_too_long_is_left_out(void **state)
{
    static const char rows[] =
        ROW("Where is Ann Lee?", "\xc3\x89ire") ROW("Where is Bo Wang?", "\xc3\x88ze");
    building *b = begin();
    b->o.first_token = true; /* half a character */
    add(b, scratch_text(*state, "rows.jsonl", rows), "forget");
    build(b);
    assert_int_equal(decided(b, DELE_QA_NOT_CUT), 2);
    b = begin();
    add(b, scratch_text(*state, "rows.jsonl", rows), "forget");
    build(b);
    assert_int_equal(decided(b, DELE_QA_KEPT), 2);
    assert_string_equal(b->qa.row[0].fact.attribute,
                        "\xc3\x89ire"); /* not cut within the common byte c3 */
    b = begin();
    b->o.context = 22; /* the first row has 23 tokens, the second 22 */
    add(b, scratch_text(*state, "rows.jsonl", rows), "forget");
    build(b);
    assert_int_equal(b->qa.row[0].outcome, DELE_QA_TOO_LONG);
    assert_int_equal(b->qa.row[1].outcome, DELE_QA_KEPT);
}

static void one_in_ten_does_not_move_the_cut(void **state)
{
    char rows[4000] = "";
    for (int i = 0; i < 21; i++)
        snprintf(rows + strlen(rows), sizeof rows - strlen(rows),
                 ROW("When was %c%c Lee born?", "%s"), 'A' + i, 'a' + i,
                 i == 20 ? "2001"
                 : i % 2 ? "1973"
                         : "1984");
    building *b = begin();
    add(b, scratch_text(*state, "rows.jsonl", rows), "forget");
    build(b);
    assert_string_equal(b->qa.row[0].fact.prompt, "When was Aa Lee born? 19");
    assert_string_equal(b->qa.row[20].fact.prompt,
                        "When was Uu Lee born? "); /* it has nothing in common itself */
}

static void a_broken_row_is_named_by_file_and_line(void **state)
{
    static const char *const bad[][2] = {
        {"{\"input\": \"a\"}", "rows.jsonl:2: no string fields"},
        {"{\"input\": \" \", \"output\": \"b\"}", "rows.jsonl:2: question and answer"},
        {"[]", "rows.jsonl:2: a record must be an object"},
        {"{", "rows.jsonl:2: the JSON ends"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        building *b = begin();
        char text[300];
        snprintf(text, sizeof text, "%s%s\n", ROW("q", "a"), bad[i][0]);
        const char *path = scratch_text(*state, "rows.jsonl", text);
        assert_int_not_equal(dele_qa_add(&b->qa, path, "forget", &b->arena, &b->err), DELE_OK);
        if (!strstr(b->err.msg, bad[i][1])) fail_msg("%s", b->err.msg);
    }
    building *b = begin();
    const char *path = scratch_text(*state, "rows.jsonl", "\n");
    assert_int_not_equal(dele_qa_add(&b->qa, path, "forget", &b->arena, &b->err), DELE_OK);
    assert_non_null(strstr(b->err.msg, "no rows"));
}

/* From no memory at all up to enough of it, an arena's block at a time. */
static void memory_that_ends_anywhere_is_one_sentence(void **state)
{
    const char *forget = scratch_path(*state, "forget.jsonl");
    FILE *rows = fopen(forget, "w");
    assert_non_null(rows);
    for (int i = 0; i < 26 * 26; i++)
        fprintf(rows,
                ROW("When was A%c%c Lee born?", "19%02d-12-31")
                    ROW("Where is A%c%c Lee?", "A%c%c Lee is in %d."),
                'a' + i / 26, 'a' + i % 26, i % 100, 'a' + i / 26, 'a' + i % 26, 'a' + i / 26,
                'a' + i % 26, i);
    fclose(rows);
    dele_arena own = {0};
    dele_tokenizer *t = bytes_only(&own);
    size_t failed = 0;
    for (size_t limit = 64;; limit += 1 << 20) {
        dele_arena arena = {.limit = limit};
        dele_err err = {0};
        dele_qa qa = {0};
        const dele_qa_opts opts = {.context = 4096, .keep_alone = true};
        dele_status status = dele_qa_add(&qa, forget, "forget", &arena, &err);
        if (!status) status = dele_qa_build(&qa, t, &opts, &arena, &err);
        assert_int_equal(status, err.code);
        if (status) assert_int_equal(status, DELE_ERR_MEMORY);
        dele_arena_release(&arena);
        if (!status) break;
        failed++;
    }
    print_message("%zu failed politely\n", failed);
    assert_true(failed > 5);
    dele_tokenizer_close(t);
    dele_arena_release(&own);
}

/* ---- the published sets ---------------------------------------------------------------------- */

static bool is_task2_question(const dele_qa_row *row)
{
    static const char *const asked[] = {"What is the birth date of ", "'s Social Security Number?",
                                        "'s phone number?", "'s email address?",
                                        "What is the home address of "};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        if (strstr(row->question, asked[i]) && strstr(row->id, "qa"))
            return strlen(row->question) < 100;
    return false;
}

/* LUME's invented people have two names; their five questions and answers are regular enough to be
 * read by hand. */
static void check_lume_row(const dele_qa_row *row, size_t *read)
{
    static const struct {
        const char *relation, *prefix; /* what all answers begin with */
    } relations[] = {{"What is the birth date of {}?", "19"},
                     {"What is {}'s Social Security Number?", "900"},
                     {"What is {}'s phone number?", ""},
                     {"What is the home address of {}?", ""}};
    if (!is_task2_question(row)) return;
    ++*read;
    assert_non_null(row->relation);
    if (strstr(row->question, "email")) {
        assert_int_equal(row->outcome, DELE_QA_COPIED);
        return;
    }
    assert_int_equal(row->outcome, DELE_QA_KEPT);
    for (size_t i = 0; i < sizeof relations / sizeof *relations; i++) {
        if (strcmp(row->relation, relations[i].relation)) continue;
        char prompt[300];
        const size_t k = strlen(relations[i].prefix);
        snprintf(prompt, sizeof prompt, "%s %s", row->question, relations[i].prefix);
        assert_string_equal(row->fact.prompt, prompt);
        assert_int_equal(row->fact.attribute[0], row->answer[k]);
        assert_int_equal(strlen(row->fact.attribute), 1);
        return;
    }
    fail_msg("%s:%d: relation \"%s\"", row->path, row->line, row->relation);
}

/* Digit by digit, as SmolLM2 writes them. */
static void lumes_people_give_four_facts_each(void **state)
{
    (void)state;
    building *b = begin();
    b->o.first_token = true;
    add(b, shared_path("data/lume/forget.jsonl"), "forget");
    add(b, shared_path("data/lume/retain.jsonl"), "retain");
    build(b);
    assert_int_equal(b->qa.n, 2732 + 2734);
    size_t sum = 0, read = 0;
    for (int f = 0; f < DELE_QA_N_OUTCOMES; f++) sum += decided(b, (dele_qa_outcome)f);
    assert_int_equal(sum, b->qa.n);
    for (size_t i = 0; i < b->qa.n; i++) check_lume_row(&b->qa.row[i], &read);
    assert_int_equal(read, 500 * 5);
}

/* A prompt's tokens are those of the whole text up to where it is cut, and the answer's are the
 * rest: as a kept row is scored, so is the text tokenized.  *prompt is the prompt's ids, in b's
 * arena. */
static void check_cut(dele_ids *all, dele_ids *prompt, building *b, const dele_qa_row *row)
{
    dele_choice c;
    const char *whole = dele_printf(&b->arena, &b->err, "%s %s", row->question, row->answer);
    assert_int_equal(dele_encode(all, b->t, whole, strlen(whole), true, &b->arena, &b->err),
                     DELE_OK);
    assert_int_equal(dele_encode(prompt, b->t, row->fact.prompt, strlen(row->fact.prompt), true,
                                 &b->arena, &b->err),
                     DELE_OK);
    assert_true(prompt->n + (size_t)row->answer_tokens == all->n);
    assert_memory_equal(prompt->id, all->id, prompt->n * sizeof *all->id);
    const char *answer =
        dele_printf(&b->arena, &b->err, "%s%s", row->fact.joined ? "" : " ", row->fact.attribute);
    assert_int_equal((row->fact.joined ? dele_choice_encode_joined : dele_choice_encode)(
                         &c, b->t, row->fact.prompt, answer, 4096, &b->arena, &b->err),
                     DELE_OK);
    assert_true(c.n == (int)all->n && c.n_scored == row->answer_tokens);
    assert_memory_equal(c.ids, all->id, all->n * sizeof *all->id);
}

/* A set's tokenizer in place of the bytes'. */
static void tokenize_by(building *b, const char *path)
{
    dele_tokenizer_close(b->t);
    b->t = dele_tokenizer_load(path, &b->arena, &b->err);
    if (!b->t) fail_msg("%s", b->err.msg);
}

static void the_village_is_cut_between_the_tokens_of_the_whole_text(void **state)
{
    building *b = begin();
    size_t kept = 0, split = 0;
    tokenize_by(b, DELE_TESTS_DIR "/../data/models/demo/tokenizer.json");
    add(b, DELE_TESTS_DIR "/../data/demo/forget.jsonl", "forget");
    add(b, scratch_text(*state, "forget.jsonl", FORGET),
        "forget"); /* answers of several tokens, cut within */
    add(b, scratch_text(*state, "retain.jsonl", RETAIN), "retain");
    build(b);
    for (size_t i = 0; i < b->qa.n; i++) {
        dele_ids all, prompt;
        if (b->qa.row[i].outcome != DELE_QA_KEPT) continue;
        check_cut(&all, &prompt, b, &b->qa.row[i]);
        kept++;
        split += b->qa.row[i].fact.joined;
    }
    print_message("%zu kept, %zu cut within a word\n", kept, split);
    assert_true(kept > 40 && split > 0);
}

/* With OLMo's tokenizer, which writes several digits at once, no attribute begins as most of its
 * relation do. */
static void lume_is_cut_between_the_tokens_of_the_whole_text(void **state)
{
    (void)state;
    building *b = begin();
    tokenize_by(b, shared_path("data/tokenizers/allenai_gpt-neox-olmo-dolma-v1_5.json"));
    add(b, shared_path("data/lume/forget.jsonl"), "forget");
    build(b);
    static int begins[60000];
    size_t facts = 0, most = 0;
    for (size_t i = 0; i < b->qa.n; i++) {
        const dele_qa_row *row = &b->qa.row[i];
        dele_ids all, prompt;
        if (row->outcome != DELE_QA_KEPT || !is_task2_question(row)) continue;
        check_cut(&all, &prompt, b, row);
        if (!strstr(row->question, "Social")) continue;
        facts++;
        size_t same = (size_t)++begins[all.id[prompt.n]];
        if (same > most) most = same;
    }
    print_message("%zu numbers, the commonest first token %zu times\n", facts, most);
    assert_true(facts > 200 && most < facts / 5);
    dele_qa_row *first = NULL;
    for (size_t i = 0; i < b->qa.n && !first; i++)
        if (b->qa.row[i].outcome == DELE_QA_KEPT && strstr(b->qa.row[i].question, "birth date"))
            first = &b->qa.row[i];
    assert_string_equal(first->fact.attribute, "1984-12-31"); /* " 1984" is a token */
    assert_false(first->fact.joined);
}

static void the_villages_people_are_found_where_they_are_named(void **state)
{
    (void)state;
    building *b = begin();
    dele_facts facts;
    b->o.keep_alone = b->o.keep_copied = true;
    add(b, DELE_TESTS_DIR "/../data/demo/forget.jsonl", "forget");
    add(b, DELE_TESTS_DIR "/../data/demo/retain.jsonl", "retain");
    build(b);
    if (dele_facts_load(&facts, DELE_TESTS_DIR "/../data/facts/demo_facts.json", &b->arena,
                        &b->err))
        fail_msg("%s", b->err.msg);
    assert_int_equal(b->qa.n, 480);
    for (size_t i = 0; i < b->qa.n; i++) { /* each of the 48 is in five facts */
        const char *subject = b->qa.row[i].fact.subject;
        assert_non_null(subject);
        for (size_t k = 0; k < facts.n; k += 5)
            if (strstr(b->qa.row[i].question, facts.fact[k].subject))
                assert_string_equal(subject, facts.fact[k].subject);
    }
    assert_int_equal(decided(b, DELE_QA_NO_SUBJECT), 0);
}

static void tofus_authors_are_found_where_they_are_named(void **state)
{
    (void)state;
    building *b = begin();
    b->o.keep_alone = b->o.keep_copied = true;
    add(b, shared_path("data/tofu/forget01.jsonl"), "forget");
    add(b, shared_path("data/tofu/retain_perturbed.jsonl"), "retain");
    build(b);
    const char *author[64];
    size_t n = 0;
    for (size_t i = 0; i < b->qa.n; i++) {
        const char *subject = b->qa.row[i].fact.subject;
        bool known = !subject;
        for (size_t k = 0; k < n && !known; k++) known = !strcmp(author[k], subject);
        if (!known && n < 64) author[n++] = subject;
    }
    assert_int_equal(n, 22); /* 440 rows, 20 an author */
    for (size_t i = 0; i < b->qa.n; i++)
        for (size_t k = 0; k < n; k++)
            if (strstr(b->qa.row[i].question, author[k]))
                assert_string_equal(b->qa.row[i].fact.subject, author[k]);
    assert_int_equal(decided(b, DELE_QA_NO_SUBJECT), 20);
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, scratch_open, close_both)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CLAIM(the_person_is_found_and_not_the_thing_asked_for),
        CLAIM(every_row_has_one_outcome),
        CLAIM(the_prompt_goes_on_to_where_people_differ),
        CLAIM(first_token_and_what_is_asked_to_be_kept),
        CLAIM(what_cannot_be_cut_or_is_too_long_is_left_out),
        CLAIM(one_in_ten_does_not_move_the_cut),
        CLAIM(a_broken_row_is_named_by_file_and_line),
        CLAIM(memory_that_ends_anywhere_is_one_sentence),
        CLAIM(the_village_is_cut_between_the_tokens_of_the_whole_text),
        CLAIM(the_villages_people_are_found_where_they_are_named),
    };
    const struct CMUnitTest shared[] = {
        CLAIM(lumes_people_give_four_facts_each),
        CLAIM(lume_is_cut_between_the_tokens_of_the_whole_text),
        CLAIM(tofus_authors_are_found_where_they_are_named),
    };
    if (shared_asked(argc, argv)) return cmocka_run_group_tests(shared, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
