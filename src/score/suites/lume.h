/* LUME / SemEval-2025 task 4: scores of a model's greedy continuation of the inputs of forget and
 * retain rows.
 *
 *   sc rows (sentence completion)    ROUGE-L recall of the output in the generated text, words
 *                                    stemmed
 *   qa rows (questions)              1 where both are the same after strip() and lower(), else 0
 *
 * Text is generated greedily from the raw input (or one chat turn), decoded without special tokens,
 * and cleaned of the spaces that Hugging Face's clean_up_tokenization_spaces removes.  The kind of
 * a row is in its id, before the number at the end: "...sc1", "...qa0".
 *
 * With the option for the quirks of SemEval's script, which drops one character of the id and
 * passes its table through a CSV file: a row whose number has two digits ("...qa10") is generated
 * and belongs to neither kind, and an empty text or a word like None becomes "nan". */
#ifndef DELE_LUME_H
#define DELE_LUME_H

#include "score/suites/lume_rows.h"
#include "score/suites/suite.h"

/* One line of the result: the rows of one split, task and kind.  score is ROUGE-L recall for sc,
 * exact match for qa. */
typedef struct {
    const char *split, *task;
    dele_lume_kind kind;
    size_t n;
    double score, se; /* se: sd(n-1)/sqrt(n), NaN for one row */
} dele_lume_cell;

typedef struct {
    dele_lume_cell *cell;
    size_t n_cells;
    size_t n_cut;     /* generations that ended at max_new, not at the end of text */
    bool complete;    /* both splits, three tasks, two kinds: the official twelve terms */
    double aggregate; /* their harmonic mean, forget terms as 1 - x */
} dele_lume_scores;

/* " ." -> ".", " n't" -> "n't" and so on, as transformers' clean_up_tokenization.  In place. */
void dele_clean_up_spaces(char *text);

/* The scores of dele_suite_lume are a dele_lume_scores. */
extern const dele_suite dele_suite_lume;

#endif
