/* Manifests: how a result is repeated, and what may differ between two runs. */
#include "claims.h"

#include <sys/stat.h>

#include "base/json.h"
#include "option/manifest.h"
#include "scratch.h"

static void write_manifest(const char *path, const char *input)
{
    int window = 3;
    const char *model = "m";
    /* clang-format off */
    const dele_option options[] = {
        DELE_OPT("window", &window, ""),
        {0}};
    /* clang-format on */
    const dele_usage usage = {
        .command = "trace", .options = options, .positional = &model, .n_positional = 1};
    char *argv[] = {(char[]){"trace"}, (char[]){"m"}};
    dele_manifest m;
    dele_manifest_begin(&m, &usage, 2, argv);
    assert_int_equal(dele_manifest_input(&m, input, NULL), DELE_OK);
    dele_manifest_set(&m, "n_facts", cJSON_CreateNumber(4));
    dele_manifest_set(&m, "n_facts", cJSON_CreateNumber(5)); /* set again: replaced */
    assert_int_equal(dele_manifest_save(&m, path, NULL), DELE_OK);
    dele_manifest_release(&m);
}

static void a_manifest_says_how_to_repeat_the_result(void **state)
{
    scratch *s = *state;
    mkdir(scratch_path(s, "in"), 0777);
    mkdir(scratch_path(s, "in/sub"), 0777);
    scratch_text(s, "in/b", "");
    scratch_text(s, "in/a", "abc");
    write_manifest(scratch_path(s, "manifest.json"), scratch_path(s, "in"));
    cJSON *m = dele_json_load(scratch_path(s, "manifest.json"), NULL);
    assert_int_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(m, "options"), "window")->valueint, 3);
    assert_string_equal(cJSON_GetArrayItem(cJSON_GetObjectItem(m, "command"), 1)->valuestring,
                        "trace");
    assert_int_equal(cJSON_GetObjectItem(m, "n_facts")->valueint, 5);
    const cJSON *inputs = cJSON_GetObjectItem(m, "inputs");
    assert_int_equal(cJSON_GetArraySize(inputs), 2);
    assert_string_equal(cJSON_GetObjectItem(cJSON_GetArrayItem(inputs, 0), "sha256")->valuestring,
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    cJSON_Delete(m);
}

static void manifests_differ_only_in_when(void **state)
{
    scratch *s = *state;
    scratch_text(s, "in", "abc");
    char *text[2];
    for (int i = 0; i < 2; i++) {
        write_manifest(scratch_path(s, "manifest.json"), scratch_path(s, "in"));
        cJSON *m = dele_json_load(scratch_path(s, "manifest.json"), NULL);
        assert_true(cJSON_IsObject(cJSON_GetObjectItem(m, "when")));
        cJSON_DeleteItemFromObject(m, "when");
        text[i] = cJSON_Print(m);
        cJSON_Delete(m);
        usleep(20000);
    }
    assert_string_equal(text[0], text[1]);
    free(text[0]);
    free(text[1]);
}

int main(void)
{
#define SCRATCH(claim) cmocka_unit_test_setup_teardown(claim, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        SCRATCH(a_manifest_says_how_to_repeat_the_result),
        SCRATCH(manifests_differ_only_in_when),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
