/* Every kind of tokenizer.json: ids and decoded texts equal to the `tokenizers` library's, whose
 * hashes are in fixtures/text/tokenizer_kinds.json (made by reference/make_tokenizer_kinds.py). */
#include "claims.h"

#include <time.h>

#include "base/json.h"
#include "tests/scratch.h"
#include "text/tokenizer.h"

#define FIXTURE DELE_TESTS_DIR "/fixtures/text/tokenizer_kinds.json"

static dele_arena arena;
static dele_err err;

static void hash_of(char hex[17], const void *bytes, size_t n)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++) h = (h ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
    snprintf(hex, 17, "%016llx", (unsigned long long)h);
}

static void hash_of_ids(char hex[17], const dele_ids *ids)
{
    unsigned char *bytes = dele_alloc(&arena, ids->n + 1, 4, &err);
    for (size_t i = 0; i < ids->n; i++)
        for (int k = 0; k < 4; k++) bytes[4 * i + (size_t)k] = (unsigned char)(ids->id[i] >> 8 * k);
    hash_of(hex, bytes, 4 * ids->n);
}

static void expect(const cJSON *kind, const char *field, int i, const char *hex, const char *text)
{
    const char *wanted = cJSON_GetArrayItem(cJSON_GetObjectItem(kind, field), i)->valuestring;
    if (strcmp(hex, wanted))
        fail_msg("%s: \"%s\", %s: %s is not the library's %s",
                 cJSON_GetObjectItem(kind, "kind")->valuestring, text, field, hex, wanted);
}

static void check_text(const dele_tokenizer *t, const cJSON *kind, int i, const char *text)
{
    char hex[17];
    dele_ids whole, bare;
    const size_t n = strlen(text);
    assert_int_equal(dele_encode(&whole, t, text, n, true, &arena, &err), DELE_OK);
    assert_int_equal(dele_encode(&bare, t, text, n, false, &arena, &err), DELE_OK);
    hash_of_ids(hex, &bare);
    expect(kind, "bare", i, hex, text);
    hash_of_ids(hex, &whole);
    /* a text that begins with BOS gets no second one here */
    const bool has_bos = whole.n == bare.n && strchr(text, '<') == text;
    if (!has_bos) expect(kind, "whole", i, hex, text);
    for (int skip = 0; skip < 2; skip++) {
        size_t length;
        const char *back = dele_decode_bytes(&length, t, bare.id, bare.n, skip, &arena, &err);
        assert_non_null(back);
        hash_of(hex, back, length);
        expect(kind, skip ? "decoded_without_special" : "decoded", i, hex, text);
    }
}

static dele_tokenizer *load(scratch *s, const cJSON *kind)
{
    char *json = cJSON_PrintUnformatted(cJSON_GetObjectItem(kind, "tokenizer"));
    const char *path = scratch_text(s, "tokenizer.json", json);
    dele_tokenizer *t = dele_tokenizer_load(path, &arena, &err);
    if (!t) fail_msg("%s", err.msg);
    cJSON_free(json);
    return t;
}

static void every_kind_of_tokenizer_has_the_librarys_ids_and_texts(void **state)
{
    cJSON *root = dele_json_load(FIXTURE, &err);
    if (!root) fail_msg("%s", err.msg);
    const cJSON *texts = cJSON_GetObjectItem(root, "texts"), *kind, *text;
    int kinds = 0;
    cJSON_ArrayForEach(kind, cJSON_GetObjectItem(root, "kinds"))
    {
        dele_arena_reset(&arena);
        dele_tokenizer *t = load(*state, kind);
        int i = 0;
        cJSON_ArrayForEach(text, texts) check_text(t, kind, i++, text->valuestring);
        dele_tokenizer_close(t);
        kinds++;
    }
    assert_int_equal(kinds, 23);
    cJSON_Delete(root);
}

/* Seconds of processor time for n bytes of one unit after another. */
static double time_of(const dele_tokenizer *t, const char *unit, size_t n)
{
    dele_arena here = {0};
    const size_t length = strlen(unit);
    char *text = dele_alloc(&here, n + length, 1, &err);
    size_t used = 0;
    for (; used + length <= n; used += length) memcpy(text + used, unit, length);
    dele_ids ids;
    const clock_t start = clock();
    if (dele_encode(&ids, t, text, used, false, &here, &err)) fail_msg("%s", err.msg);
    const clock_t end = clock();
    assert_true(ids.n <= 2 * used + 1); /* NFC may make two of one */
    dele_arena_release(&here);
    return (double)(end - start) / CLOCKS_PER_SEC;
}

/* Four times the text takes about four times as long, and sixteen times where a step's time grows
 * with the square. */
static void time_is_linear_in_a_text_without_a_break_with_every_kind(void **state)
{
    static const char *const units[] = {
        "ab", "9", ".", " ", "\n", "e\xcc\x81\xcc\xa3", "\xe0\xbd\xb3", "\xe4\xb8\xad"};
    cJSON *root = dele_json_load(FIXTURE, &err);
    if (!root) fail_msg("%s", err.msg);
    const cJSON *kind;
    cJSON_ArrayForEach(kind, cJSON_GetObjectItem(root, "kinds"))
    {
        dele_arena_reset(&arena);
        dele_tokenizer *t = load(*state, kind);
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            const double small = time_of(t, units[u], 40000), large = time_of(t, units[u], 160000);
            if (large > 8 * small + 0.3)
                fail_msg("%s: %.3f s for 40 kB of \"%s\", %.3f s for 160 kB",
                         cJSON_GetObjectItem(kind, "kind")->valuestring, small, units[u], large);
        }
        dele_tokenizer_close(t);
    }
    cJSON_Delete(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_kind_of_tokenizer_has_the_librarys_ids_and_texts,
                                        scratch_open, scratch_close),
        cmocka_unit_test_setup_teardown(time_is_linear_in_a_text_without_a_break_with_every_kind,
                                        scratch_open, scratch_close),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dele_arena_release(&arena);
    return failed;
}
