/* LUME / SemEval-2025 task 4: what a model says when a forget or retain row's input is put to it.
 *
 *   sc rows (sentence completion)    ROUGE-L recall of the output in the generated text, words stemmed
 *   qa rows (questions)              1 where both are the same after strip() and lower(), else 0
 *
 * Text is generated greedily from the raw input (or one chat turn), decoded without special tokens, and cleaned of the
 * spaces that Hugging Face's clean_up_tokenization_spaces removes.  The kind of a row stands in its id, before the
 * number at the end: "...sc1", "...qa0".
 *
 * With the quirks of SemEval's script, which drops one character of the id, and hands its table through a CSV file: a
 * row whose number has two digits ("...qa10") is generated and belongs to neither kind, and a text that is empty or a
 * word like None is "nan". */
#ifndef LAC_LUME_H
#define LAC_LUME_H

#include "base/progress.h"
#include "model/forward.h"
#include "score/report.h"

typedef enum { LAC_LUME_SC, LAC_LUME_QA } lac_lume_kind;

typedef struct {
    const char *id, *input, *output, *task, *split;
    lac_lume_kind kind;
} lac_lume_row;

typedef struct {
    lac_lume_row *row;
    size_t n;
} lac_lume;

typedef struct {
    lac_chat chat; /* LAC_CHAT_NONE: the raw input */
    int max_new;
    bool semeval; /* quirks of the organisers' script */
    lac_items *items; /* in the order of the rows; or NULL */
    lac_progress *progress;
} lac_lume_opts;

/* One line of the result: rows of one split, task and kind.  score is ROUGE-L recall for sc, exact match for qa. */
typedef struct {
    const char *split, *task;
    lac_lume_kind kind;
    size_t n;
    double score, se; /* se: sd(n-1)/sqrt(n), NaN for one row */
} lac_lume_cell;

typedef struct {
    lac_lume_cell *cell;
    size_t n_cells;
    size_t n_cut; /* generations that ended at max_new, not at the end of text */
    bool complete; /* both splits, three tasks, two kinds: the official twelve terms */
    double aggregate; /* their harmonic mean, forget terms as 1 - x */
} lac_lume_scores;

/* A file, or a directory with forget.jsonl and retain.jsonl, or files named forget_val.jsonl and the like (either may
 * be missing).  The split is how the file's name begins, or the rows' own "split", forget or retain; else the name.
 * limit: at most so many rows a file, 0 for all.  ids: a file with one id a line, only those rows; or NULL. */
lac_status lac_lume_load(lac_lume *data, const char *path, int limit, const char *ids, lac_arena *arena, lac_err *err);

lac_status lac_lume_run(lac_lume_scores *scores, const lac_lume *data, lac_run *run, const lac_model *model,
                        const lac_lume_opts *opts, lac_arena *arena, lac_err *err);

/* An id names its document, then the row's kind and a number: "x9sc1".  document: the length of the first part.  false:
 * it is not such an id. */
bool lac_lume_parse_id(lac_lume_kind *kind, size_t *document, const char *id);

/* " ." -> ".", " n't" -> "n't" and their kin, as transformers' clean_up_tokenization.  In place. */
void lac_clean_up_spaces(char *text);

/* strip().lower() of both are equal. */
lac_status lac_exact_match(bool *same, const char *a, const char *b, lac_arena *arena, lac_err *err);

const char *lac_lume_kind_name(lac_lume_kind kind); /* "sc", "qa" */
cJSON *lac_lume_json(const lac_lume_scores *scores);
void lac_lume_table(FILE *to, const lac_lume_scores *scores);

#endif
