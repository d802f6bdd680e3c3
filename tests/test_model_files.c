/* What is true of model files: sizes, both generations of config.json, every way there and back,
 * every lie refused. */
#include <math.h>

#include "model/forward.h"
#include "model_files.h"

#include "base/file_out.h"
#include "base/json_out.h"
#include "model/gguf.h"
#include "model/layout.h"
#include "model/safetensors.h"
#include "tests/shared.h"

/* ---- shapes ---------------------------------------------------------------------------------- */

static void what_is_multiplied_together_lies_together(void **state)
{
    (void)state;
    dele_arena arena = {0};
    dele_model m;
    tiny_model(&m, &dele_family_llama, false, &arena);
    const dele_config *c = &m.config;
    size_t d_model = (size_t)c->hidden_size;
    for (int l = 0; l < c->n_layers; l++) {
        const dele_layer *layer = &m.layers[l];
        const float *qkv = layer->attn.qkv.wide, *gate_up = layer->mlp.gate_up.wide;
        assert_ptr_equal(dele_model_tensor(&m, DELE_SLOT_Q, l)->data, qkv);
        assert_ptr_equal(dele_model_tensor(&m, DELE_SLOT_K, l)->data,
                         qkv + dele_q_dim(c) * d_model);
        assert_ptr_equal(dele_model_tensor(&m, DELE_SLOT_V, l)->data,
                         qkv + (dele_q_dim(c) + dele_kv_dim(c)) * d_model);
        assert_ptr_equal(dele_model_tensor(&m, DELE_SLOT_GATE, l)->data, gate_up);
        assert_ptr_equal(dele_model_tensor(&m, DELE_SLOT_UP, l)->data,
                         gate_up + (size_t)c->intermediate_size * d_model);
        assert_ptr_equal(dele_model_tensor(&m, DELE_SLOT_DOWN, l)->data, layer->mlp.down.wide);
    }
    assert_ptr_not_equal(m.head.wide, m.embed.wide);
    assert_string_equal(m.tensors[1].name, "model.layers.0.input_layernorm.weight");
    assert_string_equal(m.tensors[m.n_tensors - 1].name, "lm_head.weight");
    dele_arena_release(&arena);
    arena = (dele_arena){0};
    tiny_model(&m, &dele_family_olmo, true, &arena);
    assert_ptr_equal(m.head.wide, m.embed.wide);
    assert_null(m.layers[0].attn.norm.weight);
    assert_null(m.final_norm.weight);
    assert_null(dele_model_tensor(&m, DELE_SLOT_HEAD, -1));
    dele_arena_release(&arena);
}

/* ---- config.json ----------------------------------------------------------------------------- */

#define LLAMA_BASE                                                                                 \
    "\"model_type\":\"llama\",\"hidden_size\":8,\"intermediate_size\":12,\"num_hidden_layers\":2," \
    "\"num_attention_heads\":2,\"vocab_size\":10,\"rms_norm_eps\":1e-5"
#define OLMO_BASE                                                                                  \
    "\"model_type\":\"olmo\",\"hidden_size\":8,\"intermediate_size\":12,\"num_hidden_layers\":2,"  \
    "\"num_attention_heads\":2,\"vocab_size\":10"

#define QWEN2_BASE                                                                                 \
    "\"model_type\":\"qwen2\",\"hidden_size\":8,\"intermediate_size\":12,\"num_hidden_layers\":2," \
    "\"num_attention_heads\":2,\"vocab_size\":10"

static dele_status parse(dele_config *c, const char *text, dele_err *err)
{
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    *err = (dele_err){0};
    dele_status status = dele_config_parse(c, json, "config.json", err);
    cJSON_Delete(json);
    return status;
}

static void both_generations_of_config_mean_the_same(void **state)
{
    (void)state;
    dele_config a, b;
    dele_err err;
    assert_int_equal(
        parse(&a,
              "{" LLAMA_BASE
              ",\"rope_theta\":500000.0,\"rope_scaling\":null,\"torch_dtype\":\"bfloat16\"}",
              &err),
        DELE_OK);
    assert_int_equal(
        parse(&b,
              "{" LLAMA_BASE
              ",\"rope_parameters\":{\"rope_theta\":500000.0,\"rope_type\":\"default\"},"
              "\"dtype\":\"bfloat16\"}",
              &err),
        DELE_OK);
    assert_true(a.rope[0].theta == 500000 && b.rope[0].theta == 500000);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(a.n_kv_heads, 2); /* absent: as many as heads */
    assert_int_equal(a.head_dim, 4);
}

static void olmo_obeys_its_clip_and_needs_no_epsilon(void **state)
{
    (void)state;
    dele_config c;
    dele_err err;
    assert_int_equal(
        parse(&c, "{" OLMO_BASE ",\"clip_qkv\":null,\"rms_norm_eps\":1e-6,\"eos_token_id\":[2,3]}",
              &err),
        DELE_OK);
    assert_true(c.clip_qkv == 0 && c.family->norm == DELE_LAYERNORM && c.norm_eps == 1e-5f);
    assert_int_equal(c.eos, 2);
    assert_int_equal(
        parse(&c, "{" OLMO_BASE ",\"clip_qkv\":8.0,\"tie_word_embeddings\":true}", &err), DELE_OK);
    assert_true(c.clip_qkv == 8 && c.tied);
}

