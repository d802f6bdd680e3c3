/* OLMoE: Llama's block with RMSNorm over the width of queries and keys and a mixture of experts in
 * every layer. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

/* intermediate_size is that of an expert.  clip_qkv clips after the norms of queries and keys, as
 * transformers does; a GGUF has no key for it. */
static const dele_key_row keys[] = {
    DELE_KEYS_WIDTHS,
    {.hf = "num_attention_heads", .gguf = "attention.head_count", .field = DELE_FIELD(n_heads)},
    {.hf = "num_key_value_heads",
     .field = DELE_FIELD(n_kv_heads),
     .hf_absent = DELE_AS_OTHER,
     .gguf_absent = DELE_AS_OTHER,
     .other = DELE_FIELD(n_heads)},
    {.gguf = "attention.head_count_kv",
     .kind = DELE_HOLDS_FIELD,
     .field = DELE_FIELD(n_kv_heads),
     .why = "other than the number of heads is not read by llama.cpp"},
    DELE_KEYS_HEAD_DIM_SHARED,
    DELE_KEYS_EXPERTS("num_experts", "num_local_experts", 64, 8),
    DELE_KEY_NORM_TOPK,
    DELE_KEYS_ROUTER_LOSS(0.01),
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(4096),
    DELE_KEY_RMS_NORM_EPS(1e-5),
    {.hf = "clip_qkv",
     .kind = DELE_HOLDS_POSITIVE_OR_NONE,
     .field = DELE_FIELD(clip_qkv),
     .hf_absent = DELE_DEFAULT},
    DELE_KEY_ROTATION,
    DELE_KEY_ACTIVATION("hidden_act", "silu"),
    DELE_KEY_ATTENTION_BIAS,
    DELE_KEY_ATTENTION_DROPOUT,
    DELE_KEY_TIED,
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS,
};

/* llama.cpp's olmoe rotates in halves and has no biases. */
static const dele_tensor_row tensors[] = {
    DELE_ROW_EMBED,
    DELE_ROW_ATTN_NORM,
    DELE_ROWS_QKV(DELE_FORM_PLAIN),
    DELE_ROWS_QKV_BIAS_ALONE(DELE_IF_ATTENTION_BIAS),
    DELE_ROWS_QK_NORM(Q, KV, ONES, DELE_FORM_PLAIN),
    DELE_ROW_O,
    DELE_ROW_O_BIAS_ALONE(DELE_IF_ATTENTION_BIAS),
    DELE_ROW_MLP_NORM,
    DELE_ROW_ROUTER,
    DELE_ROWS_EXPERTS,
    DELE_ROW_FINAL_NORM,
    DELE_ROW_HEAD,
};

static const dele_stacked_row stacked[] = {DELE_EXPERTS_STACKED};

const dele_family dele_family_olmoe = {
    .hf = "olmoe",
    .architecture = "OlmoeForCausalLM",
    .gguf = "olmoe",
    .source = "arXiv 2409.02060; transformers' modeling_olmoe",
    .norm = DELE_RMSNORM,
    .norm_text = "RMSNorm",
    .qk_norm = DELE_QK_NORM_WIDTH,
    .perft = DELE_PERFT_WITH_BLOCK_WEIGHTS,
    .site = DELE_SITES_SEQUENTIAL,
    .gguf_untied = true,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .stacked = stacked,
    .n_stacked = sizeof stacked / sizeof *stacked,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
