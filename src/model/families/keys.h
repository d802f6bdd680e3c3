/* Rows of a family's table of keys under the names that most families of transformers and llama.cpp
 * share.  A family lists those it has in the order of its config.json, and writes its own rows
 * where it differs. */
#ifndef DELE_FAMILY_KEYS_H
#define DELE_FAMILY_KEYS_H

#include "model/families/family.h"

/* clang-format off */
#define DELE_KEYS_WIDTHS                                                                    \
    {.hf = "hidden_size", .gguf = "embedding_length", .field = DELE_FIELD(hidden_size)},    \
    {.hf = "intermediate_size", .gguf = "feed_forward_length",                              \
     .field = DELE_FIELD(intermediate_size)},                                               \
    {.hf = "num_hidden_layers", .gguf = "block_count", .field = DELE_FIELD(n_layers),       \
     .gguf_first = true}

/* kv_absent: without num_key_value_heads. */
#define DELE_KEYS_SIZES(kv_absent)                                                          \
    DELE_KEYS_WIDTHS,                                                                       \
    {.hf = "num_attention_heads", .gguf = "attention.head_count",                           \
     .field = DELE_FIELD(n_heads)},                                                         \
    {.hf = "num_key_value_heads", .gguf = "attention.head_count_kv",                        \
     .field = DELE_FIELD(n_kv_heads), .hf_absent = kv_absent,                               \
     .gguf_absent = DELE_AS_OTHER, .other = DELE_FIELD(n_heads)}

/* The same where transformers' class has numbers of heads that published configs leave out. */
#define DELE_KEYS_SIZES_OF(n_heads_, n_kv_heads_)                                           \
    DELE_KEYS_WIDTHS,                                                                       \
    {.hf = "num_attention_heads", .gguf = "attention.head_count",                           \
     .field = DELE_FIELD(n_heads), .hf_absent = DELE_DEFAULT, .value = n_heads_,            \
     .told = true},                                                                         \
    {.hf = "num_key_value_heads", .gguf = "attention.head_count_kv",                        \
     .field = DELE_FIELD(n_kv_heads), .hf_absent = DELE_DEFAULT, .value = n_kv_heads_,      \
     .told = true, .gguf_absent = DELE_AS_OTHER, .other = DELE_FIELD(n_heads)}

/* One size for queries, keys and values.  DELE_KEYS_HEAD_DIM_OF: a number without the key. */
#define DELE_KEYS_HEAD_DIM(in_json_)                                                        \
    {.hf = "head_dim", .gguf = "attention.key_length", .field = DELE_FIELD(head_dim),       \
     .hf_absent = DELE_PER_HEAD, .gguf_absent = DELE_PER_HEAD, .in_json = in_json_},        \
    DELE_KEYS_HEAD_DIM_GGUF
#define DELE_KEYS_HEAD_DIM_OF(value_)                                                       \
    {.hf = "head_dim", .gguf = "attention.key_length", .field = DELE_FIELD(head_dim),       \
     .hf_absent = DELE_DEFAULT, .gguf_absent = DELE_PER_HEAD, .value = value_},             \
    DELE_KEYS_HEAD_DIM_GGUF
/* Of architectures of llama.cpp whose heads share the width, and that load no other file. */
#define DELE_KEYS_HEAD_DIM_SHARED                                                           \
    {.hf = "head_dim", .field = DELE_FIELD(head_dim), .hf_absent = DELE_PER_HEAD,           \
     .gguf_absent = DELE_PER_HEAD, .in_json = DELE_JSON_IF_NEEDED},                         \
    {.gguf = "attention.key_length", .kind = DELE_HOLDS_FIELD,                              \
     .field = DELE_FIELD(head_dim),                                                         \
     .why = "other than the width for each head is not read by llama.cpp"},                 \
    DELE_KEYS_HEAD_DIM_GGUF
/* Of families without keys for them: keys and values for each head, heads that share the width. */
#define DELE_KEYS_ONE_KV_PER_HEAD                                                           \
    {.gguf = "attention.head_count_kv", .field = DELE_FIELD(n_kv_heads),                    \
     .hf_absent = DELE_AS_OTHER, .gguf_absent = DELE_AS_OTHER, .other = DELE_FIELD(n_heads)}, \
    {.gguf = "attention.key_length", .field = DELE_FIELD(head_dim),                         \
     .hf_absent = DELE_PER_HEAD, .gguf_absent = DELE_PER_HEAD},                             \
    {.gguf = "attention.value_length", .kind = DELE_HOLDS_FIELD,                            \
     .field = DELE_FIELD(head_dim), .why = "other than the key length is not supported"}

#define DELE_KEYS_HEAD_DIM_GGUF                                                             \
    {.gguf = "attention.value_length", .kind = DELE_HOLDS_FIELD,                            \
     .field = DELE_FIELD(head_dim), .why = "other than the key length is not supported"},   \
    DELE_KEY_ROTATED
