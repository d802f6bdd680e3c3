/* JSON files and rows: what is read is what was written, and what is broken is named by file and
 * line. */
#include "claims.h"

#include "base/file.h"
#include "base/json.h"
#include "base/json_out.h"
#include "scratch.h"

static void utf8_is_told_from_what_is_not(void **state)
{
    (void)state;
    const char *good[] = {"", "abc", "é", "日本", "😀", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"};
    const char *bad[] = {"\x80",
                         "\xc0\xaf",
                         "\xc3",
                         "\xe0\x9f\xbf",
                         "\xed\xa0\x80",
                         "\xf0\x8f\xbf\xbf",
                         "\xf4\x90\x80\x80",
                         "\xff",
                         "a\xe6\x97",
                         "\xe6\x97zz"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(dele_utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(dele_utf8_valid(bad[i], strlen(bad[i])));
}

/* Reads every record; returns how many, leaving the error where it was. */
static int count_records(const char *path, dele_err *err)
{
    dele_records r = {0};
    if (dele_records_open(&r, path, err)) return -1;
    int n = 0;
    const cJSON *row;
    while ((row = dele_records_next(&r, err)) && dele_record_string(&r, row, "subject", err)) n++;
    dele_records_close(&r);
    return n;
}

static void lines_and_arrays_give_the_same_records(void **state)
{
    dele_err err = {0};
    const char *lines =
        "\xef\xbb\xbf{\"subject\": \"a\"}\r\n\n  \n{\"subject\": \"b\"}\n{\"subject\": \"c\"}";
    assert_int_equal(count_records(scratch_text(*state, "l.jsonl", lines), &err), 3);
    const char *array = " [{\"subject\": \"a\"},\n {\"subject\": \"b\"},\n {\"subject\": \"c\"}]\n";
    assert_int_equal(count_records(scratch_text(*state, "a.json", array), &err), 3);
    assert_int_equal(count_records(scratch_text(*state, "none.jsonl", ""), &err), 0);
    assert_int_equal(err.code, DELE_OK);
}

static void a_bad_record_is_named_by_file_and_line(void **state)
{
    const struct {
        const char *text, *says;
        int records;
    } wrong[] = {
        {"{\"subject\": \"a\"}\n\n{\"subject\": }\n", "r.jsonl:3: not JSON near \"}\"", 1},
        {"{\"subject\": \"a\"}\n{\"subject\": \"b\"", "r.jsonl:2: the JSON ends before", 1},
        {"{\"subject\": \"a\"}\n{\"subjct\": \"b\"}\n", "r.jsonl:2: no string field \"subject\"",
         1},
        {"{\"subject\": 3}\n", "r.jsonl:1: no string field \"subject\"", 0},
        {"{\"subject\": \"a\"}\n17\n", "r.jsonl:2: a record must be an object", 1},
        {"{\"subject\": \"a\"} {\"subject\": \"b\"}\n", "r.jsonl:1: not JSON near", 0},
        {"{\"subject\": \"a\"}\n{\"subject\": \"caf\xe9\"}\n", "r.jsonl:2: byte 0xe9 is not UTF-8",
         -1},
        {"[{\"subject\": \"a\"},\n\n {\"subject\" \"b\"}]", "r.jsonl:3: not JSON near", 1},
        {"[{\"subject\": \"a\"}, 5]", "r.jsonl:2: a record must be an object", 1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        dele_err err = {0};
        assert_int_equal(count_records(scratch_text(*state, "r.jsonl", wrong[i].text), &err),
                         wrong[i].records);
        if (!strstr(err.msg, wrong[i].says)) fail_msg("%s: says \"%s\"", wrong[i].text, err.msg);
    }
}

/* cJSON's strings end at U+0000 and a double is no id: what it cannot hold is refused, or passed on
 * as it was read. */
static void what_a_json_string_cannot_hold_is_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"{\"a\": 1}\n{\"a\": \"x\\u0000y\"}\n", "r.jsonl:2: U+0000 in a string"},
        {"{\"a\": \"\\udc80\"}", "r.jsonl:1: half of a surrogate pair"},
        {"{\"a\": \"\\ud83d x\"}", "r.jsonl:1: half of a surrogate pair"},
        {"{\"a\": \"x\ty\"}", "r.jsonl:1: a control character inside a string"},
        {"{\"a\": 1, \"b\": 2, \"a\": 3}", "r.jsonl:1: the key \"a\" appears twice"},
        {"{\"b\": [{\"c\": {\"x\": 1, \"\\u0078\": 2}}]}",
         "r.jsonl:1: the key \"x\" appears twice"},
        {"[\n{\"a\": 1},\n{\"a\": \"\\u0000\"}]", "r.jsonl:3: U+0000 in a string"},
        {"[{\"a\": 1} {\"a\": 2}]", "r.jsonl:1: not JSON near"},
        {"[{\"a\": 1},]", "r.jsonl:1: not JSON near"},
        {"[{\"a\": 1}] x", "r.jsonl:1: not JSON near"},
        {"[{\"a\": 1}", "r.jsonl:1: the JSON ends before"},
        {"[{\"a\": ]}", "r.jsonl:1: not JSON near"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        dele_err err = {0};
        dele_records r = {0};
        if (!dele_records_open(&r, scratch_text(*state, "r.jsonl", wrong[i].text), &err))
            while (dele_records_next(&r, &err)) continue;
        dele_records_close(&r);
        if (!strstr(err.msg, wrong[i].says)) fail_msg("%s: says \"%s\"", wrong[i].text, err.msg);
    }
    dele_err err = {0};
    assert_null(
        dele_json_load(scratch_text(*state, "c.json", "{\n\"a\": {\"k\": 1,\n\"k\": 2}}"), &err));
    assert_non_null(strstr(err.msg, "the key \"k\" appears twice"));
    /* a pair is a character, and an escaped backslash before u0000 is none */
    err = (dele_err){0};
    cJSON *json = dele_json_load(
        scratch_text(*state, "c.json", "{\"a\": \"\\ud83d\\ude00\", \"b\": \"\\\\u0000\"}"), &err);
    assert_string_equal(cJSON_GetObjectItem(json, "a")->valuestring, "\xf0\x9f\x98\x80");
    assert_string_equal(cJSON_GetObjectItem(json, "b")->valuestring, "\\u0000");
    cJSON_Delete(json);
}

static void a_row_is_passed_on_byte_for_byte(void **state)
{
    static const char *const row[] = {
        "{\"id\":1161888007138312219,  \"x\": 0.30000000000000004, \"y\":1.0e2}",
        "{\"a\":\"x\\u0000y\", \"half\": \"\\ud800\", \"slash\": \"\\/\", \"e\": \"caf\\u00e9\"}"};
    char lines[512], array[512];
    snprintf(lines, sizeof lines, "  %s \r\n\n%s", row[0], row[1]);
    snprintf(array, sizeof array, " [ %s ,\n%s\n]\n", row[0], row[1]);
    for (int form = 0; form < 2; form++) {
        dele_err err = {0};
        dele_arena arena = {0};
        dele_records r = {.pass_on = true};
        assert_int_equal(
            dele_records_open(&r, scratch_text(*state, "r", form ? array : lines), &err), DELE_OK);
        for (int i = 0; i < 2; i++) {
            const cJSON *json = dele_records_next(&r, &err);
            if (!json) fail_msg("%s", err.msg);
            assert_string_equal(dele_record_text(&r, &arena, &err), row[i]);
            const cJSON *id = cJSON_GetObjectItem(json, "id");
            if (id) assert_string_equal(dele_json_id(id, &arena, &err), "1161888007138312219");
            if (i)
                assert_string_equal(cJSON_GetObjectItem(json, "a")->valuestring, "x\xef\xbf\xbdy");
        }
        assert_null(dele_records_next(&r, &err));
        assert_int_equal(err.code, DELE_OK);
        dele_records_close(&r);
        dele_arena_release(&arena);
    }
}

static void a_path_that_is_not_utf8_survives_json(void **state)
{
    static const char path[] = "a\xff\x9b"
                               "b\xc3\xa9\xed\xb2\x80\xc2\x9b\x1b\xe2\x80\xae/c";
    dele_err err = {0};
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "path", path);
    assert_int_equal(dele_json_save(scratch_path(*state, "m.json"), json, &err), DELE_OK);
    cJSON_Delete(json);
    dele_arena arena = {0};
    const char *text = dele_file_read(scratch_path(*state, "m.json"), &arena, NULL, &err);
    assert_true(dele_utf8_valid(text, strlen(text)));
    /* as Python's json.dumps(os.fsdecode(path)) has the bytes; controls escaped; é as it is */
    assert_non_null(
        strstr(text, "a\\udcff\\udc9bb\xc3\xa9\\udced\\udcb2\\udc80\\u009b\\u001b\\u202e/c"));
    json = dele_json_load_result(scratch_path(*state, "m.json"), &err);
    if (!json) fail_msg("%s", err.msg);
    assert_string_equal(cJSON_GetObjectItem(json, "path")->valuestring, path);
    cJSON_Delete(json);
    assert_null(
        dele_json_load(scratch_path(*state, "m.json"), &err)); /* somebody's text is UTF-8 */
    dele_arena_release(&arena);
}

static void a_bad_json_file_is_named_by_its_line(void **state)
{
    dele_err err = {0};
    assert_null(
        dele_json_load(scratch_text(*state, "c.json", "{\n \"a\": 1,\n \"b\": tru\n}"), &err));
    assert_non_null(strstr(err.msg, "c.json:3: not JSON near"));
    err = (dele_err){0};
    assert_null(dele_json_load(scratch_write(*state, "z.json", "{}\0", 3), &err));
    assert_non_null(strstr(err.msg, "z.json:1: a zero byte"));
    err = (dele_err){0};
    assert_null(dele_json_load(scratch_text(*state, "e.json", ""), &err));
    assert_non_null(strstr(err.msg, "ends before it is complete"));
}

static void numbers_read_back_as_they_were(void **state)
{
    (void)state;
    const double x[] = {0, 0.1, 1.0 / 3, 1e300, -2.5e-310, 123456789012345678.0, 5e-324};
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) {
        cJSON *json = dele_json_number(x[i]);
        assert_true(strtod(json->valuestring, NULL) == x[i]);
        cJSON_Delete(json);
    }
    cJSON *tenth = dele_json_number(0.1), *nan = dele_json_number(0.0 / 0.0);
    assert_string_equal(tenth->valuestring, "0.1");
    assert_string_equal(nan->valuestring, "null");
    cJSON_Delete(tenth);
    cJSON_Delete(nan);
}

