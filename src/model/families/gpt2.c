/* GPT-2: learned positions, LayerNorm before each sublayer, an MLP without a gate.  Its files hold
 * the matrices transposed (transformers' Conv1D). */
#include "model/families/families.h"
#include "model/families/keys.h"
#include "model/families/rows.h"

/* n_ctx is an older name of n_positions, which transformers does not read; reorder_and_upcast_attn
 * changes the order of the same computation; the summary is that of another head. */
static const dele_key_row keys[] = {
    {.hf = "n_embd", .gguf = "embedding_length", .field = DELE_FIELD(hidden_size)},
    {.hf = "n_inner",
     .gguf = "feed_forward_length",
     .field = DELE_FIELD(intermediate_size),
     .hf_absent = DELE_AS_OTHER,
     .other = DELE_FIELD(hidden_size),
     .value = 4},
    {.hf = "n_layer", .gguf = "block_count", .field = DELE_FIELD(n_layers), .gguf_first = true},
    {.hf = "n_head", .gguf = "attention.head_count", .field = DELE_FIELD(n_heads)},
    DELE_KEYS_ONE_KV_PER_HEAD,
    DELE_KEY_VOCAB,
    {.hf = "n_positions",
     .gguf = "context_length",
     .field = DELE_FIELD(context),
     .hf_absent = DELE_DEFAULT,
     .value = 1024,
     .told = true,
     .gguf_first = true},
    {.hf = "layer_norm_epsilon",
     .gguf = "attention.layer_norm_epsilon",
     .kind = DELE_HOLDS_POSITIVE,
     .field = DELE_FIELD(norm_eps),
     .hf_absent = DELE_DEFAULT,
     .value = 1e-5,
     .told = true},
    DELE_KEY_ACTIVATION("activation_function", "gelu_new"),
    {.hf = "scale_attn_weights",
     .kind = DELE_HOLDS_UNSCALED,
     .field = DELE_FIELD(attn_scale),
     .hf_absent = DELE_DEFAULT},
    {.hf = "scale_attn_by_inverse_layer_idx",
     .kind = DELE_HOLDS_FLAG,
     .field = DELE_FIELD(attn_scale_by_layer),
     .hf_absent = DELE_DEFAULT},
    {.hf = "add_cross_attention",
     .kind = DELE_HOLDS_FALSE,
     .why = "is not supported",
     .in_json = DELE_JSON_NEVER},
    DELE_KEY_DROPOUT("attn_pdrop"),
    DELE_KEY_DROPOUT("embd_pdrop"),
    DELE_KEY_DROPOUT("resid_pdrop"),
    DELE_KEY_TIED_UNLESS(true),
    DELE_KEYS_IDS,
    DELE_KEY_LAYERS,
    DELE_KEY_WITHOUT_EFFECT("n_ctx"),
    DELE_KEY_WITHOUT_EFFECT("reorder_and_upcast_attn"),
    DELE_KEY_WITHOUT_EFFECT("summary_activation"),
    DELE_KEY_WITHOUT_EFFECT("summary_first_dropout"),
    DELE_KEY_WITHOUT_EFFECT("summary_proj_to_labels"),
    DELE_KEY_WITHOUT_EFFECT("summary_type"),
    DELE_KEY_WITHOUT_EFFECT("summary_use_proj"),
};

#define H "transformer.h.%d."
#define B "blk.%d."
#define MATRIX(slot, hf, gguf, rows, cols, part, init, hf_form, gguf_form)                         \
    {                                                                                              \
        DELE_SLOT_##slot, hf, gguf, DELE_DIM_##rows, DELE_DIM_##cols, DELE_PART_##part,            \
            DELE_INIT_##init, DELE_ALWAYS, DELE_FORM_##hf_form, DELE_FORM_##gguf_form              \
    }
#define VECTOR(slot, hf, gguf, cols, part, init, form)                                             \
    MATRIX(slot, hf, gguf, ONE, cols, part, init, form, form)