#define DELE_KEY_ROTATED                                                                    \
    {.gguf = "rope.dimension_count", .kind = DELE_HOLDS_ROTATED,                            \
     .field = DELE_FIELD(rotary_dim), .why = "other than the head size is not supported"}

#define DELE_KEY_VOCAB                                                                      \
    {.hf = "vocab_size", .gguf = "vocab_size", .kind = DELE_HOLDS_ROWS,                     \
     .field = DELE_FIELD(vocab)}

#define DELE_KEY_VOCAB_OF(value_)                                                           \
    {.hf = "vocab_size", .gguf = "vocab_size", .kind = DELE_HOLDS_ROWS,                     \
     .field = DELE_FIELD(vocab), .hf_absent = DELE_DEFAULT, .value = value_, .told = true}

#define DELE_KEY_CONTEXT(value_)                                                            \
    {.hf = "max_position_embeddings", .gguf = "context_length",                             \
     .field = DELE_FIELD(context), .hf_absent = DELE_DEFAULT, .value = value_,              \
     .told = true, .gguf_first = true}

#define DELE_KEY_RMS_NORM_EPS(value_)                                                       \
    {.hf = "rms_norm_eps", .gguf = "attention.layer_norm_rms_epsilon",                      \
     .kind = DELE_HOLDS_POSITIVE, .field = DELE_FIELD(norm_eps),                            \
     .hf_absent = DELE_DEFAULT, .value = value_, .told = true}

/* key: transformers 4's; theta: the base where no key has it */
#define DELE_KEY_ROTATION_OF(key, theta)                                                    \
    {.hf = key, .gguf = "rope.freq_base", .kind = DELE_HOLDS_ROTATION,                      \
     .field = DELE_FIELD(rope), .hf_absent = DELE_DEFAULT,                                  \
     .gguf_absent = DELE_DEFAULT, .value = theta, .told = true}
#define DELE_KEY_ROTATION DELE_KEY_ROTATION_OF("rope_theta", 10000)

#define DELE_KEY_ACTIVATION(key, name)                                                      \
    {.hf = key, .kind = DELE_HOLDS_ACTIVATION, .field = DELE_FIELD(activation),             \
     .text = name, .told = true}

/* Gemma's: the number whose root divides scores.  layers: of the model where llama.cpp takes
 * another. */
#define DELE_KEYS_GEMMA(layers_)                                                            \
    {.hf = "query_pre_attn_scalar", .kind = DELE_HOLDS_ROOT,                                \
     .field = DELE_FIELD(attn_scale), .hf_absent = DELE_DEFAULT, .value = 256,              \
     .layers = layers_},                                                                    \
    {.hf = "use_bidirectional_attention", .kind = DELE_HOLDS_FALSE,                         \
     .why = "is not supported: attention is causal", .in_json = DELE_JSON_NEVER}
#define DELE_KEY_LOGIT_SOFTCAP(value_)                                                      \
    {.hf = "final_logit_softcapping", .gguf = "final_logit_softcapping",                    \
     .kind = DELE_HOLDS_POSITIVE_OR_NONE, .field = DELE_FIELD(logit_softcap),               \
     .hf_absent = DELE_DEFAULT, .gguf_absent = DELE_DEFAULT, .value = value_}

/* A GGUF has no key for them: it has the tensors, or not. */
#define DELE_KEY_ATTENTION_BIAS                                                             \
    {.hf = "attention_bias", .kind = DELE_HOLDS_FLAG, .field = DELE_FIELD(attention_bias),  \
     .hf_absent = DELE_DEFAULT, .tensor = DELE_TENSOR_PRESENT, .slot = DELE_SLOT_Q_BIAS}
#define DELE_KEY_MLP_BIAS                                                                   \
    {.hf = "mlp_bias", .kind = DELE_HOLDS_FLAG, .field = DELE_FIELD(mlp_bias),              \
     .hf_absent = DELE_DEFAULT, .tensor = DELE_TENSOR_PRESENT, .slot = DELE_SLOT_GATE_BIAS}

#define DELE_KEY_NO_MLP_BIAS                                                                \
    {.hf = "mlp_bias", .kind = DELE_HOLDS_FALSE, .why = "is not supported",                 \
     .in_json = DELE_JSON_NEVER}

#define DELE_KEY_ATTENTION_DROPOUT {.hf = "attention_dropout", .kind = DELE_HOLDS_RATE}
#define DELE_KEY_DROPOUT(key)                                                               \
    {.hf = key, .kind = DELE_HOLDS_RATE, .in_json = DELE_JSON_NEVER}

