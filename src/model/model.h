/* A model: its config, its tensors, its tokenizer.  Weights are const and shared; a run owns its
 * activations. */
#ifndef DELE_MODEL_H
#define DELE_MODEL_H

#include <stdint.h>

#include "base/file.h"
#include "model/config/config.h"
#include "model/families/families.h"
#include "model/sublayers/attention.h"
#include "model/sublayers/mlp.h"
#include "model/sublayers/moe.h"
#include "model/sublayers/perft.h"
#include "text/tokenizer.h"

/* Noise on a tensor that is saved and not computed with: row r is multiplied by 1 + relative N(0,
 * 1), weight by weight, drawn from a generator of its own, so that rows may be read in any order.
 */
typedef struct {
    float relative; /* 0: none */
    uint64_t seed;
} dele_tensor_noise;

typedef struct {
    char name[96];                   /* what commands, masks and messages call it: hf_name; of a
                                      * tensor that lies in a larger one of the file, with its part
                                      * after it, as "....qkv_proj.weight:k" */
    char hf_name[96], gguf_name[64]; /* in files: several tensors may have one */
    const dele_tensor_row *row;      /* what the family says of it */
    dele_slot slot;
    dele_part part;
    int layer;               /* -1: not in a layer */
    int expert;              /* -1: of no expert */
    bool vector;             /* one dimension in files: a norm, a bias */
    size_t rows, cols;       /* 1-d tensors have rows == 1 */
    dele_matrix_part stored; /* in the mapped file; data NULL: the model was made, not loaded */
    float *data; /* [rows, cols] in float32; NULL: in the file alone.  Only training writes to it */
    bool trained;            /* data may differ from the file: dele_model_train */
    dele_tensor_noise noise; /* model/upcycle.h */
} dele_tensor;

typedef struct {
    dele_attention_weights attn;
    dele_mlp_weights mlp;     /* of a dense layer */
    dele_moe_weights moe;     /* of a sparse one */
    dele_perft_weights perft; /* its adapters, if there are any */
} dele_layer;

typedef struct {
    dele_config config;
    dele_tensor *tensors; /* [n_tensors] in the order embedding, layers, final norm, head */
    size_t n_tensors;
    size_t *layer_at; /* [n_layers + 1] the first tensor of each layer, and the first after them */
    dele_layer *layers;           /* [n_layers] */
    dele_matrix embed, head;      /* [vocab, d_model]; the same when tied */
    const float *positions;       /* [context, d_model] learned ones, or NULL */
    dele_norm_weights final_norm; /* [d_model] */
    dele_tokenizer *tokenizer;    /* NULL when the directory holds none */
    const char *path;             /* the path it was loaded from */
    char *config_text;            /* config.json as read, unknown keys and all; NULL from a GGUF */
    dele_map *map;                /* [n_maps] the mapped files */
    size_t n_maps;
    dele_arena copies; /* float32 masters and copies */
} dele_model;

/* Floating-point operations, two for each multiplication, of one row's matrix products and
 * attention in the first n layers; the row attends to `keys` keys, or to as many of them as a
 * layer's window has. */
double dele_layers_flops(const dele_config *c, size_t n, double keys);

/* Of n rows in a layer's MLP, or its router and experts. */
double dele_layer_mlp_flops(const dele_config *c, int layer, double n);

/* The table of tensors and their zeroed memory, from the config alone. */
dele_status dele_model_layout(dele_model *model, const dele_config *config, dele_arena *arena,
                              dele_err *err);

/* Float32 masters of the marked tensors [n_tensors]: their weights may be written from then on.
 * Tensors that share a product with one of them (q, k and v; gate and up) become float32 too. */
dele_status dele_model_train(dele_model *model, const bool *trains, dele_err *err);

/* A reference model, unchanged while tensors of the first model train.  The marked tensors (and
 * those that share a product) are copied, all others are shared with the first model; trains NULL:
 * none is marked.  The first model owns the tokenizer and the mapped files; nothing has to be
 * released. */
