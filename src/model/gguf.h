/* Reading GGUF, versions 2 and 3: the metadata, the tensors, the config and the tokenizer; and
 * writing GGUF version 3. */
#ifndef DELE_GGUF_H
#define DELE_GGUF_H

#include "base/file.h"
#include "model/config.h"
#include "model/model.h"
#include "model/stored.h"
#include "text/tokenizer.h"

typedef enum {
    DELE_GGUF_U8,
    DELE_GGUF_I8,
    DELE_GGUF_U16,
    DELE_GGUF_I16,
    DELE_GGUF_U32,
    DELE_GGUF_I32,
    DELE_GGUF_F32,
    DELE_GGUF_BOOL,
    DELE_GGUF_STRING,
    DELE_GGUF_ARRAY,
    DELE_GGUF_U64,
    DELE_GGUF_I64,
    DELE_GGUF_F64
} dele_gguf_type;

typedef struct {
    const char *key;
    dele_gguf_type type, item; /* item: of an array */
    uint64_t count;            /* of an array; 1 otherwise */
    const uint8_t *value;      /* in the map, unaligned */
} dele_gguf_pair;

typedef struct {
    const char *file;
    dele_map map;
    dele_gguf_pair *pair; /* sorted by key */
    size_t n_pairs;
    dele_stored *tensor; /* sorted by name */
    size_t n;
} dele_gguf;

dele_status dele_gguf_open(dele_gguf *g, const char *file, dele_arena *arena, dele_err *err);
void dele_gguf_close(dele_gguf *g); /* accepts a zeroed one */

/* The keys of the family's table; an unknown key under the architecture's name is an error that
 * names the key. */
dele_status dele_gguf_config(dele_config *config, const dele_gguf *g, dele_err *err);

/* Whether a GGUF says all of the config, as it is written now. */
bool dele_gguf_says(const dele_config *c);

/* parts->kind is NULL when the file holds no tokenizer (no tokenizer.ggml.model, or one of
 * llama.cpp's two words for none).  Everything is copied into the arena. */
dele_status dele_gguf_tokenizer(dele_tokenizer_parts *parts, const dele_gguf *g, dele_arena *arena,
                                dele_err *err);

/* The ends of text (config->ends) that a GGUF has no key for, found by the text of the token, such
 * as "<|eot_id|>". */
dele_status dele_gguf_named_ends(dele_config *config, const dele_gguf *g,
                                 const dele_tokenizer_parts *parts, dele_err *err);

/* ---- writing --------------------------------------------------------------------------------- */

/* A key of deleatur: every id at which generation stops, where a GGUF's eos, eot and eom would give
 * other ids. */
#define DELE_GGUF_ENDS "deleatur.end_token_ids"

/* How a tensor is stored in a file of this type: 1-d tensors as F32; with the 4-bit types,
 * embedding and head as Q8_0.  Where the columns are not a multiple of the block size, Q4_K falls
 * back to Q5_0, and Q5_0 and all others to F16, as in llama.cpp. */
dele_dtype dele_gguf_dtype(const dele_tensor *t, dele_dtype requested);

typedef struct {
    size_t n_of[DELE_N_DTYPES]; /* tensors stored so */
    size_t n_fallen;    /* matrices whose rows do not fill the blocks of the type asked for */
    size_t n_bytes;     /* of the file */
    char fallback[256]; /* a sentence about those; "" where there are none.  Also in the file:
                           deleatur.fallback */
    char note[256];     /* of the tokenizer (text/tokenizer.h); "" where there is nothing to say */
} dele_gguf_saved;

/* Written aside and moved into place.  type: one of those of dele_dtype_writable.  with_tokenizer:
 * an error if the model has no tokenizer, or if a GGUF cannot express it. */
dele_status dele_gguf_save(dele_gguf_saved *saved, const dele_model *model, const char *path,
                           dele_dtype type, bool with_tokenizer, dele_err *err);

#endif