static void keys_that_change_the_maths_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {LLAMA_BASE ",\"rope_scaling\":{\"type\":\"longrope\",\"factor\":2}", "rope_scaling"},
        {LLAMA_BASE ",\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":1e4}",
         "rope_parameters"},
        {LLAMA_BASE ",\"rope_parameters\":{\"rope_type\":\"default\",\"factor\":4}",
         "rope_parameters.factor"},
        {LLAMA_BASE ",\"hidden_act\":\"relu2\"", "hidden_act"},
        {OLMO_BASE ",\"mlp_bias\":true", "mlp_bias"},
        {LLAMA_BASE ",\"attention_dropout\":1.5", "attention_dropout"},
        {LLAMA_BASE ",\"clip_qkv\":8", "clip_qkv"},
        {LLAMA_BASE ",\"sliding_window\":4096", "sliding_window"},
        {LLAMA_BASE ",\"final_logit_softcapping\":30.0", "final_logit_softcapping"},
        {LLAMA_BASE ",\"embedding_multiplier\":12.0", "embedding_multiplier"},
        {LLAMA_BASE ",\"num_local_experts\":8", "num_local_experts"},
        {LLAMA_BASE ",\"partial_rotary_factor\":0.5", "partial_rotary_factor"},
        {LLAMA_BASE ",\"quantization_config\":{\"bits\":4}", "quantization_config"},
        {LLAMA_BASE ",\"use_qk_norm\":true", "use_qk_norm"},
        {QWEN2_BASE ",\"num_key_value_heads\":2,\"is_causal\":false", "is_causal"},
        {LLAMA_BASE ",\"is_causal\":null", "is_causal"},
        {LLAMA_BASE ",\"head_dim\":5", "odd"},
        {LLAMA_BASE ",\"num_key_value_heads\":3", "key/value"},
        {LLAMA_BASE ",\"vocab_size\":11", "vocab_size"}, /* twice */
        {QWEN2_BASE
         ",\"num_key_value_heads\":2,\"use_sliding_window\":true,\"max_window_layers\":0,"
         "\"sliding_window\":null,\"layer_types\":[\"sliding_attention\","
         "\"full_attention\"]",
         "sliding_window"},
        {QWEN2_BASE ",\"num_key_value_heads\":2,\"layer_types\":[\"full_attention\","
                    "\"sliding_attention\"]",
         "use_sliding_window"},
        {QWEN2_BASE, "num_key_value_heads"}, /* not the number of heads, as it is for others */
        {LLAMA_BASE ",\"use_sliding_window\":true", "use_sliding_window"},
        {"\"model_type\":\"bloom\"", "bloom"},
        {"\"hidden_size\":8", "model_type"},
        {"\"num_hidden_layers\":2,\"model_type\":\"llama\",\"hidden_size\":-8", "hidden_size"},
        {"\"model_type\":\"llama\",\"hidden_size\":8,\"intermediate_size\":12,\"num_hidden_"
         "layers\":1e99",
         "num_hidden_layers"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[600];
        snprintf(text, sizeof text, "{%s}", bad[i][0]);
        dele_config c;
        dele_err err;
        if (parse(&c, text, &err) == DELE_OK) fail_msg("accepted: %s", text);
        if (!strstr(err.msg, bad[i][1])) fail_msg("\"%s\" does not name %s", err.msg, bad[i][1]);
    }
}

static void inert_and_foreign_keys_are_let_be(void **state)
{
    (void)state;
    dele_config c;
    dele_err err;
    const char *text =
        "{" LLAMA_BASE ",\"use_cache\":true,\"pretraining_tp\":1,\"rope_interleaved\":false,"
        "\"is_llama_config\":true,\"transformers.js_config\":{\"dtype\":\"q4\"},\"_name_or_path\":"
        "\"x\","
        "\"unsloth_version\":\"1\",\"sliding_window\":null,\"resid_dropout\":0.0,\"my_note\":"
        "\"hello\",\"is_causal\":true,"
        "\"layer_types\":[\"full_attention\",\"full_attention\"],\"head_dim\":6}";
    if (parse(&c, text, &err)) fail_msg("%s", err.msg);
    assert_int_equal(c.head_dim, 6);
    const char *window = "{" QWEN2_BASE ",\"num_key_value_heads\":1,\"use_sliding_window\":false,"
                         "\"sliding_window\":4096,\"max_window_layers\":1}";
    if (parse(&c, window, &err)) fail_msg("%s", err.msg);
    assert_true(c.norm_eps == 1e-6f && c.context == 32768 && c.rope[0].theta == 10000);
}

static void a_written_config_reads_back_the_same(void **state)
{
    (void)state;
    for (size_t f = 0; f < dele_n_families; f++) {
        const bool clips = dele_family_key(dele_families[f], "clip_qkv");
        dele_config before = tiny_config(dele_families[f], f % 2), after;
        before.clip_qkv = clips ? 8 : 0;
        dele_err err = {0};
        cJSON *json = dele_config_json(&before);
        char *text = cJSON_Print(json);
        assert_non_null(text);
        assert_true(!clips || strstr(text, "\"clip_qkv\":\t8.0") != NULL);
        if (parse(&after, text, &err)) fail_msg("%s", err.msg);
        cJSON_free(text);
        cJSON_Delete(json);
        assert_memory_equal(&before, &after, sizeof before);
    }
}

/* ---- there and back -------------------------------------------------------------------------- */

typedef struct {
    char dir[512], path[600];
    dele_arena arena;
    dele_err err;
} place;

static const char *in(place *p, const char *name)
{
    snprintf(p->path, sizeof p->path, "%s/%s", p->dir, name);
    return p->path;
}

static int enter(void **state)
{
    place *p = calloc(1, sizeof *p);
    temp_dir(p->dir);
    *state = p;
    return 0;
}

static int leave(void **state)
{
    place *p = *state;
    remove_dir(p->dir);
    dele_arena_release(&p->arena);
    free(p);
    return 0;
}

static char *sub(place *p, const char *name)
{
    char *dir = dele_printf(&p->arena, &p->err, "%s/%s", p->dir, name);
    mkdir(dir, 0777);
    return dir;
}

