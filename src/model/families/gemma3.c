/* Gemma-3's text model: Gemma-2's block with RMSNorm on each head of queries and keys, a window in
 * five of six layers, and a rotation for each kind of layer. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

/* transformers does not pass attn_logit_softcapping on to this family's attention; it is null in
 * published configs.  The text_config of the released models that also read images names few keys:
 * the class has the others. */
static const dele_key_row keys[] = {
    DELE_KEYS_SIZES_OF(8, 4),
    DELE_KEYS_HEAD_DIM_OF(256),
    DELE_KEY_VOCAB_OF(262208),
    DELE_KEY_CONTEXT(131072),
    DELE_KEY_RMS_NORM_EPS(1e-6),
    DELE_KEY_ROTATION_OF("rope_theta", 1000000),
    DELE_KEY_PART("rope_local_base_freq"),
    DELE_KEY_ACTIVATION("hidden_activation", "gelu_pytorch_tanh"),
    DELE_KEY_WITHOUT_EFFECT("hidden_act"),
    DELE_KEY_ATTENTION_BIAS,
    DELE_KEY_ATTENTION_DROPOUT,
    DELE_KEYS_GEMMA(62),
    DELE_KEY_LOGIT_SOFTCAP(0),
    DELE_KEY_WITHOUT_EFFECT("attn_logit_softcapping"),
    DELE_KEY_WINDOW_GGUF(4096, DELE_REQUIRED),
    DELE_KEY_PART("sliding_window_pattern"),
    DELE_KEY_TIED_UNLESS(true),
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS,
};

/* llama.cpp stores the norms with 1 added. */
static const dele_tensor_row tensors[] = {
    DELE_ROW_EMBED,
    DELE_ROW_GEMMA_ATTN_NORM,
    DELE_ROWS_QKV(DELE_FORM_PLAIN),
    DELE_ROWS_QKV_BIAS(DELE_IF_ATTENTION_BIAS, DELE_FORM_PLAIN),
    DELE_ROWS_QK_NORM(HEAD, HEAD, ZEROS, DELE_FORM_PLUS_ONE),
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

static const dele_rotation_keys rotation = {
    .by_kind = true, .sliding = "rope_local_base_freq", .sliding_absent = 10000};

/* The model within one that also reads images. */
static const dele_prefix prefixes[] = {DELE_PREFIXES_WITHIN};
static const char *const beside[] = {DELE_BESIDE_THE_TEXT_MODEL};

const dele_family dele_family_gemma3 = {
    .hf = "gemma3_text",
    .architecture = "Gemma3ForCausalLM",
    .gguf = "gemma3",
    .source = "arXiv 2503.19786; transformers' modeling_gemma3",
    .norm = DELE_RMSNORM_PLUS_ONE,
    .norm_text = "RMSNorm before and after each sublayer,",
    .qk_norm = DELE_QK_NORM_HEAD,
    .rotation = &rotation,
    .slides = DELE_SLIDES_BETWEEN,
    .period = 6,
    .embed_scaled = true,
    .site = DELE_SITES_SEQUENTIAL,
    .wrapper = "gemma3",
    .beside = beside,
    .prefixes = prefixes,
    .n_prefixes = sizeof prefixes / sizeof *prefixes,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
