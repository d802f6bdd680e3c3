/* Mixtral: Mistral's block with a mixture of experts in every layer, whose weights add up to 1. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

/* num_key_value_heads is required, as in mistral.c; intermediate_size is that of an expert.
 * router_jitter_noise is there in training alone, as dropout is. */
static const dele_key_row keys[] = {
    DELE_KEYS_SIZES(DELE_REQUIRED),
    DELE_KEYS_HEAD_DIM(DELE_JSON_IF_NEEDED),
    DELE_KEYS_EXPERTS("num_local_experts", "num_experts", 8, 2),
    DELE_KEYS_ROUTER_LOSS(0.001),
    {.hf = "router_jitter_noise", .kind = DELE_HOLDS_RATE},
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(131072),
    DELE_KEY_RMS_NORM_EPS(1e-5),
    DELE_KEY_ROTATION_OF("rope_theta", 1000000),
    DELE_KEY_ACTIVATION("hidden_act", "silu"),
    DELE_KEY_ATTENTION_DROPOUT,
    DELE_KEY_WINDOW(0),
    DELE_KEY_TIED,
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS,
};

/* w1 is the gate, w3 up, w2 down. */
static const dele_tensor_row tensors[] = {
    DELE_ROW_EMBED,
    DELE_ROW_ATTN_NORM,
    DELE_ROWS_QKV(DELE_FORM_PAIRED),
    DELE_ROW_O,
    DELE_ROW_MLP_NORM,
    DELE_ROW_ROUTER_OF("model.layers.%d.block_sparse_moe.gate.weight"),
    DELE_ROWS_EXPERTS_OF("block_sparse_moe", "w1", "w3", "w2"),
    DELE_ROW_FINAL_NORM,
    DELE_ROW_HEAD,
};

static const dele_stacked_row stacked[] = {
    {DELE_SLOT_ROUTER, "model.layers.%d.mlp.gate.weight"},
    DELE_EXPERTS_STACKED,
};

/* llama.cpp has no architecture of that name: such a model is a "llama" with experts. */
const dele_family dele_family_mixtral = {
    .hf = "mixtral",
    .architecture = "MixtralForCausalLM",
    .gguf = "llama",
    .gguf_key = "expert_count",
    .source = "arXiv 2401.04088; transformers' modeling_mixtral",
    .norm = DELE_RMSNORM,
    .norm_text = "RMSNorm",
    .slides = DELE_SLIDES_ALL,
    .renormalises = true,
    .perft = DELE_PERFT_WITH_OWN_WEIGHTS,
    .gguf_divisors = true,
    .site = DELE_SITES_SEQUENTIAL,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .stacked = stacked,
    .n_stacked = sizeof stacked / sizeof *stacked,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
