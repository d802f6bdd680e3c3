/* Short generated answers: TriviaQA, NQ-open, or questions of your own.
 *
 *   {"id": "7", "question": "Who wrote it?", "answers": ["Ann Lee", "A. Lee"]}
 *   {"id": "8", "question": "Who wrote it?", "answer": "Ann Lee"}
 *   {"context": "Q: who wrote it?\nA:", "answers": ["Ann Lee"], "ignore_articles": true}
 *
 * The prompt of a question is "Question: <question>\nAnswer:", the prompt of a context is the
 * context unchanged.  The continuation is decoded greedily, and scored by exact_match and contains
 * (score/answer_match.h). */
#ifndef DELE_QA_SCORE_H
#define DELE_QA_SCORE_H

#include "score/answer_match.h"
#include "score/report.h"
#include "score/suites/suite.h"

typedef struct {
    const char *id, *prompt; /* id: NULL where it has none */
    const char *question;    /* NULL: the prompt is a context */
    dele_answers answers;
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

/* For suites over such sets: a part for each; and the greedy continuations of one set's prompts. */
dele_status dele_qa_parts(dele_scoring *s, const dele_qa_sets *data, dele_err *err);
dele_status dele_qa_score_outputs(dele_scoring *s, const dele_qa_set *set, const dele_layout *chat,
                                  int max_new, dele_err *err);

/* The scores of dele_suite_qa are a dele_qa_score [n_sets]. */
extern const dele_suite dele_suite_qa;

#endif
