/* A vocabulary: strings to ids, pairs of ids to merges. */
#ifndef DELE_VOCAB_H
#define DELE_VOCAB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

typedef struct {
    const char *text; /* NUL-terminated where it names a token */
    size_t n;
} dele_text_span;

typedef struct {
    int *slot; /* [mask + 1] id + 1, or 0 where empty */
    size_t mask;
} dele_vocab;

typedef struct {
    uint64_t key; /* left << 32 | right, or DELE_NO_PAIR */
    int rank, id; /* lower ranks merge first; id of the merged token */
} dele_merge;

typedef struct {
    dele_merge *slot; /* [mask + 1] */
    size_t mask;
} dele_merges;

#define DELE_NO_PAIR UINT64_MAX

dele_status dele_vocab_init(dele_vocab *v, size_t n, dele_arena *arena, dele_err *err);
bool dele_vocab_add(dele_vocab *v, const dele_text_span *token,
                    int id); /* false: the string exists already */
void dele_vocab_put(dele_vocab *v, const dele_text_span *token,
                    int id); /* the string has this id from now on */
int dele_vocab_find(const dele_vocab *v, const dele_text_span *token, const char *text,
                    size_t n); /* -1: none */

dele_status dele_merges_init(dele_merges *m, size_t n, dele_arena *arena, dele_err *err);
/* Replaces an earlier entry of the same pair. */
void dele_merges_add(dele_merges *m, int left, int right, int rank, int id);
const dele_merge *dele_merges_find(const dele_merges *m, int left, int right); /* NULL: none */

#endif
