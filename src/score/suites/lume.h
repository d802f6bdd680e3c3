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

#include "score/report.h"
#include "score/suites/suite.h"

typedef enum { DELE_LUME_SC, DELE_LUME_QA } dele_lume_kind;

typedef struct {
    const char *id, *input, *output, *task, *split;
    dele_lume_kind kind;
} dele_lume_row;

typedef struct {
    dele_lume_row *row;
    size_t n;
} dele_lume;

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

/* A file, or a directory with forget.jsonl and retain.jsonl, or files named forget_val.jsonl and
 * the like (either may be missing).  The split is the beginning of the file's name, forget or
 * retain, or else the rows' own "split", or else the name.  limit: maximum number of rows per file,
 * 0 for all.  ids: a file with one id a line, to score only those rows; or NULL. */
dele_status dele_lume_load(dele_lume *data, const char *path, int limit, const char *ids,
                           dele_arena *arena, dele_err *err);

/* An id consists of its document, the row's kind and a number: "x9sc1".  document: the length of
 * the first part.  false: the id has another form. */
bool dele_lume_parse_id(dele_lume_kind *kind, size_t *document, const char *id);

/* " ." -> ".", " n't" -> "n't" and so on, as transformers' clean_up_tokenization.  In place. */
void dele_clean_up_spaces(char *text);

/* strip().lower() of both are equal. */
dele_status dele_exact_match(bool *same, const char *a, const char *b, dele_arena *arena,
                             dele_err *err);

const char *dele_lume_kind_name(dele_lume_kind kind); /* "sc", "qa" */

/* The scores of dele_suite_lume are a dele_lume_scores. */

#endif