/* clang-format off */
static const dele_tensor_row tensors[] = {
    MATRIX(EMBED, "transformer.wte.weight", "token_embd.weight", VOCAB, MODEL, EMBED, NORMAL, PLAIN, PLAIN),
    MATRIX(POSITIONS, "transformer.wpe.weight", "position_embd.weight", CONTEXT, MODEL, EMBED, NORMAL, PLAIN, PLAIN),
    VECTOR(ATTN_NORM, H "ln_1.weight", B "attn_norm.weight", MODEL, NORM, ONES, PLAIN),
    VECTOR(ATTN_NORM_BIAS, H "ln_1.bias", B "attn_norm.bias", MODEL, NORM, ZEROS, PLAIN),
    MATRIX(Q, H "attn.c_attn.weight", B "attn_qkv.weight", Q, MODEL, ATTN, NORMAL, FUSED_TRANSPOSED, FUSED),
    MATRIX(K, H "attn.c_attn.weight", B "attn_qkv.weight", KV, MODEL, ATTN, NORMAL, FUSED_TRANSPOSED, FUSED),
    MATRIX(V, H "attn.c_attn.weight", B "attn_qkv.weight", KV, MODEL, ATTN, NORMAL, FUSED_TRANSPOSED, FUSED),
    VECTOR(Q_BIAS, H "attn.c_attn.bias", B "attn_qkv.bias", Q, ATTN, ZEROS, FUSED),
    VECTOR(K_BIAS, H "attn.c_attn.bias", B "attn_qkv.bias", KV, ATTN, ZEROS, FUSED),
    VECTOR(V_BIAS, H "attn.c_attn.bias", B "attn_qkv.bias", KV, ATTN, ZEROS, FUSED),
    MATRIX(O, H "attn.c_proj.weight", B "attn_output.weight", MODEL, Q, ATTN, OUTPUT, TRANSPOSED, PLAIN),
    VECTOR(O_BIAS, H "attn.c_proj.bias", B "attn_output.bias", MODEL, ATTN, ZEROS, PLAIN),
    VECTOR(MLP_NORM, H "ln_2.weight", B "ffn_norm.weight", MODEL, NORM, ONES, PLAIN),
    VECTOR(MLP_NORM_BIAS, H "ln_2.bias", B "ffn_norm.bias", MODEL, NORM, ZEROS, PLAIN),
    MATRIX(UP, H "mlp.c_fc.weight", B "ffn_up.weight", FF, MODEL, MLP, NORMAL, TRANSPOSED, PLAIN),
    VECTOR(UP_BIAS, H "mlp.c_fc.bias", B "ffn_up.bias", FF, MLP, ZEROS, PLAIN),
    MATRIX(DOWN, H "mlp.c_proj.weight", B "ffn_down.weight", MODEL, FF, MLP, OUTPUT, TRANSPOSED, PLAIN),
    VECTOR(DOWN_BIAS, H "mlp.c_proj.bias", B "ffn_down.bias", MODEL, MLP, ZEROS, PLAIN),
    VECTOR(FINAL_NORM, "transformer.ln_f.weight", "output_norm.weight", MODEL, NORM, ONES, PLAIN),
    VECTOR(FINAL_NORM_BIAS, "transformer.ln_f.bias", "output_norm.bias", MODEL, NORM, ZEROS, PLAIN),
    DELE_ROW_HEAD,
};
/* clang-format on */

/* The first published files have no prefix. */
static const dele_prefix prefixes[] = {{"transformer.", ""}};

const dele_family dele_family_gpt2 = {
    .hf = "gpt2",
    .architecture = "GPT2LMHeadModel",
    .gguf = "gpt2",
    .source = "Radford et al. 2019; transformers' modeling_gpt2",
    .norm = DELE_LAYERNORM,
    .norm_text = "LayerNorm",
    .site = DELE_SITES_SEQUENTIAL,
    .pad_row_trains = true,
    .prefixes = prefixes,
    .n_prefixes = sizeof prefixes / sizeof *prefixes,
    .tensors = tensors,
    .n_tensors = sizeof tensors / sizeof *tensors,
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};
