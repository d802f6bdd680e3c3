/* What model files may say and what is refused: ids, types, the rotation, ends of text, BOS,
 * weights that are not finite, long inputs, results of version 0.1. */
#include "model_files.h"

#include <math.h>
#include <time.h>
#include <unistd.h>

#include "base/file_out.h"
#include "base/former.h"
#include "byte_tokenizer.h"
#include "model/generate.h"
#include "model/gguf.h"
#include "model/safetensors.h"
#include "text/people.h"
#include "trace/corrupt.h"
#include "trace/record.h"

typedef struct {
    char dir[512], path[700];
    dele_arena arena;
    dele_err err;
} place;

static int enter(void **state)
{
    place *p = calloc(1, sizeof *p);
    if (!p) return 1;
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

static const char *in(place *p, const char *name)
{
    snprintf(p->path, sizeof p->path, "%s/%s", p->dir, name);
    return p->path;
}

static void put_file(place *p, const char *name, const char *text)
{
    write_bytes(in(p, name), text, strlen(text));
}

static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

/* ---- config.json ----------------------------------------------------------------------------- */

#define BASE                                                                                       \
    "\"model_type\":\"llama\",\"hidden_size\":8,\"intermediate_size\":12,\"num_hidden_layers\":2," \
    "\"num_attention_heads\":2,\"vocab_size\":10"

static dele_status parse(dele_config *c, const char *more, dele_err *err)
{
    char text[2000];
    snprintf(text, sizeof text, "{" BASE "%s%s}", *more ? "," : "", more);
    cJSON *json = cJSON_Parse(text);
    if (!json) fail_msg("not JSON: %s", text);
    *err = (dele_err){0};
    dele_status status = dele_config_parse(c, json, "config.json", err);
    cJSON_Delete(json);
    return status;
}

static void expect_parse_error(const char *more, const char *words)
{
    dele_config c;
    dele_err err;
    if (!parse(&c, more, &err)) fail_msg("read without an error: %s", more);
    if (!strstr(err.msg, words)) fail_msg("\"%s\" does not say \"%s\"", err.msg, words);
}

static void expect_wrong(const char *const *keys, const char *const *values)
{
    for (; *keys; keys++)
        for (const char *const *value = values; *value; value++) {
            char more[200], name[100];
            snprintf(more, sizeof more, "\"%s\":%s", *keys, *value);
            snprintf(name, sizeof name, "\"%s\"", *keys);
            expect_parse_error(more, name);
        }
}

static void every_key_of_a_wrong_type_is_refused_by_its_name(void **state)
{
    (void)state;
#define LIST(...) (const char *const[]){__VA_ARGS__, NULL}
    expect_wrong(LIST("num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps",
                      "rope_theta", "partial_rotary_factor", "attention_dropout"),
                 LIST("\"4\"", "[4]", "{\"a\":4}", "true", "1e999", "-4", "\"NaN\""));
    expect_wrong(LIST("initializer_range", "pretraining_tp"),
                 LIST("\"4\"", "[4]", "{\"a\":4}", "true", "1e999"));
    expect_wrong(
        LIST("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "sep_token_id"),
        LIST("\"4\"", "{\"a\":4}", "true", "1e999", "-4", "2.5", "[\"4\"]", "[true]", "[10]",
             "10"));
    expect_wrong(LIST("tie_word_embeddings", "attention_bias", "mlp_bias", "use_cache"),
                 LIST("\"\"", "\"false\"", "0", "1", "[]", "{}"));
    expect_wrong(LIST("hidden_act", "torch_dtype", "transformers_version"),
                 LIST("1", "[]", "{}", "true"));
    expect_wrong(LIST("layer_types"),
                 LIST("\"full_attention\"", "[\"full_attention\"]", "[1,2]", "{}", "2"));
    expect_parse_error("\"use_cache\":true,\"use_cache\":true", "twice");
    dele_config c;
    dele_err err;
    if (parse(&c,
              "\"layer_types\":[\"full_attention\",\"full_attention\"],\"pad_token_id\":-1,\"eos_"
              "token_id\":null",
              &err))
        fail_msg("%s", err.msg);
    assert_int_equal(c.n_ends, 0);
}

static void required_sizes_of_a_wrong_type_are_refused(void **state)
{
    (void)state;
    static const char *const values[] = {"\"8\"", "[8]", "{}", "true", "1e999", "8.5", "null", "0"};
    static const char *const keys[] = {"\"hidden_size\":8", "\"intermediate_size\":12",
                                       "\"num_hidden_layers\":2", "\"num_attention_heads\":2",
                                       "\"vocab_size\":10"};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            char text[400] = "{" BASE "}", changed[500], name[40];
            char *at = strstr(text, keys[k]), *colon = strchr(at, ':');
            snprintf(changed, sizeof changed, "%.*s%s%s", (int)(colon + 1 - text), text, values[v],
                     colon + strcspn(colon, ",}"));
            snprintf(name, sizeof name, "%.*s", (int)(colon - at), at);
            cJSON *json = cJSON_Parse(changed);
            dele_config c;
            dele_err err = {0};
            assert_non_null(json);
            assert_int_not_equal(dele_config_parse(&c, json, "config.json", &err), DELE_OK);
            if (!strstr(err.msg, name)) fail_msg("\"%s\" does not name %s", err.msg, name);
            cJSON_Delete(json);
        }
}

/* The bases that transformers 5.23 takes (tests/reference/config_values.py). */
static void the_rotation_is_read_in_every_spelling_as_transformers_reads_it(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        float theta;
    } read[] = {
        {"", 10000},
        {"\"rope_theta\":500.0", 500},
        {"\"rope_theta\":500", 500},
        {"\"rope_scaling\":null,\"rope_theta\":300.0", 300},
        {"\"rope_scaling\":{\"rope_type\":\"default\",\"rope_theta\":500.0}", 500},
        {"\"rope_scaling\":{\"type\":\"default\"},\"rope_theta\":700.0", 700},
        {"\"rope_scaling\":{\"type\":\"default\"}", 10000},
        {"\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":500.0}", 500},
        {"\"rope_parameters\":{\"rope_theta\":500.0}", 500},
        {"\"rope_parameters\":{\"rope_type\":\"default\"}", 10000},
        {"\"rope_parameters\":{\"rope_type\":\"default\"},\"rope_theta\":900.0", 900},
        {"\"rope_parameters\":{}", 10000},
        {"\"rope_scaling\":{}", 10000},
        {"\"rope_parameters\":{},\"rope_theta\":40.0", 40},
        {"\"rope_parameters\":{\"type\":\"default\",\"rope_theta\":20.0}", 20},
        {"\"rope_scaling\":{\"rope_type\":\"default\",\"rope_theta\":500.0},\"rope_theta\":500.0",
         500},
        {"\"rope_scaling\":{\"rope_theta\":500.0},\"rope_parameters\":{\"rope_theta\":500.0}", 500},
        {"\"rope_scaling\":{\"rope_type\":\"default\",\"factor\":1.0}", 10000},
        {"\"partial_rotary_factor\":1.0,\"rope_theta\":30.0", 30},
        {"\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\",\"rope_theta\":10000."
         "0}}",
         10000},
        {"\"rope_parameters\":{\"full_attention\":{\"rope_theta\":55.0},\"rope_theta\":55.0}", 55},
    };
    dele_config c;
    dele_err err;
    for (size_t i = 0; i < sizeof read / sizeof *read; i++) {
        if (parse(&c, read[i].keys, &err)) fail_msg("%s: %s", read[i].keys, err.msg);
        if (c.rope[0].theta != read[i].theta)
            fail_msg("%s: %g", read[i].keys, (double)c.rope[0].theta);
    }
}

