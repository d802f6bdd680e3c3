/* ROUGE-L as the rouge_score package computes it, for LUME's regurgitation score. */
#ifndef DELE_ROUGE_H
#define DELE_ROUGE_H

#include <stdbool.h>

#include "base/arena.h"

typedef struct {
    double precision, recall, f;
} dele_rouge;

/* recall = LCS / words of target, precision = LCS / words of prediction, f their harmonic mean; 0
 * where one is empty.  The arena is used for scratch. */
dele_status dele_rouge_l(dele_rouge *out, const char *target, const char *prediction, bool stem,
                         dele_arena *arena, dele_err *err);

#endif
