/* Facts made from questions and answers, for the tokenizer in use.
 *
 *   row         "What is the birth date of Ann Lee?"  "1984-12-31"   and the same of other people
 *   subject     "Ann Lee", the person that the question is about (text/people.h)
 *   relation    "What is the birth date of {}?": rows with the same question have one relation
 *   common      "19": the longest beginning that the answer shares with at least nine in ten of the
 *               other people's answers; where both contain their own subject there, the two names
 *               count as equal
 *   prompt      the question, a space, and the answer's tokens that lie within what is common
 *   attribute   the rest of the answer, "84-12-31": it begins with the first token at which people
 *               differ
 *
 * White space around the answer and one full stop at its end are removed.  The tokenizer decides
 * which tokens "19" has: a tokenizer that splits digits continues with "8", a tokenizer with a
 * token for each year gives the one token " 1984".  Each prompt is checked to encode to exactly
 * these tokens.
 *
 * An attribute counts as copied when the first word after the prompt is a word of the subject, or
 * contains such a word of three letters or more, or begins the subject's name written as one word,
 * or is another capitalised word of the question.  An e-mail address made from the name does not
 * test memory. */
#ifndef DELE_FACTS_BUILD_H
#define DELE_FACTS_BUILD_H

#include "base/json.h"
#include "model/facts.h"
#include "text/tokenizer.h"

/* The outcome of each row: the first keeps the row, all others leave it out. */
/* clang-format off */
#define DELE_QA_OUTCOMES(X)                                                                      \
    X(DELE_QA_KEPT,       "kept",       "kept")                                                  \
    X(DELE_QA_NO_SUBJECT, "no_subject", "no person was found in the question")                   \
    X(DELE_QA_REPEATED,   "repeated",   "an earlier row has the same question")                  \
    X(DELE_QA_ALONE,      "alone",      "no other person has this question")                     \
    X(DELE_QA_SHARED,     "shared",     "nine in ten others have the same answer")               \
    X(DELE_QA_TOO_LONG,   "too_long",   "longer than the model's context")                       \
    X(DELE_QA_NOT_CUT,    "not_cut",    "no token boundary where people's answers differ")       \
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
    dele_fact fact;         /* from here on: only where it was built; its id is the row's index */
    const char *prediction; /* the whole text after the prompt */
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

/* Sets the outcome of every row, and the fact of the kept rows. */
dele_status dele_qa_build(dele_qa *qa, const dele_tokenizer *t, const dele_qa_opts *opts,
                          dele_arena *arena, dele_err *err);

/* The row's fact in ROME's form, with prediction, answer_tokens, copied and row_id beside it; NULL:
 * out of memory. */
cJSON *dele_qa_json(const dele_qa_row *row);

const char *dele_qa_outcome_name(dele_qa_outcome outcome);
const char *dele_qa_outcome_reason(dele_qa_outcome outcome);

#endif
