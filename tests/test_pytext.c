/* Lower case, white space and words as Python has them: strings and their values from
 * tests/reference/ make_pytext_fixture.py; DELEATUR_PYTEXT names a larger file of the same kind. */
#include "claims.h"

#include "base/json.h"
#include "score/answer_match.h"
#include "template/pytext.h"

static dele_arena arena;
static dele_err err;

static const char *field(const cJSON *row, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, name));
    if (!text) fail_msg("no field %s", name);
    return text;
}

/* qa.h drops articles, then lower-cases and drops ASCII punctuation: so does this with Python's
 * own. */
static const char *without_punctuation(const char *text)
{
    char *copy = dele_lower(text, &arena, &err), *out = copy;
    for (const char *in = copy; *in; in++)
        if (!strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", *in)) *out++ = *in;
    *out = '\0';
    return copy;
}

static void check(const cJSON *row)
{
    const char *text = field(row, "text"), *word = field(row, "word"), *at = text;
    assert_string_equal(dele_lower(text, &arena, &err), field(row, "lower"));
    assert_string_equal(dele_strip(text, &arena, &err), field(row, "strip"));
    assert_string_equal(dele_answer_normal(text, true, &arena, &err),
                        without_punctuation(field(row, "bare")));
    for (bool before = false; *at; word++) {
        if (dele_word_at(at) != (*word == '1'))
            fail_msg("\"%s\": character at byte %d", text, (int)(at - text));
        if (dele_word_before(text, at) != before)
            fail_msg("\"%s\": character before byte %d", text, (int)(at - text));
        before = *word == '1';
        do at++;
        while (((unsigned char)*at & 0xc0) == 0x80);
    }
    assert_int_equal(*word, '\0');
}

static void texts_are_what_python_makes_of_them(void **state)
{
    (void)state;
    const char *other = getenv("DELEATUR_PYTEXT");
    dele_records r = {0};
    size_t n = 0;
    if (dele_records_open(&r, other ? other : DELE_TESTS_DIR "/fixtures/text/pytext.jsonl", &err))
        fail_msg("%s", err.msg);
    for (const cJSON *row; (row = dele_records_next(&r, &err)); n++) check(row);
    dele_records_close(&r);
    dele_arena_release(&arena);
    if (err.code) fail_msg("%s", err.msg);
    assert_true(n >= 250);
}

static bool holds(const char *said, const char *answer)
{
    bool exact, contains;
    const dele_answers answers = {.text = &answer, .n = 1};
    if (dele_answer_match(&exact, &contains, &answers, said, &arena, &err)) fail_msg("%s", err.msg);
    return contains;
}

static void an_answer_stands_as_a_word_between_quotes_and_dashes_of_any_script(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "\u201cParis\u201d", "\u2018Paris\u2019", "\u00abParis\u00bb", "in\u2014Paris\u2014then",
        "\u3010Paris\u3011", "Paris\u2019s",      "\"Paris\"",         "\u00bfParis?",
        "Paris\u2026",       "Paris\u00a0is"};
    static const char *const no[] = {"Parisian", "éParis", "Parisé", "Paris9", "日Paris", "Paris²"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (!holds(yes[i], "Paris")) fail_msg("%s holds Paris", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        if (holds(no[i], "Paris")) fail_msg("%s does not hold Paris", no[i]);
    assert_true(holds("ΟΔΟΣ.", "οδος"));
    dele_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_what_python_makes_of_them),
        cmocka_unit_test(an_answer_stands_as_a_word_between_quotes_and_dashes_of_any_script),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