static void rotations_that_contradict_themselves_are_refused(void **state)
{
    (void)state;
    expect_parse_error("\"rope_parameters\":[1]", "rope_parameters");
    expect_parse_error("\"rope_parameters\":\"default\"", "rope_parameters");
    expect_parse_error("\"rope_parameters\":7", "rope_parameters");
    expect_parse_error("\"rope_scaling\":[{}]", "rope_scaling");
    expect_parse_error("\"rope_scaling\":false", "rope_scaling");
    expect_parse_error("\"rope_scaling\":{\"rope_type\":\"linear\"}", "factor");
    expect_parse_error("\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":0.5}",
                       "rope_scaling.factor");
    expect_parse_error("\"rope_scaling\":{\"rope_type\":\"su\",\"factor\":2.0}", "\"su\"");
    expect_parse_error("\"rope_scaling\":{\"rope_type\":[\"default\"]}", "rope_type");
    expect_parse_error("\"rope_scaling\":{\"rope_type\":\"default\",\"type\":\"yarn\"}",
                       "disagree");
    expect_parse_error(
        "\"rope_scaling\":{\"rope_type\":\"default\",\"rope_theta\":500.0},\"rope_theta\":10000.0",
        "disagree");
    expect_parse_error(
        "\"rope_scaling\":{\"rope_theta\":500.0},\"rope_parameters\":{\"rope_theta\":600.0}",
        "disagree");
    expect_parse_error("\"rope_parameters\":{\"rope_theta\":500.0},\"rope_theta\":600.0",
                       "disagree");
    expect_parse_error("\"rope_parameters\":{\"rope_theta\":\"500\"}", "rope_theta");
    expect_parse_error("\"rope_parameters\":{\"rope_theta\":1e999}", "rope_theta");
    expect_parse_error("\"rope_parameters\":{\"rope_theta\":-1}", "rope_theta");
    expect_parse_error("\"rope_parameters\":{\"rope_theta\":null}", "rope_theta");
    expect_parse_error("\"rope_theta\":null", "rope_theta");
    expect_parse_error("\"rope_parameters\":{\"sliding_attention\":{\"rope_theta\":5.0}}",
                       "sliding_attention");
    expect_parse_error("\"rope_parameters\":{\"full_attention\":{\"rope_theta\":55.0}}",
                       "full_attention");
    expect_parse_error("\"rope_parameters\":{\"full_attention\":[]}", "full_attention");
    expect_parse_error("\"rope_parameters\":{\"partial_rotary_factor\":0.5}",
                       "partial_rotary_factor");
    expect_parse_error(
        "\"rope_parameters\":{\"partial_rotary_factor\":1.0},\"partial_rotary_factor\":0.5",
        "disagree");
}

/* ---- ids and ends ---------------------------------------------------------------------------- */

/* A model in p->dir/m with this generation_config.json (NULL: none) and more keys in
 * config.json. */
static void write_model(place *p, const char *more, const char *generation)
{
    dele_model m;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    mkdir(in(p, "m"), 0777);
    assert_int_equal(dele_model_save(&m, in(p, "m"), "f32", &p->err), DELE_OK);
    char text[1000];
    snprintf(text, sizeof text,
             "{" BASE ",\"num_key_value_heads\":1,\"tie_word_embeddings\":true,\"max_position_"
             "embeddings\":32%s%s}",
             *more ? "," : "", more);
    put_file(p, "m/config.json", text);
    unlink(in(p, "m/generation_config.json"));
    if (generation) put_file(p, "m/generation_config.json", generation);
}

