/* Rows of a family's table of tensors under the names that most families of transformers share.  A
 * family lists those it has, in this order, and writes its own rows where it differs.
 *
 *   qk     the form of Q and K in a GGUF
 *   when   which configs have the tensor */
#ifndef DELE_FAMILY_ROWS_H
#define DELE_FAMILY_ROWS_H

#include "model/families/family.h"

/* clang-format off */
#define DELE_VECTOR_ROW(slot, hf, gguf, cols, part, init, when, form)                       \
    {DELE_SLOT_##slot, hf, gguf, DELE_DIM_ONE, DELE_DIM_##cols, DELE_PART_##part,           \
     DELE_INIT_##init, when, DELE_FORM_PLAIN, form}
#define DELE_MATRIX_ROW(slot, hf, gguf, rows, cols, part, init, when, form)                 \
    {DELE_SLOT_##slot, hf, gguf, DELE_DIM_##rows, DELE_DIM_##cols, DELE_PART_##part,        \
     DELE_INIT_##init, when, DELE_FORM_PLAIN, form}

#define DELE_ROW_EMBED                                                                      \
    DELE_MATRIX_ROW(EMBED, "model.embed_tokens.weight", "token_embd.weight",                \
                    VOCAB, MODEL, EMBED, NORMAL, DELE_ALWAYS, DELE_FORM_PLAIN)

#define DELE_ROW_ATTN_NORM                                                                  \
    DELE_VECTOR_ROW(ATTN_NORM, "model.layers.%d.input_layernorm.weight",                    \
                    "blk.%d.attn_norm.weight", MODEL, NORM, ONES, DELE_ALWAYS, DELE_FORM_PLAIN)

#define DELE_ROWS_QKV(qk)                                                                   \
    DELE_MATRIX_ROW(Q, "model.layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight",   \
                    Q, MODEL, ATTN, NORMAL, DELE_ALWAYS, qk),                               \
    DELE_MATRIX_ROW(K, "model.layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight",   \
                    KV, MODEL, ATTN, NORMAL, DELE_ALWAYS, qk),                              \
    DELE_MATRIX_ROW(V, "model.layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight",   \
                    KV, MODEL, ATTN, NORMAL, DELE_ALWAYS, DELE_FORM_PLAIN)

#define DELE_ROWS_QKV_BIAS(when, qk)                                                        \
    DELE_VECTOR_ROW(Q_BIAS, "model.layers.%d.self_attn.q_proj.bias", "blk.%d.attn_q.bias",  \
                    Q, ATTN, ZEROS, when, qk),                                              \
    DELE_VECTOR_ROW(K_BIAS, "model.layers.%d.self_attn.k_proj.bias", "blk.%d.attn_k.bias",  \
                    KV, ATTN, ZEROS, when, qk),                                             \
    DELE_VECTOR_ROW(V_BIAS, "model.layers.%d.self_attn.v_proj.bias", "blk.%d.attn_v.bias",  \
                    KV, ATTN, ZEROS, when, DELE_FORM_PLAIN)

/* of an architecture of llama.cpp that has none */
#define DELE_ROWS_QKV_BIAS_ALONE(when)                                                      \
    DELE_VECTOR_ROW(Q_BIAS, "model.layers.%d.self_attn.q_proj.bias", NULL, Q, ATTN, ZEROS,  \
                    when, DELE_FORM_PLAIN),                                                 \
    DELE_VECTOR_ROW(K_BIAS, "model.layers.%d.self_attn.k_proj.bias", NULL, KV, ATTN, ZEROS, \
                    when, DELE_FORM_PLAIN),                                                 \
    DELE_VECTOR_ROW(V_BIAS, "model.layers.%d.self_attn.v_proj.bias", NULL, KV, ATTN, ZEROS, \
                    when, DELE_FORM_PLAIN)

/* of heads: HEAD, HEAD; of all heads of a row: Q, KV */
#define DELE_ROWS_QK_NORM(q_dim, k_dim, init, form)                                         \
    DELE_VECTOR_ROW(Q_NORM, "model.layers.%d.self_attn.q_norm.weight",                      \
                    "blk.%d.attn_q_norm.weight", q_dim, NORM, init, DELE_ALWAYS, form),     \
    DELE_VECTOR_ROW(K_NORM, "model.layers.%d.self_attn.k_norm.weight",                      \
                    "blk.%d.attn_k_norm.weight", k_dim, NORM, init, DELE_ALWAYS, form)

#define DELE_ROW_O                                                                          \
    DELE_MATRIX_ROW(O, "model.layers.%d.self_attn.o_proj.weight",                           \
                    "blk.%d.attn_output.weight", MODEL, Q, ATTN, OUTPUT, DELE_ALWAYS,       \
                    DELE_FORM_PLAIN)
#define DELE_ROW_O_BIAS(when)                                                               \
    DELE_VECTOR_ROW(O_BIAS, "model.layers.%d.self_attn.o_proj.bias",                        \
                    "blk.%d.attn_output.bias", MODEL, ATTN, ZEROS, when, DELE_FORM_PLAIN)

/* The norms of families that have one after each sublayer. */
#define DELE_ROW_ATTN_POST_NORM(init, form)                                                 \
    DELE_VECTOR_ROW(ATTN_POST_NORM, "model.layers.%d.post_attention_layernorm.weight",      \
                    "blk.%d.post_attention_norm.weight", MODEL, NORM, init, DELE_ALWAYS, form)
#define DELE_ROW_MLP_POST_NORM(init, form)                                                  \
    DELE_VECTOR_ROW(MLP_POST_NORM, "model.layers.%d.post_feedforward_layernorm.weight",     \
                    "blk.%d.post_ffw_norm.weight", MODEL, NORM, init, DELE_ALWAYS, form)

/* of an architecture of llama.cpp that has none */
#define DELE_ROW_O_BIAS_ALONE(when)                                                         \
    DELE_VECTOR_ROW(O_BIAS, "model.layers.%d.self_attn.o_proj.bias", NULL, MODEL, ATTN, ZEROS, \
                    when, DELE_FORM_PLAIN)

#define DELE_ROW_MLP_NORM                                                                   \
    DELE_VECTOR_ROW(MLP_NORM, "model.layers.%d.post_attention_layernorm.weight",            \
                    "blk.%d.ffn_norm.weight", MODEL, NORM, ONES, DELE_ALWAYS, DELE_FORM_PLAIN)

#define DELE_ROWS_GATE_UP_IF(when)                                                          \
    DELE_MATRIX_ROW(GATE, "model.layers.%d.mlp.gate_proj.weight", "blk.%d.ffn_gate.weight", \
                    FF, MODEL, MLP, NORMAL, when, DELE_FORM_PLAIN),                         \
    DELE_MATRIX_ROW(UP, "model.layers.%d.mlp.up_proj.weight", "blk.%d.ffn_up.weight",       \
                    FF, MODEL, MLP, NORMAL, when, DELE_FORM_PLAIN)
#define DELE_ROWS_GATE_UP DELE_ROWS_GATE_UP_IF(DELE_ALWAYS)
#define DELE_ROWS_GATE_UP_BIAS(when)                                                        \
    DELE_VECTOR_ROW(GATE_BIAS, "model.layers.%d.mlp.gate_proj.bias", "blk.%d.ffn_gate.bias", \
                    FF, MLP, ZEROS, when, DELE_FORM_PLAIN),                                 \
    DELE_VECTOR_ROW(UP_BIAS, "model.layers.%d.mlp.up_proj.bias", "blk.%d.ffn_up.bias",      \
                    FF, MLP, ZEROS, when, DELE_FORM_PLAIN)

#define DELE_ROW_DOWN_IF(when)                                                              \
    DELE_MATRIX_ROW(DOWN, "model.layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight", \
                    MODEL, FF, MLP, OUTPUT, when, DELE_FORM_PLAIN)
#define DELE_ROW_DOWN DELE_ROW_DOWN_IF(DELE_ALWAYS)
#define DELE_ROW_DOWN_BIAS(when)                                                            \
    DELE_VECTOR_ROW(DOWN_BIAS, "model.layers.%d.mlp.down_proj.bias", "blk.%d.ffn_down.bias", \
                    MODEL, MLP, ZEROS, when, DELE_FORM_PLAIN)

/* A mixture of experts (sublayers/moe.h). */
#define DELE_ROW_ROUTER_OF(hf)                                                              \
    DELE_MATRIX_ROW(ROUTER, hf, "blk.%d.ffn_gate_inp.weight", EXPERTS, MODEL, ROUTER,       \
                    NORMAL, DELE_IF_SPARSE, DELE_FORM_PLAIN)
#define DELE_ROW_ROUTER DELE_ROW_ROUTER_OF("model.layers.%d.mlp.gate.weight")
#define DELE_EXPERT_ROW(slot, hf, gguf, rows, cols, init)                                   \
    {DELE_SLOT_##slot, hf, gguf, DELE_DIM_##rows, DELE_DIM_##cols, DELE_PART_MLP,           \
     DELE_INIT_##init, DELE_IF_SPARSE, DELE_FORM_PLAIN, DELE_FORM_PLAIN}
/* at: the module within the layer; gate, up, down: the matrices of an expert */
#define DELE_ROWS_EXPERTS_OF(at, gate, up, down)                                            \
    DELE_EXPERT_ROW(EXPERT_GATE, "model.layers.%d." at ".experts.%d." gate ".weight",       \
                    "blk.%d.ffn_gate_exps.weight", EXPERT_FF, MODEL, NORMAL),               \
    DELE_EXPERT_ROW(EXPERT_UP, "model.layers.%d." at ".experts.%d." up ".weight",           \
                    "blk.%d.ffn_up_exps.weight", EXPERT_FF, MODEL, NORMAL),                 \
    DELE_EXPERT_ROW(EXPERT_DOWN, "model.layers.%d." at ".experts.%d." down ".weight",       \
                    "blk.%d.ffn_down_exps.weight", MODEL, EXPERT_FF, OUTPUT)
#define DELE_ROWS_EXPERTS DELE_ROWS_EXPERTS_OF("mlp", "gate_proj", "up_proj", "down_proj")
#define DELE_ROWS_SHARED_EXPERT                                                             \
    DELE_MATRIX_ROW(SHARED_GATE, "model.layers.%d.mlp.shared_expert.gate_proj.weight",      \
                    "blk.%d.ffn_gate_shexp.weight", SHARED_FF, MODEL, MLP, NORMAL,          \
                    DELE_IF_SPARSE, DELE_FORM_PLAIN),                                       \
    DELE_MATRIX_ROW(SHARED_UP, "model.layers.%d.mlp.shared_expert.up_proj.weight",          \
                    "blk.%d.ffn_up_shexp.weight", SHARED_FF, MODEL, MLP, NORMAL,            \
                    DELE_IF_SPARSE, DELE_FORM_PLAIN),                                       \
    DELE_MATRIX_ROW(SHARED_DOWN, "model.layers.%d.mlp.shared_expert.down_proj.weight",      \
                    "blk.%d.ffn_down_shexp.weight", MODEL, SHARED_FF, MLP, OUTPUT,          \
                    DELE_IF_SPARSE, DELE_FORM_PLAIN),                                       \
    {DELE_SLOT_SHARED_SCALE, "model.layers.%d.mlp.shared_expert_gate.weight",               \
     "blk.%d.ffn_gate_inp_shexp.weight", DELE_DIM_ONE, DELE_DIM_MODEL, DELE_PART_MLP,       \
     DELE_INIT_NORMAL, DELE_IF_SPARSE, DELE_FORM_ROW, DELE_FORM_PLAIN}
/* Of dele_family: as transformers 5 saves with save_original_format=False. */
#define DELE_EXPERTS_STACKED                                                                \
    {DELE_SLOT_EXPERT_GATE, "model.layers.%d.mlp.experts.gate_up_proj"},                    \
    {DELE_SLOT_EXPERT_UP, "model.layers.%d.mlp.experts.gate_up_proj"},                      \
    {DELE_SLOT_EXPERT_DOWN, "model.layers.%d.mlp.experts.down_proj"}

#define DELE_ROW_FINAL_NORM                                                                 \
    DELE_VECTOR_ROW(FINAL_NORM, "model.norm.weight", "output_norm.weight", MODEL, NORM,     \
                    ONES, DELE_ALWAYS, DELE_FORM_PLAIN)

/* Norms whose weight has 1 added where it is used; llama.cpp stores the sum. */
#define DELE_ROW_GEMMA_ATTN_NORM                                                            \
    DELE_VECTOR_ROW(ATTN_NORM, "model.layers.%d.input_layernorm.weight",                    \
                    "blk.%d.attn_norm.weight", MODEL, NORM, ZEROS, DELE_ALWAYS,             \
                    DELE_FORM_PLUS_ONE)
#define DELE_ROW_GEMMA_MLP_NORM                                                             \
    DELE_VECTOR_ROW(MLP_NORM, "model.layers.%d.pre_feedforward_layernorm.weight",           \
                    "blk.%d.ffn_norm.weight", MODEL, NORM, ZEROS, DELE_ALWAYS,              \
                    DELE_FORM_PLUS_ONE)
#define DELE_ROW_GEMMA_FINAL_NORM                                                           \
    DELE_VECTOR_ROW(FINAL_NORM, "model.norm.weight", "output_norm.weight", MODEL, NORM,     \
                    ZEROS, DELE_ALWAYS, DELE_FORM_PLUS_ONE)

#define DELE_ROW_HEAD                                                                       \
    DELE_MATRIX_ROW(HEAD, "lm_head.weight", "output.weight", VOCAB, MODEL, HEAD, NORMAL,    \
                    DELE_IF_UNTIED, DELE_FORM_PLAIN)

/* The tensors of a model whose norms stand after its sublayers alone, and over the width of queries
 * and keys. */
#define DELE_ROWS_NORMS_AFTER                                                               \
    DELE_ROW_EMBED,                                                                         \
    DELE_ROWS_QKV(DELE_FORM_PLAIN),                                                         \
    DELE_ROWS_QKV_BIAS(DELE_IF_ATTENTION_BIAS, DELE_FORM_PLAIN),                            \
    DELE_ROWS_QK_NORM(Q, KV, ONES, DELE_FORM_PLAIN),                                        \
    DELE_ROW_O,                                                                             \
    DELE_ROW_O_BIAS_ALONE(DELE_IF_ATTENTION_BIAS),                                          \
    DELE_ROW_ATTN_POST_NORM(ONES, DELE_FORM_PLAIN),                                         \
    DELE_ROWS_GATE_UP,                                                                      \
    DELE_ROW_DOWN,                                                                          \
    DELE_ROW_MLP_POST_NORM(ONES, DELE_FORM_PLAIN),                                          \
    DELE_ROW_FINAL_NORM,                                                                    \
    DELE_ROW_HEAD

/* What a model that also reads images calls the tensors of its text model, and its other parts. */
#define DELE_PREFIXES_WITHIN                                                                \
    {"model.", "language_model.model."}, {"model.", "model.language_model."},               \
    {"lm_head.", "language_model.lm_head."}
#define DELE_BESIDE_THE_TEXT_MODEL                                                          \
    "vision_tower.", "multi_modal_projector.", "model.vision_tower.",                       \
    "model.multi_modal_projector.", NULL
/* clang-format on */

#endif
