/* For tests: a temporary directory, tiny models, and a GGUF writer that puts Q and K in llama.cpp's
 * row order. */
#ifndef DELE_TESTS_MODEL_FILES_H
#define DELE_TESTS_MODEL_FILES_H

#include "claims.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "model/config/config_read.h"
#include "model/model.h"

/* A fresh directory under the build's; `text` has room for 512. */
static inline void temp_dir(char *text)
{
    snprintf(text, 512, "/tmp/deleatur-test-XXXXXX");
    assert_non_null(mkdtemp(text));
}

static inline void remove_dir(const char *dir)
{
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

static inline void write_bytes(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* The whole file in malloc'd memory, a NUL after it. */
static inline uint8_t *read_bytes(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*n + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *n, f), *n);
    data[*n] = 0;
    fclose(f);
    return data;
}

/* A mixture of experts in every layer, where the family has them, with sizes of their own where it
 * has keys for them. */
static inline void fit_experts(dele_config *c)
{
    const dele_family *f = c->family;
    if (!dele_family_tensor(f, DELE_SLOT_ROUTER)) return;
    c->n_experts = 4, c->top_k = 2;
    c->norm_topk_prob = f->gguf_renormalises;
    for (int l = 0; l < c->n_layers; l++) c->layer_kind[l] |= DELE_LAYER_SPARSE;
    for (size_t i = 0; i < f->n_keys; i++) {
        const dele_key_row *row = &f->keys[i];
        if (row->field == DELE_FIELD(expert_size)) c->expert_size = c->intermediate_size / 2;
        if (row->field == DELE_FIELD(shared_size)) c->shared_size = 3 * c->intermediate_size / 2;
        if (row->kind == DELE_HOLDS_FACTOR) c->router_aux_coef = (float)row->value;
    }
}

/* Sets what the family's configs have no key for, and what it cannot do without. */
static inline void fit_family(dele_config *c)
{
    const dele_family *f = c->family;
    if (dele_family_tensor(f, DELE_SLOT_POSITIONS)) c->rope[0] = (dele_rope){0};
    if (f->rotation && f->rotation->by_kind)
        c->rope[1] = (dele_rope){.theta = f->rotation->sliding ? 500 : c->rope[0].theta};
    for (size_t i = 0; i < f->n_keys; i++) {
        const dele_key_row *row = &f->keys[i];
        if (!row->hf && row->field == DELE_FIELD(n_kv_heads)) c->n_kv_heads = c->n_heads;
        if (!row->hf && row->kind == DELE_HOLDS_SIZE && row->field == DELE_FIELD(head_dim))
            c->head_dim = c->hidden_size / c->n_heads;
        if (row->kind == DELE_HOLDS_ACTIVATION)
            assert_true(dele_activation_by_name(&c->activation, row->text));
        if (row->kind == DELE_HOLDS_ROOT) c->attn_scale = 1 / sqrtf((float)c->head_dim);
        if (row->kind == DELE_HOLDS_POSITIVE_OR_NONE && row->value > 0)
            *(float *)((char *)c + row->field) = (float)row->value;
    }
    for (int l = 0; f->slides == DELE_SLIDES_BETWEEN && l < c->n_layers; l++)
        if ((l + 1) % f->period) c->window = 5, c->layer_kind[l] = DELE_LAYER_SLIDING;
    fit_experts(c);
    dele_config_settle(c);
}

static inline dele_config tiny_config(const dele_family *family, bool tied)
{
    dele_config c = {.family = family,
                     .n_layers = 2,
                     .hidden_size = 8,
                     .intermediate_size = 12,
                     .n_heads = 2,
                     .n_kv_heads = 1,
                     .head_dim = 4,
                     .vocab = 10,
                     .context = 32,
                     .norm_eps = 1e-5f,
                     .rope[0].theta = 10000,
                     .tied = tied,
                     .bos = 1,
                     .eos = 2,
                     .pad = -1,
                     .ends = {2},
                     .n_ends = 1};
    fit_family(&c);
    return c;
}

static inline void tiny_model(dele_model *model, const dele_family *family, bool tied,
                              dele_arena *arena)
{
    dele_err err = {0};
    const dele_config config = tiny_config(family, tied);
    assert_int_equal(dele_model_layout(model, &config, arena, &err), DELE_OK);
    dele_model_randomise(model, 0.5, 7);
}

/* ---- GGUF ------------------------------------------------------------------------------------ */

