/* What a saved directory holds: shards of the size that was asked for and their index, no weights
 * of an earlier save, and every file of the model that was loaded. */
#include <dirent.h>
#include <strings.h>

#include "model_files.h"

#include "base/file_out.h"
#include "base/random.h"
#include "model/safetensors.h"
#include "scratch.h"
#include "unlearn/lora.h"

#define DEMO DELE_TESTS_DIR "/../data/models/demo"

/* A new directory in the scratch directory; its path stays valid with the arena. */
static const char *make(scratch *s, const char *name, dele_arena *arena)
{
    const char *dir = dele_printf(arena, NULL, "%s/%s", s->dir, name);
    assert_non_null(dir);
    assert_int_equal(mkdir(dir, 0777), 0);
    return dir;
}

static void save(const dele_model *m, const char *dir, const char *dtype, const char *shard_size)
{
    dele_err err = {0};
    const dele_save_options o = {.dtype = dtype, .shard_size = shard_size};
    if (dele_model_save_as(m, dir, &o, &err)) fail_msg("%s", err.msg);
}

static cJSON *json_of(scratch *s, const char *name)
{
    dele_err err = {0};
    cJSON *json = dele_json_load(scratch_path(s, name), &err);
    if (!json) fail_msg("%s", err.msg);
    return json;
}

/* How many files of weights a directory has, index included. */
static int weight_files(const char *dir)
{
    DIR *list = opendir(dir);
    int n = 0;
    assert_non_null(list);
    for (const struct dirent *e; (e = readdir(list));) n += !strncmp(e->d_name, "model", 5);
    closedir(list);
    return n;
}

/* The data after a safetensors header. */
static size_t data_bytes(const char *path)
{
    size_t n;
    uint64_t header;
    uint8_t *file = read_bytes(path, &n);
    memcpy(&header, file, sizeof header);
    free(file);
    return n - sizeof header - (size_t)header;
}

static void the_same_weights(const dele_model *a, const char *dir)
{
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model b;
    if (dele_model_load(&b, dir, &arena, &err)) fail_msg("%s", err.msg);
    assert_same_weights(a, &b);
    dele_model_release(&b);
    dele_arena_release(&arena);
}

static void shards_have_the_size_and_the_index_has_the_sums(void **state)
{
    scratch *s = *state;
    static const char *const dtypes[] = {"f32", "bf16"};
    for (size_t f = 0; f < dele_n_families; f++)
        for (size_t d = f % 2; d < 2; d += 2) { /* each family in one of the types */
            char name[128];
            enum { LIMIT = 1200 };
            dele_arena arena = {0};
            dele_model m;
            tiny_model(&m, dele_families[f], d, &arena);
            snprintf(name, sizeof name, "%zu-%zu", f, d);
            const char *dir = make(s, name, &arena);
            save(&m, dir, dtypes[d], "1.2KB");
            if (d == 0) the_same_weights(&m, dir);
            snprintf(name, sizeof name, "%zu-%zu/model.safetensors.index.json", f, d);
            cJSON *index = json_of(s, name), *metadata = cJSON_GetObjectItem(index, "metadata"),
                  *map = cJSON_GetObjectItem(index, "weight_map");
            const size_t size = d ? 2 : 4, n = dele_model_parameters(&m);
            size_t total = 0;
            int n_shards = 0, number = 0, of = 0;
            assert_true(cJSON_GetObjectItem(metadata, "total_size")->valuedouble ==
                        (double)(n * size));
            assert_true(cJSON_GetObjectItem(metadata, "total_parameters")->valuedouble ==
                        (double)n);
            const char *before = "";
            for (const cJSON *t = map->child; t; before = t->string, t = t->next) {
                assert_true(strcmp(before, t->string) < 0);
                assert_int_equal(
                    sscanf(t->valuestring, "model-%5d-of-%5d.safetensors", &number, &of), 2);
                if (of > n_shards) n_shards = of;
            }
            assert_true(n_shards > 1);
            for (int i = 1; i <= n_shards; i++) {
                int tensors = 0;
                snprintf(name, sizeof name, "%zu-%zu/model-%05d-of-%05d.safetensors", f, d, i,
                         n_shards);
                const size_t bytes = data_bytes(scratch_path(s, name));
                for (const cJSON *t = map->child; t; t = t->next)
                    tensors += !strcmp(t->valuestring, strchr(name, '/') + 1);
                assert_true(bytes <= LIMIT || tensors == 1);
                assert_true(tensors >= 1);
                total += bytes;
            }
            assert_int_equal(total, n * size);
            assert_int_equal(weight_files(dir), n_shards + 1);
            cJSON_Delete(index);
            dele_arena_release(&arena);
        }
}

