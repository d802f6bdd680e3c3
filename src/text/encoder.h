/* The steps of encoding, and their files:
 *
 *   text ─ added tokens, raw ─ normalizer ─ added tokens, normalised ─ pre-tokenizer ─ model
 * ──────┐ added.c          normalize.c          added.c            pretokenize.c   bpe.c       │
 *                              charsmap.c                              regex.c         unigram.c │
 *                                                           ids ─ post-processor
 * ──────────────────┘ tokenizer.c */
#ifndef DELE_ENCODER_H
#define DELE_ENCODER_H

#include "base/arena.h"
#include "text/tokenizer_data.h"

/* Where a piece of a text is: at the beginning of the whole text; elsewhere; or at the beginning of
 * a text that continues another one (DELE_ENCODE_MIDDLE), where nothing is prepended. */
typedef enum { DELE_PLACE_BEGIN, DELE_PLACE_WITHIN, DELE_PLACE_CONTINUATION } dele_place;

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
    struct dele_path *path; /* Unigram's best paths */
    size_t cap_path;
    char *word; /* a word in ByteLevel's alphabet, where it is too long for the stack */
    size_t cap_word;
    pcre2_match_data *match;
    dele_arena *arena; /* normalised texts */
} dele_encoder;

dele_status dele_encoder_push(dele_encoder *e, int id);
/* Makes room for n items of the given size in a malloc-ed array. */
dele_status dele_encoder_reserve(void **array, size_t *cap, size_t n, size_t size, dele_err *err);

/* The tokens of a word. */
dele_status dele_bpe_word(dele_encoder *e, const char *text, size_t n);
dele_status dele_unigram_word(dele_encoder *e, const char *text, size_t n);

/* The trie and the score of unknown characters, from the n tokens of the vocabulary and their
 * scores. */
dele_status dele_unigram_init(dele_tokenizer *t, int n, dele_arena *arena, dele_err *err);

dele_status dele_pretokenize(dele_encoder *e, int step, const char *text, size_t n,
                             dele_place place);
/* *out is a part of text where nothing changed, else in the arena.  *place: of the text; at a
 * continuation's beginning nothing is prepended.  A beginning that is dropped makes it
 * DELE_PLACE_WITHIN. */
dele_status dele_normalize(dele_text_span *out, const dele_tokenizer *t, const char *text, size_t n,
                           dele_place *place, dele_arena *arena, dele_err *err);

dele_status dele_added_index(dele_added_set *set, const dele_tokenizer *t, bool normalized,
                             dele_arena *arena, dele_err *err);
/* Removes the added tokens from id n on that only the files beside tokenizer.json have. */
void dele_added_limit(dele_added_set *set, int n);
/* Calls between with each part of the text that is not an added token, and pushes the ids of the
 * added tokens. */
dele_status dele_added_split(dele_encoder *e, const dele_added_set *set, const char *text, size_t n,
                             dele_place place,
                             dele_status (*between)(dele_encoder *, const char *, size_t,
                                                    dele_place));

#endif
