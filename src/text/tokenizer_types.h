/* A tokenizer, its ids, and what a GGUF says of one. */
#ifndef DELE_TOKENIZER_TYPES_H
#define DELE_TOKENIZER_TYPES_H

#include <stdbool.h>
#include <stddef.h>

typedef struct dele_tokenizer dele_tokenizer;

typedef struct {
    int *id;
    size_t n;
} dele_ids;

/* A GGUF's metadata about its tokenizer.  kind "gpt2" (byte-level BPE) or "llama" (SentencePiece,
 * scores instead of merges). */
typedef struct {
    const char *kind, *pre;
    const char *const *tokens; /* [n_tokens] */
    const int
        *types; /* [n_tokens] 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte */
    const float *scores;       /* [n_tokens] or NULL */
    const char *const *merges; /* [n_merges] "a b" */
    size_t n_tokens, n_merges;
    int bos, eos, unk, pad; /* -1: none */
    bool add_bos, add_eos, add_space_prefix;
    const char *chat_template; /* or NULL */
} dele_tokenizer_parts;

#endif