static void what_is_saved_loads_again(void **state)
{
    const char *path = scratch_path(*state, "s.json");
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "text", "日本 \"quoted\"\n");
    cJSON_AddItemToObject(json, "x", dele_json_number(0.1));
    assert_int_equal(dele_json_save(path, json, NULL), DELE_OK);
    cJSON *again = dele_json_load(path, NULL);
    assert_string_equal(cJSON_GetObjectItem(again, "text")->valuestring, "日本 \"quoted\"\n");
    assert_true(cJSON_GetObjectItem(again, "x")->valuedouble == 0.1);
    cJSON_Delete(json);
    cJSON_Delete(again);
}

int main(void)
{
#define SCRATCH(claim) cmocka_unit_test_setup_teardown(claim, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_told_from_what_is_not),
        SCRATCH(lines_and_arrays_give_the_same_records),
        SCRATCH(a_bad_record_is_named_by_file_and_line),
        SCRATCH(what_a_json_string_cannot_hold_is_refused),
        SCRATCH(a_row_is_passed_on_byte_for_byte),
        SCRATCH(a_path_that_is_not_utf8_survives_json),
        SCRATCH(a_bad_json_file_is_named_by_its_line),
        cmocka_unit_test(numbers_read_back_as_they_were),
        SCRATCH(what_is_saved_loads_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
