/* The number of parameters that follows from a config.json alone is the published one.  The configs
 * are the released ones, without keys that change no shape.  A new family: a row for each of its
 * models (here, and no code).  Rows of a family that deleatur does not have are passed over, and
 * said so. */
#include <unistd.h>

#include "model_files.h"

#define HEADS(heads, kv_heads)                                                                     \
    "\"num_attention_heads\":" #heads ",\"num_key_value_heads\":" #kv_heads ","
#define SIZES(layers, hidden, intermediate, vocab, context)                                        \
    "\"num_hidden_layers\":" #layers ",\"hidden_size\":" #hidden                                   \
    ",\"intermediate_size\":" #intermediate ",\"vocab_size\":" #vocab                              \
    ",\"max_position_embeddings\":" #context ","
#define TIED "\"tie_word_embeddings\":true"
#define UNTIED "\"tie_word_embeddings\":false"
#define RMS(eps) "\"rms_norm_eps\":" #eps ",\"hidden_act\":\"silu\","
#define THETA(theta) "\"rope_theta\":" #theta ","
#define GPT2(layers, width, heads)                                                                 \
    "\"n_layer\":" #layers ",\"n_embd\":" #width ",\"n_head\":" #heads                             \
    ",\"n_positions\":1024,\"n_ctx\":1024,\"vocab_size\":50257,\"layer_norm_epsilon\":1e-5,"       \
    "\"activation_function\":\"gelu_new\""
#define PYTHIA(layers, width, heads, mlp, vocab)                                                   \
    SIZES(layers, width, mlp, vocab, 2048)                                                         \
    "\"num_attention_heads\":" #heads ",\"rotary_pct\":0.25,\"rotary_emb_base\":10000,"            \
    "\"layer_norm_eps\":1e-5,\"use_parallel_residual\":true,\"hidden_act\":\"gelu\"," UNTIED
#define LLAMA3                                                                                     \
    "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":32.0,\"low_freq_factor\":1.0,"          \
    "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192},"
#define GEMMA2(layers, hidden, intermediate, heads, kv, head_dim, scalar)                          \
    SIZES(layers, hidden, intermediate, 256000, 8192)                                              \
    HEADS(heads, kv)                                                                               \
    "\"head_dim\":" #head_dim ",\"query_pre_attn_scalar\":" #scalar                                \
    ",\"attn_logit_softcapping\":50.0,\"final_logit_softcapping\":30.0,\"sliding_window\":4096,"   \
    "\"hidden_activation\":\"gelu_pytorch_tanh\",\"rms_norm_eps\":1e-6,\"rope_theta\":10000.0"