static void shards_are_the_bytes_of_one_file_divided(void **state)
{
    scratch *s = *state;
    dele_arena arena = {0};
    dele_model m;
    tiny_model(&m, &dele_family_llama, false, &arena);
    const char *one = make(s, "one", &arena), *many = make(s, "many", &arena);
    save(&m, one, "f32", "1TB");
    save(&m, many, "f32", "700");
    size_t n, at;
    uint64_t header;
    uint8_t *whole = read_bytes(scratch_path(s, "one/model.safetensors"), &n);
    memcpy(&header, whole, sizeof header);
    at = sizeof header + (size_t)header;
    const int n_shards = weight_files(many) - 1;
    for (int i = 1; i <= n_shards; i++) {
        char name[64];
        size_t size;
        snprintf(name, sizeof name, "many/model-%05d-of-%05d.safetensors", i, n_shards);
        uint8_t *shard = read_bytes(scratch_path(s, name), &size);
        memcpy(&header, shard, sizeof header);
        const size_t begin = sizeof header + (size_t)header;
        assert_true(size - begin <= n - at);
        assert_memory_equal(shard + begin, whole + at, size - begin);
        at += size - begin;
        free(shard);
    }
    assert_int_equal(at, n);
    free(whole);
    dele_arena_release(&arena);
}

static void weights_of_an_earlier_save_do_not_remain(void **state)
{
    scratch *s = *state;
    static const char *const sizes[] = {"1500", "1GB", "1200", "1GB"};
    dele_arena arena = {0};
    const char *dir = make(s, "m", &arena);
    scratch_text(s, "m/model-notes.txt", "kept"); /* not a file of weights */
    scratch_text(s, "m/model-1-of-2.safetensors", "kept");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        dele_model m;
        tiny_model(&m, &dele_family_llama, i % 2, &arena);
        save(&m, dir, "f32", sizes[i]);
        the_same_weights(&m, dir);
        const bool one = !strcmp(sizes[i], "1GB");
        assert_int_equal(dele_path_exists(scratch_path(s, "m/model.safetensors")), one);
        assert_int_equal(dele_path_exists(scratch_path(s, "m/model.safetensors.index.json")), !one);
        if (one) assert_int_equal(weight_files(dir), 3);
    }
    assert_true(dele_path_exists(scratch_path(s, "m/model-1-of-2.safetensors")));
    dele_arena_release(&arena);
}

static void a_model_saved_over_its_own_mapped_files_is_whole(void **state)
{
    scratch *s = *state;
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model made, m;
    tiny_model(&made, &dele_family_olmo, true, &arena);
    const char *dir = make(s, "m", &arena);
    save(&made, dir, "f32", "1500");
    if (dele_model_load(&m, dir, &arena, &err)) fail_msg("%s", err.msg);
    save(&m, dir, "keep", "1200"); /* other shards, of the bytes that are mapped */
    the_same_weights(&made, dir);
    save(&m, dir, "keep", "1GB");
    the_same_weights(&made, dir);
    assert_same_weights(&made, &m);
    dele_model_release(&m);
    dele_arena_release(&arena);
}