dele_status dele_model_freeze(dele_model *frozen, const dele_model *model, const bool *trains,
                              dele_arena *arena, dele_err *err);

/* A Hugging Face directory or a .gguf file.  Matrices stay in the mapped file, in its number type;
 * vectors are read.  Every weight is finite, or the load fails.  Release unmaps the files, closes
 * the tokenizer and frees masters and copies; all other memory is the arena's. */
dele_status dele_model_load(dele_model *model, const char *path, dele_arena *arena, dele_err *err);
void dele_model_release(dele_model *model);

/* The same without reading the weights: for what looks at names, shapes and the config.  A
 * directory may have none yet: n_maps is 0 then, and the tensors have the type that the config
 * names and no data. */
dele_status dele_model_open(dele_model *model, const char *path, dele_arena *arena, dele_err *err);

/* The same as load for what reads every weight once by itself: it checks with dele_tensor_finite,
 * which names the tensor and is an error for one that is not finite. */
dele_status dele_model_map(dele_model *model, const char *path, dele_arena *arena, dele_err *err);
dele_status dele_tensor_finite(const dele_model *model, const dele_tensor *t, dele_err *err);

/* Float32 copies of the matrices that have none, in the order of the layers, as many as `bytes`
 * hold: products are faster with them, and agree to rounding without.  Too little memory for them
 * is an error, and so is a weight that is not finite.  left (may be NULL): the bytes left. */
dele_status dele_model_widen(dele_model *model, size_t bytes, size_t *left, dele_err *err);

/* The same; with plain false, matrices that are plain float32 in the file stay there, and the bytes
 * of their copies are not used for others, so that the same ones have copies. */
dele_status dele_model_widen_some(dele_model *model, size_t bytes, bool plain, size_t *left,
                                  dele_err *err);

/* Load and widen, with `memory` MiB for the copies: how a command loads a model to compute with.
 * Each weight is read once, copied and checked. */
dele_status dele_model_load_wide(dele_model *model, const char *path, int memory, dele_arena *arena,
                                 dele_err *err);

/* The same for a command that makes at most so many passes.  A matrix that is float32 in the file
 * gives the same bytes where it is mapped as in a copy: products are a fifth slower there, because
 * its pages are small, but for few passes the copy costs more than that. */
enum { DELE_FEW_PASSES = 64 };
dele_status dele_model_load_for(dele_model *model, const char *path, int memory, size_t passes,
                                dele_arena *arena, dele_err *err);

/* What dele_model_load_for does after dele_model_map: the copies that `memory` MiB hold, and the
 * check that every weight of the file is finite.  After a failure the caller releases the model. */
dele_status dele_model_ready(dele_model *model, int memory, size_t passes, dele_err *err);

/* A model of the same tensors whose copies and masters are laid out and not filled: what
 * dele_model_widen, _train and _copy would take is in counted->copies.used and their results.  It
 * computes nothing.  Release it before the model. */
dele_status dele_model_counted(dele_model *counted, const dele_model *model, dele_arena *arena,
                               dele_err *err);

/* Bytes of the weights as they are read: of each tensor its float32 memory, or where it has none
 * its part of the file. */
size_t dele_model_bytes(const dele_model *model);

/* A command's option for it, and its check.  It has one meaning in all commands: the limit for
 * copies of weights in memory, float32 and packed ones together.  What trains has float32 masters
 * in any case; states, KV caches and batches have limits of their own.  clang-format off */
enum { DELE_DEFAULT_MEMORY = 4096 };
#define DELE_MEMORY_OPTION(variable)                                                               \
    DELE_OPT("memory", &(variable),                                                                \
             "MiB for float32 copies of the weights, which make products faster; 0: none")
/* clang-format on */
dele_status dele_memory_check(int memory, dele_err *err);

/* Gives the tokenizer the config's ids of begin and end, and checks that the embedding has a row
 * for each of the tokenizer's ids.  The model must have a tokenizer.  where: the model's or
 * tokenizer's path, for messages. */