/* clang-format off */
static const struct {
    const char *model, *family, *config;
    size_t parameters;
} released[] = {
    {"OLMo-1B-hf", "olmo", SIZES(16, 2048, 8192, 50304, 2048) HEADS(16, 16) TIED, 1176764416},
    {"OLMo-1B-0724-hf", "olmo", SIZES(16, 2048, 8192, 50304, 4096) HEADS(16, 16) "\"clip_qkv\":8.0," UNTIED, 1279787008},
    {"OLMo-7B-hf", "olmo", SIZES(32, 4096, 11008, 50304, 2048) HEADS(32, 32) UNTIED, 6888095744},
    {"OLMo-2-0425-1B", "olmo2", SIZES(16, 2048, 8192, 100352, 4096) HEADS(16, 16) RMS(1e-6) THETA(500000) UNTIED, 1484916736},
    {"OLMo-2-1124-7B", "olmo2", SIZES(32, 4096, 11008, 100352, 4096) HEADS(32, 32) RMS(1e-6) THETA(500000) UNTIED, 7298617344},
    {"OLMo-2-1124-13B", "olmo2", SIZES(40, 5120, 13824, 100352, 4096) HEADS(40, 40) RMS(1e-6) THETA(500000) UNTIED, 13716198400},
    {"OLMo-2-0325-32B", "olmo2", SIZES(64, 5120, 27648, 100352, 4096) HEADS(40, 8) RMS(1e-6) THETA(500000) UNTIED, 32234279936},
    {"SmolLM2-135M", "llama", SIZES(30, 576, 1536, 49152, 8192) HEADS(9, 3) RMS(1e-5) THETA(100000) TIED, 134515008},
    {"SmolLM2-360M", "llama", SIZES(32, 960, 2560, 49152, 8192) HEADS(15, 5) RMS(1e-5) THETA(100000) TIED, 361821120},
    {"SmolLM2-1.7B", "llama", SIZES(24, 2048, 8192, 49152, 8192) HEADS(32, 32) RMS(1e-5) THETA(130000) TIED, 1711376384},
    {"Llama-2-7b", "llama", SIZES(32, 4096, 11008, 32000, 4096) HEADS(32, 32) RMS(1e-5) UNTIED, 6738415616},
    {"Llama-2-13b", "llama", SIZES(40, 5120, 13824, 32000, 4096) HEADS(40, 40) RMS(1e-5) UNTIED, 13015864320},
    {"Llama-2-70b", "llama", SIZES(80, 8192, 28672, 32000, 4096) HEADS(64, 8) RMS(1e-5) UNTIED, 68976648192},
    {"TinyLlama-1.1B", "llama", SIZES(22, 2048, 5632, 32000, 2048) HEADS(32, 4) RMS(1e-5) UNTIED, 1100048384},
    {"Llama-3-8B", "llama", SIZES(32, 4096, 14336, 128256, 8192) HEADS(32, 8) RMS(1e-5) THETA(500000) UNTIED, 8030261248},
    {"Llama-3.2-1B", "llama", SIZES(16, 2048, 8192, 128256, 131072) HEADS(32, 8) RMS(1e-5) THETA(500000) LLAMA3 "\"head_dim\":64," TIED, 1235814400},
    {"Llama-3.2-3B", "llama", SIZES(28, 3072, 8192, 128256, 131072) HEADS(24, 8) RMS(1e-5) THETA(500000) LLAMA3 "\"head_dim\":128," TIED, 3212749824},
    {"gpt2", "gpt2", GPT2(12, 768, 12), 124439808},
    {"gpt2-medium", "gpt2", GPT2(24, 1024, 16), 354823168},
    {"gpt2-large", "gpt2", GPT2(36, 1280, 20), 774030080},
    {"gpt2-xl", "gpt2", GPT2(48, 1600, 25), 1557611200},
    {"pythia-70m", "gpt_neox", PYTHIA(6, 512, 8, 2048, 50304), 70426624},
    {"pythia-160m", "gpt_neox", PYTHIA(12, 768, 12, 3072, 50304), 162322944},
    {"pythia-410m", "gpt_neox", PYTHIA(24, 1024, 16, 4096, 50304), 405334016},
    {"pythia-1b", "gpt_neox", PYTHIA(16, 2048, 8, 8192, 50304), 1011781632},
    {"pythia-1.4b", "gpt_neox", PYTHIA(24, 2048, 16, 8192, 50304), 1414647808},
    {"pythia-2.8b", "gpt_neox", PYTHIA(32, 2560, 32, 10240, 50304), 2775208960},
    {"pythia-6.9b", "gpt_neox", PYTHIA(32, 4096, 32, 16384, 50432), 6857302016},
    {"pythia-12b", "gpt_neox", PYTHIA(36, 5120, 40, 20480, 50688), 11846072320},
    {"Qwen2.5-0.5B", "qwen2", SIZES(24, 896, 4864, 151936, 32768) HEADS(14, 2) RMS(1e-6) THETA(1000000) TIED, 494032768},
    {"Qwen2.5-1.5B", "qwen2", SIZES(28, 1536, 8960, 151936, 32768) HEADS(12, 2) RMS(1e-6) THETA(1000000) TIED, 1543714304},
    {"Qwen2.5-3B", "qwen2", SIZES(36, 2048, 11008, 151936, 32768) HEADS(16, 2) RMS(1e-6) THETA(1000000) TIED, 3085938688},
    {"Qwen2.5-7B", "qwen2", SIZES(28, 3584, 18944, 152064, 32768) HEADS(28, 4) RMS(1e-6) THETA(1000000) UNTIED, 7615616512},
    {"gemma-2-2b", "gemma2", GEMMA2(26, 2304, 9216, 8, 4, 256, 256), 2614341888},
    {"gemma-2-9b", "gemma2", GEMMA2(42, 3584, 14336, 16, 8, 256, 256), 9241705984},
    {"gemma-2-27b", "gemma2", GEMMA2(46, 4608, 36864, 32, 16, 128, 144), 27227128320},
    {"Olmo-3-1025-7B", "olmo3", SIZES(32, 4096, 11008, 100278, 65536) HEADS(32, 32) RMS(1e-6) THETA(500000) "\"sliding_window\":4096," UNTIED, 7298011136},
    {"Mistral-7B-v0.1", "mistral", SIZES(32, 4096, 14336, 32000, 32768) HEADS(32, 8) RMS(1e-5) THETA(10000) "\"sliding_window\":4096," UNTIED, 7241732096},
    {"Qwen3-0.6B", "qwen3", SIZES(28, 1024, 3072, 151936, 40960) HEADS(16, 8) RMS(1e-6) THETA(1000000) "\"head_dim\":128," TIED, 596049920},
    {"Qwen3-8B", "qwen3", SIZES(36, 4096, 12288, 151936, 40960) HEADS(32, 8) RMS(1e-6) THETA(1000000) "\"head_dim\":128," UNTIED, 8190735360},
    {"gemma-3-270m", "gemma3_text", SIZES(18, 640, 2048, 262144, 32768) HEADS(4, 1) "\"head_dim\":256,\"sliding_window\":512," TIED, 268098176},
    {"gemma-3-1b", "gemma3_text", SIZES(26, 1152, 6912, 262144, 32768) HEADS(4, 1) "\"head_dim\":256,\"sliding_window\":512," TIED, 999885952},
    {"gemma-3-4b (text_config)", "gemma3_text", "\"hidden_size\":2560,\"intermediate_size\":10240,\"num_hidden_layers\":34,\"rope_scaling\":{\"factor\":8.0,\"rope_type\":\"linear\"},\"sliding_window\":1024," TIED, 3880263168},
    {"SmolLM3-3B", "smollm3", SIZES(36, 2048, 11008, 128256, 65536) HEADS(16, 4) RMS(1e-6) THETA(5000000) TIED, 3075098624},
    {"OLMoE-1B-7B-0924", "olmoe", SIZES(16, 2048, 1024, 50304, 4096) HEADS(16, 16) RMS(1e-5) THETA(10000) "\"num_experts\":64,\"num_experts_per_tok\":8,\"norm_topk_prob\":false," UNTIED, 6919161856},
    {"Mixtral-8x7B-v0.1", "mixtral", SIZES(32, 4096, 14336, 32000, 32768) HEADS(32, 8) RMS(1e-5) THETA(1000000) "\"num_local_experts\":8,\"num_experts_per_tok\":2," UNTIED, 46702792704},
    {"Qwen1.5-MoE-A2.7B", "qwen2_moe", SIZES(24, 2048, 5632, 151936, 8192) HEADS(16, 16) RMS(1e-6) THETA(1000000) "\"num_experts\":60,\"num_experts_per_tok\":4,\"moe_intermediate_size\":1408,\"shared_expert_intermediate_size\":5632,\"decoder_sparse_step\":1," UNTIED, 14315784192},
    {"Qwen3-30B-A3B", "qwen3_moe", SIZES(48, 2048, 6144, 151936, 40960) HEADS(32, 4) RMS(1e-6) THETA(1000000) "\"head_dim\":128,\"num_experts\":128,\"num_experts_per_tok\":8,\"moe_intermediate_size\":768,\"norm_topk_prob\":true," UNTIED, 30532122624},
    {"Phi-3-mini-4k", "phi3", SIZES(32, 3072, 8192, 32064, 4096) HEADS(32, 32) RMS(1e-5) "\"sliding_window\":2047," UNTIED, 3821079552},
};
/* clang-format on */