static void every_file_of_the_model_is_carried_over(void **state)
{
    scratch *s = *state;
    /* with a format of its own, keys that nobody knows, and what is not JSON at all */
    static const char *const files[][2] = {
        {"tokenizer_config.json", "{ \"my_key\" : 1.0,\n\n\"b\":[ ]}"},
        {"special_tokens_map.json", "{ }"},
        {"added_tokens.json", "{\n}\n\n"},
        {"vocab.json", "{\"a\" :0}"},
        {"merges.txt", "#version: 0.2\n"},
        {"tokenizer.model", "\x0a\x0e\x00\x01"},
        {"chat_template.jinja", "{{ messages }}"},
        {"chat_template.json", "{\"chat_template\": \"x\"}"},
        {"generation_config.json", "{\"eos_token_id\": 2, \"temperature\":0.60, \"x_y\": {}}"},
    };
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model m;
    const char *from = make(s, "from", &arena), *to = make(s, "to", &arena),
               *bare = make(s, "bare", &arena);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[64];
        snprintf(name, sizeof name, "from/%s", files[i][0]);
        scratch_text(s, name, files[i][1]);
    }
    scratch_text(s, "from/notes.txt", "no file of a model");
    static const char *const shipped[] = {"model.safetensors", "tokenizer.json"};
    for (int i = 0; i < 2; i++) {
        char name[64];
        snprintf(name, sizeof name, "from/%s", shipped[i]);
        const char *source = dele_printf(&arena, &err, DEMO "/%s", shipped[i]);
        if (dele_file_copy(source, scratch_path(s, name), &err)) fail_msg("%s", err.msg);
    }
    char *config = dele_file_read(DEMO "/config.json", &arena, NULL, &err), *open;
    assert_non_null(config);
    assert_non_null(open = strchr(config, '{'));
    scratch_text(s, "from/config.json",
                 dele_printf(&arena, &err, "{ \"my_note\":  [8.0, {\"a\":null}],%s", open + 1));
    if (dele_model_load(&m, from, &arena, &err)) fail_msg("%s", err.msg);
    save(&m, to, "keep", "500KB");
    for (size_t i = 0; i < sizeof files / sizeof *files + 2; i++) {
        const char *name = i < sizeof files / sizeof *files    ? files[i][0]
                           : i == sizeof files / sizeof *files ? "config.json"
                                                               : "tokenizer.json";
        char a[64], b[64];
        size_t n, k;
        snprintf(a, sizeof a, "from/%s", name);
        snprintf(b, sizeof b, "to/%s", name);
        uint8_t *x = read_bytes(scratch_path(s, a), &n), *y = read_bytes(scratch_path(s, b), &k);
        if (n != k || memcmp(x, y, n)) fail_msg("%s is not carried over byte for byte", name);
        free(x);
        free(y);
    }
    assert_false(dele_path_exists(scratch_path(s, "to/notes.txt")));
    const dele_save_options o = {DELE_SAVE_DEFAULTS, .no_tokenizer = true};
    if (dele_model_save_as(&m, bare, &o, &err)) fail_msg("%s", err.msg);
    int n = 0;
    DIR *list = opendir(bare);
    assert_non_null(list);
    while (readdir(list)) n++;
    closedir(list);
    assert_int_equal(n, 2 + 3); /* config, generation_config, weights */
    dele_model_release(&m);
    dele_arena_release(&arena);
}

static void the_files_of_a_tokenizer_that_is_not_read_are_carried_over(void **state)
{
    scratch *s = *state;
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model made, m;
    tiny_model(&made, &dele_family_llama, false, &arena);
    const char *from = make(s, "from", &arena), *to = make(s, "to", &arena);
    save(&made, from, "f32", "1GB");
    scratch_text(s, "from/tokenizer.model", "sentencepiece");
    if (dele_model_load(&m, from, &arena, &err)) fail_msg("%s", err.msg);
    assert_null(m.tokenizer);
    save(&m, to, "keep", "1GB");
    assert_true(dele_path_exists(scratch_path(s, "to/tokenizer.model")));
    dele_model_release(&m);
    dele_arena_release(&arena);
}