static void load(place *p, dele_model *m, const char *path)
{
    if (dele_model_load(m, path, &p->arena, &p->err)) fail_msg("%s", p->err.msg);
}

static void generation_config_wins_over_config_as_in_transformers(void **state)
{
    place *p = *state;
    static const struct {
        const char *config, *generation;
        int eos, n_ends, ends[3];
    } claims[] = {
        {"\"eos_token_id\":2", NULL, 2, 1, {2}},
        {"\"eos_token_id\":[2,3]", NULL, 2, 2, {2, 3}},
        {"\"eos_token_id\":[2,3,2]", NULL, 2, 2, {2, 3}},
        {"\"eos_token_id\":2", "{\"eos_token_id\":[4,5]}", 2, 2, {4, 5}},
        {"\"eos_token_id\":2", "{\"eos_token_id\":4}", 2, 1, {4}},
        {"\"eos_token_id\":null", "{\"eos_token_id\":[4]}", -1, 1, {4}},
        {"\"eos_token_id\":null", NULL, -1, 0, {0}},
        {"\"eos_token_id\":2",
         "{}",
         2,
         1,
         {2}}, /* transformers would stop at nothing: we differ, and say so */
    };
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        dele_model m;
        write_model(p, claims[i].config, claims[i].generation);
        load(p, &m, in(p, "m"));
        assert_int_equal(m.config.eos, claims[i].eos);
        assert_int_equal(m.config.n_ends, claims[i].n_ends);
        for (int k = 0; k < claims[i].n_ends; k++)
            assert_int_equal(m.config.ends[k], claims[i].ends[k]);
        dele_model_release(&m);
    }
}

static void ids_beyond_the_vocabulary_are_refused_whatever_file_names_them(void **state)
{
    place *p = *state;
    static const char *const keys[] = {"bos_token_id", "eos_token_id", "pad_token_id",
                                       "unk_token_id", "sep_token_id", "decoder_start_token_id"};
    static const char *const values[] = {"10", "1000000000", "1e18", "[2, 10]"};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            if (values[v][0] == '[' && k != 1) continue;
            char more[100];
            snprintf(more, sizeof more, "\"%s\":%s", keys[k], values[v]);
            write_model(p, more, NULL);
            expect_refusal(in(p, "m"), "is outside the vocabulary: the model has ids 0 to 9");
            if (k == 3 || k == 4) continue;
            snprintf(more, sizeof more, "{\"%s\":%s}", keys[k], values[v]);
            write_model(p, "", more);
            expect_refusal(in(p, "m"), "generation_config.json");
        }
    write_model(p, "", "[1]");
    expect_refusal(in(p, "m"), "not a JSON object");
    write_model(p, "", NULL);
    put_file(p, "m/tokenizer.json",
             "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]},\"post_"
             "processor\":{\"type\":"
             "\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"a\"}},{\"Sequence\":{"
             "\"id\":\"A\"}}],"
             "\"special_tokens\":{\"a\":{\"ids\":[70000000]}}}}");
    expect_refusal(in(p, "m"), "no token has it");
    /* an added token after the ten of the model, whose embedding has ten rows */
    put_file(p, "m/tokenizer.json",
             "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"e\":4,"
             "\"f\":5,\"g\":6,"
             "\"h\":7,\"i\":8,\"j\":9},\"merges\":[]},\"added_tokens\":[{\"id\":10,\"content\":\"<"
             "x>\"}]}");
    expect_refusal(in(p, "m"), "embedding only 10 rows");
}

static void generation_stops_at_every_end_and_at_the_end_of_a_turn(void **state)
{
    place *p = *state;
    dele_model m = {.config = {.eos = 5, .ends = {7, 8}, .n_ends = 2},
                    .tokenizer = bytes_only(&p->arena)};
    dele_ends ends = dele_ends_of(&m, NULL);
    assert_int_equal(ends.n, 2);
    assert_true(ends.id[0] == 7 && ends.id[1] == 8);
    const dele_layout *layout;
    assert_int_equal(dele_chat_open(&layout, DELE_CHAT_OLMO, m.tokenizer, &p->arena, &p->err),
                     DELE_OK);
    ends = dele_ends_of(&m, layout);
    assert_int_equal(ends.n, 3);
    assert_int_equal(ends.id[2], BYTES_EOS);
    assert_int_equal(dele_chat_open(&layout, DELE_CHAT_SMOLLM2, m.tokenizer, &p->arena, &p->err),
                     DELE_OK);
    assert_int_equal(dele_ends_of(&m, layout).n, 2); /* it has no <|im_end|> */
    m.config.n_ends = 0;
    ends = dele_ends_of(&m, NULL);
    assert_true(ends.n == 1 && ends.id[0] == 5);
    m.config.eos = -1;
    ends = dele_ends_of(&m, NULL);
    assert_true(ends.n == 1 && ends.id[0] == BYTES_EOS);
    dele_tokenizer_close(m.tokenizer);
}

