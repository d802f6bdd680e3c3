/* Short generated answers: TriviaQA, NQ-open, or questions of your own.
 *
 *   {"id": "7", "question": "Who wrote it?", "answers": ["Ann Lee", "A. Lee"]}
 *   {"id": "8", "question": "Who wrote it?", "answer": "Ann Lee"}
 *   {"context": "Q: who wrote it?\nA:", "answers": ["Ann Lee"], "ignore_articles": true}
 *
 * The prompt of a question is "Question: <question>\nAnswer:", the prompt of a context is the
 * context unchanged.  The continuation is decoded greedily.
 *
 *   exact_match   the text up to the first line break, full stop or comma, without blanks around
 *                 it, equals one of the answers, ignoring case and ASCII punctuation (and with
 *                 ignore_articles "the ", "a ", "an " at the beginning of a word):
 *                 lm-evaluation-harness 0.4.13's triviaqa and nq_open
 *   contains      the text contains one of the answers as whole words, compared in the same way
 */
#ifndef DELE_QA_SCORE_H
#define DELE_QA_SCORE_H

#include "score/report.h"
#include "score/suites/suite.h"

typedef struct {
    const char *id, *prompt; /* id: NULL where it has none */
    const char **answer;
    int n_answers;
    bool ignore_articles;
} dele_qa_item;

typedef struct {
    const char *name; /* of the file, without .jsonl */
    dele_qa_item *item;
    size_t n;
} dele_qa_set;

typedef struct {
    dele_qa_set *set;
    size_t n_sets, n_items;
} dele_qa_sets;

typedef struct {
    size_t n;
    double exact, exact_se, contains, contains_se;
} dele_qa_score;

dele_status dele_qa_sets_load(dele_qa_sets *data, const char *path, int limit, dele_arena *arena,
                              dele_err *err);

/* Lower case without ASCII punctuation; before that without articles, on request. */
char *dele_qa_normal(const char *text, bool ignore_articles, dele_arena *arena, dele_err *err);
/* Whether the generated text equals one of the answers, and whether it contains one. */
dele_status dele_qa_judge(bool *exact, bool *contains, const dele_qa_item *item,
                          const char *generated, dele_arena *arena, dele_err *err);

/* The scores of dele_suite_qa are a dele_qa_score [n_sets]. */

#endif
