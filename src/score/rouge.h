/* ROUGE-L as the rouge_score package computes it: what LUME's regurgitation score is made of. */
#ifndef LAC_ROUGE_H
#define LAC_ROUGE_H

#include <stdbool.h>

#include "base/arena.h"

typedef struct {
    double precision, recall, f;
} lac_rouge;

typedef struct {
    char **word;
    size_t n;
} lac_words;

/* Lower-cased runs of [a-z0-9]; words of more than three letters stemmed if so wished. */
lac_status lac_rouge_words(lac_words *words, const char *text, bool stem, lac_arena *arena, lac_err *err);

/* recall = LCS / words of target, precision = LCS / words of prediction, f their harmonic mean; 0 where one is empty.
 * The arena is used for scratch. */
lac_status lac_rouge_l(lac_rouge *out, const char *target, const char *prediction, bool stem, lac_arena *arena,
                       lac_err *err);

#endif