static void save(place *p, const dele_model *m, const char *dir, const char *dtype)
{
    if (dele_model_save(m, dir, dtype, &p->err)) fail_msg("%s", p->err.msg);
}

static void load(place *p, dele_model *m, const char *path)
{
    if (dele_model_load(m, path, &p->arena, &p->err)) fail_msg("%s", p->err.msg);
}

static void assert_same_file(const char *a, const char *b, const char *name)
{
    char x[700], y[700];
    size_t n, m;
    snprintf(x, sizeof x, "%s/%s", a, name);
    snprintf(y, sizeof y, "%s/%s", b, name);
    uint8_t *p = read_bytes(x, &n), *q = read_bytes(y, &m);
    assert_int_equal(n, m);
    assert_memory_equal(p, q, n);
    free(p);
    free(q);
}

static void what_is_saved_loads_and_saves_to_the_same_bytes(void **state)
{
    place *p = *state;
    static const char *const dtypes[] = {"f32", "bf16", "f16"};
    for (int kind = 0; kind < 4; kind++)
        for (int d = 0; d < 3; d++) {
            dele_model m, again;
            tiny_model(&m, kind & 1 ? &dele_family_olmo : &dele_family_llama, kind & 2, &p->arena);
            char *first = sub(p, "first"), *second = sub(p, "second");
            save(p, &m, first, dtypes[d]);
            load(p, &again, first);
            if (d == 0) assert_same_weights(&m, &again);
            save(p, &again, second, dtypes[d]);
            assert_same_file(first, second, "model.safetensors");
            assert_same_file(first, second, "config.json");
            dele_model_release(&again);
        }
}

static void llamas_biases_are_read_and_written_in_both_formats(void **state)
{
    place *p = *state;
    for (int kind = 0; kind < 4; kind++) {
        dele_config c = tiny_config(&dele_family_llama, true);
        dele_model m, from_dir, from_gguf;
        dele_gguf_saved saved;
        c.attention_bias = kind & 1, c.mlp_bias = kind & 2;
        assert_int_equal(dele_model_layout(&m, &c, &p->arena, &p->err), DELE_OK);
        for (size_t i = 0; i < m.n_tensors; i++)
            for (size_t j = 0; j < m.tensors[i].rows * m.tensors[i].cols; j++)
                m.tensors[i].data[j] = (float)(i + j) / 64;
        assert_int_equal(m.n_tensors,
                         2 + 2 * (size_t)(9 + (kind & 1 ? 4 : 0) + (kind & 2 ? 3 : 0)));
        char *dir = sub(p, "d");
        save(p, &m, dir, "f32");
        load(p, &from_dir, dir);
        assert_int_equal(
            dele_gguf_save(&saved, &from_dir, in(p, "m.gguf"), DELE_DTYPE_F32, false, &p->err),
            DELE_OK);
        load(p, &from_gguf, in(p, "m.gguf"));
        const dele_model *loaded[] = {&from_dir, &from_gguf};
        for (int i = 0; i < 2; i++) {
            assert_same_weights(&m, loaded[i]);
            assert_true(loaded[i]->config.attention_bias == c.attention_bias &&
                        loaded[i]->config.mlp_bias == c.mlp_bias);
        }
        dele_model_release(&from_dir);
        dele_model_release(&from_gguf);
    }
}

static void unknown_keys_survive_a_save_and_dtype_follows(void **state)
{
    place *p = *state;
    dele_model m, again;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    char *dir = sub(p, "a"), *out = sub(p, "b");
    save(p, &m, dir, "f32");
    const char *config =
        "{" LLAMA_BASE ",\"num_key_value_heads\":1,\"tie_word_embeddings\":true,"
        "\"my_note\":{\"dtype\":8.0,\"a\":[1,2.5,\"\\u00e9\"]}, \"dtype\" : \"float32\" }\n";
    const char *expected =
        "{" LLAMA_BASE ",\"num_key_value_heads\":1,\"tie_word_embeddings\":true,"
        "\"my_note\":{\"dtype\":8.0,\"a\":[1,2.5,\"\\u00e9\"]}, \"dtype\" : \"bfloat16\" }\n";
    write_bytes(in(p, "a/config.json"), config, strlen(config));
    write_bytes(in(p, "a/generation_config.json"), "{\"x\": 1}\n", 9);
    load(p, &again, dir);
    save(p, &again, out, "bf16");
    size_t n;
    char *text = (char *)read_bytes(in(p, "b/config.json"), &n);
    assert_string_equal(text, expected);
    free(text);
    assert_same_file(dir, out, "generation_config.json");
    dele_model_release(&again);
}

static void paired_rows_are_read_in_the_order_of_halves(void **state)
{
    (void)state;
    enum { HEADS = 3, HEAD = 8, COLS = 5 };
    float hf[HEADS * HEAD * COLS], paired[HEADS * HEAD * COLS], back[HEADS * HEAD * COLS];
    for (size_t i = 0; i < HEADS * HEAD * COLS; i++) hf[i] = (float)i;
    for (size_t r = 0; r < HEADS * HEAD; r++)
        memcpy(paired + paired_row(r, HEAD) * COLS, hf + r * COLS, COLS * sizeof *hf);
    assert_memory_not_equal(hf, paired, sizeof hf);
    const dele_matrix_part part = {.data = paired,
                                   .type = DELE_DTYPE_F32,
                                   .rows = HEADS * HEAD,
                                   .order = DELE_ROWS_PAIRED,
                                   .step = HEAD};
    dele_part_rows(back, &part, COLS, 0, HEADS * HEAD);
    assert_memory_equal(hf, back, sizeof hf);
}

