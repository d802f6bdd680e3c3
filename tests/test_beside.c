/* The files beside tokenizer.json: texts and ids from tests/reference/make_beside_fixture.py
 * (transformers 5.23).  DELEATUR_BESIDE names a larger file of the same kind. */
#include "claims.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "scratch.h"
#include "text/tokenizer.h"
#include "text/tokenizer_vocab.h"

static const char *const BESIDE[] = {"tokenizer_config.json", "special_tokens_map.json",
                                     "added_tokens.json"};

static const cJSON *part(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!item) fail_msg("no field %s", name);
    return item;
}

static void write_json(scratch *s, const char *name, const cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);
    assert_non_null(text);
    scratch_text(s, name, text);
    cJSON_free(text);
}

/* The base as a tokenizer.json, or as vocab.json and merges.txt. */
static void write_base(scratch *s, const cJSON *base, bool vocab)
{
    static const char *const own[] = {"tokenizer.json", "vocab.json", "merges.txt"};
    const cJSON *model = part(base, "model"), *merge;
    char merges[4096] = "#version: 0.2\n";
    for (int i = 0; i < 3; i++) remove(scratch_path(s, own[i]));
    if (!vocab) {
        write_json(s, "tokenizer.json", base);
        return;
    }
    write_json(s, "vocab.json", part(model, "vocab"));
    cJSON_ArrayForEach(merge, part(model, "merges"))
    {
        const size_t n = strlen(merges);
        snprintf(merges + n, sizeof merges - n, "%s %s\n",
                 cJSON_GetStringValue(cJSON_GetArrayItem(merge, 0)),
                 cJSON_GetStringValue(cJSON_GetArrayItem(merge, 1)));
    }
    scratch_text(s, "merges.txt", merges);
}

static void check(scratch *s, const cJSON *bases, const cJSON *test, int number)
{
    dele_arena arena = {0};
    dele_err err = {0};
    const cJSON *file, *pair;
    for (int i = 0; i < 3; i++) remove(scratch_path(s, BESIDE[i]));
    const char *base = cJSON_GetStringValue(part(test, "base"));
    write_base(s, part(bases, base), !strcmp(base, "vocab"));
    cJSON_ArrayForEach(file, part(test, "files")) write_json(s, file->string, file);
    const char *path = dele_tokenizer_find(s->dir, &arena, &err);
    dele_tokenizer *t = path ? dele_tokenizer_load(path, &arena, &err) : NULL;
    if (!t) fail_msg("case %d: %s", number, err.msg);
    cJSON_ArrayForEach(pair, part(test, "texts"))
    {
        const char *text = cJSON_GetStringValue(cJSON_GetArrayItem(pair, 0));
        const cJSON *ids = cJSON_GetArrayItem(pair, 1);
        dele_ids got;
        if (dele_encode(&got, t, text, strlen(text), true, &arena, &err)) fail_msg("%s", err.msg);
        bool same = got.n == (size_t)cJSON_GetArraySize(ids);
        for (size_t i = 0; i < got.n && same; i++)
            same = got.id[i] == cJSON_GetArrayItem(ids, (int)i)->valueint;
        if (!same) {
            char *want = cJSON_PrintUnformatted(ids),
                 *files = cJSON_PrintUnformatted(part(test, "files"));
            for (size_t i = 0; i < got.n; i++) print_error("%d ", got.id[i]);
            fail_msg("case %d, %s: \"%s\" is %s", number, files, text, want);
        }
    }
    dele_tokenizer_close(t);
    dele_arena_release(&arena);
}

static void texts_have_the_ids_that_transformers_gives(void **state)
{
    dele_err err = {0};
    const char *other = getenv("DELEATUR_BESIDE");
    cJSON *all = dele_json_load(other ? other : DELE_TESTS_DIR "/fixtures/text/beside.json", &err);
    if (!all) fail_msg("%s", err.msg);
    const cJSON *test;
    int n = 0;
    cJSON_ArrayForEach(test, part(all, "cases")) check(*state, part(all, "bases"), test, n++);
    assert_true(n >= 75);
    cJSON_Delete(all);
}

