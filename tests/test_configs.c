/* config.json: every spelling means what transformers takes it for, and what cannot be meant is
 * refused by its key. */
#include "claims.h"

#include <unistd.h>

#include "model_place.h"

static dele_status parse_more(dele_config *c, const char *more, dele_err *err)
{
    char text[2000];
    snprintf(text, sizeof text, "{" LLAMA_SIZES "%s%s}", *more ? "," : "", more);
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
    if (!parse_more(&c, more, &err)) fail_msg("read without an error: %s", more);
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
    if (parse_more(
            &c,
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
            char text[400] = "{" LLAMA_SIZES "}", changed[500], name[40];
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
        if (parse_more(&c, read[i].keys, &err)) fail_msg("%s: %s", read[i].keys, err.msg);
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

#define OLMO_BASE                                                                                  \
    "\"model_type\":\"olmo\",\"hidden_size\":8,\"intermediate_size\":12,\"num_hidden_layers\":2,"  \
    "\"num_attention_heads\":2,\"vocab_size\":10"

#define QWEN2_BASE                                                                                 \
    "\"model_type\":\"qwen2\",\"hidden_size\":8,\"intermediate_size\":12,\"num_hidden_layers\":2," \
    "\"num_attention_heads\":2,\"vocab_size\":10"

static dele_status parse_text(dele_config *c, const char *text, dele_err *err)
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
        parse_text(&a,
                   "{" LLAMA_BASE
                   ",\"rope_theta\":500000.0,\"rope_scaling\":null,\"torch_dtype\":\"bfloat16\"}",
                   &err),
        DELE_OK);
    assert_int_equal(
        parse_text(&b,
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
    assert_int_equal(parse_text(&c,
                                "{" OLMO_BASE
                                ",\"clip_qkv\":null,\"rms_norm_eps\":1e-6,\"eos_token_id\":[2,3]}",
                                &err),
                     DELE_OK);
    assert_true(c.clip_qkv == 0 && c.family->norm == DELE_LAYERNORM && c.norm_eps == 1e-5f);
    assert_int_equal(c.eos, 2);
    assert_int_equal(
        parse_text(&c, "{" OLMO_BASE ",\"clip_qkv\":8.0,\"tie_word_embeddings\":true}", &err),
        DELE_OK);
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
        if (parse_text(&c, text, &err) == DELE_OK) fail_msg("accepted: %s", text);
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
    if (parse_text(&c, text, &err)) fail_msg("%s", err.msg);
    assert_int_equal(c.head_dim, 6);
    const char *window = "{" QWEN2_BASE ",\"num_key_value_heads\":1,\"use_sliding_window\":false,"
                         "\"sliding_window\":4096,\"max_window_layers\":1}";
    if (parse_text(&c, window, &err)) fail_msg("%s", err.msg);
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
        if (parse_text(&after, text, &err)) fail_msg("%s", err.msg);
        cJSON_free(text);
        cJSON_Delete(json);
        assert_memory_equal(&before, &after, sizeof before);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_of_a_wrong_type_is_refused_by_its_name),
        cmocka_unit_test(required_sizes_of_a_wrong_type_are_refused),
        cmocka_unit_test(the_rotation_is_read_in_every_spelling_as_transformers_reads_it),
        cmocka_unit_test(rotations_that_contradict_themselves_are_refused),
        cmocka_unit_test(both_generations_of_config_mean_the_same),
        cmocka_unit_test(olmo_obeys_its_clip_and_needs_no_epsilon),
        cmocka_unit_test(keys_that_change_the_maths_are_refused_by_name),
        cmocka_unit_test(inert_and_foreign_keys_are_let_be),
        cmocka_unit_test(a_written_config_reads_back_the_same),
        IN_PLACE(a_config_that_claims_too_much_costs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
