/* Qwen2-MoE and Qwen1.5-MoE: Qwen2's block with a mixture of experts beside a shared expert, which
 * its own gate weighs; some layers may have a plain MLP. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

/* num_key_value_heads is required, as in qwen2.c.  intermediate_size is that of the dense layers.
 */
static const dele_key_row keys[] = {
    DELE_KEYS_SIZES(DELE_REQUIRED),
    DELE_KEYS_HEAD_DIM_SHARED,
    DELE_KEYS_EXPERTS("num_experts", NULL, 60, 4),
    DELE_KEY_EXPERT_SIZE(1408),
    {.hf = "shared_expert_intermediate_size",
     .gguf = "expert_shared_feed_forward_length",
     .field = DELE_FIELD(shared_size),
     .hf_absent = DELE_DEFAULT,
     .value = 5632,
     .told = true,
     .not_null = true},
    DELE_KEY_NORM_TOPK,
    DELE_KEYS_ROUTER_LOSS(0.001),
    DELE_KEYS_DENSE_LAYERS,
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(32768),
    DELE_KEY_RMS_NORM_EPS(1e-6),
    DELE_KEY_ROTATION,
    DELE_KEY_ACTIVATION("hidden_act", "silu"),
    {.hf = "qkv_bias",
     .kind = DELE_HOLDS_FLAG,
     .field = DELE_FIELD(attention_bias),
     .hf_absent = DELE_DEFAULT,
     .value = 1,
     .tensor = DELE_TENSOR_PRESENT,
     .slot = DELE_SLOT_Q_BIAS},
    DELE_KEY_ATTENTION_DROPOUT,
    DELE_KEY_WINDOW(4096),
    DELE_KEY_PART("use_sliding_window"),
    DELE_KEY_PART("max_window_layers"),
    DELE_KEY_TIED,
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS_FROM(28),
};

/* llama.cpp's qwen2moe rotates in halves. */
static const dele_tensor_row tensors[] = {
    DELE_ROW_EMBED,
    DELE_ROW_ATTN_NORM,
    DELE_ROWS_QKV(DELE_FORM_PLAIN),
    DELE_ROWS_QKV_BIAS(DELE_IF_ATTENTION_BIAS, DELE_FORM_PLAIN),
    DELE_ROW_O,
    DELE_ROW_MLP_NORM,
    DELE_ROWS_GATE_UP_IF(DELE_IF_DENSE),
    DELE_ROW_DOWN_IF(DELE_IF_DENSE),
    DELE_ROW_ROUTER,
    DELE_ROWS_EXPERTS,
    DELE_ROWS_SHARED_EXPERT,
    DELE_ROW_FINAL_NORM,
    DELE_ROW_HEAD,
};

static const dele_stacked_row stacked[] = {DELE_EXPERTS_STACKED};

const dele_family dele_family_qwen2_moe = {
    .hf = "qwen2_moe",
    .architecture = "Qwen2MoeForCausalLM",
    .gguf = "qwen2moe",
    .source = "arXiv 2407.10671; transformers' modeling_qwen2_moe",
    .norm = DELE_RMSNORM,
    .norm_text = "RMSNorm",
    .slides = DELE_SLIDES_EVEN,
    .site = DELE_SITES_SEQUENTIAL,
    .gguf_untied = true,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .stacked = stacked,
    .n_stacked = sizeof stacked / sizeof *stacked,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
