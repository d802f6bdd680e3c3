/* ROUGE-L as the rouge_score package computes it, for LUME's regurgitation score. */
#ifndef DELE_ROUGE_H
#define DELE_ROUGE_H

#include <stdbool.h>

#include "base/arena.h"

typedef struct {
    double precision, recall, f;
} dele_rouge;

typedef struct {
    char **word;
    size_t n;
} dele_words;

/* Lower-cased words of [a-z0-9]; on request, words of more than three letters are stemmed. */
dele_status dele_rouge_words(dele_words *words, const char *text, bool stem, dele_arena *arena,
                             dele_err *err);

/* recall = LCS / words of target, precision = LCS / words of prediction, f their harmonic mean; 0
 * where one is empty.  The arena is used for scratch. */
dele_status dele_rouge_l(dele_rouge *out, const char *target, const char *prediction, bool stem,
                         dele_arena *arena, dele_err *err);

#endif