/* A token that no embedding has: forgotten, and its text encoded as any other. */
static void tokens_beyond_the_embedding_are_forgotten(void **state)
{
    scratch *s = *state;
    dele_arena arena = {0};
    dele_err err = {0};
    dele_ids ids;
    cJSON *all = dele_json_load(DELE_TESTS_DIR "/fixtures/text/beside.json", &err);
    if (!all) fail_msg("%s", err.msg);
    write_json(s, "tokenizer.json", part(part(all, "bases"), "byte_level"));
    scratch_text(s, "tokenizer_config.json",
                 "{\"pad_token\": \"<pad>\", \"eos_token\": \"<|end|>\"}");
    dele_tokenizer *t = dele_tokenizer_load(scratch_path(s, "tokenizer.json"), &arena, &err);
    if (!t) fail_msg("%s", err.msg);
    const int n = dele_tokenizer_size(t) - 1;
    assert_int_equal(dele_token_id(t, "<pad>"), n);
    dele_tokenizer_limit(t, n);
    assert_int_equal(dele_tokenizer_size(t), n);
    assert_int_equal(dele_token_id(t, "<pad>"), -1);
    if (dele_encode(&ids, t, "<pad>", 5, true, &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(ids.n, 5);
    assert_int_equal(dele_tokenizer_eos(t), n - 1);
    dele_tokenizer_close(t);
    dele_arena_release(&arena);
    cJSON_Delete(all);
}

static void a_broken_file_beside_is_named(void **state)
{
    scratch *s = *state;
    dele_arena arena = {0};
    dele_err err = {0};
    cJSON *all = dele_json_load(DELE_TESTS_DIR "/fixtures/text/beside.json", &err);
    if (!all) fail_msg("%s", err.msg);
    write_json(s, "tokenizer.json", part(part(all, "bases"), "byte_level"));
    scratch_text(s, "added_tokens.json", "{\"<new>\": \"260\"}");
    assert_null(dele_tokenizer_load(scratch_path(s, "tokenizer.json"), &arena, &err));
    assert_non_null(strstr(err.msg, "added_tokens.json"));
    dele_arena_release(&arena);
    cJSON_Delete(all);
}

/* Without a tokenizer.json: the two files are copied with a model, and another class's are not
 * taken for a tokenizer. */
static void a_vocabulary_and_merges_are_saved_and_their_class_is_checked(void **state)
{
    scratch *s = *state;
    dele_arena arena = {0};
    dele_err err = {0};
    cJSON *all = dele_json_load(DELE_TESTS_DIR "/fixtures/text/beside.json", &err);
    if (!all) fail_msg("%s", err.msg);
    write_base(s, part(part(all, "bases"), "vocab"), true);
    const char *path = dele_tokenizer_find(s->dir, &arena, &err);
    assert_non_null(path);
    dele_tokenizer *t = dele_tokenizer_load(path, &arena, &err);
    if (!t) fail_msg("%s", err.msg);
    assert_int_equal(dele_tokenizer_eos(t), dele_token_id(t, "<|endoftext|>"));
    assert_int_equal(mkdir(scratch_path(s, "out"), 0777), 0);
    if (dele_tokenizer_save(t, scratch_path(s, "out"), &err)) fail_msg("%s", err.msg);
    assert_true(dele_path_exists(scratch_path(s, "out/vocab.json")));
    assert_true(dele_path_exists(scratch_path(s, "out/merges.txt")));
    assert_false(dele_path_exists(scratch_path(s, "out/tokenizer.json")));
    dele_tokenizer_close(t);
    scratch_text(s, "tokenizer_config.json", "{\"tokenizer_class\": \"CTRLTokenizer\"}");
    assert_null(dele_tokenizer_find(s->dir, &arena, &err));
    assert_int_equal(err.code, DELE_OK);
    assert_null(dele_tokenizer_load(scratch_path(s, "vocab.json"), &arena, &err));
    assert_non_null(strstr(err.msg, "\"CTRLTokenizer\""));
    dele_arena_release(&arena);
    cJSON_Delete(all);
}

int main(void)
{
#define IN_A_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        IN_A_DIRECTORY(texts_have_the_ids_that_transformers_gives),
        IN_A_DIRECTORY(tokens_beyond_the_embedding_are_forgotten),
        IN_A_DIRECTORY(a_broken_file_beside_is_named),
        IN_A_DIRECTORY(a_vocabulary_and_merges_are_saved_and_their_class_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