static void a_gguf_and_a_directory_hold_the_same_model(void **state)
{
    place *p = *state;
    for (int tied = 0; tied < 2; tied++) {
        dele_model m, a, b;
        tiny_model(&m, &dele_family_llama, tied, &p->arena);
        write_gguf(in(p, "m.gguf"), &m, NULL, tied);
        load(p, &a, in(p, "m.gguf"));
        assert_same_weights(&m, &a);
        assert_null(a.config_text);
        assert_true((a.tokenizer != NULL) == tied);
        if (tied) assert_int_equal(dele_token_id(a.tokenizer, "ab"), 7);
        char *dir = sub(p, tied ? "tied" : "untied");
        save(p, &a, dir, "f32");
        load(p, &b, dir);
        assert_same_weights(&m, &b);
        assert_true(a.config.rope[0].theta == b.config.rope[0].theta &&
                    a.config.norm_eps == b.config.norm_eps);
        dele_model_release(&a);
        dele_model_release(&b);
    }
}

/* ---- safetensors by hand
 * ---------------------------------------------------------------------------------------- */

/* One safetensors file of chosen tensors: names[i] of the model, stored under as[i]. */
static void write_some(const char *path, const dele_model *m, const char *const *names,
                       const char *const *as, size_t n)
{
    char header[8192];
    size_t at = (size_t)snprintf(header, sizeof header, "{"), begin = 0;
    const dele_tensor *chosen[64] = {0};
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (strcmp(m->tensors[k].name, names[i]) != 0) k++;
        const dele_tensor *t = chosen[i] = &m->tensors[k];
        char shape[64];
        if (t->part == DELE_PART_NORM)
            snprintf(shape, sizeof shape, "%zu", t->cols);
        else
            snprintf(shape, sizeof shape, "%zu,%zu", t->rows, t->cols);
        size_t end = begin + t->rows * t->cols * 4;
        at += (size_t)snprintf(header + at, sizeof header - at,
                               "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],"
                               "\"data_offsets\":[%zu,%zu]}",
                               i ? "," : "", as[i], shape, begin, end);
        begin = end;
    }
    header[at++] = '}';
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    put_u64(f, at);
    fwrite(header, 1, at, f);
    for (size_t i = 0; i < n; i++) fwrite(chosen[i]->data, 4, chosen[i]->rows * chosen[i]->cols, f);
    assert_int_equal(fclose(f), 0);
}

/* All names of a model; returns their number. */
static size_t all_names(const char **names, const dele_model *m)
{
    for (size_t i = 0; i < m->n_tensors; i++) names[i] = m->tensors[i].name;
    return m->n_tensors;
}

static void a_tied_matrix_may_be_stored_under_either_name_or_both(void **state)
{
    place *p = *state;
    dele_model m, again;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    char *dir = sub(p, "d");
    save(p, &m, dir, "f32");
    const char *names[64] = {0}, *as[64] = {0};
    size_t n = all_names(names, &m);
    memcpy(as, names, sizeof as);
    as[0] = "lm_head.weight";
    write_some(in(p, "d/model.safetensors"), &m, names, as, n);
    load(p, &again, dir);
    assert_same_weights(&m, &again);
    as[0] = names[0];
    names[n] = names[0];
    as[n] = "lm_head.weight";
    write_some(in(p, "d/model.safetensors"), &m, names, as, n + 1);
    load(p, &again, dir);
    assert_same_weights(&m, &again);
    size_t size; /* one bit of the head, the last tensor, flips: now they disagree */
    uint8_t *bytes = read_bytes(in(p, "d/model.safetensors"), &size);
    bytes[size - 1] ^= 1;
    write_bytes(p->path, bytes, size);
    free(bytes);
    expect_refusal(dir, "lm_head.weight differs");
}

static void shards_join_and_a_missing_one_is_named(void **state)
{
    place *p = *state;
    dele_model m, again;
    tiny_model(&m, &dele_family_olmo, false, &p->arena);
    char *dir = sub(p, "d");
    save(p, &m, dir, "f32");
    remove(in(p, "d/model.safetensors"));
    expect_refusal(dir, "neither model.safetensors nor");
    const char *names[64] = {0};
    size_t n = all_names(names, &m), half = n / 2;
    write_some(in(p, "d/a.safetensors"), &m, names, names, half);
    write_some(in(p, "d/b.safetensors"), &m, names + half, names + half, n - half);
    cJSON *index = cJSON_CreateObject(), *map = cJSON_AddObjectToObject(index, "weight_map");
    for (size_t i = 0; i < n; i++)
        cJSON_AddStringToObject(map, names[i], i < half ? "a.safetensors" : "b.safetensors");
    assert_int_equal(dele_json_save(in(p, "d/model.safetensors.index.json"), index, &p->err),
                     DELE_OK);
    load(p, &again, dir);
    assert_same_weights(&m, &again);
    cJSON_ReplaceItemInObject(map, names[0], cJSON_CreateString("b.safetensors"));
    assert_int_equal(dele_json_save(in(p, "d/model.safetensors.index.json"), index, &p->err),
                     DELE_OK);
    expect_refusal(dir, "places");
    cJSON_ReplaceItemInObject(map, names[0], cJSON_CreateString("../a.safetensors"));
    assert_int_equal(dele_json_save(in(p, "d/model.safetensors.index.json"), index, &p->err),
                     DELE_OK);
    expect_refusal(dir, "not a file name");
    cJSON_ReplaceItemInObject(map, names[0], cJSON_CreateString("a.safetensors"));
    assert_int_equal(dele_json_save(in(p, "d/model.safetensors.index.json"), index, &p->err),
                     DELE_OK);
    remove(in(p, "d/b.safetensors"));
    expect_refusal(dir, "b.safetensors: this shard");
    cJSON_Delete(index);
}

