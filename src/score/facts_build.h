/* Facts out of questions and answers, for the tokenizer in use.
 *
 *   row         "What is the birth date of Ann Lee?"  "1984-12-31"      and as much of other people
 *   subject     "Ann Lee", whom the question is about (text/people.h)
 *   relation    "What is the birth date of {}?": rows with the same question ask for the same thing
 *   common      "19": what the answer has in common with at least nine in ten of the other
 *               people's, read from its beginning; where both name their own subject there, the two
 *               names count as the same
 *   prompt      the question, a space, and the answer's tokens as far as they lie within what is
 *               common
 *   attribute   the rest of the answer, "84-12-31": it begins with the first token at which people
 *               differ
 *
 * The answer is taken without white space around it and without one full stop at its end.  Which
 * tokens "19" is depends on the tokenizer: one that writes digit by digit goes on to "8", one with
 * years for tokens stays with " 1984".  Each prompt is checked to have just these tokens when it is
 * encoded alone.
 *
 * An attribute is copied when the first word behind the prompt is one of the subject's, or holds
 * one of three letters or more, or begins the subject's name written together, or is another
 * capitalised word of the question: an e-mail address made of the name tests no memory. */
#ifndef DELE_FACTS_BUILD_H
#define DELE_FACTS_BUILD_H

#include "score/facts_suite.h"

/* What became of a row: every row has one fate, and all but the first leave it out. */
/* clang-format off */
#define DELE_QA_OUTCOMES(X)                                                                       \
    X(DELE_QA_KEPT,       "kept",       "kept")                                                   \
    X(DELE_QA_NO_SUBJECT, "no_subject", "nobody found whom the question is about")                \
    X(DELE_QA_REPEATED,   "repeated",   "the same question appears in an earlier row")            \
    X(DELE_QA_ALONE,      "alone",      "nobody else is asked this")                              \
    X(DELE_QA_SHARED,     "shared",     "nine in ten others have the same answer")                \
    X(DELE_QA_TOO_LONG,   "too_long",   "longer than the model's context")                        \
    X(DELE_QA_NOT_CUT,    "not_cut",    "the tokenizer cannot cut it where people differ")        \
    X(DELE_QA_COPIED,     "copied",     "the answer is copied from the question (--keep-copied)") \
    X(DELE_QA_UNKNOWN,    "unknown",    "the model does not know it (--keep-unknown)")
/* clang-format on */

typedef enum {
#define X(outcome, name, reason) outcome,
    DELE_QA_OUTCOMES(X)
#undef X
        DELE_QA_N_OUTCOMES
} dele_qa_outcome;

typedef struct {
    const char *question, *answer, *id; /* id: the row's own, or NULL */
    const char *path, *split;
    int line;
    dele_qa_outcome outcome;
    const char *relation;   /* NULL where no subject was found */
    dele_fact fact;         /* from here on: where it was built; its id is the row's index */
    const char *prediction; /* all that follows the prompt */
    int answer_tokens;      /* of the attribute */
    bool copied;
} dele_qa_row;

typedef struct {
    dele_qa_row *row;
    size_t n, capacity;
} dele_qa;

typedef struct {
    bool first_token; /* the attribute is its first token alone, which is what can be traced */
    bool keep_copied, keep_alone;
    int context; /* of the model, in tokens */
} dele_qa_opts;

/* Appends a file's rows (text/row_texts.h), all of them of one split. */
dele_status dele_qa_add(dele_qa *qa, const char *path, const char *split, dele_arena *arena,
                        dele_err *err);

/* Gives every row its fate, and those that are kept their fact. */
dele_status dele_qa_build(dele_qa *qa, const dele_tokenizer *t, const dele_qa_opts *opts,
                          dele_arena *arena, dele_err *err);

/* Leaves out the facts whose attribute the model does not say greedily, token by token. */
dele_status dele_qa_filter_known(dele_qa *qa, dele_run *run, const dele_model *model,
                                 dele_progress *progress, dele_arena *arena, dele_err *err);

/* The row's fact in ROME's form, with prediction, answer_tokens, copied and row_id beside it; NULL:
 * out of memory. */
cJSON *dele_qa_json(const dele_qa_row *row);

const char *dele_qa_outcome_name(dele_qa_outcome outcome);
const char *dele_qa_outcome_reason(dele_qa_outcome outcome);

#endif
