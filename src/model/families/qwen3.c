/* Qwen3: Llama's block with RMSNorm on each head of queries and keys. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

/* num_key_value_heads is required, as in qwen2.c; head_dim is 128 without a key. */
static const dele_key_row keys[] = {
    DELE_KEYS_SIZES(DELE_REQUIRED),
    DELE_KEYS_HEAD_DIM_OF(128),
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(32768),
    DELE_KEY_RMS_NORM_EPS(1e-6),
    DELE_KEY_ROTATION,
    DELE_KEY_ACTIVATION("hidden_act", "silu"),
    DELE_KEY_ATTENTION_BIAS,
    DELE_KEY_ATTENTION_DROPOUT,
    DELE_KEY_WINDOW(4096),
    DELE_KEY_PART("use_sliding_window"),
    DELE_KEY_PART("max_window_layers"),
    DELE_KEY_TIED,
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS_FROM(28),
};

/* llama.cpp's qwen3 rotates in halves. */
static const dele_tensor_row tensors[] = {
    DELE_ROW_EMBED,
    DELE_ROW_ATTN_NORM,
    DELE_ROWS_QKV(DELE_FORM_PLAIN),
    DELE_ROWS_QKV_BIAS(DELE_IF_ATTENTION_BIAS, DELE_FORM_PLAIN),
    DELE_ROWS_QK_NORM(HEAD, HEAD, ONES, DELE_FORM_PLAIN),
    DELE_ROW_O,
    DELE_ROW_O_BIAS_ALONE(DELE_IF_ATTENTION_BIAS),
    DELE_ROW_MLP_NORM,
    DELE_ROWS_GATE_UP,
    DELE_ROW_DOWN,
    DELE_ROW_FINAL_NORM,
    DELE_ROW_HEAD,
};

const dele_family dele_family_qwen3 = {
    .hf = "qwen3",
    .architecture = "Qwen3ForCausalLM",
    .gguf = "qwen3",
    .source = "arXiv 2505.09388; transformers' modeling_qwen3",
    .upcycled = &dele_family_qwen3_moe,
    .norm = DELE_RMSNORM,
    .norm_text = "RMSNorm",
    .qk_norm = DELE_QK_NORM_HEAD,
    .slides = DELE_SLIDES_FROM,
    .site = DELE_SITES_SEQUENTIAL,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