static void ends_survive_a_gguf_and_the_way_back(void **state)
{
    place *p = *state;
    static const char *const lists[] = {"\"eos_token_id\":2", "\"eos_token_id\":[2,3]",
                                        "\"eos_token_id\":[2,3,4,5,6]", "\"eos_token_id\":2"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        dele_model m, gguf, back;
        dele_gguf_saved saved;
        write_model(p, lists[i], i == 3 ? "{\"eos_token_id\":[4,5]}" : NULL);
        load(p, &m, in(p, "m"));
        assert_int_equal(
            dele_gguf_save(&saved, &m, in(p, "m.gguf"), DELE_DTYPE_F32, false, &p->err), DELE_OK);
        load(p, &gguf, in(p, "m.gguf"));
        mkdir(in(p, "back"), 0777);
        assert_int_equal(dele_model_save(&gguf, in(p, "back"), "f32", &p->err), DELE_OK);
        load(p, &back, in(p, "back"));
        assert_int_equal(gguf.config.n_ends, m.config.n_ends);
        assert_int_equal(back.config.n_ends, m.config.n_ends);
        assert_memory_equal(gguf.config.ends, m.config.ends, sizeof m.config.ends);
        assert_memory_equal(back.config.ends, m.config.ends, sizeof m.config.ends);
        assert_true(gguf.config.eos == 2 && back.config.eos == 2);
        dele_model_release(&m);
        dele_model_release(&gguf);
        dele_model_release(&back);
    }
}

/* ---- GGUF ------------------------------------------------------------------------------------ */

/* A tiny llama with these metadata beside what it must have; n pairs in `more`, size bytes. */
static void write_gguf_with(const char *path, const dele_model *m, const char *more, size_t size,
                            uint64_t n)
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

static void put_strings(FILE *f, const char *key, const char *const *texts, size_t n)
{
    put_text(f, key);
    put_u32(f, 9);
    put_u32(f, 8);
    put_u64(f, n);
    for (size_t i = 0; i < n; i++) put_text(f, texts[i]);
}

static void put_string(FILE *f, const char *key, const char *text)
{
    put_text(f, key);
    put_u32(f, 8);
    put_text(f, text);
}

static void put_bool(FILE *f, const char *key, int x)
{
    put_text(f, key);
    put_u32(f, 7);
    fputc(x, f);
}

/* A model of ten rows whose byte-level vocabulary has this pre-tokenizer.  add_bos, add_eos -1: no
 * key.  id_key: one more id, or NULL. */
static void write_bpe(place *p, const char *pre, int add_bos, int add_eos, const char *id_key,
                      uint32_t id, const char *last)
{
    const char *const tokens[] = {"h", "i", "<s>", "</s>", "a", "b", "c", "d", "e", last};
    const char *const merges[] = {"h i"};
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    put_string(f, "tokenizer.ggml.model", "gpt2");
    put_string(f, "tokenizer.ggml.pre", pre);
    put_strings(f, "tokenizer.ggml.tokens", tokens, 10);
    put_strings(f, "tokenizer.ggml.merges", merges, 0);
    put_text(f, "tokenizer.ggml.token_type");
    put_u32(f, 9);
    put_u32(f, 5);
    put_u64(f, 10);
    for (uint32_t i = 0; i < 10; i++) put_u32(f, i == 2 || i == 3 || i == 9 ? 3 : 1);
    put_int(f, "tokenizer.ggml.bos_token_id", 2);
    put_int(f, "tokenizer.ggml.eos_token_id", 3);
    if (add_bos >= 0) put_bool(f, "tokenizer.ggml.add_bos_token", add_bos);
    if (add_eos >= 0) put_bool(f, "tokenizer.ggml.add_eos_token", add_eos);
    if (id_key) put_int(f, id_key, id);
    assert_int_equal(fclose(f), 0);
    dele_model m;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    write_gguf_with(in(p, "m.gguf"), &m, text, size,
                    7u + (add_bos >= 0) + (add_eos >= 0) + (id_key != NULL));
    free(text);
}

static void expect_ids(place *p, const dele_tokenizer *t, const char *text, const int *ids,
                       size_t n)
{
    dele_ids out;
    if (dele_encode(&out, t, text, strlen(text), true, &p->arena, &p->err))
        fail_msg("%s", p->err.msg);
    assert_int_equal(out.n, n);
    for (size_t i = 0; i < n; i++) assert_int_equal(out.id[i], ids[i]);
}

static void a_gguf_without_the_key_adds_the_bos_that_llama_cpp_adds(void **state)
{
    place *p = *state;
    static const struct {
        const char *pre;
        int add_bos, add_eos;
        bool bos, eos;
    } claims[] = {
        {"llama-bpe", -1, -1, true, false}, {"llama3", -1, -1, true, false},
        {"llama-v3", -1, -1, true, false},  {"falcon3", -1, -1, true, false},
        {"pixtral", -1, -1, true, false},   {"lfm2", -1, -1, true, false},
        {"llama-bpe", 0, -1, false, false}, {"smollm", -1, -1, false, false},
        {"smollm", 1, -1, true, false},     {"gpt-2", -1, -1, false, false},
        {"olmo", -1, -1, false, false},     {"qwen2", -1, -1, false, false},
        {"dbrx", -1, -1, false, false},     {"llama-bpe", -1, 1, true, true},
        {"gpt-2", -1, 1, false, true},      {"gpt-2", -1, 0, false, false},
    };
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        dele_model m;
        write_bpe(p, claims[i].pre, claims[i].add_bos, claims[i].add_eos, NULL, 0, "f");
        load(p, &m, in(p, "m.gguf"));
        const int all[] = {2, 0, 1, 3};
        expect_ids(p, m.tokenizer, "hi", all + !claims[i].bos, 2u + claims[i].bos + claims[i].eos);
        expect_ids(p, m.tokenizer, "<s>hi", all,
                   3);         /* it has one already: nothing is added, as in lm_eval */
        dele_gguf_saved saved; /* and the file that is written of it does the same */
        assert_int_equal(
            dele_gguf_save(&saved, &m, in(p, "again.gguf"), DELE_DTYPE_F32, true, &p->err),
            DELE_OK);
        dele_model again;
        load(p, &again, in(p, "again.gguf"));
        expect_ids(p, again.tokenizer, "hi", all + !claims[i].bos,
                   2u + claims[i].bos + claims[i].eos);
        dele_model_release(&again);
        dele_model_release(&m);
    }
}

