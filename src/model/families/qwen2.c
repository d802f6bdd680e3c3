/* Qwen2 and Qwen2.5: Llama's block with biases on queries, keys and values. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

/* num_key_value_heads is required: in transformers its default is 32 for any number of heads. */
static const dele_key_row keys[] = {
    DELE_KEYS_SIZES(DELE_REQUIRED),
    DELE_KEYS_HEAD_DIM(DELE_JSON_IF_NEEDED),
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(32768),
    DELE_KEY_RMS_NORM_EPS(1e-6),
    DELE_KEY_ROTATION,
    DELE_KEY_ACTIVATION("hidden_act", "silu"),
    DELE_KEY_ATTENTION_DROPOUT,
    DELE_KEY_WINDOW(4096),
    DELE_KEY_PART("use_sliding_window"),
    DELE_KEY_PART("max_window_layers"),
    DELE_KEY_TIED,
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS_FROM(28),
};

/* llama.cpp's qwen2 rotates in halves: the rows of Q and K are stored as they are. */
static const dele_tensor_row tensors[] = {
    DELE_ROW_EMBED,
    DELE_ROW_ATTN_NORM,
    DELE_ROWS_QKV(DELE_FORM_PLAIN),
    DELE_ROWS_QKV_BIAS(DELE_ALWAYS, DELE_FORM_PLAIN),
    DELE_ROW_O,
    DELE_ROW_MLP_NORM,
    DELE_ROWS_GATE_UP,
    DELE_ROW_DOWN,
    DELE_ROW_FINAL_NORM,
    DELE_ROW_HEAD,
};

const dele_family dele_family_qwen2 = {
    .hf = "qwen2",
    .architecture = "Qwen2ForCausalLM",
    .gguf = "qwen2",
    .source = "arXiv 2407.10671; transformers' modeling_qwen2",
    .norm = DELE_RMSNORM,
    .slides = DELE_SLIDES_FROM,
    .norm_text = "RMSNorm",
    .site = DELE_SITES_SEQUENTIAL,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
