/* OLMo-3: OLMo-2's block; of four layers three have a window, and the rotation of the full ones may
 * be scaled. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

static const dele_key_row keys[] = {
    DELE_KEYS_SIZES(DELE_AS_OTHER),
    DELE_KEYS_HEAD_DIM(DELE_JSON_IF_NEEDED),
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(2048),
    DELE_KEY_RMS_NORM_EPS(1e-5),
    DELE_KEY_ROTATION_OF("rope_theta", 500000),
    DELE_KEY_ACTIVATION("hidden_act", "silu"),
    DELE_KEY_ATTENTION_BIAS,
    DELE_KEY_ATTENTION_DROPOUT,
    DELE_KEY_WINDOW_GGUF(4096, DELE_REQUIRED),
    DELE_KEY_TIED,
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS,
};

/* llama.cpp's olmo2 rotates in halves. */
static const dele_tensor_row tensors[] = {DELE_ROWS_NORMS_AFTER};

static const dele_rotation_keys rotation = {.by_kind = true, .sliding_absent = 500000};

/* llama.cpp's converter writes it as "olmo2", with a window. */
const dele_family dele_family_olmo3 = {
    .hf = "olmo3",
    .architecture = "Olmo3ForCausalLM",
    .gguf = "olmo2",
    .gguf_key = "attention.sliding_window",
    .source = "transformers' modeling_olmo3",
    .norm = DELE_RMSNORM,
    .norm_text = "RMSNorm after each sublayer,",
    .qk_norm = DELE_QK_NORM_WIDTH,
    .rotation = &rotation,
    .slides = DELE_SLIDES_BETWEEN,
    .period = 4,
    .gguf_pattern = true,
    .site = DELE_SITES_SEQUENTIAL,
    .gguf_untied = true,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
