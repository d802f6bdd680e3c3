/* GPT-NeoX and Pythia: LayerNorm, a rotation of part of each head, an MLP without a gate; attention
 * and MLP read the same stream, or follow one another. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

static const dele_key_row keys[] = {
    {.hf = "hidden_size", .gguf = "embedding_length", .field = DELE_FIELD(hidden_size)},
    {.hf = "intermediate_size",
     .gguf = "feed_forward_length",
     .field = DELE_FIELD(intermediate_size)},
    {.hf = "num_hidden_layers",
     .gguf = "block_count",
     .field = DELE_FIELD(n_layers),
     .gguf_first = true},
    {.hf = "num_attention_heads", .gguf = "attention.head_count", .field = DELE_FIELD(n_heads)},
    DELE_KEYS_ONE_KV_PER_HEAD,
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(2048),
    {.hf = "layer_norm_eps",
     .gguf = "attention.layer_norm_epsilon",
     .kind = DELE_HOLDS_POSITIVE,
     .field = DELE_FIELD(norm_eps),
     .hf_absent = DELE_DEFAULT,
     .value = 1e-5,
     .told = true},
    DELE_KEY_ROTATION_OF("rotary_emb_base", 10000),
    DELE_KEY_PART("rotary_pct"),
    DELE_KEY_ROTATED,
    DELE_KEY_ACTIVATION("hidden_act", "gelu"),
    {.hf = "use_parallel_residual",
     .gguf = "use_parallel_residual",
     .kind = DELE_HOLDS_FLAG,
     .field = DELE_FIELD(parallel_residual),
     .hf_absent = DELE_DEFAULT,
     .gguf_absent = DELE_DEFAULT,
     .value = true,
     .told = true},
    {.hf = "attention_bias",
     .kind = DELE_HOLDS_FLAG,
     .field = DELE_FIELD(attention_bias),
     .hf_absent = DELE_DEFAULT,
     .value = true,
     .tensor = DELE_TENSOR_PRESENT,
     .slot = DELE_SLOT_Q_BIAS},
    DELE_KEY_DROPOUT("attention_dropout"),
    DELE_KEY_DROPOUT("hidden_dropout"),
    DELE_KEY_TIED,
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS,
    DELE_KEY_WITHOUT_EFFECT("classifier_dropout"),
    DELE_KEY_WITHOUT_EFFECT("is_decoder"),
};

#define L "gpt_neox.layers.%d."
#define B "blk.%d."
#define MATRIX(slot, hf, gguf, rows, cols, part, init, when, hf_form, gguf_form)                   \
    {                                                                                              \
        DELE_SLOT_##slot, hf, gguf, DELE_DIM_##rows, DELE_DIM_##cols, DELE_PART_##part,            \
            DELE_INIT_##init, DELE_##when, DELE_FORM_##hf_form, DELE_FORM_##gguf_form              \
    }
#define VECTOR(slot, hf, gguf, cols, part, init, when, hf_form, gguf_form)                         \
    MATRIX(slot, hf, gguf, ONE, cols, part, init, when, hf_form, gguf_form)

/* clang-format off */
static const dele_tensor_row tensors[] = {
    MATRIX(EMBED, "gpt_neox.embed_in.weight", "token_embd.weight", VOCAB, MODEL, EMBED, NORMAL, ALWAYS, PLAIN, PLAIN),
    VECTOR(ATTN_NORM, L "input_layernorm.weight", B "attn_norm.weight", MODEL, NORM, ONES, ALWAYS, PLAIN, PLAIN),
    VECTOR(ATTN_NORM_BIAS, L "input_layernorm.bias", B "attn_norm.bias", MODEL, NORM, ZEROS, ALWAYS, PLAIN, PLAIN),
    MATRIX(Q, L "attention.query_key_value.weight", B "attn_qkv.weight", Q, MODEL, ATTN, NORMAL, ALWAYS, BY_HEAD, FUSED),
    MATRIX(K, L "attention.query_key_value.weight", B "attn_qkv.weight", KV, MODEL, ATTN, NORMAL, ALWAYS, BY_HEAD, FUSED),
    MATRIX(V, L "attention.query_key_value.weight", B "attn_qkv.weight", KV, MODEL, ATTN, NORMAL, ALWAYS, BY_HEAD, FUSED),
    VECTOR(Q_BIAS, L "attention.query_key_value.bias", B "attn_qkv.bias", Q, ATTN, ZEROS, IF_ATTENTION_BIAS, BY_HEAD, FUSED),
    VECTOR(K_BIAS, L "attention.query_key_value.bias", B "attn_qkv.bias", KV, ATTN, ZEROS, IF_ATTENTION_BIAS, BY_HEAD, FUSED),
    VECTOR(V_BIAS, L "attention.query_key_value.bias", B "attn_qkv.bias", KV, ATTN, ZEROS, IF_ATTENTION_BIAS, BY_HEAD, FUSED),
    MATRIX(O, L "attention.dense.weight", B "attn_output.weight", MODEL, Q, ATTN, OUTPUT, ALWAYS, PLAIN, PLAIN),
    VECTOR(O_BIAS, L "attention.dense.bias", B "attn_output.bias", MODEL, ATTN, ZEROS, IF_ATTENTION_BIAS, PLAIN, PLAIN),
    VECTOR(MLP_NORM, L "post_attention_layernorm.weight", B "ffn_norm.weight", MODEL, NORM, ONES, ALWAYS, PLAIN, PLAIN),
    VECTOR(MLP_NORM_BIAS, L "post_attention_layernorm.bias", B "ffn_norm.bias", MODEL, NORM, ZEROS, ALWAYS, PLAIN, PLAIN),
    MATRIX(UP, L "mlp.dense_h_to_4h.weight", B "ffn_up.weight", FF, MODEL, MLP, NORMAL, ALWAYS, PLAIN, PLAIN),
    VECTOR(UP_BIAS, L "mlp.dense_h_to_4h.bias", B "ffn_up.bias", FF, MLP, ZEROS, ALWAYS, PLAIN, PLAIN),
    MATRIX(DOWN, L "mlp.dense_4h_to_h.weight", B "ffn_down.weight", MODEL, FF, MLP, OUTPUT, ALWAYS, PLAIN, PLAIN),
    VECTOR(DOWN_BIAS, L "mlp.dense_4h_to_h.bias", B "ffn_down.bias", MODEL, MLP, ZEROS, ALWAYS, PLAIN, PLAIN),
    VECTOR(FINAL_NORM, "gpt_neox.final_layer_norm.weight", "output_norm.weight", MODEL, NORM, ONES, ALWAYS, PLAIN, PLAIN),
    VECTOR(FINAL_NORM_BIAS, "gpt_neox.final_layer_norm.bias", "output_norm.bias", MODEL, NORM, ZEROS, ALWAYS, PLAIN, PLAIN),
    MATRIX(HEAD, "embed_out.weight", "output.weight", VOCAB, MODEL, HEAD, NORMAL, IF_UNTIED, PLAIN, PLAIN),
};
/* clang-format on */

static const dele_rotation_keys rotation = {.fraction = "rotary_pct", .fraction_absent = 0.25};

/* llama.cpp's gptneox rotates in halves. */
const dele_family dele_family_gpt_neox = {
    .hf = "gpt_neox",
    .architecture = "GPTNeoXForCausalLM",
    .gguf = "gptneox",
    .source = "arXiv 2204.06745, 2304.01373; transformers' modeling_gpt_neox",
    .norm = DELE_LAYERNORM,
    .norm_text = "LayerNorm",
    .rotation = &rotation,
    .site = DELE_SITES_SEQUENTIAL,
    .pad_row_trains = true,
    .gguf_untied = true,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
