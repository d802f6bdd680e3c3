/* The three forms of a fact file, the sentence for each broken record, and whose facts they are. */
#include "claims.h"

#include "base/file.h"
#include "base/json.h"
#include "model/facts.h"
#include "tests/scratch.h"
#include "tests/shared.h"

#define NESTED(id, prompt, subject)                                                                \
    "{\"case_id\": " id ", \"pararel_idx\": 2796, \"requested_rewrite\": {\"prompt\": \"" prompt   \
    "\","                                                                                          \
    " \"relation_id\": \"P103\", \"target_new\": {\"str\": \"English\", \"id\": \"Q1860\"}, "      \
    "\"target_true\": {\"str\": \"French\"},"                                                      \
    " \"subject\": \"" subject "\"}, \"paraphrase_prompts\": [\"It rained. " subject               \
    ", a native\", \"b\"]}"
#define FLAT(id, prompt)                                                                           \
    "{\"case_id\": " id ", \"prompt\": \"" prompt                                                  \
    "\", \"target_new\": \"Sega\", \"subject\": \"BBC One\","                                      \
    " \"ground_truth\": \"BBC\", \"rephrase_prompt\": \"BBC One is owned by\", "                   \
    "\"locality_prompt\": \"BBC Radio, by\"}"

/* A file that must load. */
static dele_facts load(const char *path, dele_arena *arena)
{
    dele_err err = {0};
    dele_facts facts;
    if (dele_facts_load(&facts, path, arena, &err)) fail_msg("%s", err.msg);
    return facts;
}

static void romes_records_keep_what_they_say(void **state)
{
    dele_arena arena = {0};
    const char *rows =
        "[{\"known_id\": 9, \"subject\": \"A B\", \"attribute\": \" 1988\", \"template\": \"{} "
        "came in\","
        " \"prompt\": \"A B came in\", \"foil\": \"1999\", \"relation_id\": \"P1\"},\n"
        "{\"subject\": \"C\", \"attribute\": \"84\", \"prompt\": \"C came in 19\", \"joined\": "
        "true,"
        " \"foil\": null}]";
    dele_facts facts = load(scratch_text(*state, "facts.json", rows), &arena);
    assert_int_equal(facts.n, 2);
    assert_int_equal(facts.form, DELE_FACTS_ROME);
    assert_int_equal(facts.fact[0].id, 9);
    assert_string_equal(facts.fact[0].attribute, " 1988");
    assert_string_equal(facts.fact[0].template, "{} came in");
    assert_string_equal(facts.fact[0].foil, "1999");
    assert_string_equal(facts.fact[0].relation, "P1");
    assert_false(facts.fact[0].joined);
    assert_int_equal(facts.fact[1].id, 1);
    assert_true(facts.fact[1].joined);
    assert_null(facts.fact[1].foil);
    assert_null(facts.note);
    dele_arena_release(&arena);
}

static void counterfact_is_known_by_its_fields_not_its_name(void **state)
{
    dele_arena arena = {0};
    const char *rows = NESTED("0", "The mother tongue of {} is",
                              "Danielle Darrieux") "\n" NESTED("7", "{}, born to", "Jean {}") "\n";
    dele_facts facts = load(scratch_text(*state, "anything.txt", rows), &arena);
    assert_int_equal(facts.form, DELE_FACTS_COUNTERFACT);
    assert_int_equal(facts.n, 2);
    const dele_fact *f = &facts.fact[0];
    assert_int_equal(f->id, 0);
    assert_string_equal(f->prompt, "The mother tongue of Danielle Darrieux is");
    assert_string_equal(f->template, "The mother tongue of {} is");
    assert_string_equal(f->subject, "Danielle Darrieux");
    assert_string_equal(f->attribute, "French");
    assert_string_equal(f->foil, "English");
    assert_string_equal(f->relation, "P103");
    assert_string_equal(f->paraphrase, "It rained. Danielle Darrieux, a native");
    assert_int_equal(facts.fact[1].id, 7);
    assert_string_equal(facts.fact[1].prompt,
                        "Jean {}, born to"); /* a name's own braces are text */
    dele_arena_release(&arena);
}

