/* Training text, tokenised once.
 *
 *   ids      [ prompt … | output … | end of text ]
 *                         ^ first_label                 labels are ids[first_label .. n-1]
 *
 * A token is predicted by the row before it, so a sequence of n ids is n − 1 rows, of which the
 * last n − first_label carry a label.  Rows of a JSONL file (or a JSON array) are read by their
 * fields: a prompt and its output (text/row_texts.h says under which names), or `text` alone,
 * without a prompt: every token but the first is a label.
 *
 * Prompt and output are tokenised as one text and split by the prompt's ids (text/behind.h, which
 * says what becomes of a token that straddles the border).  Raw text puts one space between them
 * unless the output begins with white space or the row is joined; a chat layout puts the prompt
 * into the user's turn. */
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
    int line; /* where it came from: 1-based line or index in the file; 0 for plain text */
} dele_sequence;

typedef struct {
    dele_sequence *row; /* [n] */
    size_t n, capacity;
    size_t tokens, labels; /* sums over rows */
    size_t longest;        /* ids of the longest row */
    size_t n_cut,
        n_left_out; /* rows shortened to max_tokens; rows left out because no label was left */
} dele_dataset;

typedef struct {
    dele_chat chat;
    bool eos;          /* end of text after each output (a label too) */
    size_t max_tokens; /* ids a row may have; longer ones lose their end, text is cut into several
                          rows */
    dele_refusals *refusals; /* its texts in the places of the rows' outputs; NULL: their own */
} dele_dataset_options;

/* Appends the rows of a file.  A file without rows is refused, and so is a row without the
 * fields. */
dele_status dele_dataset_add(dele_dataset *set, const char *path, const dele_tokenizer *t,
                             const dele_dataset_options *o, dele_arena *arena, dele_err *err);

/* Appends one row of texts; path and line are for messages, and the line stays with the row.  A
 * prompt that leaves no room for a label is counted in n_left_out. */
dele_status dele_dataset_add_texts(dele_dataset *set, const dele_row_texts *texts, const char *path,
                                   int line, const dele_tokenizer *t, const dele_dataset_options *o,
                                   dele_arena *arena, dele_err *err);

/* Appends a row that is encoded already; its ids must live as long as the set. */
dele_status dele_dataset_add_sequence(dele_dataset *set, dele_sequence row, dele_arena *arena,
                                      dele_err *err);

/* Appends a plain text file as one stream, cut into rows of max_tokens; every token but the very
 * first is a label. */
dele_status dele_dataset_add_text(dele_dataset *set, const char *path, const dele_tokenizer *t,
                                  const dele_dataset_options *o, dele_arena *arena, dele_err *err);

/* Keeps the first n rows (0: all). */
void dele_dataset_limit(dele_dataset *set, size_t n);

#endif
