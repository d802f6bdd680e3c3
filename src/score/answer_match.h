/* Whether a generated text is an answer.
 *
 *   exact_match   the text up to the first line break, full stop or comma, without blanks around
 *                 it, equals one of the answers, ignoring case and ASCII punctuation (and with
 *                 ignore_articles "the ", "a ", "an " at the beginning of a word):
 *                 lm-evaluation-harness 0.4.13's triviaqa and nq_open
 *   contains      the text contains one of the answers as whole words, compared in the same way */
#ifndef DELE_ANSWER_MATCH_H
#define DELE_ANSWER_MATCH_H

#include <stdbool.h>

#include "base/arena.h"

typedef struct {
    const char **text; /* [n] */
    int n;
    bool ignore_articles;
} dele_answers;

dele_status dele_answer_match(bool *exact, bool *contains, const dele_answers *answers,
                              const char *generated, dele_arena *arena, dele_err *err);

/* Lower case without ASCII punctuation; before that without articles, on request. */
char *dele_answer_normal(const char *text, bool ignore_articles, dele_arena *arena, dele_err *err);

/* LUME's: strip().lower() of both are equal. */
dele_status dele_exact_match(bool *same, const char *a, const char *b, dele_arena *arena,
                             dele_err *err);

#endif
