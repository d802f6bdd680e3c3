/* Does the model know these facts?  For each prompt, and its paraphrase where there is one:
 *
 *   p          the probability of the answer's first token
 *   rank       its place among all tokens there, 1 the likeliest
 *   top-1      rank 1
 *   p_answer   the probability of the whole answer, the product over its tokens (p where it is one token)
 *   greedy     every token of the answer is the likeliest behind the prompt and the answer's tokens before it
 *
 * The answer is encoded behind the prompt, a space between them where the fact file has none; a joined fact's answer
 * follows its prompt at once.  In a chat layout the prompt is a user's turn, and the answer, encoded alone, begins the
 * reply: the very tokens that lacuna trace --chat runs. */
#ifndef LAC_FACTS_SUITE_H
#define LAC_FACTS_SUITE_H

#include "base/progress.h"
#include "model/facts.h"
#include "model/forward.h"
#include "score/report.h"

typedef enum { LAC_FORM_PROMPT, LAC_FORM_PARAPHRASE, LAC_FORMS } lac_form;
typedef enum { LAC_SPLIT_ALL, LAC_SPLIT_FORGET, LAC_SPLIT_RETAIN, LAC_SPLITS } lac_split;

typedef struct {
    double p, p_answer;
    int rank, n_tokens, top; /* top: the likeliest id; n_tokens 0: no such form */
    bool greedy;
} lac_fact_score;

typedef struct {
    size_t n;
    double p, p_se, p_answer, p_answer_se, top1, top1_se; /* means; se: sd(n-1)/sqrt(n), NaN for one */
    double rank_median, reciprocal_rank;
} lac_facts_cell;

typedef struct {
    lac_fact_score (*fact)[LAC_FORMS];          /* [n_facts] */
    lac_facts_cell cell[LAC_SPLITS][LAC_FORMS]; /* n 0: nothing there */
} lac_facts_scores;

typedef struct {
    lac_items *items; /* or NULL */
    lac_progress *progress;
    lac_chat chat; /* LAC_CHAT_NONE: the prompts as they stand */
} lac_facts_opts;

lac_status lac_facts_score(lac_facts_scores *scores, const lac_facts *facts, lac_run *run, const lac_model *model,
                           const lac_facts_opts *opts, lac_arena *arena, lac_err *err);

cJSON *lac_facts_json(const lac_facts_scores *scores);
void lac_facts_table(FILE *to, const lac_facts_scores *scores);

#endif