/* The values of a tensor of a file. */
static const float *values(const dele_safetensors *st, const char *name, size_t *rows, size_t *cols)
{
    const dele_stored *t = dele_stored_find(st->tensor, st->n, name);
    if (!t) fail_msg("%s is missing", name);
    *rows = t->dims[0], *cols = t->dims[1];
    return (const float *)(const void *)t->data;
}

static void open_weights(dele_safetensors *st, const char *dir, dele_arena *arena)
{
    dele_err err = {0};
    if (dele_safetensors_open(st, dir, arena, &err)) fail_msg("%s", err.msg);
}

/* PEFT's reading of an adapter: W of the file changes by alpha / rank times B A (of its transpose,
 * where the layer is one of transposed weights); a fused module has the rank of all its adapters
 * together. */
static void adapters_are_the_change_of_the_files_weights(void **state)
{
    scratch *s = *state;
    enum { RANK = 2 };
    for (size_t f = 0; f < dele_n_families; f++) {
        char name[80];
        dele_arena arena = {0};
        dele_err err = {0};
        dele_model m;
        dele_mask mask;
        dele_lora l;
        dele_rng rng;
        dele_safetensors before, after, adapter;
        const dele_lora_options o = {.rank = RANK, .alpha = 3, .seed = 3};
        tiny_model(&m, dele_families[f], false, &arena);
        snprintf(name, sizeof name, "%zu-before", f);
        const char *was = make(s, name, &arena);
        save(&m, was, "f32", "1GB");
        if (dele_mask_parse(&mask, &m, "1", "attn,mlp", &arena, &err)) fail_msg("%s", err.msg);
        for (size_t k = 0; k < m.n_tensors; k++) {
            const bool frozen = m.tensors[k].vector || m.tensors[k].slot == DELE_SLOT_K;
            mask.trains[k] &= !frozen; /* q and v alone, as is usual */
        }
        if (dele_lora_init(&l, &m, &mask, &o, &arena, &err)) fail_msg("%s", err.msg);
        dele_rng_seed(&rng, 9);
        for (size_t k = 0; k < m.n_tensors; k++)
            for (size_t i = 0; l.table.tensors[k].data && i < l.table.tensors[k].cols; i++)
                l.table.tensors[k].data[i] = (float)dele_rng_normal(&rng);
        dele_lora_write(&l);
        snprintf(name, sizeof name, "%zu-after", f);
        const char *is = make(s, name, &arena);
        save(&m, is, "f32", "1GB");
        snprintf(name, sizeof name, "%zu-adapter", f);
        const char *kept = make(s, name, &arena);
        if (dele_lora_save(&l, "base", kept, &err)) fail_msg("%s", err.msg);
        rename(dele_printf(&arena, &err, "%s/adapter_model.safetensors", kept),
               dele_printf(&arena, &err, "%s/model.safetensors", kept));
        open_weights(&before, was, &arena);
        open_weights(&after, is, &arena);
        open_weights(&adapter, kept, &arena);
        snprintf(name, sizeof name, "%zu-adapter/adapter_config.json", f);
        cJSON *config = json_of(s, name);
        const cJSON *module;
        size_t n_changed = 0, n_modules = 0;
        cJSON_ArrayForEach(module, cJSON_GetObjectItem(config, "target_modules"))
        {
            const cJSON *own_rank = cJSON_GetObjectItem(cJSON_GetObjectItem(config, "rank_pattern"),
                                                        module->valuestring),
                        *own_alpha = cJSON_GetObjectItem(
                            cJSON_GetObjectItem(config, "alpha_pattern"), module->valuestring);
            const double scale = (own_alpha ? own_alpha->valuedouble : 3.0) /
                                 (own_rank ? own_rank->valuedouble : RANK);
            const char *base =
                           dele_printf(&arena, &err, "base_model.model.%s", module->valuestring),
                       *w = dele_printf(&arena, &err, "%s.weight", module->valuestring);
            size_t in, out, rank, rank_b, rows, cols;
            const float *a = values(&adapter, dele_printf(&arena, &err, "%s.lora_A.weight", base),
                                    &rank, &in),
                        *b = values(&adapter, dele_printf(&arena, &err, "%s.lora_B.weight", base),
                                    &out, &rank_b),
                        *w0 = values(&before, w, &rows, &cols),
                        *w1 = values(&after, w, &rows, &cols);
            assert_true(rank == rank_b && rank == (own_rank ? own_rank->valuedouble : RANK));
            const bool transposed = cJSON_IsTrue(cJSON_GetObjectItem(config, "fan_in_fan_out"));
            assert_true(transposed ? rows == in && cols == out : rows == out && cols == in);
            for (size_t r = 0; r < out; r++)
                for (size_t c = 0; c < in; c++) {
                    const size_t at = transposed ? c * out + r : r * in + c;
                    double change = 0;
                    for (size_t k = 0; k < rank; k++) change += b[r * rank + k] * a[k * in + c];
                    if (fabs(w1[at] - (w0[at] + scale * change)) > 1e-5)
                        fail_msg("%s: %s [%zu, %zu]", dele_families[f]->hf, w, r, c);
                }
            n_modules++;
        }
        for (size_t i = 0; i < before.n; i++)
            n_changed +=
                memcmp(before.tensor[i].data, after.tensor[i].data, before.tensor[i].n_bytes) != 0;
        assert_int_equal(n_changed, n_modules);
        assert_true(n_modules >= 4);
        cJSON_Delete(config);
        dele_safetensors_close(&before);
        dele_safetensors_close(&after);
        dele_safetensors_close(&adapter);
        dele_arena_release(&arena);
    }
}

