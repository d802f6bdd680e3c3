/* Text that goes onto a page stays text, and pictures go in whole. */
#include "claims.h"

#include "plots/page.h"
#include "scratch.h"

static void put(char *out, size_t size, void (*write)(FILE *to, const void *what), const void *what)
{
    FILE *to = fmemopen(out, size, "w");
    assert_non_null(to);
    write(to, what);
    assert_int_equal(fclose(to), 0);
}

static void write_text(FILE *to, const void *text) { dele_html_text(to, text); }
static void write_base64(FILE *to, const void *text) { dele_base64(to, text, strlen(text)); }

static void text_cannot_become_markup_or_leave_an_attribute(void **state)
{
    (void)state;
    char out[400];
    put(out, sizeof out, write_text,
        "</td><script>alert(\"x\")</script> '&amp; \x01\x1b[31m é\n\tend");
    assert_null(strpbrk(out, "<>\"'\x01\x1b"));
    assert_string_equal(
        out, "&#60;/td&#62;&#60;script&#62;alert(&#34;x&#34;)&#60;/script&#62; &#39;&#38;amp; "
             "\uFFFD\uFFFD[31m é\n\tend");
}

/* RFC 4648, section 10. */
static void base64_is_the_standards(void **state)
{
    (void)state;
    static const char *const pair[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    char out[64];
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
        memset(out, 0, sizeof out);
        put(out, sizeof out, write_base64, pair[i][0]);
        assert_string_equal(out, pair[i][1]);
    }
}

static void a_picture_that_is_missing_is_an_error(void **state)
{
    dele_err err = {0};
    FILE *to = fopen(scratch_path(*state, "page"), "w");
    assert_non_null(to);
    assert_int_equal(dele_html_picture(to, scratch_path(*state, "none.svg"), "nothing", &err),
                     DELE_ERR_FILE);
    fclose(to);
}

static dele_status fail_to_fill(FILE *to, void *context, dele_err *err)
{
    (void)context;
    fputs("half a page", to);
    return dele_fail(err, DELE_ERR_DATA, "no more");
}

static void a_page_that_cannot_be_filled_is_not_left_behind(void **state)
{
    dele_err err = {0};
    const char *path = scratch_path(*state, "page.html");
    assert_int_equal(dele_report_write(path, "A title", fail_to_fill, NULL, &err), DELE_ERR_DATA);
    assert_int_equal(scratch_count(*state), 0);
    err = (dele_err){0};
    assert_int_equal(
        dele_page_write(path, "plots/report.html", "@NOWHERE@", fail_to_fill, NULL, &err),
        DELE_ERR_DATA);
    assert_non_null(strstr(err.msg, "@NOWHERE@"));
}

int main(void)
{
#define CLAIM(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_cannot_become_markup_or_leave_an_attribute),
        cmocka_unit_test(base64_is_the_standards),
        CLAIM(a_picture_that_is_missing_is_an_error),
        CLAIM(a_page_that_cannot_be_filled_is_not_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
