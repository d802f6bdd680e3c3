/* Log-probabilities of many continuations; every shared prefix is computed once.
 *
 *   all questions    description, few-shot examples        once per call
 *     a question       its text, "Answer:"                   once per question
 *       a choice         " Paris", " Rome and Milan"           the remaining tokens: often one row,
 *                                                              for letters none
 *
 * Prefixes are compared as token ids, so that nothing is assumed about where a tokenizer splits.
 * Choices of one token need no row of their own: the row before them gives all their
 * log-probabilities at once. */
#ifndef DELE_CHOICES_H
#define DELE_CHOICES_H

#include "model/forward.h"

typedef struct {
    const int *ids; /* [n] context and continuation; n > n_scored >= 1 */
    int n, n_scored;
    int n_blank;       /* number of scored ids before the one that first_... describe; 0 if not
                          set */
    double logp;       /* out: sum over the last n_scored ids */
    double first_logp; /* out: of the first of them, after n_blank others */
    int first_rank;    /* out: 1 + the number of ids that were more likely there */
    int first_top;     /* out: the most likely id there */
    bool cut;          /* the beginning was truncated: longer than the model's context */
    bool greedy;       /* out: each of the last n_scored ids was the most likely at its position */
} dele_choice;

typedef struct {
    dele_choice *choice;
    int n_choices;
} dele_question;

typedef struct {
    size_t max_rows; /* rows computed at a time; 0: as many as 256 MiB of KV cache hold, at most
                        1024 */
    size_t n_known;  /* number of first questions that need not be scored again: their batches
                        are left out */
    /* Called as questions first .. first + n - 1 are scored; may be NULL. */
    dele_status (*scored)(void *data, size_t first, size_t n, dele_err *err);
    void *data;
} dele_choices_opts;

dele_status dele_choices_score(dele_question *questions, size_t n, dele_run *run,
                               const dele_model *model, const dele_choices_opts *opts,
                               dele_err *err);

/* Bytes that scoring takes beside the model, with questions of `question` rows each after a common
 * prefix of `prefix` positions, whose choices are one token. */
size_t dele_choices_bytes(const dele_model *model, size_t prefix, size_t question);

/* Context and continuation as lm-evaluation-harness encodes them: trailing white space of the
 * context goes to the continuation; the whole and the context are encoded, and the continuation is
 * the rest of the whole after as many ids as the context has (text/continuation.h,
 * DELE_STRADDLE_LM_EVAL).  At most the last max_length + 1 ids are kept; cut is set if ids were
 * dropped (dele_choices_score counts such questions in a remark). */
dele_status dele_choice_encode(dele_choice *choice, const dele_tokenizer *t, const char *context,
                               const char *continuation, int max_length, dele_arena *arena,
                               dele_err *err);

/* The same with the context unchanged: a blank at its end remains in the context, and a token that
 * straddles the boundary is split (DELE_STRADDLE_SPLIT). */
dele_status dele_choice_encode_joined(dele_choice *choice, const dele_tokenizer *t,
                                      const char *context, const char *continuation, int max_length,
                                      dele_arena *arena, dele_err *err);

#endif
