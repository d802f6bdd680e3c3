/* Families of the tests' own, whose blocks differ in what a family may choose: where its norms
 * stand, which norm, a gate or none, learned positions.  They have no keys: configs are made, not
 * read. */
#ifndef DELE_TESTS_BLOCK_FAMILIES_H
#define DELE_TESTS_BLOCK_FAMILIES_H

#include "model/families/rows.h"

#define NORM_BIAS_ROW(slot, name)                                                                  \
    DELE_VECTOR_ROW(slot, "model.layers.%d." name ".bias", "blk.%d." name ".bias", MODEL, NORM,    \
                    ZEROS, DELE_ALWAYS, DELE_FORM_PLAIN)
#define UP_ROW                                                                                     \
    DELE_MATRIX_ROW(UP, "model.layers.%d.up.weight", "blk.%d.ffn_up.weight", FF, MODEL, MLP,       \
                    NORMAL, DELE_ALWAYS, DELE_FORM_PLAIN)
#define UP_BIAS_ROW                                                                                \
    DELE_VECTOR_ROW(UP_BIAS, "model.layers.%d.up.bias", "blk.%d.ffn_up.bias", FF, MLP, ZEROS,      \
                    DELE_ALWAYS, DELE_FORM_PLAIN)
#define FINAL_NORM_BIAS_ROW                                                                        \
    DELE_VECTOR_ROW(FINAL_NORM_BIAS, "model.norm.bias", "output_norm.bias", MODEL, NORM, ZEROS,    \
                    DELE_ALWAYS, DELE_FORM_PLAIN)
#define POSITIONS_ROW                                                                              \
    DELE_MATRIX_ROW(POSITIONS, "model.positions.weight", "position_embd.weight", CONTEXT, MODEL,   \
                    EMBED, NORMAL, DELE_ALWAYS, DELE_FORM_PLAIN)

/* x + norm(f(x)), as OLMo-2 */
static const dele_tensor_row norms_after_rows[] = {
    DELE_ROW_EMBED,
    DELE_ROWS_QKV(DELE_FORM_PLAIN),
    DELE_ROW_O,
    DELE_ROW_ATTN_POST_NORM(ONES, DELE_FORM_PLAIN),
    DELE_ROWS_GATE_UP,
    DELE_ROW_DOWN,
    DELE_ROW_MLP_POST_NORM(ONES, DELE_FORM_PLAIN),
    DELE_ROW_FINAL_NORM,
    DELE_ROW_HEAD,
};

/* x + norm(f(norm x)), the weight less one, as Gemma-2 */
static const dele_tensor_row norms_about_rows[] = {
    DELE_ROW_EMBED,
    DELE_ROW_GEMMA_ATTN_NORM,
    DELE_ROWS_QKV(DELE_FORM_PLAIN),
    DELE_ROW_O,
    DELE_ROW_ATTN_POST_NORM(ZEROS, DELE_FORM_PLAIN),
    DELE_ROW_GEMMA_MLP_NORM,
    DELE_ROWS_GATE_UP,
    DELE_ROW_DOWN,
    DELE_ROW_MLP_POST_NORM(ZEROS, DELE_FORM_PLAIN),
    DELE_ROW_GEMMA_FINAL_NORM,
    DELE_ROW_HEAD,
};

/* The same with a shared expert; some layers are dense. */
#define DENSE_ROW(slot, rows, cols, init)                                                          \
    DELE_MATRIX_ROW(slot, "model.layers.%d.mlp." #slot ".weight", "blk.%d." #slot ".weight", rows, \
                    cols, MLP, init, DELE_IF_DENSE, DELE_FORM_PLAIN)
#define SHARED_ROW(slot, rows, cols, init)                                                         \
    DELE_MATRIX_ROW(slot, "model.layers.%d.mlp." #slot ".weight", "blk.%d." #slot ".weight", rows, \
                    cols, MLP, init, DELE_IF_SPARSE, DELE_FORM_PLAIN)
static const dele_tensor_row experts_about_rows[] = {
    DELE_ROW_EMBED,
    DELE_ROW_GEMMA_ATTN_NORM,
    DELE_ROWS_QKV(DELE_FORM_PLAIN),
    DELE_ROW_O,
    DELE_ROW_ATTN_POST_NORM(ZEROS, DELE_FORM_PLAIN),
    DELE_ROW_GEMMA_MLP_NORM,
    DENSE_ROW(GATE, FF, MODEL, NORMAL),
    DENSE_ROW(UP, FF, MODEL, NORMAL),
    DENSE_ROW(DOWN, MODEL, FF, OUTPUT),
    DELE_ROW_ROUTER,
    DELE_ROWS_EXPERTS,
    SHARED_ROW(SHARED_GATE, SHARED_FF, MODEL, NORMAL),
    SHARED_ROW(SHARED_UP, SHARED_FF, MODEL, NORMAL),
    SHARED_ROW(SHARED_DOWN, MODEL, SHARED_FF, OUTPUT),
    DELE_VECTOR_ROW(SHARED_SCALE, "model.layers.%d.mlp.shared_scale.weight",
                    "blk.%d.shared_scale.weight", MODEL, MLP, NORMAL, DELE_IF_SPARSE,
                    DELE_FORM_PLAIN),
    DELE_ROW_MLP_POST_NORM(ZEROS, DELE_FORM_PLAIN),
    DELE_ROW_GEMMA_FINAL_NORM,
    DELE_ROW_HEAD,
};

