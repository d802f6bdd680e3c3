/* Qwen3-MoE: Qwen3's block with a mixture of experts; some layers may have a plain MLP. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

/* num_key_value_heads is required, as in qwen2.c.  intermediate_size is that of the dense layers.
 * transformers 5 writes num_local_experts. */
static const dele_key_row keys[] = {
    DELE_KEYS_SIZES(DELE_REQUIRED),
    DELE_KEYS_HEAD_DIM(DELE_JSON_IF_NEEDED),
    DELE_KEYS_EXPERTS("num_experts", "num_local_experts", 128, 8),
    DELE_KEY_EXPERT_SIZE(768),
    DELE_KEY_NORM_TOPK,
    DELE_KEYS_ROUTER_LOSS(0.001),
    DELE_KEYS_DENSE_LAYERS,
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(32768),
    DELE_KEY_RMS_NORM_EPS(1e-6),
    DELE_KEY_ROTATION,
    DELE_KEY_ACTIVATION("hidden_act", "silu"),
    DELE_KEY_ATTENTION_BIAS,
    DELE_KEY_ATTENTION_DROPOUT,
    DELE_KEY_WINDOW(4096),
    DELE_KEY_PART("use_sliding_window"),
    DELE_KEY_TIED,
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS,
};

/* llama.cpp's qwen3moe rotates in halves. */
static const dele_tensor_row tensors[] = {
    DELE_ROW_EMBED,
    DELE_ROW_ATTN_NORM,
    DELE_ROWS_QKV(DELE_FORM_PLAIN),
    DELE_ROWS_QKV_BIAS(DELE_IF_ATTENTION_BIAS, DELE_FORM_PLAIN),
    DELE_ROWS_QK_NORM(HEAD, HEAD, ONES, DELE_FORM_PLAIN),
    DELE_ROW_O,
    DELE_ROW_O_BIAS_ALONE(DELE_IF_ATTENTION_BIAS),
    DELE_ROW_MLP_NORM,
    DELE_ROWS_GATE_UP_IF(DELE_IF_DENSE),
    DELE_ROW_DOWN_IF(DELE_IF_DENSE),
    DELE_ROW_ROUTER,
    DELE_ROWS_EXPERTS,
    DELE_ROW_FINAL_NORM,
    DELE_ROW_HEAD,
};

static const dele_stacked_row stacked[] = {DELE_EXPERTS_STACKED};

const dele_family dele_family_qwen3_moe = {
    .hf = "qwen3_moe",
    .architecture = "Qwen3MoeForCausalLM",
    .gguf = "qwen3moe",
    .source = "arXiv 2505.09388; transformers' modeling_qwen3_moe",
    .norm = DELE_RMSNORM,
    .norm_text = "RMSNorm",
    .qk_norm = DELE_QK_NORM_HEAD,
    .slides = DELE_SLIDES_ALL,
    .gguf_renormalises = true,
    .site = DELE_SITES_SEQUENTIAL,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .stacked = stacked,
    .n_stacked = sizeof stacked / sizeof *stacked,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
