/* Whether a generated text answers a question whose answer is a number, as in GSM8K.
 *
 *   strict     the first "#### NUMBER" of the text is the answer: lm-evaluation-harness 0.4.13's
 *              gsm8k, filter strict-match
 *   flexible   the last number of the text is the answer, as texts, without "," and "$" and a full
 *              stop at the end: its filter flexible-extract
 *   last       the last number of the text equals that of the answer, as numbers and without signs:
 *              the program of Nudging (arXiv 2410.09300), parse_pred_ans_math_problems
 *
 * The first two look at the text up to "Question:", where the harness stops.  An answer may be the
 * number alone, or a solution with "#### NUMBER" after it. */
#ifndef DELE_NUMBER_MATCH_H
#define DELE_NUMBER_MATCH_H

#include <stdbool.h>

#include "base/arena.h"

typedef struct {
    bool strict, flexible, last;
} dele_number_verdict;

dele_status dele_number_match(dele_number_verdict *verdict, const char *answer,
                              const char *generated, dele_arena *arena, dele_err *err);

/* Whether an answer holds a number. */
bool dele_number_in(const char *answer);

#endif
