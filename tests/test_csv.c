/* CSV as RFC 4180 has it, and as MMLU uses it. */
#include "claims.h"

#include "base/file.h"
#include "tests/scratch.h"
#include "tests/shared.h"
#include "text/csv.h"

static void a_quoted_field_holds_commas_quotes_and_line_breaks(void **state)
{
    dele_arena arena = {0};
    dele_err err = {0};
    dele_csv csv;
    const char *path = scratch_text(*state, "a.csv",
                                    "plain,\"a,b\",\"say \"\"hi\"\"\"\n"
                                    "\"two\nlines\",\"bare\rreturn\",\"dos\r\nbreak\"\r\n"
                                    "\n"
                                    " blanks stay ,\" in quotes too \",\n");
    assert_int_equal(dele_csv_load(&csv, path, 3, &arena, &err), DELE_OK);
    assert_int_equal(csv.n_rows, 3);
    const char *const wanted[] = {"plain",
                                  "a,b",
                                  "say \"hi\"",
                                  "two\nlines",
                                  "bare\rreturn",
                                  "dos\r\nbreak",
                                  " blanks stay ",
                                  " in quotes too ",
                                  ""};
    for (size_t i = 0; i < 9; i++)
        assert_string_equal(dele_csv_field(&csv, i / 3, i % 3), wanted[i]);
    assert_int_equal(csv.line[0], 1);
    assert_int_equal(csv.line[1], 2);
    assert_int_equal(csv.line[2], 6);
    dele_arena_release(&arena);
}

static void assert_refused(scratch *s, const char *text, const char *where)
{
    dele_arena arena = {0};
    dele_err err = {0};
    dele_csv csv;
    const char *path = scratch_text(s, "bad.csv", text);
    assert_int_equal(dele_csv_load(&csv, path, 3, &arena, &err), DELE_ERR_FORMAT);
    if (!strstr(err.msg, where)) fail_msg("\"%s\" does not say %s", err.msg, where);
    dele_arena_release(&arena);
}

static void a_bad_row_is_named_by_file_and_line(void **state)
{
    assert_refused(*state, "a,b,c\n\"x\ny\",b,c\na,b\n",
                   "bad.csv:4: a line has 2 fields instead of 3");
    assert_refused(*state, "a,b,c,d\n", "bad.csv:1: a line has 4 fields");
    assert_refused(*state, "a,b,c\na,\"never closed,c\n", "bad.csv:2: the quote");
    assert_refused(*state, "a,b,c\na,b \"c\" d,e\n", "bad.csv:2:");
}

static void an_empty_file_has_no_rows(void **state)
{
    dele_arena arena = {0};
    dele_err err = {0};
    dele_csv csv;
    assert_int_equal(dele_csv_load(&csv, scratch_text(*state, "empty.csv", ""), 6, &arena, &err),
                     DELE_OK);
    assert_int_equal(csv.n_rows, 0);
    assert_int_equal(dele_csv_load(&csv, scratch_path(*state, "none.csv"), 6, &arena, &err),
                     DELE_ERR_FILE);
    dele_arena_release(&arena);
}

static void the_last_line_needs_no_end(void **state)
{
    dele_arena arena = {0};
    dele_err err = {0};
    dele_csv csv;
    assert_int_equal(
        dele_csv_load(&csv, scratch_text(*state, "a.csv", "a,b\nc,\"d\""), 2, &arena, &err),
        DELE_OK);
    assert_int_equal(csv.n_rows, 2);
    assert_string_equal(dele_csv_field(&csv, 1, 1), "d");
    dele_arena_release(&arena);
}

static void high_school_physics_has_151_questions(void **state)
{
    (void)state;
    const char *path = shared_path("data/mmlu/test/high_school_physics_test.csv");
    dele_arena arena = {0};
    dele_err err = {0};
    dele_csv csv;
    assert_int_equal(dele_csv_load(&csv, path, 6, &arena, &err), DELE_OK);
    assert_int_equal(csv.n_rows, 151);
    for (size_t i = 0; i < csv.n_rows; i++) {
        const char *answer = dele_csv_field(&csv, i, 5);
        assert_true(strlen(answer) == 1 && answer[0] >= 'A' && answer[0] <= 'D');
    }
    dele_arena_release(&arena);
}

int main(int argc, char **argv)
{
#define IN_A_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        IN_A_DIRECTORY(a_quoted_field_holds_commas_quotes_and_line_breaks),
        IN_A_DIRECTORY(a_bad_row_is_named_by_file_and_line),
        IN_A_DIRECTORY(an_empty_file_has_no_rows),
        IN_A_DIRECTORY(the_last_line_needs_no_end),
    };
    const struct CMUnitTest shared[] = {cmocka_unit_test(high_school_physics_has_151_questions)};
    if (shared_asked(argc, argv)) return cmocka_run_group_tests(shared, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