static inline void put_u32(FILE *f, uint32_t x) { fwrite(&x, sizeof x, 1, f); }
static inline void put_u64(FILE *f, uint64_t x) { fwrite(&x, sizeof x, 1, f); }
static inline void put_text(FILE *f, const char *s)
{
    put_u64(f, strlen(s));
    fwrite(s, 1, strlen(s), f);
}
static inline void put_int(FILE *f, const char *key, uint32_t x)
{
    put_text(f, key);
    put_u32(f, 4);
    put_u32(f, x);
}
static inline void put_float(FILE *f, const char *key, float x)
{
    put_text(f, key);
    put_u32(f, 6);
    fwrite(&x, sizeof x, 1, f);
}

/* row r of a Hugging Face Q or K is where in GGUF's order */
static inline size_t paired_row(size_t r, size_t head_dim)
{
    size_t h = r / head_dim, s = r % head_dim / (head_dim / 2), i = r % (head_dim / 2);
    return h * head_dim + 2 * i + s;
}

/* A SentencePiece vocabulary of ten tokens: so many metadata pairs. */
enum { N_TOKENIZER_PAIRS = 7 };
static inline void put_tokenizer(FILE *f)
{
    static const char *const tokens[] = {"<unk>",
                                         "<s>",
                                         "</s>",
                                         "<0x41>",
                                         "\xe2\x96\x81",
                                         "a",
                                         "b",
                                         "ab",
                                         "\xe2\x96\x81"
                                         "a",
                                         "c"};
    put_text(f, "tokenizer.ggml.model");
    put_u32(f, 8);
    put_text(f, "llama");
    put_text(f, "tokenizer.ggml.tokens");
    put_u32(f, 9);
    put_u32(f, 8);
    put_u64(f, 10);
    for (int i = 0; i < 10; i++) put_text(f, tokens[i]);
    put_text(f, "tokenizer.ggml.scores");
    put_u32(f, 9);
    put_u32(f, 6);
    put_u64(f, 10);
    for (int i = 0; i < 10; i++) {
        float score = (float)-i;
        fwrite(&score, sizeof score, 1, f);
    }
    put_text(f, "tokenizer.ggml.token_type");
    put_u32(f, 9);
    put_u32(f, 5);
    put_u64(f, 10);
    for (uint32_t i = 0; i < 10; i++) put_u32(f, i == 0 ? 2 : i < 3 ? 3 : i == 3 ? 6 : 1);
    put_int(f, "tokenizer.ggml.bos_token_id", 1);
    put_int(f, "tokenizer.ggml.eos_token_id", 2);
    put_text(f, "tokenizer.chat_template");
    put_u32(f, 8);
    put_text(f, "{{ messages }}");
}

/* A llama model in F32.  extra: one more metadata key (u32 1), or NULL. */
static inline void write_gguf(const char *path, const dele_model *m, const char *extra,
                              bool tokenizer)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    const dele_config *c = &m->config;
    fwrite("GGUF", 1, 4, f);
    put_u32(f, 3);
    put_u64(f, m->n_tensors);
    put_u64(f, 9 + (extra ? 1 : 0) + (tokenizer ? (uint64_t)N_TOKENIZER_PAIRS : 0));
    put_text(f, "general.architecture");
    put_u32(f, 8);
    put_text(f, "llama");
    put_int(f, "llama.block_count", (uint32_t)c->n_layers);
    put_int(f, "llama.context_length", (uint32_t)c->context);
    put_int(f, "llama.embedding_length", (uint32_t)c->hidden_size);
    put_int(f, "llama.feed_forward_length", (uint32_t)c->intermediate_size);
    put_int(f, "llama.attention.head_count", (uint32_t)c->n_heads);
    put_int(f, "llama.attention.head_count_kv", (uint32_t)c->n_kv_heads);
    put_float(f, "llama.attention.layer_norm_rms_epsilon", c->norm_eps);
    put_float(f, "llama.rope.freq_base", c->rope[0].theta);
    if (extra) put_int(f, extra, 1);
    if (tokenizer) put_tokenizer(f);
    uint64_t offset = 0;
    for (size_t i = 0; i < m->n_tensors; i++) {
        const dele_tensor *t = &m->tensors[i];
        bool flat = t->part == DELE_PART_NORM;
        put_text(f, t->gguf_name);
        put_u32(f, flat ? 1 : 2);
        put_u64(f, t->cols);
        if (!flat) put_u64(f, t->rows);
        put_u32(f, 0);
        put_u64(f, offset);
        offset = (offset + t->rows * t->cols * 4 + 31) / 32 * 32;
    }
    while (ftell(f) % 32) fputc(0, f);
    long start = ftell(f);
    for (size_t i = 0; i < m->n_tensors; i++) {
        const dele_tensor *t = &m->tensors[i];
        bool paired = t->slot == DELE_SLOT_Q || t->slot == DELE_SLOT_K;
        float *rows = malloc(t->rows * t->cols * sizeof *rows);
        assert_non_null(rows);
        for (size_t r = 0; r < t->rows; r++)
            memcpy(rows + (paired ? paired_row(r, (size_t)c->head_dim) : r) * t->cols,
                   t->data + r * t->cols, t->cols * sizeof *rows);
        fwrite(rows, sizeof *rows, t->rows * t->cols, f);
        free(rows);
        while ((ftell(f) - start) % 32) fputc(0, f);
    }
    assert_int_equal(fclose(f), 0);
}