static void eot_and_eom_of_a_gguf_end_a_text(void **state)
{
    place *p = *state;
    static const struct {
        const char *key, *last;
        uint32_t id;
        int end;
    } claims[] = {
        {"tokenizer.ggml.eot_token_id", "f", 6, 6},
        {"tokenizer.ggml.eom_token_id", "f", 7, 7},
        {NULL, "<|eot_id|>", 0, 9},
        {NULL, "<|im_end|>", 0, 9},
        {NULL, "<|eom_id|>", 0, 9},
        {NULL, "<|endoftext|>", 0, -1}, /* not eos: transformers goes on */
        {"tokenizer.ggml.eot_token_id", "<|im_end|>", 3, -1},
    };
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        dele_model m;
        write_bpe(p, "gpt-2", -1, -1, claims[i].key, claims[i].id, claims[i].last);
        load(p, &m, in(p, "m.gguf"));
        dele_ends ends = dele_ends_of(&m, NULL);
        assert_int_equal(ends.id[0], 3);
        assert_int_equal(ends.n, 1 + (claims[i].end >= 0));
        if (claims[i].end >= 0) assert_int_equal(ends.id[1], claims[i].end);
        dele_model_release(&m);
    }
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id",
                                       "tokenizer.ggml.unknown_token_id",
                                       "tokenizer.ggml.mask_token_id",
                                       "tokenizer.ggml.padding_token_id"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        write_bpe(p, "gpt-2", -1, -1, keys[i], 10, "f");
        expect_refusal(in(p, "m.gguf"), "outside the vocabulary");
    }
}

static void an_empty_gguf_is_no_gguf(void **state)
{
    place *p = *state;
    write_bytes(in(p, "m.gguf"), "", 0);
    expect_refusal(in(p, "m.gguf"), "not a GGUF file");
}

static void a_gguf_may_say_that_it_has_no_tokenizer(void **state)
{
    place *p = *state;
    static const char *const kinds[] = {"none", "no_vocab"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        assert_non_null(f);
        put_string(f, "tokenizer.ggml.model", kinds[i]);
        assert_int_equal(fclose(f), 0);
        dele_model m, back;
        tiny_model(&m, &dele_family_llama, true, &p->arena);
        write_gguf_with(in(p, "m.gguf"), &m, text, size, 1);
        free(text);
        load(p, &back, in(p, "m.gguf"));
        assert_null(back.tokenizer);
        dele_model_release(&back);
    }
}

/* ---- long inputs: linear or n log n.  The bounds are CPU time, ten times what is needed and a
 * tenth of what it was. -- */

static void sixty_thousand_keys_of_a_gguf_take_no_time(void **state)
{
    place *p = *state;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    enum { N = 60000 };
    for (int i = 0; i < N; i++) {
        char key[40];
        snprintf(key, sizeof key, "some.key.%d", i);
        put_int(f, key, (uint32_t)i);
    }
    assert_int_equal(fclose(f), 0);
    dele_model m, back;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    write_gguf_with(in(p, "m.gguf"), &m, text, size, N);
    free(text);
    double began = seconds();
    load(p, &back, in(p, "m.gguf"));
    assert_true(seconds() - began < 2);
    assert_same_weights(&m, &back);
    dele_model_release(&back);
}

static void a_token_of_200_kilobytes_takes_no_time(void **state)
{
    place *p = *state;
    enum { LONG = 200000 };
    char *token = malloc(LONG + 1), *text = NULL;
    assert_non_null(token);
    for (int i = 0; i < LONG; i++) token[i] = "ab"[i % 3 == 0];
    token[LONG] = 0;
    const char *const tokens[] = {"<unk>", "<s>", "</s>", "a", "b", "ab", "ba", "bab", token, "aa"};
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    put_string(f, "tokenizer.ggml.model", "llama");
    put_strings(f, "tokenizer.ggml.tokens", tokens, 10);
    put_text(f, "tokenizer.ggml.scores");
    put_u32(f, 9);
    put_u32(f, 6);
    put_u64(f, 10);
    for (int i = 0; i < 10; i++) {
        float score = (float)-i;
        fwrite(&score, sizeof score, 1, f);
    }
    assert_int_equal(fclose(f), 0);
    dele_model m, back;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    write_gguf_with(in(p, "m.gguf"), &m, text, size, 3);
    free(text);
    double began = seconds();
    load(p, &back, in(p, "m.gguf"));
    assert_true(seconds() - began < 2);
    const int ids[] = {1, 7}; /* the merges are still found: b a b is one token */
    dele_ids out;
    assert_int_equal(dele_encode(&out, back.tokenizer, "bab", 3, true, &p->arena, &p->err),
                     DELE_OK);
    assert_true(out.n >= 2 && out.id[0] == ids[0] && out.id[out.n - 1] == ids[1]);
    dele_model_release(&back);
    free(token);
}

static void a_hundred_thousand_keys_of_a_config_take_no_time(void **state)
{
    place *p = *state;
    enum { N = 100000 };
    write_model(p, "", NULL);
    FILE *f = fopen(in(p, "m/config.json"), "wb");
    assert_non_null(f);
    fputs("{" BASE ",\"num_key_value_heads\":1,\"tie_word_embeddings\":true", f);
    for (int i = 0; i < N; i++) fprintf(f, ",\"k%d\":%d", i, i);
    fputs("}", f);
    assert_int_equal(fclose(f), 0);
    double began = seconds();
    dele_model m;
    load(p, &m, in(p, "m"));
    assert_true(seconds() - began < 3);
    dele_model_release(&m);
}

