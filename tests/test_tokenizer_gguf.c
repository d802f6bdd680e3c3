/* Tokenizers made of a GGUF's metadata against llama.cpp's ids: each name of a pre-tokenizer, and
 * vocabularies with scores.  tests/reference/compare_gguf_tokenizers.py --fixture writes the file.
 */
#include "claims.h"

#include "base/json.h"
#include "text/tokenizer.h"

static dele_arena arena;
static dele_err err;

static const char **strings(const cJSON *list, size_t *n)
{
    const cJSON *item;
    const char **out = DELE_NEW(&arena, const char *, (size_t)cJSON_GetArraySize(list) + 1, &err);
    *n = 0;
    cJSON_ArrayForEach(item, list) out[(*n)++] = item->valuestring;
    return out;
}

static int id_of(const dele_tokenizer_parts *p, const char *token)
{
    for (size_t i = 0; i < p->n_tokens; i++)
        if (!strcmp(p->tokens[i], token)) return (int)i;
    fail_msg("no token %s", token);
    return -1;
}

static void check_ids(const dele_tokenizer *t, const char *text, bool special, const cJSON *wanted,
                      const char *name)
{
    dele_ids got;
    const cJSON *item;
    size_t n = 0;
    if (dele_encode(&got, t, text, strlen(text), special, &arena, &err)) fail_msg("%s", err.msg);
    cJSON_ArrayForEach(item, wanted)
    {
        if (n >= got.n || got.id[n] != item->valueint)
            fail_msg("%s: \"%s\": id %zu is %d, not %d", name, text, n, n < got.n ? got.id[n] : -1,
                     item->valueint);
        n++;
    }
    if (n != got.n) fail_msg("%s: \"%s\": %zu ids, not %zu", name, text, got.n, n);
}

/* A text that begins with the text of BOS gets no second one from deleatur, unlike llama.cpp. */
static void check_case(const cJSON *file, const cJSON *one, dele_tokenizer_parts *p,
                       const char *name)
{
    dele_tokenizer *t = dele_tokenizer_build(p, &arena, &err);
    if (!t) fail_msg("%s: %s", name, err.msg);
    const cJSON *texts = dele_json_get(file, "texts"), *ids = dele_json_get(one, "ids");
    for (int i = 0; i < cJSON_GetArraySize(texts); i++) {
        const char *text = cJSON_GetArrayItem(texts, i)->valuestring;
        const cJSON *both = cJSON_GetArrayItem(ids, i);
        if (cJSON_IsNull(both)) continue; /* the script says why */
        const char *bos = p->bos >= 0 ? p->tokens[p->bos] : "";
        if (!*bos || strncmp(text, bos, strlen(bos)))
            check_ids(t, text, true, cJSON_GetArrayItem(both, 0), name);
        check_ids(t, text, false, cJSON_GetArrayItem(both, 1), name);
    }
    dele_tokenizer_close(t);
}

static cJSON *fixture(void)
{
    cJSON *file = dele_json_load(DELE_TESTS_DIR "/fixtures/text/gguf_tokenizers.json", &err);
    if (!file) fail_msg("%s", err.msg);
    return file;
}

static void each_name_of_a_pre_tokenizer_gives_llama_cpps_ids(void **state)
{
    (void)state;
    cJSON *file = fixture();
    const cJSON *bpe = dele_json_get(file, "gpt2"), *one, *name;
    dele_tokenizer_parts p = {.kind = "gpt2", .unk = -1, .pad = -1};
    int n = 0;
    p.tokens = strings(dele_json_get(bpe, "tokens"), &p.n_tokens);
    p.merges = strings(dele_json_get(bpe, "merges"), &p.n_merges);
    int *types = DELE_NEW(&arena, int, p.n_tokens, &err);
    for (size_t i = 0; i < p.n_tokens; i++) types[i] = 1;
    p.bos = id_of(&p, "<|start|>");
    p.eos = id_of(&p, "<|end|>");
    types[p.bos] = types[p.eos] = 3;
    types[id_of(&p, "<tool>")] = 4;
    p.types = types;
    cJSON_ArrayForEach(one, dele_json_get(bpe, "cases"))
    {
        cJSON_ArrayForEach(name, dele_json_get(one, "names"))
        {
            p.pre = cJSON_GetStringValue(name); /* NULL: the file names none */
            p.add_bos = dele_pre_adds_bos(p.pre);
            check_case(file, one, &p, p.pre ? p.pre : "no name");
            n++;
        }
    }
    assert_true(n > 30);
    p.pre = "unheard-of";
    assert_null(dele_tokenizer_build(&p, &arena, &err));
    assert_non_null(strstr(err.msg, "pre-tokenizer \"unheard-of\" is not known"));
    err = (dele_err){0};
    cJSON_Delete(file);
    dele_arena_release(&arena);
}

static bool flag(const cJSON *one, const char *name) { return dele_json_flag(one, name, true); }

static void scores_give_llama_cpps_ids(void **state)
{
    (void)state;
    cJSON *file = fixture();
    const cJSON *spm = dele_json_get(file, "llama"), *one;
    dele_tokenizer_parts p = {.kind = "llama", .bos = 1, .eos = 2, .unk = 0, .pad = -1};
    p.tokens = strings(dele_json_get(spm, "tokens"), &p.n_tokens);
    int *types = DELE_NEW(&arena, int, p.n_tokens, &err);
    float *scores = DELE_NEW(&arena, float, p.n_tokens, &err);
    for (size_t i = 0; i < p.n_tokens; i++) {
        types[i] = cJSON_GetArrayItem(dele_json_get(spm, "types"), (int)i)->valueint;
        scores[i] = (float)cJSON_GetArrayItem(dele_json_get(spm, "scores"), (int)i)->valuedouble;
    }
    p.types = types;
    p.scores = scores;
    cJSON_ArrayForEach(one, dele_json_get(spm, "cases"))
    {
        p.add_space_prefix = flag(one, "prefix");
        p.add_bos = flag(one, "bos");
        check_case(file, one, &p, "scores");
    }
    cJSON_Delete(file);
    dele_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_name_of_a_pre_tokenizer_gives_llama_cpps_ids),
        cmocka_unit_test(scores_give_llama_cpps_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
