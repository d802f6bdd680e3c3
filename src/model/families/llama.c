/* Llama 1 to 3 and what shares their block: RMSNorm before each sublayer, rotary positions, SwiGLU,
 * optional biases. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

static const dele_key_row keys[] = {
    DELE_KEYS_SIZES(DELE_AS_OTHER),
    DELE_KEYS_HEAD_DIM(DELE_JSON_ALWAYS),
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(2048),
    DELE_KEY_RMS_NORM_EPS(1e-6),
    DELE_KEY_ROTATION,
    DELE_KEY_ACTIVATION("hidden_act", "silu"),
    DELE_KEY_ATTENTION_BIAS,
    DELE_KEY_MLP_BIAS,
    DELE_KEY_ATTENTION_DROPOUT,
    DELE_KEY_TIED,
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS,
};

static const dele_tensor_row tensors[] = {
    DELE_ROW_EMBED,
    DELE_ROW_ATTN_NORM,
    DELE_ROWS_QKV(DELE_FORM_PAIRED),
    DELE_ROWS_QKV_BIAS(DELE_IF_ATTENTION_BIAS, DELE_FORM_PAIRED),
    DELE_ROW_O,
    DELE_ROW_O_BIAS(DELE_IF_ATTENTION_BIAS),
    DELE_ROW_MLP_NORM,
    DELE_ROWS_GATE_UP,
    DELE_ROWS_GATE_UP_BIAS(DELE_IF_MLP_BIAS),
    DELE_ROW_DOWN,
    DELE_ROW_DOWN_BIAS(DELE_IF_MLP_BIAS),
    DELE_ROW_FINAL_NORM,
    DELE_ROW_HEAD,
};

const dele_family dele_family_llama = {
    .hf = "llama",
    .architecture = "LlamaForCausalLM",
    .gguf = "llama",
    .source = "arXiv 2302.13971; transformers' modeling_llama",
    .upcycled = &dele_family_mixtral,
    .norm = DELE_RMSNORM,
    .norm_text = "RMSNorm",
    .gguf_divisors = true,
    .site = DELE_SITES_SEQUENTIAL,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
