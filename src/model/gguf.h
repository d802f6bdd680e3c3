/* GGUF, versions 2 and 3: the metadata, the tensors, and what both say about the model; and writing one (version 3). */
#ifndef LAC_GGUF_H
#define LAC_GGUF_H

#include "base/file.h"
#include "model/config.h"
#include "model/model.h"
#include "model/stored.h"
#include "text/tokenizer.h"

typedef enum {
    LAC_GGUF_U8, LAC_GGUF_I8, LAC_GGUF_U16, LAC_GGUF_I16, LAC_GGUF_U32, LAC_GGUF_I32, LAC_GGUF_F32, LAC_GGUF_BOOL,
    LAC_GGUF_STRING, LAC_GGUF_ARRAY, LAC_GGUF_U64, LAC_GGUF_I64, LAC_GGUF_F64
} lac_gguf_type;

typedef struct {
    const char *key;
    lac_gguf_type type, item; /* item: of an array */
    uint64_t count;           /* of an array; 1 otherwise */
    const uint8_t *value;     /* in the map, unaligned */
} lac_gguf_pair;

typedef struct {
    const char *file;
    lac_map map;
    lac_gguf_pair *pair;
    size_t n_pairs;
    lac_stored *tensor; /* sorted by name */
    size_t n;
} lac_gguf;

lac_status lac_gguf_open(lac_gguf *g, const char *file, lac_arena *arena, lac_err *err);
void lac_gguf_close(lac_gguf *g); /* accepts a zeroed one */

/* Architectures llama and olmo; a llama.* or olmo.* key that is not known is refused by name. */
lac_status lac_gguf_config(lac_config *config, const lac_gguf *g, lac_err *err);

/* parts->kind is NULL when the file holds no tokenizer.  Everything is copied into the arena. */
lac_status lac_gguf_tokenizer(lac_tokenizer_parts *parts, const lac_gguf *g, lac_arena *arena, lac_err *err);

/* GGUF's llama files hold the rows of Q and K in pairs for interleaved rotation; back to the halves of Hugging Face:
 *   out[h, s hd/2 + i] = in[h, 2 i + s]      s in {0, 1}, i < hd/2,  rows of `cols` floats */
void lac_gguf_unpermute(float *out, const float *in, size_t n_heads, size_t head_dim, size_t cols);
void lac_gguf_permute(float *out, const float *in, size_t n_heads, size_t head_dim, size_t cols); /* the other way */

/* ---- writing ---------------------------------------------------------------------------------------------------- */

const char *lac_gguf_arch(lac_family family); /* llama.cpp's name: "llama", "olmo" */
const char *lac_gguf_norm_key(lac_family family); /* without the architecture */

/* How a tensor is stored in a file of this type: 1-d ones as F32; of the 4-bit types, embedding and head as Q8_0; where
 * rows are no multiple of the block's items, Q4_K falls back to Q5_0 and that, as all others, to F16, as in llama.cpp. */
lac_dtype lac_gguf_dtype(const lac_tensor *t, lac_dtype wanted);

typedef struct {
    size_t n_of[LAC_N_DTYPES]; /* tensors stored so */
    size_t n_fallen;           /* matrices whose rows do not fill the blocks of the type asked for */
    size_t n_bytes;            /* of the file */
    char fallback[256];        /* a sentence about those; "" where there are none.  Also in the file: lacuna.fallback */
    char note[256];            /* of the tokenizer (text/tokenizer.h); "" where there is nothing to say */
} lac_gguf_saved;

/* Written aside and moved into place.  type: one that lac_dtype_writable names.  with_tokenizer: it is an error if there
 * is none, or if a GGUF cannot express it. */
lac_status lac_gguf_save(lac_gguf_saved *saved, const lac_model *model, const char *path, lac_dtype type,
                         bool with_tokenizer, lac_err *err);

#endif