#define PLAIN_MLP_LAYER                                                                            \
    DELE_ROW_ATTN_NORM, NORM_BIAS_ROW(ATTN_NORM_BIAS, "input_layernorm"),                          \
        DELE_ROWS_QKV(DELE_FORM_PLAIN), DELE_ROWS_QKV_BIAS(DELE_ALWAYS, DELE_FORM_PLAIN),          \
        DELE_ROW_O, DELE_ROW_O_BIAS(DELE_ALWAYS), DELE_ROW_MLP_NORM,                               \
        NORM_BIAS_ROW(MLP_NORM_BIAS, "post_attention_layernorm"), UP_ROW, UP_BIAS_ROW,             \
        DELE_ROW_DOWN, DELE_ROW_DOWN_BIAS(DELE_ALWAYS), DELE_ROW_FINAL_NORM, FINAL_NORM_BIAS_ROW,  \
        DELE_ROW_HEAD

/* LayerNorm with weight and bias, no gate, biases everywhere, as GPT-NeoX; and with learned
 * positions, as GPT-2. */
static const dele_tensor_row plain_mlp_rows[] = {DELE_ROW_EMBED, PLAIN_MLP_LAYER};
static const dele_tensor_row positions_rows[] = {DELE_ROW_EMBED, POSITIONS_ROW, PLAIN_MLP_LAYER};

#define BLOCK_FAMILY(name, its_norm)                                                               \
    static const dele_family dele_family_##name = {.hf = #name,                                    \
                                                   .architecture = #name,                          \
                                                   .gguf = #name,                                  \
                                                   .source = "made for tests",                     \
                                                   .norm = its_norm,                               \
                                                   .norm_text = #its_norm,                         \
                                                   .site = DELE_SITES_SEQUENTIAL,                  \
                                                   .tensors = name##_rows,                         \
                                                   .n_tensors =                                    \
                                                       sizeof name##_rows / sizeof *name##_rows}
BLOCK_FAMILY(experts_about, DELE_RMSNORM_PLUS_ONE);
BLOCK_FAMILY(norms_after, DELE_RMSNORM);
BLOCK_FAMILY(norms_about, DELE_RMSNORM_PLUS_ONE);
BLOCK_FAMILY(plain_mlp, DELE_LAYERNORM);
BLOCK_FAMILY(positions, DELE_LAYERNORM);

/* q/k norms of both kinds. */
#define NORMED(name, rms, init, kind, q_size, kv_size)                                             \
    static const dele_tensor_row name##_tensors[] = {                                              \
        DELE_ROW_EMBED,                                                                            \
        DELE_ROW_ATTN_NORM,                                                                        \
        DELE_ROWS_QKV(DELE_FORM_PLAIN),                                                            \
        DELE_ROWS_QKV_BIAS(DELE_IF_ATTENTION_BIAS, DELE_FORM_PLAIN),                               \
        DELE_VECTOR_ROW(Q_NORM, "%d.q_norm", "%d.q_norm", q_size, NORM, init, DELE_ALWAYS,         \
                        DELE_FORM_PLAIN),                                                          \
        DELE_VECTOR_ROW(K_NORM, "%d.k_norm", "%d.k_norm", kv_size, NORM, init, DELE_ALWAYS,        \
                        DELE_FORM_PLAIN),                                                          \
        DELE_ROW_O,                                                                                \
        DELE_ROW_MLP_NORM,                                                                         \
        DELE_ROWS_GATE_UP,                                                                         \
        DELE_ROW_DOWN,                                                                             \
        DELE_ROW_FINAL_NORM,                                                                       \
        DELE_ROW_HEAD};                                                                            \
    static const dele_family dele_family_##name = {.hf = #name,                                    \
                                                   .norm = rms,                                    \
                                                   .qk_norm = kind,                                \
                                                   .site = DELE_SITES_SEQUENTIAL,                  \
                                                   .tensors = name##_tensors,                      \
                                                   .n_tensors = sizeof name##_tensors /            \
                                                                sizeof *name##_tensors}

NORMED(norm_of_width, DELE_RMSNORM, ONES, DELE_QK_NORM_WIDTH, Q, KV);
NORMED(norm_of_head, DELE_RMSNORM_PLUS_ONE, ZEROS, DELE_QK_NORM_HEAD, HEAD, HEAD);

enum { SLIDING = DELE_LAYER_SLIDING, UNROTATED = DELE_LAYER_UNROTATED, SPARSE = DELE_LAYER_SPARSE };

#endif
