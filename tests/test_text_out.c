/* Text from outside, shown: on a line, in a cell and back; tables in three forms. */
#include "claims.h"

#include "base/table.h"
#include "base/text_out.h"

static const char *shown(const char *text, dele_text_form form)
{
    static char out[256];
    dele_text_show(out, sizeof out, text, form);
    return out;
}

static void what_a_terminal_would_obey_is_shown(void **state)
{
    (void)state;
    static const char *const pair[][2] = {
        {"\x1b]0;PWN\x07", "\\x1b]0;PWN\\x07"},
        {"a\tb\nc\rd\x7f", "a\\tb\\nc\\rd\\x7f"},
        {"\xc2\x9b"
         "31m",
         "\\u009b31m"}, /* CSI as UTF-8 */
        {"\x9b"
         "31m",
         "\\x9b31m"}, /* and as a byte */
        {"\xc2\x80\xc2\x9f\xc2\xa0", "\\u0080\\u009f\xc2\xa0"},
        {"\xe2\x80\xaa\xe2\x80\xae", "\\u202a\\u202e"}, /* embeddings and overrides */
        {"\xe2\x81\xa6\xe2\x81\xa9", "\\u2066\\u2069"}, /* isolates */
        {"\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c", "\\u200e\\u200f\\u061c"},
        {"\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029"},
        {"caf\xe9 \xe2\x80", "caf\\xe9 \\xe2\\x80"}, /* Latin-1; cut short */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},         /* a surrogate */
        {"caf\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80 \\n",
         "caf\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80 \\n"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++)
        assert_string_equal(shown(pair[i][0], DELE_TEXT_LINE), pair[i][1]);
    assert_string_equal(shown(NULL, DELE_TEXT_LINE), "");
    assert_string_equal(shown("a\tb\n\x1b", DELE_TEXT_LINES), "a\tb\n\\x1b");
}

static void an_error_sentence_sends_nothing(void **state)
{
    (void)state;
    dele_err err = {0};
    dele_fail(&err, DELE_ERR_DATA, "%s is no model",
              "a\xc2\x9b"
              "2J\x1b[2J\nb");
    assert_string_equal(err.msg, "a\\u009b2J\\x1b[2J\\nb is no model");
}

static void a_short_room_is_cut_at_a_character(void **state)
{
    (void)state;
    char out[8];
    assert_int_equal(dele_text_show(out, sizeof out, "abc\x1b\x1b", DELE_TEXT_LINE), 11);
    assert_string_equal(out, "abc\\x1b");
    assert_int_equal(dele_text_show(out, 6, "abcd\xc3\xa9", DELE_TEXT_LINE), 6);
    assert_string_equal(out, "abcd");
}

/* Every text comes back from its cell, and no cell begins a formula or holds a tab, a line feed or
 * a control. */
static void a_cell_says_its_text_again(void **state)
{
    (void)state;
    static const char *const fixed[] = {"=1+1",
                                        "+1",
                                        "-1",
                                        "@x",
                                        "'=x",
                                        "\xef\xbc\x9d"
                                        "1",
                                        "a\\tb",
                                        "\\",
                                        "\\x41",
                                        "a\tb\n",
                                        "\\u009b",
                                        "'",
                                        "''",
                                        "",
                                        "\t=1",
                                        " =1"};
    char text[64], cell[400];
    unsigned seed = 1;
    for (size_t round = 0; round < 3000; round++) {
        if (round < sizeof fixed / sizeof *fixed)
            snprintf(text, sizeof text, "%s", fixed[round]);
        else {
            static const char *const bits[] = {
                "\\", "x", "u", "n",  "1b", "00",           "\x1b", "\xc2\x9b", "\xff",
                "'",  "=", "-", "\t", "\n", "\xe2\x80\xae", "009b", "\xe2",     "\xf0\x9f\x98\x80"};
            text[0] = '\0';
            for (int k = 0; k < 9; k++) {
                seed = seed * 1664525u + 1013904223u;
                strcat(text, bits[(seed >> 16) % (sizeof bits / sizeof *bits)]);
            }
        }
        dele_text_show(cell, sizeof cell, text, DELE_TEXT_CELL);
        assert_null(strpbrk(cell, "\t\n\r\x1b\x7f"));
        assert_null(*cell ? strchr("=+-@", *cell) : NULL);
        dele_text_from_cell(cell);
        assert_string_equal(cell, text);
    }
}

static char *printed(dele_table_form form)
{
    dele_table t = {0};
    dele_err err = {0};
    char *out = NULL;
    size_t n;
    dele_table_head(&t, "set\tn\tacc");
    dele_table_text(&t, "a\tb, \"c\"\n");
    dele_table_cell(&t, "%d", 12);
    dele_table_real(&t, "%.2f", -0.5);
    dele_table_row(&t);
    dele_table_text(&t, "=cmd|'/c calc'!A0");
    dele_table_cell(&t, "%d", 3);
    dele_table_row(&t);
    FILE *to = open_memstream(&out, &n);
    assert_int_equal(dele_table_print(&t, to, form, &err), DELE_OK);
    fclose(to);
    return out;
}

static void one_table_is_printed_in_three_forms(void **state)
{
    (void)state;
    static const char *const right[] = {
        [DELE_TABLE_TSV] = "set\tn\tacc\na\\tb, \"c\"\\n\t12\t-0.50\n'=cmd|'/c calc'!A0\t3\t\n",
        [DELE_TABLE_CSV] =
            "set,n,acc\r\n\"a\\tb, \"\"c\"\"\\n\",12,-0.50\r\n'=cmd|'/c calc'!A0,3,\r\n",
        [DELE_TABLE_ALIGNED] = "set                  n    acc\n"
                               "a\\tb, \"c\"\\n         12  -0.50\n"
                               "'=cmd|'/c calc'!A0   3       \n"};
    for (int form = 0; form < 3; form++) {
        char *out = printed((dele_table_form)form);
        assert_string_equal(out, right[form]);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_terminal_would_obey_is_shown),
        cmocka_unit_test(an_error_sentence_sends_nothing),
        cmocka_unit_test(a_short_room_is_cut_at_a_character),
        cmocka_unit_test(a_cell_says_its_text_again),
        cmocka_unit_test(one_table_is_printed_in_three_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