/* Of mixtures, those that a token uses. */
static const struct {
    const char *model;
    size_t parameters;
} active[] = {{"OLMoE-1B-7B-0924", 1282017280},
              {"Mixtral-8x7B-v0.1", 12879925248},
              {"Qwen1.5-MoE-A2.7B", 2689173504},
              {"Qwen3-30B-A3B", 3353032704}};

static size_t used_by_a_token(size_t i)
{
    for (size_t j = 0; j < sizeof active / sizeof *active; j++)
        if (!strcmp(active[j].model, released[i].model)) return active[j].parameters;
    return released[i].parameters;
}

static void parameters_from_the_config_alone_are_the_published_number(void **state)
{
    (void)state;
    int n_counted = 0;
    for (size_t i = 0; i < sizeof released / sizeof *released; i++) {
        dele_arena arena = {0};
        dele_err err = {0};
        dele_config config;
        dele_model model;
        if (!dele_family_by_hf(released[i].family)) {
            print_message("%s: no family %s yet\n", released[i].model, released[i].family);
            continue;
        }
        char dir[512], file[600];
        temp_dir(dir);
        snprintf(file, sizeof file, "%s/config.json", dir);
        const char *text = dele_printf(&arena, &err, "{\"model_type\":\"%s\",%s}",
                                       released[i].family, released[i].config);
        assert_non_null(text);
        write_bytes(file, text, strlen(text));
        const bool opened = !dele_model_open(&model, dir, &arena, &err);
        remove_dir(dir);
        if (!opened && strstr(err.msg, "not supported yet")) {
            print_message("%s: %s\n", released[i].model, err.msg);
            dele_arena_release(&arena);
            continue;
        }
        if (!opened) fail_msg("%s: %s", released[i].model, err.msg);
        config = model.config;
        if (dele_model_parameters(&model) != released[i].parameters)
            fail_msg("%s: %zu parameters, published %zu", released[i].model,
                     dele_model_parameters(&model), released[i].parameters);
        if (dele_model_active(&model) != used_by_a_token(i))
            fail_msg("%s: %zu parameters a token, not %zu", released[i].model,
                     dele_model_active(&model), used_by_a_token(i));
        assert_int_equal(model.n_maps, 0);
        assert_string_equal(config.family->hf, released[i].family);
        dele_model_release(&model);
        dele_arena_release(&arena);
        n_counted++;
    }
    assert_true(n_counted >= 15); /* of Llama, OLMo and Qwen2 */
}

