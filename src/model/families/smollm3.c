/* SmolLM3: Llama's block, in which every fourth layer is not rotated. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

/* In transformers num_key_value_heads is 4 without its key: it is required. */
static const dele_key_row keys[] = {
    DELE_KEYS_SIZES(DELE_REQUIRED),
    DELE_KEYS_HEAD_DIM(DELE_JSON_IF_NEEDED),
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(32768),
    DELE_KEY_RMS_NORM_EPS(1e-6),
    DELE_KEY_ROTATION_OF("rope_theta", 2000000),
    DELE_KEY_ACTIVATION("hidden_act", "silu"),
    DELE_KEY_ATTENTION_BIAS,
    DELE_KEY_MLP_BIAS,
    DELE_KEY_ATTENTION_DROPOUT,
    DELE_KEY_WINDOW(0),
    DELE_KEY_PART("use_sliding_window"),
    DELE_KEY_PART("no_rope_layers"),
    DELE_KEY_PART("no_rope_layer_interval"),
    DELE_KEY_TIED_UNLESS(true),
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS,
};

static const dele_tensor_row tensors[] = {
    DELE_ROW_EMBED,
    DELE_ROW_ATTN_NORM,
    DELE_ROWS_QKV(DELE_FORM_PAIRED),
    DELE_ROWS_QKV_BIAS(DELE_IF_ATTENTION_BIAS, DELE_FORM_PAIRED),
    DELE_ROW_O,
    DELE_ROW_O_BIAS_ALONE(DELE_IF_ATTENTION_BIAS),
    DELE_ROW_MLP_NORM,
    DELE_ROWS_GATE_UP,
    DELE_ROWS_GATE_UP_BIAS(DELE_IF_MLP_BIAS),
    DELE_ROW_DOWN,
    DELE_ROW_DOWN_BIAS(DELE_IF_MLP_BIAS),
    DELE_ROW_FINAL_NORM,
    DELE_ROW_HEAD,
};

const dele_family dele_family_smollm3 = {
    .hf = "smollm3",
    .architecture = "SmolLM3ForCausalLM",
    .gguf = "smollm3",
    .source = "huggingface.co/blog/smollm3; transformers' modeling_smollm3",
    .norm = DELE_RMSNORM,
    .norm_text = "RMSNorm",
    .slides = DELE_SLIDES_UNROTATED,
    .gguf_unrotated = 4,
    .site = DELE_SITES_SEQUENTIAL,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
