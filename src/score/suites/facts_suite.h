/* Scores of facts.  For each prompt, and its paraphrase where there is one:
 *
 *   p          the probability of the answer's first token that is not white space, after the
 *              prompt and the answer's leading blanks (tokenizers that split digits encode " 1969"
 *              as " ", "1", "9", ...)
 *   rank       the rank of that token in the vocabulary, 1 the most likely
 *   top-1      rank 1
 *   p_answer   the probability of the whole answer, the product over its tokens (p where it is one
 *              token)
 *   greedy     every token of the answer is the most likely after the prompt and the answer's
 *              tokens before it
 *
 * The answer is encoded after the prompt, with a space between them unless the fact is joined.  In
 * a chat layout the prompt is a user's turn and the answer begins the reply: the same tokens as in
 * deleatur trace --chat.  Prompts that are longer with their answer than the model's context are
 * left out and counted. */
#ifndef DELE_FACTS_SUITE_H
#define DELE_FACTS_SUITE_H

#include "model/facts.h"
#include "score/report.h"
#include "score/suites/suite.h"
#include "text/chat.h"

typedef enum { DELE_FORM_PROMPT, DELE_FORM_PARAPHRASE, DELE_FORMS } dele_form;
typedef enum {
    DELE_FACT_SPLIT_ALL,
    DELE_FACT_SPLIT_FORGET,
    DELE_FACT_SPLIT_RETAIN,
    DELE_FACT_SPLITS
} dele_fact_split;

typedef struct {
    double p, p_answer;
    int rank, n_tokens, n_blank,
        top; /* n_blank: of n_tokens, before the one of p and rank; top: the most likely id there;
               n_tokens 0: no such form, or left out */
    bool greedy;
} dele_fact_score;

typedef struct {
    size_t n;
    double p, p_se, p_answer, p_answer_se, top1,
        top1_se; /* means; se: sd(n-1)/sqrt(n), NaN for one */
    double rank_median, reciprocal_rank;
} dele_facts_cell;

typedef struct {
    dele_fact_score (*fact)[DELE_FORMS];                /* [n_facts] */
    dele_facts_cell cell[DELE_FACT_SPLITS][DELE_FORMS]; /* n 0: nothing there */
    size_t n_too_long; /* prompts left out, longer with their answer than the context */
} dele_facts_scores;

typedef struct {
    dele_items *items; /* or NULL */
    dele_progress *progress;
    const dele_layout *chat; /* NULL: the prompts unchanged */
} dele_facts_opts;

dele_status dele_facts_score(dele_facts_scores *scores, const dele_facts *facts, dele_run *run,
                             const dele_model *model, const dele_facts_opts *opts,
                             dele_arena *arena, dele_err *err);

/* The scores of dele_suite_facts are a dele_facts_scores. */
extern const dele_suite dele_suite_facts;

#endif
