/* The steps of encoding, and their files:
 *
 *   text ─ added tokens, raw ─ normalizer ─ added tokens, normalised ─ pre-tokenizer ─ BPE ─┐
 *             added.c          normalize.c          added.c            pretokenize.c   bpe.c │
 *                                                           ids ─ post-processor ────────────┘
 *                                                                    tokenizer.c */
#ifndef DELE_ENCODER_H
#define DELE_ENCODER_H

#include "base/arena.h"
#include "text/tokenizer_data.h"

/* The state of one dele_encode: scratch that grows and the ids so far. */
typedef struct dele_encoder {
    const dele_tokenizer *t;
    dele_err *err;
    int *id;
    size_t n, cap;
    struct dele_symbol *symbol;
    size_t cap_symbols;
    struct dele_candidate *heap;
    size_t n_heap, cap_heap;
    pcre2_match_data *match;
    const char *border; /* where a continuation begins: nothing is prepended; or NULL */
} dele_encoder;

dele_status dele_encoder_push(dele_encoder *e, int id);
/* Makes room for n items of the given size in a malloc-ed array. */
dele_status dele_encoder_reserve(void **array, size_t *cap, size_t n, size_t size, dele_err *err);

dele_status dele_bpe_word(dele_encoder *e, const char *text, size_t n);

dele_status dele_pretokenize(dele_encoder *e, int step, const char *text, size_t n);
/* *out is text itself where nothing changed, else in the arena.  inside: the text continues another
 * one, so nothing is prepended. */
dele_status dele_normalize(dele_text_span *out, const dele_tokenizer *t, const char *text, size_t n,
                           bool inside, dele_arena *arena, dele_err *err);

dele_status dele_added_index(dele_added_set *set, const dele_tokenizer *t, bool normalized,
                             dele_arena *arena, dele_err *err);
/* Removes the added tokens from id n on that only the files beside tokenizer.json have. */
void dele_added_limit(dele_added_set *set, int n);
/* Calls between with each part of the text that is not an added token, and pushes the ids of the
 * added tokens. */
dele_status dele_added_split(dele_encoder *e, const dele_added_set *set, const char *text, size_t n,
                             dele_status (*between)(dele_encoder *, const char *, size_t, void *),
                             void *context);

/* The name that Digits has as a pattern; it is deleatur's own. */
#define DELE_DIGITS_PATTERN "\\p{IsNumeric}"

/* Compiles a pattern written for the library's regex engine. */
dele_status dele_pre_regex(dele_pre_step *step, const char *pattern, const char *where,
                           dele_err *err);

#endif