/* Headers alone: a file whose data are holes of the disk is opened without reading them, however
 * large. */
static void a_large_file_is_described_by_its_header(void **state)
{
    (void)state;
    static const char config[] = "{\"model_type\":\"llama\"," SIZES(1, 4096, 11008, 32000, 4096)
        HEADS(32, 32) RMS(1e-5) UNTIED "}";
    dele_arena arena = {0};
    dele_err err = {0};
    dele_model m;
    char dir[512], file[600];
    temp_dir(dir);
    snprintf(file, sizeof file, "%s/config.json", dir);
    write_bytes(file, config, sizeof config - 1);
    if (dele_model_open(&m, dir, &arena, &err)) fail_msg("%s", err.msg);
    snprintf(file, sizeof file, "%s/model.safetensors", dir);
    FILE *out = fopen(file, "wb");
    assert_non_null(out);
    char *header = NULL;
    size_t at = 0, size = 0;
    FILE *text = open_memstream(&header, &size);
    assert_non_null(text);
    for (size_t i = 0; i < m.n_tensors; i++) {
        const dele_tensor *t = &m.tensors[i];
        const size_t bytes = t->rows * t->cols * 4;
        fprintf(text, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":", i ? "," : "{", t->name);
        if (t->vector)
            fprintf(text, "[%zu]", t->cols);
        else
            fprintf(text, "[%zu,%zu]", t->rows, t->cols);
        fprintf(text, ",\"data_offsets\":[%zu,%zu]}", at, at + bytes);
        at += bytes;
    }
    fputc('}', text);
    assert_int_equal(fclose(text), 0);
    put_u64(out, size);
    fwrite(header, 1, size, out);
    free(header);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(truncate(file, (off_t)(8 + size + at)), 0);
    dele_model_release(&m);
    if (dele_model_open(&m, dir, &arena, &err)) fail_msg("%s", err.msg);
    assert_int_equal(dele_model_parameters(&m) * 4, at);
    assert_int_equal(m.n_maps, 1);
    assert_true(arena.used < 8u << 20); /* of 1.9 GB */
    dele_model_release(&m);
    dele_arena_release(&arena);
    remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_from_the_config_alone_are_the_published_number),
        cmocka_unit_test(a_large_file_is_described_by_its_header),
    };
    return cmocka_run_group_tests_name("sizes", tests, NULL, NULL);
}
