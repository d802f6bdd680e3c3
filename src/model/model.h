/* A model: its config, its tensors, its tokenizer.  Weights are const and shared; a run owns its
 * activations. */
#ifndef DELE_MODEL_H
#define DELE_MODEL_H

#include <stdint.h>

#include "model/config.h"
#include "model/families/families.h"
#include "tensor/gemm.h"
#include "text/tokenizer.h"

typedef struct {
    char name[96], gguf_name[64];
    const dele_tensor_row *row; /* what the family says of it */
    dele_slot slot;
    dele_part part;
    int layer;         /* -1: not in a layer */
    bool vector;       /* one dimension in files: a norm, a bias */
    size_t rows, cols; /* 1-d tensors have rows == 1 */
    float *data;       /* [rows, cols]; only training writes to it */
} dele_tensor;

typedef struct {
    const float *attn_norm, *mlp_norm; /* [d_model], NULL where the family has none */
    const float *q, *k, *v,
        *o; /* q, k, v are side by side: [q_dim + 2 kv_dim, d_model] from q on */
    const float *gate, *up, *down; /* gate and up likewise: [2 d_ff, d_model] from gate on */
    gemm_packed *packed_qkv, *packed_o, *packed_gate_up,
        *packed_down; /* NULL unless dele_model_pack made it */
} dele_layer;

typedef struct {
    dele_config config;
    dele_tensor *tensors; /* [n_tensors] in the order embedding, layers, final norm, head */
    size_t n_tensors;
    dele_layer *layers;        /* [n_layers] */
    const float *embed, *head; /* [vocab, d_model]; the same when tied */
    const float *final_norm;   /* [d_model] or NULL */
    gemm_packed *packed_head;  /* NULL unless dele_model_pack made it */
    dele_tokenizer *tokenizer; /* NULL when the directory holds none */
    const char *path;          /* the path it was loaded from */
    char *config_text;         /* config.json as read, unknown keys and all; NULL from a GGUF */
} dele_model;

/* Floating-point operations, two for each multiplication, of one row's matrix products and
 * attention in a layer; the row attends to `keys` keys. */
double dele_layer_flops(const dele_config *c, double keys);

/* The table of tensors and their zeroed memory, from the config alone. */
dele_status dele_model_layout(dele_model *model, const dele_config *config, dele_arena *arena,
                              dele_err *err);

/* A reference model, unchanged while tensors of the first model train.  The marked tensors (and
 * those that share their allocation) are copied, all others are shared with the first model.  The
 * first model owns the tokenizer; nothing has to be released. */
dele_status dele_model_freeze(dele_model *frozen, const dele_model *model, const bool *trains,
                              dele_arena *arena, dele_err *err);

/* A Hugging Face directory or a .gguf file, as float32.  Release closes the tokenizer and frees
 * packed copies; all other memory is the arena's. */
dele_status dele_model_load(dele_model *model, const char *path, dele_arena *arena, dele_err *err);
void dele_model_release(dele_model *model);

/* Gives the tokenizer the config's ids of begin and end, and checks that the embedding has a row
 * for each of the tokenizer's ids.  The model must have a tokenizer.  where: the model's or
 * tokenizer's path, for messages. */
dele_status dele_model_settle_tokenizer(dele_model *model, const char *where, dele_err *err);

/* Makes packed copies of the matrices for faster products, if the backend of gemm.h has them and
 * there is memory: as much again as the weights.  Only for a model that is not trained: the copies
 * do not follow changes. */
void dele_model_pack(dele_model *model);

/* Weights N(0, std) but norms 1; the output projections O and DOWN by std / sqrt(2 n_layers). */
void dele_model_randomise(dele_model *model, double std, uint64_t seed);

/* Writes config.json, model.safetensors (dtype "f32", "bf16" or "f16") and the tokenizer into an
 * existing directory. */
dele_status dele_model_save(const dele_model *model, const char *dir, const char *dtype,
                            dele_err *err);

size_t dele_model_parameters(const dele_model *model);
dele_tensor *dele_model_tensor(const dele_model *model, dele_slot slot,
                               int layer); /* NULL: the family has none */

#endif
