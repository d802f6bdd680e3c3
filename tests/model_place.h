/* A directory of its own for every test of model files, with an arena and an error:
 *
 *   IN_PLACE(claim)
 *   static void claim(void **state) { place *p = *state; load(p, &m, in(p, "model")); ... } */
#ifndef DELE_TESTS_MODEL_PLACE_H
#define DELE_TESTS_MODEL_PLACE_H

#include "model_files.h"

typedef struct {
    char dir[512], path[700];
    dele_arena arena;
    dele_err err;
} place;

static inline int enter(void **state)
{
    place *p = calloc(1, sizeof *p);
    if (!p) return 1;
    temp_dir(p->dir);
    *state = p;
    return 0;
}

static inline int leave(void **state)
{
    place *p = *state;
    remove_dir(p->dir);
    dele_arena_release(&p->arena);
    free(p);
    return 0;
}

static inline const char *in(place *p, const char *name)
{
    snprintf(p->path, sizeof p->path, "%s/%s", p->dir, name);
    return p->path;
}

static inline void put_file(place *p, const char *name, const char *text)
{
    write_bytes(in(p, name), text, strlen(text));
}

/* "{" LLAMA_SIZES "}" is a config without the norm's epsilon, "{" LLAMA_BASE "}" one with it. */
#define LLAMA_SIZES                                                                                \
    "\"model_type\":\"llama\",\"hidden_size\":8,\"intermediate_size\":12,\"num_hidden_layers\":2," \
    "\"num_attention_heads\":2,\"vocab_size\":10"
#define LLAMA_BASE LLAMA_SIZES ",\"rms_norm_eps\":1e-5"

/* A model in p->dir/m with this generation_config.json (NULL: none) and more keys in
 * config.json. */
static inline void write_model(place *p, const char *more, const char *generation)
{
    dele_model m;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    mkdir(in(p, "m"), 0777);
    assert_int_equal(dele_model_save(&m, in(p, "m"), "f32", &p->err), DELE_OK);
    char text[1000];
    snprintf(text, sizeof text,
             "{" LLAMA_SIZES
             ",\"num_key_value_heads\":1,\"tie_word_embeddings\":true,\"max_position_"
             "embeddings\":32%s%s}",
             *more ? "," : "", more);
    put_file(p, "m/config.json", text);
    unlink(in(p, "m/generation_config.json"));
    if (generation) put_file(p, "m/generation_config.json", generation);
}

static inline void load(place *p, dele_model *m, const char *path)
{
    if (dele_model_load(m, path, &p->arena, &p->err)) fail_msg("%s", p->err.msg);
}

static inline void expect_ids(place *p, const dele_tokenizer *t, const char *text, const int *ids,
                              size_t n)
{
    dele_ids out;
    if (dele_encode(&out, t, text, strlen(text), true, &p->arena, &p->err))
        fail_msg("%s", p->err.msg);
    assert_int_equal(out.n, n);
    for (size_t i = 0; i < n; i++) assert_int_equal(out.id[i], ids[i]);
}

static inline char *sub(place *p, const char *name)
{
    char *dir = dele_printf(&p->arena, &p->err, "%s/%s", p->dir, name);
    mkdir(dir, 0777);
    return dir;
}

static inline void save(place *p, const dele_model *m, const char *dir, const char *dtype)
{
    if (dele_model_save(m, dir, dtype, &p->err)) fail_msg("%s", p->err.msg);
}

#define IN_PLACE(claim) cmocka_unit_test_setup_teardown(claim, enter, leave)

#endif
