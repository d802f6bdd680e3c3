/* OLMo-2: RMSNorm after each sublayer and none before, and over the width of queries and keys. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

static const dele_key_row keys[] = {
    DELE_KEYS_SIZES(DELE_AS_OTHER),
    DELE_KEYS_HEAD_DIM(DELE_JSON_IF_NEEDED),
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(2048),
    DELE_KEY_RMS_NORM_EPS(1e-5),
    DELE_KEY_ROTATION,
    DELE_KEY_ACTIVATION("hidden_act", "silu"),
    DELE_KEY_ATTENTION_BIAS,
    DELE_KEY_ATTENTION_DROPOUT,
    DELE_KEY_TIED,
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS,
};

/* llama.cpp's olmo2 rotates in halves. */
static const dele_tensor_row tensors[] = {DELE_ROWS_NORMS_AFTER};

const dele_family dele_family_olmo2 = {
    .hf = "olmo2",
    .architecture = "Olmo2ForCausalLM",
    .gguf = "olmo2",
    .source = "arXiv 2501.00656; transformers' modeling_olmo2",
    .norm = DELE_RMSNORM,
    .norm_text = "RMSNorm after each sublayer,",
    .qk_norm = DELE_QK_NORM_WIDTH,
    .site = DELE_SITES_SEQUENTIAL,
    .gguf_untied = true,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
