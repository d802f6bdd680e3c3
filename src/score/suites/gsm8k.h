/* Questions whose answers are numbers: GSM8K, or arithmetic of your own.
 *
 *   {"question": "Tom has 3 apples and buys 2. How many has he?", "answer": "3 + 2 = 5\n#### 5"}
 *   {"id": "8", "question": "What is 6 times 7?", "answer": "42"}
 *
 * The prompt is "Question: <question>\nAnswer:", without examples; the continuation is decoded
 * greedily and scored by score/number_match.h.  The rows are those of the suite qa. */
#ifndef DELE_GSM8K_H
#define DELE_GSM8K_H

#include "score/number_match.h"
#include "score/suites/qa.h"

typedef struct {
    size_t n;
    double score[3], se[3]; /* strict, flexible, last: the verdict's */
} dele_gsm8k_score;

/* The scores of dele_suite_gsm8k are a dele_gsm8k_score [n_sets]. */
extern const dele_suite dele_suite_gsm8k;

#endif
