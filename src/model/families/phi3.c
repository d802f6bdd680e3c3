/* Phi-3: Llama's block, whose files hold queries, keys and values as one matrix, and gate and up as
 * another. */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

/* original_max_position_embeddings is that of longrope, which is refused. */
static const dele_key_row keys[] = {
    DELE_KEYS_SIZES(DELE_AS_OTHER),
    DELE_KEYS_HEAD_DIM(DELE_JSON_IF_NEEDED),
    DELE_KEY_VOCAB,
    DELE_KEY_CONTEXT(4096),
    DELE_KEY_RMS_NORM_EPS(1e-5),
    DELE_KEY_ROTATION,
    DELE_KEY_WITHOUT_EFFECT("original_max_position_embeddings"),
    DELE_KEY_ACTIVATION("hidden_act", "silu"),
    DELE_KEY_ATTENTION_DROPOUT,
    DELE_KEY_DROPOUT("embd_pdrop"),
    DELE_KEY_DROPOUT("resid_pdrop"),
    DELE_KEY_WINDOW_GGUF(0, DELE_DEFAULT),
    DELE_KEY_TIED,
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS,
};

#define QKV(slot, rows)                                                                            \
    {                                                                                              \
        DELE_SLOT_##slot, "model.layers.%d.self_attn.qkv_proj.weight", "blk.%d.attn_qkv.weight",   \
            DELE_DIM_##rows, DELE_DIM_MODEL, DELE_PART_ATTN, DELE_INIT_NORMAL, DELE_ALWAYS,        \
            DELE_FORM_FUSED, DELE_FORM_FUSED                                                       \
    }
#define GATE_UP(slot)                                                                              \
    {                                                                                              \
        DELE_SLOT_##slot, "model.layers.%d.mlp.gate_up_proj.weight", "blk.%d.ffn_up.weight",       \
            DELE_DIM_FF, DELE_DIM_MODEL, DELE_PART_MLP, DELE_INIT_NORMAL, DELE_ALWAYS,             \
            DELE_FORM_FUSED, DELE_FORM_FUSED                                                       \
    }

static const dele_tensor_row tensors[] = {
    DELE_ROW_EMBED, DELE_ROW_ATTN_NORM, QKV(Q, Q),           QKV(K, KV),
    QKV(V, KV),     DELE_ROW_O,         DELE_ROW_MLP_NORM,   GATE_UP(GATE),
    GATE_UP(UP),    DELE_ROW_DOWN,      DELE_ROW_FINAL_NORM, DELE_ROW_HEAD,
};

/* transformers reads no other rotation for this family. */
static const dele_rotation_keys rotation = {
    .fraction = "partial_rotary_factor", .fraction_absent = 1, .types = 1 << DELE_ROPE_DEFAULT};

const dele_family dele_family_phi3 = {
    .hf = "phi3",
    .architecture = "Phi3ForCausalLM",
    .gguf = "phi3",
    .source = "arXiv 2404.14219; transformers' modeling_phi3",
    .norm = DELE_RMSNORM,
    .norm_text = "RMSNorm",
    .rotation = &rotation,
    .slides = DELE_SLIDES_ALL,
    .gguf_forgets = true,
    .site = DELE_SITES_SEQUENTIAL,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