static void sizes_are_written_as_in_transformers(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        size_t bytes;
    } good[] = {{"50GB", 50000000000}, {"5gb", 5000000000},   {"1.5MB", 1500000}, {"7", 7},
                {"2KB", 2000},         {"1TB", 1000000000000}};
    static const char *const bad[] = {"",   "GB",   "0",     "-1", "1e9", "0x10", "5 GB",
                                      "5G", "5GBB", "1.2.3", ".",  "0.5", "inf",  "99999999999TB"};
    size_t bytes;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        dele_err err = {0};
        if (dele_saved_shard_size(&bytes, good[i].word, &err)) fail_msg("%s", err.msg);
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dele_err err = {0};
        if (!dele_saved_shard_size(&bytes, bad[i], &err)) fail_msg("\"%s\" is taken", bad[i]);
        assert_int_equal(err.code, DELE_ERR_USAGE);
        assert_non_null(strstr(err.msg, "--shard-size"));
    }
}

int main(void)
{
#define IN_SCRATCH(claim) cmocka_unit_test_setup_teardown(claim, scratch_open, scratch_close)
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(shards_have_the_size_and_the_index_has_the_sums),
        IN_SCRATCH(shards_are_the_bytes_of_one_file_divided),
        IN_SCRATCH(weights_of_an_earlier_save_do_not_remain),
        IN_SCRATCH(a_model_saved_over_its_own_mapped_files_is_whole),
        IN_SCRATCH(every_file_of_the_model_is_carried_over),
        IN_SCRATCH(the_files_of_a_tokenizer_that_is_not_read_are_carried_over),
        IN_SCRATCH(adapters_are_the_change_of_the_files_weights),
        cmocka_unit_test(sizes_are_written_as_in_transformers),
    };
    return cmocka_run_group_tests_name("saved files", tests, NULL, NULL);
}