/* ---- lies ------------------------------------------------------------------------------------ */

/* Rewrites the header's first `from` as `to`, and fixes the header's length. */
static void edit_header(const char *path, const uint8_t *bytes, size_t size, const char *from,
                        const char *to)
{
    uint64_t n;
    memcpy(&n, bytes, 8);
    const char *header = (const char *)bytes + 8, *found = memmem(header, n, from, strlen(from));
    if (!found) fail_msg("the header has no %s", from);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    put_u64(f, n - strlen(from) + strlen(to));
    fwrite(header, 1, (size_t)(found - header), f);
    fputs(to, f);
    fwrite(found + strlen(from), 1, (size_t)(header + n - found) - strlen(from), f);
    fwrite(bytes + 8 + n, 1, size - 8 - n, f);
    assert_int_equal(fclose(f), 0);
}

static void every_lie_of_a_safetensors_header_is_refused(void **state)
{
    place *p = *state;
    dele_model m;
    tiny_model(&m, &dele_family_olmo, true, &p->arena);
    char *dir = sub(p, "d"), *file = dele_printf(&p->arena, &p->err, "%s/model.safetensors", dir);
    save(p, &m, dir, "f32");
    size_t size;
    uint8_t *bytes = read_bytes(file, &size);
    static const char *const lies[][3] = {
        {"[10,8]", "[11,8]", "does not fit its"},
        {"[10,8]", "[8,10]", "config requires [10, 8]"},
        {"[10,8]", "[2,5,8]", "config requires [10, 8]"},
        {"[10,8]", "[80]", "config requires [10, 8]"},
        {"[10,8]", "[10,-8]", "shape"},
        {"[10,8]", "[10,8.5]", "shape"},
        {"[10,8]", "[9223372036854775808,8]", "shape"},
        {"[10,8]", "[4611686018427387904,4]", "shape"},
        {"[10,8]", "[1125899906842624,1125899906842624,8,8]", "does not fit"},
        {"[10,8]", "[1,1,1,10,8]", "shape"},
        {"[10,8]", "\"x\"", "lacks"},
        {"[0,320]", "[0,321]", "does not fit its"},
        {"[0,320]", "[320,0]", "in order"},
        {"[0,320]", "[4,324]", "overlap"},
        {"[0,320]", "[-320,0]", "in order"},
        {"[0,320]", "[9000000000000000,9000000000000320]", "cut short"},
        {"[0,320]", "[18446744073709551296,18446744073709551616]", "in order"},
        {"[0,320]", "[0]", "lacks"},
        {"\"F32\"", "\"F64\"", "F64"},
        {"\"F32\"", "\"BF16\"", "does not fit"},
        {"\"F32\"", "32", "lacks"},
        {"model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "twice"},
        {"model.embed_tokens.weight", "model.embed_tokens.bias",
         "model.embed_tokens.weight is missing"},
        {"model.embed_tokens.weight",
         "a\xff"
         "b",
         "UTF-8"},
        {"model.embed_tokens.weight", "model.embed_tokens.weight\\u0000x", "U+0000"},
        {"{\"__metadata__\"", "[\"__metadata__\"", "not a JSON object"},
        {"\"pt\"}", "\"pt\"},\"extra\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}",
         "extra"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        edit_header(file, bytes, size, lies[i][0], lies[i][1]);
        expect_refusal(dir, lies[i][2]);
    }
    for (size_t cut = 0; cut < size; cut += cut < 64 ? 1 : 97) { /* a download that broke off */
        write_bytes(file, bytes, cut);
        expect_refusal(dir, "model.safetensors");
    }
    static const uint64_t lengths[] = {0, 1, UINT64_MAX, UINT64_MAX - 7, 1ull << 63, 1ull << 32};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memcpy(bytes, &lengths[i], 8);
        write_bytes(file, bytes, size);
        expect_refusal(dir, "not a safetensors file");
    }
    free(bytes);
}

static void rotary_tables_are_ignored_and_other_extras_named(void **state)
{
    place *p = *state;
    dele_model m, again;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    char *dir = sub(p, "d"), *file = dele_printf(&p->arena, &p->err, "%s/model.safetensors", dir);
    save(p, &m, dir, "f32");
    const char *names[64] = {0}, *as[64] = {0};
    size_t n = all_names(names, &m);
    memcpy(as, names, sizeof as);
    names[n] = names[1];
    as[n] = "model.layers.0.self_attn.rotary_emb.inv_freq";
    write_some(file, &m, names, as, n + 1);
    load(p, &again, dir);
    assert_same_weights(&m, &again);
    as[n] = "model.layers.0.self_attn.q_proj.bias";
    write_some(file, &m, names, as, n + 1);
    expect_refusal(dir, "q_proj.bias");
}

/* Replaces the first occurrence of a pattern in a copy of the bytes. */
static void patch_bytes(const char *path, const uint8_t *bytes, size_t size, const void *from,
                        size_t n, size_t skip, const void *to, size_t n_to)
{
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    uint8_t *found = memmem(copy, size, from, n);
    assert_non_null(found);
    memcpy(found + skip, to, n_to);
    write_bytes(path, copy, size);
    free(copy);
}

static void every_lie_of_a_gguf_header_is_refused(void **state)
{
    place *p = *state;
    dele_model m;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    char *file = dele_printf(&p->arena, &p->err, "%s/m.gguf", p->dir);
    write_gguf(file, &m, NULL, false);
    size_t size;
    uint8_t *bytes = read_bytes(file, &size);
    const uint64_t huge = 1ull << 63, seven = 7;
    const uint32_t five = 5, big = 0x10000000, zero = 0;
    const struct {
        const char *at; /* the byte pattern */
        size_t skip;    /* from its start to what is overwritten */
        const void *to;
        size_t n;
        const char *words;
    } lies[] = {
        {"GGUF", 0, "GGML", 4, "not a GGUF"},
        {"GGUF", 4, &five, 4, "version 5"},
        {"GGUF", 8, &huge, 8, "counts more than the file"},
        {"GGUF", 16, &huge, 8, "counts more than the file"},
        {"GGUF", 16, &seven, 8, ""},
        {"GGUF", 24, &huge, 8, "cut short or damaged"},
        {"general.architecture", 20, &five, 4, ""},
        {"general.architecture", 20, &big, 4, "damaged"},
        {"general.architecture", 24, &huge, 8, "damaged"},
        {"general.architecture", 32, "gemma", 5, "architecture"},
        {"general.architecture", 8, "\xff", 1, "damaged"},
        {"llama.block_count", 21, &big, 4, "number of layers"},
        {"llama.block_count", 21, &zero, 4, "llama.block_count"},
        {"llama.block_count", 21, &five, 4, "blk.2"},
        {"llama.embedding_length", 26, &big, 4, "hidden size"},
        {"llama.feed_forward_length", 29, &five, 4, "config requires"},
        {"llama.context_length", 6, "contexx", 7, "llama.contexx_length"},
        {"llama.attention.head_count_kv", 33, &five, 4, "key/value"},
        {"token_embd.weight", 17, &big, 4, "dimensions"},
        {"token_embd.weight", 17, &zero, 4, ""},
        {"token_embd.weight", 21, &huge, 8, "shape"},
        {"token_embd.weight", 29, &huge, 8, "shape"},
        {"token_embd.weight", 37, &big, 4, "ggml's type"},
        {"token_embd.weight", 37, "\x03", 1, "shape"},
        {"token_embd.weight", 41, &huge, 8, "beyond the end"},
        {"token_embd.weight", 41, &seven, 8, "is not aligned"},
        {"token_embd.weight", 41, "\x20", 1, "overlap"},
        {"token_embd.weight", 0, "token_emba", 10, "token_embd.weight is missing"},
        {"blk.0.attn_q.weight", 0, "blk.0.attn_k", 12, "twice"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        patch_bytes(file, bytes, size, lies[i].at, strlen(lies[i].at), lies[i].skip, lies[i].to,
                    lies[i].n);
        expect_refusal(file, lies[i].words);
    }
    for (size_t cut = 0; cut + 32 < size; cut += cut < 400 ? 1 : 97) {
        write_bytes(file, bytes, cut);
        expect_refusal(file, "m.gguf");
    }
    free(bytes);
    write_gguf(file, &m, NULL, true);
    bytes = read_bytes(file, &size);
    const struct {
        const char *at;
        size_t skip;
        const void *to;
        size_t n;
        const char *words;
    } tokenizer_lies[] = {
        {"tokenizer.ggml.bos_token_id", 31, &big, 4, "outside the vocabulary"},
        {"tokenizer.ggml.tokens", 29, &huge, 8, "damaged"},
        {"tokenizer.ggml.tokens", 37, &huge, 8, "damaged"},
        {"tokenizer.ggml.tokens", 45, "\xff", 1, "valid UTF-8"},
        {"tokenizer.ggml.tokens", 25, &zero, 4, "damaged"},
        {"tokenizer.ggml.token_type", 29, &zero, 4, ""},
        {"tokenizer.ggml.scores", 25, &five, 4, "one entry a token"},
    };
    for (size_t i = 0; i < sizeof tokenizer_lies / sizeof *tokenizer_lies; i++) {
        patch_bytes(file, bytes, size, tokenizer_lies[i].at, strlen(tokenizer_lies[i].at),
                    tokenizer_lies[i].skip, tokenizer_lies[i].to, tokenizer_lies[i].n);
        expect_refusal(file, tokenizer_lies[i].words);
    }
    free(bytes);
    static const char *const extras[] = {"llama.rope.scaling.yarn_log_multiplier",
                                         "llama.attention.clamp_kqv", "llama.expert_shared_count",
                                         "llama.attention.sliding_window"};
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++) {
        write_gguf(file, &m, extras[i], false);
        expect_refusal(file, extras[i]);
    }
    write_gguf(file, &m, "llama.expert_count", false); /* makes it another family */
    expect_refusal(file, "llama.expert_used_count");
}

static void a_gguf_with_attention_to_later_tokens_is_refused(void **state)
{
    place *p = *state;
    dele_model m, back;
    dele_err err = {0};
    const char *file = in(p, "a.gguf"), *key = "llama.attention.causal";
    const uint32_t zero = 0;
    size_t size;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    write_gguf(file, &m, key, false); /* 1: as without the key */
    if (dele_model_load(&back, file, &p->arena, &err)) fail_msg("%s", err.msg);
    dele_model_release(&back);
    uint8_t *bytes = read_bytes(file, &size);
    patch_bytes(file, bytes, size, key, strlen(key), strlen(key) + 4, &zero, sizeof zero);
    expect_refusal(file, key);
    free(bytes);
}

static void what_is_not_a_model_gets_one_sentence(void **state)
{
    place *p = *state;
    expect_refusal("/nowhere/at/all", "no such file");
    expect_refusal(p->dir, "no config.json");
    write_bytes(in(p, "empty.gguf"), "", 0);
    expect_refusal(p->path, "not a GGUF");
    write_bytes(in(p, "config.json"), "{\"model_type\": \"llama\",,}", 25);
    expect_refusal(p->dir, "config.json");
}

/* A config far larger than its file must be refused by the shapes, before memory is asked for. */
static void a_config_that_claims_too_much_costs_no_memory(void **state)
{
    place *p = *state;
    dele_model m;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    char *dir = sub(p, "d");
    save(p, &m, dir, "f32");
    const char *config =
        "{\"model_type\":\"llama\",\"hidden_size\":131072,\"intermediate_size\":1000000,"
        "\"num_hidden_layers\":1000,\"num_attention_heads\":1024,\"vocab_size\":16000000,"
        "\"rms_norm_eps\":1e-5,\"tie_word_embeddings\":true}";
    write_bytes(in(p, "d/config.json"), config, strlen(config));
    dele_arena small = {.limit = 64u << 20};
    dele_err err = {0};
    assert_int_equal(dele_model_load(&m, dir, &small, &err), DELE_ERR_FORMAT);
    assert_non_null(strstr(err.msg, "config requires"));
    dele_arena_release(&small);
}

/* ---- the models at hand ---------------------------------------------------------------------- */

static void a_tokenizer_larger_than_the_embedding_is_refused(void **state)
{
    place *p = *state;
    const char *tokenizer = DELE_TESTS_DIR "/../data/models/demo/tokenizer.json";
    dele_model m;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    char *dir = sub(p, "d");
    save(p, &m, dir, "f32");
    assert_int_equal(dele_file_copy(tokenizer, in(p, "d/tokenizer.json"), &p->err), DELE_OK);
    expect_refusal(dir, "embedding only 10 rows");
}

static void the_embedded_model_comes_back_as_it_was_in_its_dtype_and_in_a_wider_one(void **state)
{
    place *p = *state;
    static const char *const dtypes[] = {"bf16", "f32"};
    dele_model m;
    load(p, &m, DELE_TESTS_DIR "/../data/models/demo");
    assert_int_equal(m.config.n_layers, 8);
    for (int i = 0; i < 2; i++) {
        dele_model again;
        char *out = sub(p, dtypes[i]);
        save(p, &m, out, dtypes[i]);
        load(p, &again, out);
        assert_same_weights(&m, &again);
        dele_model_release(&again);
    }
    dele_model_release(&m);
}

/* Trains one tensor of a bf16 model (its weights become others), saves with "keep": the file's type
 * and size stay, frozen tensors have their bytes, the trained one its weights rounded to bf16. */
static void a_checkpoint_keeps_its_type_and_the_bytes_of_what_is_frozen(void **state)
{
    place *p = *state;
    dele_model m, before, after;
    load(p, &m, DELE_TESTS_DIR "/../data/models/demo");
    load(p, &before, DELE_TESTS_DIR "/../data/models/demo");
    dele_tensor *t = dele_model_tensor(&m, DELE_SLOT_UP, 3); /* shares a product with GATE */
    bool *trains = DELE_NEW(&p->arena, bool, m.n_tensors, &p->err);
    trains[t - m.tensors] = true;
    assert_int_equal(dele_model_train(&m, trains, &p->err), DELE_OK);
    for (size_t i = 0; i < t->rows * t->cols; i++) t->data[i] *= 1.37f;
    char *out = sub(p, "kept");
    save(p, &m, out, "keep");
    load(p, &after, out);
    assert_int_equal(after.map[0].size, before.map[0].size);
    for (size_t i = 0; i < m.n_tensors; i++) {
        const dele_matrix_part *a = &before.tensors[i].stored, *b = &after.tensors[i].stored;
        const size_t n = m.tensors[i].rows * m.tensors[i].cols;
        assert_int_equal(b->type, DELE_DTYPE_BF16);
        if (!trains[i]) {
            assert_memory_equal(a->data, b->data, 2 * n);
            continue;
        }
        uint16_t *rounded = dele_alloc(&p->arena, n, sizeof *rounded, &p->err);
        assert_true(dele_dtype_write(rounded, t->data, DELE_DTYPE_BF16, n));
        assert_memory_equal(rounded, b->data, 2 * n);
    }
    dele_model_release(&after);
    dele_model_release(&before);
    dele_model_release(&m);
}

static void weights_that_stay_in_the_file_give_the_states_of_a_float32_copy(void **state)
{
    place *p = *state;
    enum { ROWS = 6 };
    static const int ids[ROWS] = {3, 17, 40, 5, 29, 11}, rows[ROWS] = {0, 1, 2, 3, 4, 5};
    dele_model mapped, wide;
    dele_run run[2] = {{.n_rows = 0}, {.n_rows = 0}};
    load(p, &mapped, DELE_TESTS_DIR "/../data/models/demo");
    assert_int_equal(
        dele_model_load_wide(&wide, DELE_TESTS_DIR "/../data/models/demo", 64, &p->arena, &p->err),
        DELE_OK);
    assert_null(mapped.layers[0].attn.qkv.wide);
    assert_non_null(wide.layers[0].attn.qkv.wide);
    const dele_segment s = {.tokens = ids, .n_rows = ROWS};
    const dele_batch batch = {
        .segments = &s, .n_segments = 1, .output_rows = rows, .n_output_rows = ROWS};
    assert_int_equal(dele_forward(&run[0], &mapped, &batch, &p->err), DELE_OK);
    assert_int_equal(dele_forward(&run[1], &wide, &batch, &p->err), DELE_OK);
    for (size_t i = 0; i < ROWS * (size_t)wide.config.hidden_size; i++)
        assert_true(fabsf(run[0].final[i] - run[1].final[i]) < 1e-4f);
    for (int i = 0; i < 2; i++) dele_run_release(&run[i]);
    dele_model_release(&wide);
    dele_model_release(&mapped);
}

static void tinystories_comes_back_as_it_was(void **state)
{
    place *p = *state;
    const char *dir = shared_path("models/tinystories-656k");
    dele_model m, again, half, half_again;
    load(p, &m, dir);
    assert_int_equal(dele_model_parameters(&m), 656000);
    char *out = sub(p, "f32"), *out_half = sub(p, "bf16");
    save(p, &m, out, "f32");
    load(p, &again, out);
    assert_same_weights(&m, &again);
    load(p, &half, shared_path("models/tinystories-656k/bf16"));
    save(p, &half, out_half, "bf16");
    load(p, &half_again, out_half);
    assert_same_weights(&half, &half_again);
    dele_model_release(&m);
    dele_model_release(&again);
    dele_model_release(&half);
    dele_model_release(&half_again);
}

static void smollm2_loads_from_its_gguf(void **state)
{
    place *p = *state;
    char path[512];
    const char *cache = getenv("DELEATUR_CACHE"), *home = getenv("HOME");
    snprintf(path, sizeof path, "%s%s/SmolLM2-135M-Instruct.Q4_1.gguf",
             cache  ? cache
             : home ? home
                    : "",
             cache ? "" : "/.cache/deleatur");
    if (!dele_path_exists(path)) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    dele_model m;
    load(p, &m, path);
    assert_int_equal(dele_model_parameters(&m), 134515008);
    assert_int_equal(m.n_tensors, 272);
    assert_true(m.config.tied && m.config.rope[0].theta == 1e5f && m.config.norm_eps == 1e-5f &&
                m.config.eos == 2);
    assert_non_null(m.tokenizer);
    dele_model_release(&m);
}

/* With many passes to come every matrix that a product reads is copied; with few, what is float32
 * in the file stays there.  In both cases each weight is checked. */
static void a_load_copies_for_many_passes_and_checks_every_weight(void **state)
{
    place *p = *state;
    dele_model m, few, many;
    tiny_model(&m, &dele_family_llama, false, &p->arena);
    char *dir = sub(p, "m");
    save(p, &m, dir, "f32");
    if (dele_model_load_for(&few, dir, 16, 1, &p->arena, &p->err) ||
        dele_model_load_wide(&many, dir, 16, &p->arena, &p->err))
        fail_msg("%s", p->err.msg);
    const dele_slot slots[] = {DELE_SLOT_Q, DELE_SLOT_O, DELE_SLOT_UP, DELE_SLOT_DOWN};
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        assert_null(dele_model_tensor(&few, slots[i], 1)->data);
        assert_non_null(dele_model_tensor(&many, slots[i], 1)->data);
    }
    assert_non_null(few.layers[1].mlp.down.wide);
    assert_null(dele_model_tensor(&many, DELE_SLOT_EMBED, -1)->data); /* in no product */
    assert_same_weights(&few, &many);
    dele_model_release(&few);
    dele_model_release(&many);
    for (size_t i = 0; i < m.n_tensors; i++) {
        dele_tensor *t = &m.tensors[i];
        float *at = &t->data[t->rows * t->cols - 1], was = *at;
        *at = NAN;
        char *broken = sub(p, "broken");
        save(p, &m, broken, "f32");
        *at = was;
        for (int k = 0; k < 4; k++) {
            dele_err err = {0};
            dele_model bad;
            if (!dele_model_load_for(&bad, broken, k < 2 ? 16 : 0, k % 2 ? 1 : 1000, &p->arena,
                                     &err))
                fail_msg("%s: loaded", t->name);
            if (!strstr(err.msg, t->name) || !strstr(err.msg, "not finite"))
                fail_msg("\"%s\" does not name %s", err.msg, t->name);
        }
    }
}