dele_status dele_model_settle_tokenizer(dele_model *model, const char *where, dele_err *err);

/* Copies for a model that is not trained, as many as `bytes` hold: of each matrix one in the order
 * of the matrix library (gemm.h) if it has one, which does not follow changes, else in float32.
 * Too little memory for them is an error.  held (may be NULL): the bytes of all weights as they are
 * read then, from copies and from the file. */
dele_status dele_model_copy(dele_model *model, size_t bytes, size_t *held, dele_err *err);

/* Weights N(0, std) but norms 1; the output projections O and DOWN by std / sqrt(2 n_layers). */
void dele_model_randomise(dele_model *model, double std, uint64_t seed);

/* How a model is saved.  dtype "f32", "bf16" or "f16" (rounded to nearest, ties to even), or
 * "keep": every tensor has the type of its file, and one that was not trained has its bytes;
 * float32 where the file's type is one of blocks or there was no file.  shard_size "5GB": weights
 * with more bytes are divided into files of at most that size (model/safetensors.h). */
typedef struct {
    const char *dtype, *shard_size;
    bool no_tokenizer; /* without the tokenizer's files */
} dele_save_options;

/* clang-format off */
/* transformers 5's max_shard_size */
#define DELE_SAVE_DEFAULTS .dtype = "keep", .shard_size = "50GB"
#define DELE_SHARD_OPTION(variable)                                                                \
    DELE_OPT("shard-size", &(variable),                                                            \
             "bytes of weights in a file at most, as 5GB or 500MB; more are written as shards "    \
             "with an index")
/* clang-format on */
dele_status dele_save_options_check(const dele_save_options *o, dele_err *err);

/* Writes config.json (the text that came with the model, apart from its dtype), the weights, the
 * tokenizer's files and generation_config.json into an existing directory.  dele_model_save: with
 * the defaults but dtype. */
dele_status dele_model_save_as(const dele_model *model, const char *dir, const dele_save_options *o,
                               dele_err *err);
dele_status dele_model_save(const dele_model *model, const char *dir, const char *dtype,
                            dele_err *err);

/* The word of --dtype: f32, bf16 or f16; or keep, which is DELE_N_DTYPES.  The word of
 * --shard-size: bytes, at least 1. */
dele_status dele_saved_dtype(dele_dtype *type, const char *word, dele_err *err);
dele_status dele_saved_shard_size(size_t *bytes, const char *word, dele_err *err);

size_t dele_model_parameters(const dele_model *model);
size_t dele_model_active(const dele_model *model); /* those that a token uses: of the experts of a
                                                    * layer, as many as it is given to */

/* out [n, d_model]: what enters the first layer for ids [n] at positions first_pos, first_pos + 1
 * ..: the token's embedding and, of a model with learned positions, the position's. */
void dele_embed(float *out, const dele_model *model, const int *ids, size_t n, int first_pos);

/* The two parts of it: each token's row of the embedding, times the config's embed_scale; and the
 * learned positions, if there are any, added to x [n, d_model]. */
void dele_embed_tokens(float *out, const dele_model *model, const int *ids, size_t n);
void dele_add_positions(float *x, const dele_model *model, int first_pos, size_t n);

/* out [n, cols]: rows from .. from + n - 1 of a tensor in float32 (a vector is one row). */
void dele_tensor_rows(float *out, const dele_tensor *t, size_t from, size_t n);

/* How many rows of a tensor are read at once where all of them pass through a buffer. */
size_t dele_tensor_piece(const dele_tensor *t);

/* Whether two tensors of one shape have the same float32 bits.  The scratch arena is reset. */
dele_status dele_tensor_equal(bool *equal, const dele_tensor *a, const dele_tensor *b,
                              dele_arena *scratch, dele_err *err);
dele_tensor *dele_model_tensor(const dele_model *model, dele_slot slot,
                               int layer); /* NULL: the family has none; not of an expert */
dele_tensor *dele_expert_tensor(const dele_model *model, dele_slot slot, int layer, int expert);

#endif