#define DELE_KEY_TIED_UNLESS(value_)                                                        \
    {.hf = "tie_word_embeddings", .kind = DELE_HOLDS_FLAG, .field = DELE_FIELD(tied),       \
     .hf_absent = DELE_DEFAULT, .value = value_, .told = true,                              \
     .tensor = DELE_TENSOR_ABSENT, .slot = DELE_SLOT_HEAD}
#define DELE_KEY_TIED DELE_KEY_TIED_UNLESS(false)

/* A GGUF has the ids under keys of its tokenizer, which are the same for all families (gguf.c). */
#define DELE_KEYS_IDS                                                                       \
    {.hf = "bos_token_id", .kind = DELE_HOLDS_ID, .field = DELE_FIELD(bos)},                \
    {.hf = "eos_token_id", .kind = DELE_HOLDS_ENDS, .field = DELE_FIELD(eos)},              \
    {.hf = "pad_token_id", .kind = DELE_HOLDS_ID, .field = DELE_FIELD(pad)},                \
    {.hf = "unk_token_id", .kind = DELE_HOLDS_OTHER_ID, .in_json = DELE_JSON_NEVER},        \
    {.hf = "sep_token_id", .kind = DELE_HOLDS_OTHER_ID, .in_json = DELE_JSON_NEVER},        \
    {.hf = "decoder_start_token_id", .kind = DELE_HOLDS_OTHER_ID, .in_json = DELE_JSON_NEVER}

/* The window and the layers that have it: DELE_KEY_LAYERS stands after all keys that it is read
 * from. */
#define DELE_KEY_WINDOW(value_)                                                             \
    {.hf = "sliding_window", .kind = DELE_HOLDS_WINDOW, .field = DELE_FIELD(window),        \
     .hf_absent = DELE_DEFAULT, .value = value_}
/* absent: in a GGUF */
#define DELE_KEY_WINDOW_GGUF(value_, absent)                                                \
    {.hf = "sliding_window", .gguf = "attention.sliding_window", .kind = DELE_HOLDS_WINDOW, \
     .field = DELE_FIELD(window), .hf_absent = DELE_DEFAULT, .gguf_absent = absent,         \
     .value = value_}
#define DELE_KEY_PART(name) {.hf = name, .kind = DELE_HOLDS_PART}
#define DELE_KEY_LAYERS                                                                     \
    {.hf = "layer_types", .kind = DELE_HOLDS_LAYERS, .field = DELE_FIELD(layer_kind)}
/* first: max_window_layers where it is absent */
#define DELE_KEY_LAYERS_FROM(first)                                                         \
    {.hf = "layer_types", .kind = DELE_HOLDS_LAYERS, .field = DELE_FIELD(layer_kind),       \
     .value = first}

/* A mixture of experts.  key, alias_: of the number of experts; coefficient: of the balancing loss
 * without its key, as in transformers' class. */
#define DELE_KEYS_EXPERTS(key, alias_, experts, k)                                          \
    {.hf = key, .alias = alias_, .gguf = "expert_count", .field = DELE_FIELD(n_experts),    \
     .hf_absent = DELE_DEFAULT, .value = experts, .told = true, .not_null = true},          \
    {.hf = "num_experts_per_tok", .gguf = "expert_used_count", .field = DELE_FIELD(top_k),  \
     .hf_absent = DELE_DEFAULT, .value = k, .told = true, .not_null = true}
#define DELE_KEY_EXPERT_SIZE(value_)                                                        \
    {.hf = "moe_intermediate_size", .gguf = "expert_feed_forward_length",                   \
     .field = DELE_FIELD(expert_size), .hf_absent = DELE_DEFAULT, .value = value_,          \
     .told = true, .not_null = true}
#define DELE_KEY_NORM_TOPK                                                                  \
    {.hf = "norm_topk_prob", .kind = DELE_HOLDS_FLAG, .field = DELE_FIELD(norm_topk_prob),  \
     .hf_absent = DELE_DEFAULT, .told = true, .not_null = true}
#define DELE_KEYS_ROUTER_LOSS(coefficient)                                                  \
    {.hf = "output_router_logits", .kind = DELE_HOLDS_FLAG,                                 \
     .field = DELE_FIELD(output_router_logits), .hf_absent = DELE_DEFAULT},                 \
    {.hf = "router_aux_loss_coef", .kind = DELE_HOLDS_FACTOR,                               \
     .field = DELE_FIELD(router_aux_coef), .hf_absent = DELE_DEFAULT, .value = coefficient, \
     .told = true}
/* Layers with an MLP among those with experts: read with the layers. */
#define DELE_KEYS_DENSE_LAYERS                                                              \
    DELE_KEY_PART("mlp_only_layers"), DELE_KEY_PART("decoder_sparse_step")

#define DELE_KEY_WITHOUT_EFFECT(name)                                                       \
    {.hf = name, .kind = DELE_HOLDS_NOTHING, .in_json = DELE_JSON_NEVER}
/* clang-format on */

#endif
