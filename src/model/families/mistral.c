/* Mistral: Llama's block; where there is a window, all layers have it. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

/* In transformers num_key_value_heads is 8 without its key, and null is num_attention_heads: it is
 * required. */
static const dele_key_row keys[] = {
    DELE_KEYS_SIZES(DELE_REQUIRED),
    DELE_KEYS_HEAD_DIM(DELE_JSON_ALWAYS),
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(131072),
    DELE_KEY_RMS_NORM_EPS(1e-6),
    DELE_KEY_ROTATION,
    DELE_KEY_ACTIVATION("hidden_act", "silu"),
    DELE_KEY_ATTENTION_DROPOUT,
    DELE_KEY_WINDOW(4096),
    DELE_KEY_TIED,
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS,
};

static const dele_tensor_row tensors[] = {
    DELE_ROW_EMBED, DELE_ROW_ATTN_NORM,  DELE_ROWS_QKV(DELE_FORM_PAIRED),
    DELE_ROW_O,     DELE_ROW_MLP_NORM,   DELE_ROWS_GATE_UP,
    DELE_ROW_DOWN,  DELE_ROW_FINAL_NORM, DELE_ROW_HEAD,
};

/* The model within one that also reads images. */
static const dele_prefix prefixes[] = {DELE_PREFIXES_WITHIN};
static const char *const beside[] = {DELE_BESIDE_THE_TEXT_MODEL};

/* llama.cpp has no architecture of that name: its converter writes such a model as "llama", without
 * the window. */
const dele_family dele_family_mistral = {
    .hf = "mistral",
    .architecture = "MistralForCausalLM",
    .gguf = "llama",
    .source = "arXiv 2310.06825; transformers' modeling_mistral",
    .upcycled = &dele_family_mixtral,
    .norm = DELE_RMSNORM,
    .norm_text = "RMSNorm",
    .slides = DELE_SLIDES_ALL,
    .gguf_divisors = true,
    .site = DELE_SITES_SEQUENTIAL,
    .wrapper = "mistral3",
    .beside = beside,
    .prefixes = prefixes,
    .n_prefixes = sizeof prefixes / sizeof *prefixes,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
