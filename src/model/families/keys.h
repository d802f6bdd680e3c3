/* Rows of a family's table of keys under the names that most families of transformers and llama.cpp
 * share.  A family lists those it has in the order of its config.json, and writes its own rows
 * where it differs. */
#ifndef DELE_FAMILY_KEYS_H
#define DELE_FAMILY_KEYS_H

#include "model/families/family.h"

/* clang-format off */
/* kv_absent: without num_key_value_heads */
#define DELE_KEYS_SIZES(kv_absent)                                                          \
    {.hf = "hidden_size", .gguf = "embedding_length", .field = DELE_FIELD(hidden_size)},    \
    {.hf = "intermediate_size", .gguf = "feed_forward_length",                              \
     .field = DELE_FIELD(intermediate_size)},                                               \
    {.hf = "num_hidden_layers", .gguf = "block_count", .field = DELE_FIELD(n_layers),       \
     .gguf_first = true},                                                                   \
    {.hf = "num_attention_heads", .gguf = "attention.head_count",                           \
     .field = DELE_FIELD(n_heads)},                                                         \
    {.hf = "num_key_value_heads", .gguf = "attention.head_count_kv",                        \
     .field = DELE_FIELD(n_kv_heads), .hf_absent = kv_absent,                               \
     .gguf_absent = DELE_AS_OTHER, .other = DELE_FIELD(n_heads)}

/* One size for queries, keys and values, all of it rotated. */
#define DELE_KEYS_HEAD_DIM(in_json_)                                                        \
    {.hf = "head_dim", .gguf = "attention.key_length", .field = DELE_FIELD(head_dim),       \
     .hf_absent = DELE_PER_HEAD, .gguf_absent = DELE_PER_HEAD, .in_json = in_json_},        \
    {.gguf = "attention.value_length", .kind = DELE_HOLDS_FIELD,                            \
     .field = DELE_FIELD(head_dim), .why = "other than the key length is not supported"},   \
    {.gguf = "rope.dimension_count", .kind = DELE_HOLDS_FIELD,                              \
     .field = DELE_FIELD(head_dim), .why = "other than the head size is not supported"}

#define DELE_KEY_VOCAB                                                                      \
    {.hf = "vocab_size", .gguf = "vocab_size", .kind = DELE_HOLDS_ROWS,                     \
     .field = DELE_FIELD(vocab)}

#define DELE_KEY_CONTEXT(value_)                                                            \
    {.hf = "max_position_embeddings", .gguf = "context_length",                             \
     .field = DELE_FIELD(context), .hf_absent = DELE_DEFAULT, .value = value_,              \
     .told = true, .gguf_first = true}

#define DELE_KEY_RMS_NORM_EPS(value_)                                                       \
    {.hf = "rms_norm_eps", .gguf = "attention.layer_norm_rms_epsilon",                      \
     .kind = DELE_HOLDS_POSITIVE, .field = DELE_FIELD(norm_eps),                            \
     .hf_absent = DELE_DEFAULT, .value = value_, .told = true}

#define DELE_KEY_ROTATION                                                                   \
    {.hf = "rope_theta", .gguf = "rope.freq_base", .kind = DELE_HOLDS_ROTATION,             \
     .field = DELE_FIELD(rope), .hf_absent = DELE_DEFAULT,                            \
     .gguf_absent = DELE_DEFAULT, .value = 10000, .told = true}

#define DELE_KEY_SILU                                                                       \
    {.hf = "hidden_act", .kind = DELE_HOLDS_WORD, .text = "silu",                           \
     .why = "is not \"silu\", the only activation supported", .told = true}

/* A GGUF has no key for them: it has the tensors, or not. */
#define DELE_KEY_ATTENTION_BIAS                                                             \
    {.hf = "attention_bias", .kind = DELE_HOLDS_FLAG, .field = DELE_FIELD(attention_bias),  \
     .hf_absent = DELE_DEFAULT, .tensor = DELE_TENSOR_PRESENT, .slot = DELE_SLOT_Q_BIAS}
#define DELE_KEY_MLP_BIAS                                                                   \
    {.hf = "mlp_bias", .kind = DELE_HOLDS_FLAG, .field = DELE_FIELD(mlp_bias),              \
     .hf_absent = DELE_DEFAULT, .tensor = DELE_TENSOR_PRESENT, .slot = DELE_SLOT_GATE_BIAS}

#define DELE_KEY_NO_ATTENTION_BIAS                                                          \
    {.hf = "attention_bias", .kind = DELE_HOLDS_FALSE, .why = "is not supported"}
#define DELE_KEY_NO_MLP_BIAS                                                                \
    {.hf = "mlp_bias", .kind = DELE_HOLDS_FALSE, .why = "is not supported",                 \
     .in_json = DELE_JSON_NEVER}

#define DELE_KEY_NO_ATTENTION_DROPOUT                                                       \
    {.hf = "attention_dropout", .kind = DELE_HOLDS_CONSTANT, .value = 0,                    \
     .why = "other than 0 is not supported"}

#define DELE_KEY_TIED                                                                       \
    {.hf = "tie_word_embeddings", .kind = DELE_HOLDS_FLAG, .field = DELE_FIELD(tied),       \
     .hf_absent = DELE_DEFAULT, .told = true, .tensor = DELE_TENSOR_ABSENT,                 \
     .slot = DELE_SLOT_HEAD}

/* A GGUF has the ids under keys of its tokenizer, which are the same for all families (gguf.c). */
#define DELE_KEYS_IDS                                                                       \
    {.hf = "bos_token_id", .kind = DELE_HOLDS_ID, .field = DELE_FIELD(bos)},                \
    {.hf = "eos_token_id", .kind = DELE_HOLDS_ENDS, .field = DELE_FIELD(eos)},              \
    {.hf = "pad_token_id", .kind = DELE_HOLDS_ID, .field = DELE_FIELD(pad)},                \
    {.hf = "unk_token_id", .kind = DELE_HOLDS_OTHER_ID, .in_json = DELE_JSON_NEVER},        \
    {.hf = "sep_token_id", .kind = DELE_HOLDS_OTHER_ID, .in_json = DELE_JSON_NEVER},        \
    {.hf = "decoder_start_token_id", .kind = DELE_HOLDS_OTHER_ID, .in_json = DELE_JSON_NEVER}

#define DELE_KEY_FULL_ATTENTION                                                             \
    {.hf = "layer_types", .kind = DELE_HOLDS_LAYER_TYPES, .text = "full_attention",         \
     .why = "names a layer other than \"full_attention\"", .in_json = DELE_JSON_NEVER}

#define DELE_KEY_WITHOUT_EFFECT(name)                                                       \
    {.hf = name, .kind = DELE_HOLDS_NOTHING, .in_json = DELE_JSON_NEVER}
/* clang-format on */

#endif
