/* Reading GGUF, versions 2 and 3: the metadata, the tensors, the config and the tokenizer; and
 * writing GGUF version 3. */
#ifndef DELE_GGUF_H
#define DELE_GGUF_H

#include "model/gguf_keys.h"
#include "model/model.h"
#include "text/tokenizer.h"

dele_status dele_gguf_open(dele_gguf *g, const char *file, dele_arena *arena, dele_err *err);
/* The same of a file's header that is in memory: g->file and g->map are set, and the data after
 * the header may not be read. */
dele_status dele_gguf_parse(dele_gguf *g, dele_arena *arena, dele_err *err);
void dele_gguf_close(dele_gguf *g); /* accepts a zeroed one */

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

/* How many tensors a GGUF of this type holds, and of each type, n_of [DELE_N_DTYPES].  Experts of a
 * layer are one tensor there, and the divisors of a rotation are one that no table has. */
size_t dele_gguf_count(size_t *n_of, const dele_model *model, dele_dtype requested);

typedef struct {
    size_t n_tensors;           /* of the file */
    size_t n_of[DELE_N_DTYPES]; /* of n_tensors, those stored so */
    size_t n_fallen;    /* matrices whose rows do not fill the blocks of the type asked for */
    size_t n_bytes;     /* of the file */
    char fallback[256]; /* a sentence about those; "" where there are none.  Also in the file:
                           deleatur.fallback */
    char note[512];     /* of the tokenizer (text/tokenizer.h); "" where there is nothing to say */
} dele_gguf_saved;

/* Written aside and moved into place.  type: one of those of dele_dtype_writable.  with_tokenizer:
 * an error if the model has no tokenizer, or if a GGUF cannot express it. */
dele_status dele_gguf_save(dele_gguf_saved *saved, const dele_model *model, const char *path,
                           dele_dtype type, bool with_tokenizer, dele_err *err);

#endif