static void easyedits_copy_gives_the_same_fields(void **state)
{
    dele_arena arena = {0};
    dele_facts facts =
        load(scratch_text(*state, "known.json", "[" FLAT("10", "BBC One, by") "]"), &arena);
    assert_int_equal(facts.form, DELE_FACTS_EASYEDIT);
    const dele_fact *f = &facts.fact[0];
    assert_int_equal(f->id, 10);
    assert_string_equal(f->prompt, "BBC One, by");
    assert_string_equal(f->attribute, "BBC");
    assert_string_equal(f->foil, "Sega");
    assert_string_equal(f->paraphrase, "BBC One is owned by");
    assert_null(f->relation);
    dele_arena_release(&arena);
}

static void a_fact_written_reads_back_the_same(void **state)
{
    dele_arena arena = {0};
    const char *row = NESTED("3", "The mother tongue of {} is", "Ann Lee");
    dele_facts facts = load(scratch_text(*state, "a.json", row), &arena);
    facts.fact[0].joined = true;
    facts.fact[0].split = "retain";
    cJSON *json = dele_fact_json(&facts.fact[0]);
    char *text = cJSON_PrintUnformatted(json);
    dele_facts back = load(scratch_text(*state, "b.json", text), &arena);
    const dele_fact *a = &facts.fact[0], *b = &back.fact[0];
    assert_int_equal(back.form, DELE_FACTS_ROME);
    assert_true(a->id == b->id && b->joined);
    const char *const both[][2] = {{a->prompt, b->prompt},       {a->subject, b->subject},
                                   {a->attribute, b->attribute}, {a->paraphrase, b->paraphrase},
                                   {a->relation, b->relation},   {a->split, b->split},
                                   {a->template, b->template},   {a->foil, b->foil}};
    for (size_t i = 0; i < sizeof both / sizeof *both; i++)
        assert_string_equal(both[i][0], both[i][1]);
    cJSON_free(text);
    cJSON_Delete(json);
    dele_arena_release(&arena);
}

