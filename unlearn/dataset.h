/* Training text, tokenised once.
 *
 *   ids      [ prompt … | output … | end of text ]
 *                         ^ first_label                 labels are ids[first_label .. n-1]
 *
 * A token is predicted by the row before it, so a sequence of n ids is n − 1 rows, of which the last n − first_label
 * carry a label.  Rows of a JSONL file (or a JSON array) are read by their fields: a prompt and its output
 * (text/row_texts.h says under which names), or `text` alone, without a prompt: every token but the first is a label.
 *
 * Prompt and output are tokenised apart, so that no token straddles the boundary.  Raw text puts one space between them
 * unless the output begins with white space or the row is joined; a chat layout puts the prompt into the user's
 * turn. */
#ifndef LAC_DATASET_H
#define LAC_DATASET_H

#include "base/json.h"
#include "text/row_texts.h"
#include "text/tokenizer.h"
#include "unlearn/refusals.h"

typedef struct {
    const int *ids; /* [n] */
    size_t n, first_label;
    int line; /* where it came from: 1-based line or index in the file; 0 for plain text */
} lac_sequence;

typedef struct {
    lac_sequence *row; /* [n] */
    size_t n, capacity;
    size_t tokens, labels;      /* sums over rows */
    size_t longest;             /* ids of the longest row */
    size_t n_cut, n_left_out;   /* rows shortened to max_tokens; rows left out because no label was left */
} lac_dataset;

typedef struct {
    lac_chat chat;
    bool eos;          /* end of text after each output (a label too) */
    size_t max_tokens; /* ids a row may have; longer ones lose their end, text is cut into several rows */
    lac_refusals *refusals; /* its texts in the places of the rows' outputs; NULL: their own */
} lac_dataset_options;

/* Appends the rows of a file.  A file without rows is refused, and so is a row without the fields. */
lac_status lac_dataset_add(lac_dataset *set, const char *path, const lac_tokenizer *t, const lac_dataset_options *o,
                           lac_arena *arena, lac_err *err);

/* Appends one row of texts; path and line are for messages, and the line stays with the row.  A prompt that leaves no
 * room for a label is counted in n_left_out. */
lac_status lac_dataset_add_texts(lac_dataset *set, const lac_row_texts *texts, const char *path, int line,
                                 const lac_tokenizer *t, const lac_dataset_options *o, lac_arena *arena, lac_err *err);

/* Appends a row that is encoded already; its ids must live as long as the set. */
lac_status lac_dataset_add_sequence(lac_dataset *set, lac_sequence row, lac_arena *arena, lac_err *err);

/* Appends a plain text file as one stream, cut into rows of max_tokens; every token but the very first is a label. */
lac_status lac_dataset_add_text(lac_dataset *set, const char *path, const lac_tokenizer *t,
                                const lac_dataset_options *o, lac_arena *arena, lac_err *err);

/* Keeps the first n rows (0: all). */
void lac_dataset_limit(lac_dataset *set, size_t n);

#endif
