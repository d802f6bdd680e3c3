/* Training text, tokenised once.
 *
 *   ids      [ prompt … | output … | end of text ]
 *                         ^ first_label                 labels are ids[first_label .. n-1]
 *
 * A token is predicted from the position before it, so a sequence of n ids is n − 1 positions of a
 * forward pass, of which the last n − first_label have a label.
 *
 * Rows of a JSONL file (or a JSON array) are read by their fields: a prompt and its output
 * (text/row_texts.h lists the names), or `text` alone, which has no prompt: every token but the
 * first is a label.
 *
 * Prompt and output are tokenised as one text and split by the prompt's ids (text/continuation.h,
 * which defines the split where a token straddles the border).  Raw text has one space between
 * them, unless the output begins with white space or the row is joined.  With a chat template, the
 * prompt is the user's turn. */
#ifndef DELE_DATASET_H
#define DELE_DATASET_H

#include "base/json.h"
#include "text/chat.h"
#include "text/row_texts.h"
#include "text/tokenizer.h"
#include "unlearn/refusals.h"

typedef struct {
    const int *ids; /* [n] */
    size_t n, first_label;
    int line; /* of the file, or the index in its array, from 1; 0 for plain text */
} dele_sequence;

typedef struct {
    dele_sequence *row; /* [n] */
    size_t n, capacity;
    size_t tokens, labels;      /* sums over rows */
    size_t longest;             /* ids of the longest row */
    size_t n_cut;               /* rows that were truncated to max_tokens */
    size_t n_left_out;          /* rows that were left out because truncation left no label */
    const float *const *weight; /* [n] of each row [its n]: of the label at an id in its side's
                                   mean, beside that of the mean; NULL: 1 (retain_weights.h) */
} dele_dataset;

typedef struct {
    const dele_layout *chat; /* NULL: raw text */
    bool eos;                /* the layout's end of turn, or end of text, after each output (a label
                                too) */
    size_t max_tokens;       /* most ids of a row: a longer row is truncated, a text is divided into
                                several rows */
    dele_refusals *refusals; /* texts that replace the rows' outputs; NULL: none */
} dele_dataset_options;

/* Appends the rows of a file.  A file without rows is refused, and so is a row without the fields.
 * The arena owns rows and ids. */
dele_status dele_dataset_add(dele_dataset *set, const char *path, const dele_tokenizer *t,
                             const dele_dataset_options *o, dele_arena *arena, dele_err *err);

/* Appends one row of texts.  path and line are for messages; the row records its line.  A row whose
 * prompt leaves no room for a label is left out and counted in n_left_out. */
dele_status dele_dataset_add_texts(dele_dataset *set, const dele_row_texts *texts, const char *path,
                                   int line, const dele_tokenizer *t, const dele_dataset_options *o,
                                   dele_arena *arena, dele_err *err);

/* Appends a row that is encoded already; its ids must live as long as the set. */
dele_status dele_dataset_add_sequence(dele_dataset *set, dele_sequence row, dele_arena *arena,
                                      dele_err *err);

/* Appends a plain text file as one stream of tokens, divided into rows of max_tokens; every token
 * but the first of the file is a label. */
dele_status dele_dataset_add_text(dele_dataset *set, const char *path, const dele_tokenizer *t,
                                  const dele_dataset_options *o, dele_arena *arena, dele_err *err);

/* Keeps the first n rows (0: all). */
void dele_dataset_limit(dele_dataset *set, size_t n);

#endif