/* ---- GGUF ------------------------------------------------------------------------------------ */

/* A tiny llama with these metadata beside what it must have; n pairs in `more`, size bytes. */
static inline void write_gguf_with(const char *path, const dele_model *m, const char *more,
                                   size_t size, uint64_t n)
{
    char plain[800];
    size_t all = 0, head;
    snprintf(plain, sizeof plain, "%s.plain", path);
    write_gguf(plain, m, NULL, false);
    uint8_t *file = read_bytes(plain, &all);
    /* the metadata end where the first tensor's name begins; the data are aligned again */
    const char *first = m->tensors[0].gguf_name;
    for (head = 24; memcmp(file + head, first, strlen(first)); head++) assert_true(head < all);
    head -= 8;
    size_t infos = head;
    for (size_t i = 0; i < m->n_tensors; i++)
        infos += 8 + strlen(m->tensors[i].gguf_name) + 4 +
                 (m->tensors[i].part == DELE_PART_NORM ? 8 : 16) + 4 + 8;
    size_t data = (infos + 31) / 32 * 32;
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    uint64_t n_pairs;
    memcpy(&n_pairs, file + 16, 8);
    n_pairs += n;
    fwrite(file, 1, 16, f);
    fwrite(&n_pairs, 8, 1, f);
    fwrite(file + 24, 1, head - 24, f);
    fwrite(more, 1, size, f);
    fwrite(file + head, 1, infos - head, f);
    while (ftell(f) % 32) fputc(0, f);
    fwrite(file + data, 1, all - data, f);
    assert_int_equal(fclose(f), 0);
    free(file);
    unlink(plain);
}

static inline void put_strings(FILE *f, const char *key, const char *const *texts, size_t n)
{
    put_text(f, key);
    put_u32(f, 9);
    put_u32(f, 8);
    put_u64(f, n);
    for (size_t i = 0; i < n; i++) put_text(f, texts[i]);
}

static inline void put_string(FILE *f, const char *key, const char *text)
{
    put_text(f, key);
    put_u32(f, 8);
    put_text(f, text);
}

/* Loads, expects failure, and the words in its sentence (one line, no newline). */
static inline void expect_refusal(const char *path, const char *words)
{
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model model;
    dele_status status = dele_model_load(&model, path, &arena, &err);
    if (status == DELE_OK) {
        dele_model_release(&model);
        fail_msg("%s was loaded, but should be refused with \"%s\"", path, words);
    }
    if (!strstr(err.msg, words)) fail_msg("\"%s\" does not say \"%s\"", err.msg, words);
    assert_null(strchr(err.msg, '\n'));
    dele_arena_release(&arena);
}

static inline void assert_same_weights(const dele_model *a, const dele_model *b)
{
    dele_arena scratch = {0};
    dele_err err = {0};
    assert_int_equal(a->n_tensors, b->n_tensors);
    for (size_t i = 0; i < a->n_tensors; i++) {
        const dele_tensor *x = &a->tensors[i], *y = &b->tensors[i];
        bool equal = false;
        assert_string_equal(x->name, y->name);
        assert_int_equal(dele_tensor_equal(&equal, x, y, &scratch, &err), DELE_OK);
        if (!equal) fail_msg("%s differs", x->name);
    }
    dele_arena_release(&scratch);
}

#endif