static void a_broken_record_is_one_sentence_with_its_place(void **state)
{
    static const struct {
        const char *first, *second, *says;
    } bad[] = {
        {NESTED("0", "{} is", "A"), FLAT("1", "BBC One, by"),
         "facts.jsonl:2: no object \"requested_rewrite\""},
        {NESTED("0", "{} is", "A"), NESTED("1", "nobody is", "A"),
         "facts.jsonl:2: the prompt \"nobody is\" has no {}"},
        {NESTED("0", "{} is", "A"), NESTED("1", "{} is", ""),
         "facts.jsonl:2: subject and attribute must not be empty"},
        {NESTED("0", "{} is", "A"), "{\"requested_rewrite\": 3}",
         "facts.jsonl:2: no object \"requested_rewrite\""},
        {NESTED("0", "{} is", "A"), "{\"requested_rewrite\": {\"subject\": \"A\"}}",
         "facts.jsonl:2: no string field "
         "\"prompt\""},
        {NESTED("0", "{} is", "A"), "{\"requested_rewrite\": {\"prompt\": \"{} is\"}}",
         "facts.jsonl:2: no string field \"subject\""},
        {NESTED("0", "{} is", "A"),
         "{\"requested_rewrite\": {\"prompt\": \"{} is\", \"subject\": \"A\", "
         "\"target_true\": \"French\"}}",
         "facts.jsonl:2: \"requested_rewrite\" has no \"target_true\""},
        {FLAT("0", "BBC One, by"), FLAT("1", "ITV, by"),
         "facts.jsonl:2: the subject \"BBC One\" does not occur"},
        {FLAT("0", "BBC One, by"),
         "{\"subject\": \"A\", \"prompt\": \"A is\", \"ground_truth\": [\"B\"], "
         "\"target_new\": \"C\"}",
         "facts.jsonl:2: no string field \"ground_truth\""},
        {FLAT("0", "BBC One, by"), "[1]", "facts.jsonl:2: a record must be an object {...}"},
        {"{\"subject\": \"A\", \"prompt\": \"A is\", \"attribute\": \"B\"}",
         FLAT("1", "BBC One, by"), "facts.jsonl:2: no string field \"attribute\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[2000];
        snprintf(text, sizeof text, "%s\n%s\n", bad[i].first, bad[i].second);
        dele_arena arena = {0};
        dele_err err = {0};
        dele_facts facts;
        assert_int_not_equal(
            dele_facts_load(&facts, scratch_text(*state, "facts.jsonl", text), &arena, &err),
            DELE_OK);
        if (!strstr(err.msg, bad[i].says) || strchr(err.msg, '\n')) fail_msg("%zu: %s", i, err.msg);
        dele_arena_release(&arena);
    }
}

static void a_file_of_the_papers_retain_people_says_so(void **state)
{
    static const char *const people[] = {"Nike Olive", "Otha Olive", "Lola Teal"};
    char text[1000] = "";
    for (int i = 0; i < 3; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "{\"subject\": \"%s\", \"prompt\": \"%s lives in\", \"attribute\": \"Rome\"}\n",
                 people[i], people[i]);
    dele_arena arena = {0};
    dele_facts facts = load(scratch_text(*state, "facts.jsonl", text), &arena);
    assert_int_equal(facts.n, 3);
    assert_non_null(facts.note);
    for (size_t i = 0; i < facts.n; i++) facts.fact[i].split = "retain"; /* it says so itself */
    assert_null(dele_facts_note(&facts));
    facts.fact[1].split = "forget";
    assert_non_null(dele_facts_note(&facts));
    facts.fact[2].subject = "Tiffi Magenta"; /* anyone else */
    assert_null(dele_facts_note(&facts));
    dele_arena_release(&arena);
}

static void the_villages_facts_load_whole(void **state)
{
    (void)state;
    dele_arena arena = {0};
    dele_facts facts = load(DELE_TESTS_DIR "/../data/facts/demo_facts.json", &arena);
    assert_int_equal(facts.n, 240);
    assert_int_equal(facts.form, DELE_FACTS_ROME);
    assert_int_equal(facts.fact[239].id, 239);
    assert_string_equal(facts.fact[0].template, "{} lives in the town of");
    assert_string_equal(facts.fact[0].subject, "Arlo Greycliff");
    assert_string_equal(facts.fact[0].attribute, "Lumen");
    assert_string_equal(facts.fact[0].split, "retain");
    assert_null(facts.note);
    dele_arena_release(&arena);
}

/* Which of LUME's sets a person is asked about in. */
static bool asked_about(const char *file, const char *person, dele_arena *arena)
{
    dele_err err = {0};
    const char *text = dele_file_read(shared_path(file), arena, NULL, &err);
    assert_non_null(text);
    return strstr(text, person) != NULL;
}

static void known_qa_t2_is_read_and_its_people_are_retain_people(void **state)
{
    (void)state;
    dele_arena arena = {0};
    dele_facts facts = load(shared_path("data/facts/known_QA_T2.json"), &arena);
    assert_int_equal(facts.n, 125);
    assert_int_equal(facts.fact[0].id, 9);
    assert_string_equal(facts.fact[0].attribute, " 1988");
    assert_string_equal(facts.fact[0].prompt, "What is Charil Pink's birth date?");
    assert_non_null(facts.note);
    for (size_t i = 0; i < facts.n; i += 5) {
        assert_true(asked_about("data/lume/retain.jsonl", facts.fact[i].subject, &arena));
        assert_false(asked_about("data/lume/forget.jsonl", facts.fact[i].subject, &arena));
    }
    /* a part of the file says it too; one that is labelled, or has anyone else in it, does not */
    dele_facts part = facts;
    part.n = 3;
    assert_non_null(dele_facts_note(&part));
    for (size_t i = 0; i < part.n; i++) part.fact[i].split = "retain";
    assert_null(dele_facts_note(&part));
    part.fact[1].split = "forget";
    assert_non_null(dele_facts_note(&part));
    part.fact[2].subject = "Tiffi Magenta";
    assert_null(dele_facts_note(&part));
    dele_arena_release(&arena);
}

static void known_1000_is_nobody_elses(void **state)
{
    (void)state;
    dele_arena arena = {0};
    dele_facts facts = load(shared_path("data/facts/known_1000.json"), &arena);
    assert_int_equal(facts.n, 1209);
    assert_int_equal(facts.form, DELE_FACTS_ROME);
    assert_string_equal(facts.fact[0].template, "{} is located in the continent");
    assert_null(facts.note);
    dele_arena_release(&arena);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(romes_records_keep_what_they_say, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(counterfact_is_known_by_its_fields_not_its_name,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(easyedits_copy_gives_the_same_fields, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(a_fact_written_reads_back_the_same, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(a_broken_record_is_one_sentence_with_its_place,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(a_file_of_the_papers_retain_people_says_so, scratch_open,
                                        scratch_close),
        cmocka_unit_test(the_villages_facts_load_whole),
    };
    const struct CMUnitTest shared[] = {
        cmocka_unit_test(known_qa_t2_is_read_and_its_people_are_retain_people),
        cmocka_unit_test(known_1000_is_nobody_elses),
    };
    if (shared_asked(argc, argv)) return cmocka_run_group_tests(shared, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
