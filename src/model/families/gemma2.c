/* Gemma-2: four norms, soft caps on scores and logits, a window in every other layer, the embedding
 * scaled by the root of its width. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

static const dele_key_row keys[] = {
    DELE_KEYS_SIZES(DELE_REQUIRED),
    DELE_KEYS_HEAD_DIM_OF(256),
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(8192),
    DELE_KEY_RMS_NORM_EPS(1e-6),
    DELE_KEY_ROTATION,
    DELE_KEY_ACTIVATION("hidden_activation", "gelu_pytorch_tanh"),
    DELE_KEY_WITHOUT_EFFECT("hidden_act"),
    DELE_KEY_ATTENTION_BIAS,
    DELE_KEY_ATTENTION_DROPOUT,
    DELE_KEYS_GEMMA(46),
    DELE_KEY_LOGIT_SOFTCAP(30),
    {.hf = "attn_logit_softcapping",
     .gguf = "attn_logit_softcapping",
     .kind = DELE_HOLDS_POSITIVE_OR_NONE,
     .field = DELE_FIELD(attn_softcap),
     .hf_absent = DELE_DEFAULT,
     .gguf_absent = DELE_DEFAULT,
     .value = 50},
    DELE_KEY_WINDOW_GGUF(4096, DELE_DEFAULT),
    DELE_KEY_TIED_UNLESS(true),
    DELE_KEY_WITHOUT_EFFECT("sliding_window_size"), /* beside sliding_window in released models */
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS,
};

/* llama.cpp stores the norms with 1 added. */
static const dele_tensor_row tensors[] = {
    DELE_ROW_EMBED,
    DELE_ROW_GEMMA_ATTN_NORM,
    DELE_ROWS_QKV(DELE_FORM_PLAIN),
    DELE_ROWS_QKV_BIAS(DELE_IF_ATTENTION_BIAS, DELE_FORM_PLAIN),
    DELE_ROW_O,
    DELE_ROW_O_BIAS_ALONE(DELE_IF_ATTENTION_BIAS),
    DELE_ROW_ATTN_POST_NORM(ZEROS, DELE_FORM_PLUS_ONE),
    DELE_ROW_GEMMA_MLP_NORM,
    DELE_ROWS_GATE_UP,
    DELE_ROW_DOWN,
    DELE_ROW_MLP_POST_NORM(ZEROS, DELE_FORM_PLUS_ONE),
    DELE_ROW_GEMMA_FINAL_NORM,
    DELE_ROW_HEAD,
};

const dele_family dele_family_gemma2 = {
    .hf = "gemma2",
    .architecture = "Gemma2ForCausalLM",
    .gguf = "gemma2",
    .source = "arXiv 2408.00118; transformers' modeling_gemma2 with eager attention",
    .norm = DELE_RMSNORM_PLUS_ONE,
    .norm_text = "RMSNorm before and after each sublayer,",
    .slides = DELE_SLIDES_BETWEEN,
    .period = 2,
    .embed_scaled = true,
    .site = DELE_SITES_SEQUENTIAL,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