int main(int argc, char **argv)
{
#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, enter, leave)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_multiplied_together_lies_together),
        cmocka_unit_test(both_generations_of_config_mean_the_same),
        cmocka_unit_test(olmo_obeys_its_clip_and_needs_no_epsilon),
        cmocka_unit_test(keys_that_change_the_maths_are_refused_by_name),
        cmocka_unit_test(inert_and_foreign_keys_are_let_be),
        cmocka_unit_test(a_written_config_reads_back_the_same),
        IN_PLACE(what_is_saved_loads_and_saves_to_the_same_bytes),
        IN_PLACE(llamas_biases_are_read_and_written_in_both_formats),
        IN_PLACE(unknown_keys_survive_a_save_and_dtype_follows),
        cmocka_unit_test(paired_rows_are_read_in_the_order_of_halves),
        IN_PLACE(a_gguf_and_a_directory_hold_the_same_model),
        IN_PLACE(a_tied_matrix_may_be_stored_under_either_name_or_both),
        IN_PLACE(shards_join_and_a_missing_one_is_named),
        IN_PLACE(every_lie_of_a_safetensors_header_is_refused),
        IN_PLACE(rotary_tables_are_ignored_and_other_extras_named),
        IN_PLACE(every_lie_of_a_gguf_header_is_refused),
        IN_PLACE(a_gguf_with_attention_to_later_tokens_is_refused),
        IN_PLACE(what_is_not_a_model_gets_one_sentence),
        IN_PLACE(a_config_that_claims_too_much_costs_no_memory),
        IN_PLACE(a_tokenizer_larger_than_the_embedding_is_refused),
        IN_PLACE(the_embedded_model_comes_back_as_it_was_in_its_dtype_and_in_a_wider_one),
        IN_PLACE(a_checkpoint_keeps_its_type_and_the_bytes_of_what_is_frozen),
        IN_PLACE(weights_that_stay_in_the_file_give_the_states_of_a_float32_copy),
        IN_PLACE(a_load_copies_for_many_passes_and_checks_every_weight),
    };
    const struct CMUnitTest shared[] = {
        IN_PLACE(tinystories_comes_back_as_it_was),
        IN_PLACE(smollm2_loads_from_its_gguf),
    };
    if (shared_asked(argc, argv)) return cmocka_run_group_tests(shared, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