static void a_hundred_thousand_tensors_of_an_index_take_no_time(void **state)
{
    place *p = *state;
    enum { N = 100000 };
    FILE *index = fopen(in(p, "model.safetensors.index.json"), "wb"), *shard = NULL;
    char *header = NULL;
    size_t size = 0;
    assert_non_null(index);
    fputs("{\"weight_map\":{", index);
    for (int s = 0; s < 2; s++) {
        char name[40];
        FILE *f = open_memstream(&header, &size);
        assert_non_null(f);
        for (int i = 0; i < N / 2; i++) {
            fprintf(f, "%s\"t%d.%d\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                    i ? "," : "{", s, i, 4 * i, 4 * i + 4);
            fprintf(index, "%s\"t%d.%d\":\"s%d.safetensors\"", i || s ? "," : "", s, i, s);
        }
        fputs("}", f);
        assert_int_equal(fclose(f), 0);
        snprintf(name, sizeof name, "s%d.safetensors", s);
        shard = fopen(in(p, name), "wb");
        assert_non_null(shard);
        put_u64(shard, size);
        fwrite(header, 1, size, shard);
        for (int i = 0; i < N / 2; i++) put_u32(shard, 0);
        assert_int_equal(fclose(shard), 0);
        free(header);
    }
    fputs("}}", index);
    assert_int_equal(fclose(index), 0);
    dele_safetensors st;
    double began = seconds();
    if (dele_safetensors_open(&st, p->dir, &p->arena, &p->err)) fail_msg("%s", p->err.msg);
    assert_true(seconds() - began < 4);
    assert_int_equal(st.n, N);
    dele_safetensors_close(&st);
}

/* 100,000 added tokens that begin alike, in a text of 100,000 bytes that all could begin one. */
static void many_added_tokens_take_no_time_and_the_longest_wins(void **state)
{
    place *p = *state;
    enum { N = 100000 };
    FILE *f = fopen(in(p, "tokenizer.json"), "wb");
    assert_non_null(f);
    fputs("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"<\":0,\"x\":1,\"1\":2},\"merges\":[]},\"added_"
          "tokens\":[",
          f);
    for (int i = 0; i < N; i++)
        fprintf(f, "%s{\"id\":%d,\"content\":\"<<<x%d>\",\"special\":true}", i ? "," : "", i + 3,
                i);
    fprintf(f,
            ",{\"id\":%d,\"content\":\"<<\",\"special\":true},{\"id\":%d,\"content\":\"<<<x1\","
            "\"special\":true}]}",
            N + 3, N + 4);
    assert_int_equal(fclose(f), 0);
    double began = seconds();
    dele_tokenizer *t = dele_tokenizer_load(in(p, "tokenizer.json"), &p->arena, &p->err);
    if (!t) fail_msg("%s", p->err.msg);
    static const struct {
        const char *text;
        int ids[3];
        size_t n;
    } claims[] = {{"<<<x12>", {15}, 1},
                  {"<<<x1>", {4}, 1},
                  {"<<<x1", {N + 4}, 1},
                  {"<<<x1x", {N + 4, 1}, 2},
                  {"<<<x", {N + 3, 0, 1}, 3},
                  {"<<<<", {N + 3, N + 3}, 2},
                  {"<", {0}, 1},
                  {"<<<x99999>", {N + 2}, 1}};
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
        expect_ids(p, t, claims[i].text, claims[i].ids, claims[i].n);
    char *text = malloc(N + 1);
    assert_non_null(text);
    memset(text, '<', N);
    dele_ids out;
    assert_int_equal(dele_encode(&out, t, text, N, true, &p->arena, &p->err), DELE_OK);
    assert_int_equal(out.n, N / 2);
    assert_true(seconds() - began < 4);
    free(text);
    dele_tokenizer_close(t);
}

static void a_question_of_100_kilobytes_takes_no_time(void **state)
{
    place *p = *state;
    enum { N = 10000 };
    char *long_one = malloc(16 * N);
    assert_non_null(long_one);
    size_t n = 0;
    for (int i = 0; i < N; i++)
        n += (size_t)sprintf(long_one + n, "Name%c%c Of%c ", 'a' + i % 26, 'a' + i / 26 % 26,
                             'a' + i % 7);
    const char *const questions[] = {"Where was Ada Lovelace born?", "Where was Alan Turing born?",
                                     long_one};
    dele_person person[3];
    double began = seconds();
    assert_int_equal(dele_people_find(person, questions, 3, &p->arena, &p->err), DELE_OK);
    assert_true(seconds() - began < 2);
    assert_int_equal(person[0].begin, 10);
    assert_int_equal(person[0].end, 22);
    assert_int_equal(person[1].end, 21);
    free(long_one);
}

/* ---- safetensors ----------------------------------------------------------------------------- */

static void expect_header(place *p, const char *header, size_t n_data, const char *words)
{
    FILE *f = fopen(in(p, "model.safetensors"), "wb");
    assert_non_null(f);
    put_u64(f, strlen(header));
    fputs(header, f);
    for (size_t i = 0; i < n_data; i++) fputc(0, f);
    assert_int_equal(fclose(f), 0);
    dele_safetensors st;
    dele_err err = {0};
    dele_status status = dele_safetensors_open(&st, p->dir, &p->arena, &err);
    dele_safetensors_close(&st);
    if (words ? !status || !strstr(err.msg, words) : status)
        fail_msg("%s: \"%s\", not \"%s\"", header, status ? err.msg : "read",
                 words ? words : "read");
}

static void headers_of_safetensors_are_held_to_the_specification(void **state)
{
    place *p = *state;
#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"
#define B "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}"
    expect_header(p, "{" A "," B "}", 8, NULL);
    expect_header(p, "{\"__metadata__\":{\"format\":\"pt\"}," A "}    ", 4, NULL);
    expect_header(p, "{" A "}x", 4, "after the JSON");
    expect_header(p, "{" A "}{}", 4, "after the JSON");
    expect_header(p, "{" A "}  \n", 4, "after the JSON");
    expect_header(p, "{" A "}\t", 4, "after the JSON");
    expect_header(p, " {" A "}", 4, "not a JSON object");
    expect_header(p, "[]", 0, "not a JSON object");
    expect_header(p, "{" A "," A "}", 4, "overlap");
    expect_header(p, "{" A ",\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8,
                  "twice");
    expect_header(p, "{" B "}", 8, "take 4 bytes, but 8");
    expect_header(p, "{" A "}", 8, "take 4 bytes, but 8");
    expect_header(p, "{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}", 12,
                  "take 8 bytes, but 12");
    expect_header(p, "{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}", 6,
                  "overlap");
    expect_header(p, "{\"__metadata__\":{\"a\":1}," A "}", 4, "__metadata__");
    expect_header(p, "{\"__metadata__\":[]," A "}", 4, "__metadata__");
    expect_header(p, "{\"__metadata__\":{},\"__metadata__\":{}," A "}", 4, "__metadata__");
    expect_header(p,
                  "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}}",
                  4, "shape");
    expect_header(p, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4,
                  "\"x\"");
}

/* ---- numbers that are none ------------------------------------------------------------------- */

static void a_weight_that_is_not_finite_is_refused_with_its_tensors_name(void **state)
{
    place *p = *state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static const char *const dtypes[] = {"f32", "bf16", "f16"};
    dele_model m;
    tiny_model(&m, &dele_family_llama, false, &p->arena);
    mkdir(in(p, "m"), 0777);
    for (size_t i = 0; i < m.n_tensors; i++) {
        dele_tensor *t = &m.tensors[i];
        float *last = &t->data[t->rows * t->cols - 1], good = *last;
        *last = bad[i % 3];
        assert_int_equal(dele_model_save(&m, in(p, "m"), dtypes[i % 3], &p->err), DELE_OK);
        expect_refusal(in(p, "m"), t->name);
        expect_refusal(in(p, "m"), "the model is broken");
        write_gguf(in(p, "m.gguf"), &m, NULL, false);
        expect_refusal(in(p, "m.gguf"), t->gguf_name);
        *last = good;
    }
}

static void a_blocks_scale_that_is_not_finite_is_seen(void **state)
{
    (void)state;
    static const struct {
        dele_dtype type;
        size_t scales[2], n;
    } claims[] = {
        {DELE_DTYPE_Q4_0, {0}, 1},    {DELE_DTYPE_Q4_1, {0, 2}, 2}, {DELE_DTYPE_Q5_0, {0}, 1},
        {DELE_DTYPE_Q5_1, {0, 2}, 2}, {DELE_DTYPE_Q8_0, {0}, 1},    {DELE_DTYPE_Q4_K, {0, 2}, 2},
        {DELE_DTYPE_Q5_K, {0, 2}, 2}, {DELE_DTYPE_Q6_K, {208}, 1},  {DELE_DTYPE_F16, {0}, 1}};
    static const uint16_t bad[] = {0x7c00, 0xfc00, 0x7e01};
    for (size_t c = 0; c < sizeof claims / sizeof *claims; c++)
        for (size_t s = 0; s < claims[c].n; s++)
            for (size_t b = 0; b < 3; b++) {
                uint8_t block[256] = {0};
                float y[256];
                const size_t n = dele_dtype_of(claims[c].type)->items;
                assert_true(dele_dtype_read(y, block, claims[c].type, n));
                memcpy(block + claims[c].scales[s], &bad[b], 2);
                assert_false(dele_dtype_read(y, block, claims[c].type, n));
            }
}

/* Finite weights whose products overflow: the argmax of NaN would be id 0. */
static void logits_that_are_not_finite_end_the_generation(void **state)
{
    place *p = *state;
    dele_model m;
    tiny_model(&m, &dele_family_llama, false, &p->arena);
    dele_tensor *head = dele_model_tensor(&m, DELE_SLOT_HEAD, -1),
                *norm = dele_model_tensor(&m, DELE_SLOT_FINAL_NORM, -1);
    for (size_t i = 0; i < head->rows * head->cols; i++) head->data[i] = 1e30f;
    for (size_t i = 0; i < norm->cols; i++) norm->data[i] = i % 2 ? 1e30f : -1e30f;
    dele_run run = {0};
    const int prompt[] = {1, 2};
    int out[4];
    size_t n;
    assert_int_equal(dele_generate(out, &n, &run, &m, prompt, 2, 4, NULL, 0, &p->err),
                     DELE_ERR_DATA);
    assert_non_null(strstr(p->err.msg, "the model is broken"));
    dele_run_release(&run);
}

static void noise_that_overflows_is_refused(void **state)
{
    place *p = *state;
    static const char *const strengths[] = {"1e300", "u1e300", "1e25"};
    dele_model m;
    tiny_model(&m, &dele_family_llama, true, &p->arena);
    const int id = 1;
    float out[8];
    for (size_t i = 0; i < sizeof strengths / sizeof *strengths; i++) {
        dele_corruption c = {0};
        dele_err err = {0};
        assert_int_equal(dele_noise_parse(&c, strengths[i], &err), DELE_OK);
        assert_int_equal(dele_corrupt_embed(out, &c, &m, &id, 1, 0, 0, 1, 3, &err), DELE_ERR_USAGE);
        assert_non_null(strstr(err.msg, "--noise"));
    }
}

/* ---- version 0.1 ----------------------------------------------------------------------------- */

static void a_checkpoint_of_0_1_loads_and_its_results_are_refused(void **state)
{
    place *p = *state;
    dele_model m;
    write_model(p, "\"eos_token_id\":2", NULL);
    mkdir(in(p, "m/" DELE_FORMER_NAME), 0777);
    put_file(p, "m/" DELE_FORMER_NAME "/manifest.json",
             "{\"versions\":{\"" DELE_FORMER_NAME "\":\"0.1.0\"}}");
    assert_true(dele_former_checkpoint(in(p, "m")));
    load(p, &m, in(p, "m"));
    dele_model_release(&m);

    char *keys = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&keys, &size);
    assert_non_null(f);
    put_string(f, DELE_FORMER_NAME ".version", "0.1.0");
    assert_int_equal(fclose(f), 0);
    dele_model plain;
    tiny_model(&plain, &dele_family_llama, true, &p->arena);
    write_gguf_with(in(p, "m.gguf"), &plain, keys, size, 1);
    free(keys);
    load(p, &m, in(p, "m.gguf"));
    assert_same_weights(&m, &plain);
    dele_model_release(&m);

    mkdir(in(p, "r"), 0777);
    put_file(p, "r/manifest.json",
             "{\"command\":[\"" DELE_FORMER_NAME "\",\"trace\"],\"versions\":{\"" DELE_FORMER_NAME
             "\":\"0.1.0\"}}");
    put_file(p, "r/trace.json", "{\"n_layers\":2}");
    put_file(p, "r/facts.jsonl", "");
    dele_trace trace;
    assert_int_equal(dele_trace_load(&trace, in(p, "r"), &p->arena, &p->err), DELE_ERR_UNSUPPORTED);
    assert_non_null(strstr(p->err.msg, "version 0.1, under its former name " DELE_FORMER_NAME));
    p->err = (dele_err){0};
    assert_int_equal(dele_former_refuse(in(p, "r/eval.json"), &p->err), DELE_ERR_UNSUPPORTED);

    dele_err err = {0};
    mkdir(in(p, "s"), 0777);
    put_file(p, "s/study.json", "{\"" DELE_FORMER_NAME "\":\"0.1.0\",\"stages\":{}}");
    assert_int_equal(dele_former_refuse(in(p, "s"), &err), DELE_ERR_UNSUPPORTED);

    err = (dele_err){0};
    bool resumed;
    dele_outdir out = {0};
    char path[700];
    snprintf(path, sizeof path, "%s", in(p, "u"));
    mkdir(in(p, "u.part"), 0777);
    put_file(p, "u.part/resume.key", DELE_FORMER_NAME " 0.1.0 unlearn\n");
    assert_int_not_equal(dele_outdir_resume(&out, path, "deleatur", &resumed, &err), DELE_OK);
    assert_non_null(strstr(err.msg, "former name"));

    err = (dele_err){0};
    mkdir(in(p, "n"), 0777);
    put_file(p, "n/manifest.json", "{\"versions\":{\"deleatur\":\"0.2.0\"}}");
    assert_int_equal(dele_former_refuse(in(p, "n"), &err), DELE_OK);
    assert_false(dele_former_checkpoint(in(p, "n")));
}

int main(void)
{
#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, enter, leave)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_of_a_wrong_type_is_refused_by_its_name),
        cmocka_unit_test(required_sizes_of_a_wrong_type_are_refused),
        cmocka_unit_test(the_rotation_is_read_in_every_spelling_as_transformers_reads_it),
        cmocka_unit_test(rotations_that_contradict_themselves_are_refused),
        IN_PLACE(generation_config_wins_over_config_as_in_transformers),
        IN_PLACE(ids_beyond_the_vocabulary_are_refused_whatever_file_names_them),
        IN_PLACE(generation_stops_at_every_end_and_at_the_end_of_a_turn),
        IN_PLACE(ends_survive_a_gguf_and_the_way_back),
        IN_PLACE(a_gguf_without_the_key_adds_the_bos_that_llama_cpp_adds),
        IN_PLACE(eot_and_eom_of_a_gguf_end_a_text),
        IN_PLACE(an_empty_gguf_is_no_gguf),
        IN_PLACE(a_gguf_may_say_that_it_has_no_tokenizer),
        IN_PLACE(sixty_thousand_keys_of_a_gguf_take_no_time),
        IN_PLACE(a_token_of_200_kilobytes_takes_no_time),
        IN_PLACE(a_hundred_thousand_keys_of_a_config_take_no_time),
        IN_PLACE(a_hundred_thousand_tensors_of_an_index_take_no_time),
        IN_PLACE(many_added_tokens_take_no_time_and_the_longest_wins),
        IN_PLACE(a_question_of_100_kilobytes_takes_no_time),
        IN_PLACE(headers_of_safetensors_are_held_to_the_specification),
        IN_PLACE(a_weight_that_is_not_finite_is_refused_with_its_tensors_name),
        cmocka_unit_test(a_blocks_scale_that_is_not_finite_is_seen),
        IN_PLACE(logits_that_are_not_finite_end_the_generation),
        IN_PLACE(noise_that_overflows_is_refused),
        IN_PLACE(a_checkpoint_of_0_1_loads_and_its_results_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
