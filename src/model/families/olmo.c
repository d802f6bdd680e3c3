/* OLMo-1: LayerNorm without parameters, optional clipping of queries, keys and values. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

/* transformers has the epsilon in its code; a GGUF states it.  Some published config.json have an
 * rms_norm_eps, which transformers does not read for this family. */
static const dele_key_row keys[] = {
    DELE_KEYS_SIZES(DELE_AS_OTHER),
    DELE_KEYS_HEAD_DIM(DELE_JSON_IF_NEEDED),
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(2048),
    {.gguf = "attention.layer_norm_epsilon",
     .kind = DELE_HOLDS_CONSTANT,
     .field = DELE_FIELD(norm_eps),
     .value = 1e-5,
     .why = "other than 1e-5 is not supported"},
    {.hf = "clip_qkv",
     .gguf = "attention.clamp_kqv",
     .kind = DELE_HOLDS_POSITIVE_OR_NONE,
     .field = DELE_FIELD(clip_qkv),
     .hf_absent = DELE_DEFAULT,
     .gguf_absent = DELE_DEFAULT},
    DELE_KEY_ROTATION,
    DELE_KEY_ACTIVATION("hidden_act", "silu"),
    DELE_KEY_ATTENTION_BIAS,
    DELE_KEY_ATTENTION_DROPOUT,
    DELE_KEY_TIED,
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS,
    DELE_KEY_NO_MLP_BIAS,
    DELE_KEY_WITHOUT_EFFECT("rms_norm_eps"),
};

/* llama.cpp's olmo rotates in pairs, as its llama does. */
static const dele_tensor_row tensors[] = {
    DELE_ROW_EMBED,
    DELE_ROWS_QKV(DELE_FORM_PAIRED),
    DELE_ROWS_QKV_BIAS(DELE_IF_ATTENTION_BIAS, DELE_FORM_PAIRED),
    DELE_ROW_O,
    DELE_ROW_O_BIAS_ALONE(DELE_IF_ATTENTION_BIAS),
    DELE_ROWS_GATE_UP,
    DELE_ROW_DOWN,
    DELE_ROW_HEAD,
};

const dele_family dele_family_olmo = {
    .hf = "olmo",
    .architecture = "OlmoForCausalLM",
    .gguf = "olmo",
    .source = "arXiv 2402.00838; transformers' modeling_olmo",
    .norm = DELE_LAYERNORM,
    .norm_text = "LayerNorm without parameters,",
    .site = DELE_SITES_SEQUENTIAL,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
