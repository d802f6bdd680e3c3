/* The log-probability of each token of a text given the tokens before it, and statistics of the
 * distribution at its position.
 *
 *   logp      log p(id | ids before)                                     natural logarithm
 *   greedy    whether the token is the most likely
 *   mean      μ = Σ_v p(v) log p(v)        over the whole vocabulary at that position
 *   variance  Σ_v p(v) log² p(v) − μ²
 */
#ifndef DELE_TOKEN_SCORES_H
#define DELE_TOKEN_SCORES_H

#include "model/forward.h"

typedef struct {
    const int *ids;          /* [n] */
    int n, first;            /* the tokens first .. n - 1 are scored; first >= 1, n > first */
    bool cut;                /* its end was truncated to the model's context */
    double *logp;            /* out [n - first], in the caller's arena */
    bool *greedy;            /* out [n - first] */
    double *mean, *variance; /* out [n - first] */
} dele_scored_text;

typedef struct {
    const dele_model *router; /* a mixture whose routes are followed; NULL: the model's own */
    size_t n_known; /* number of first texts that are known already: batches of known texts
                       are left out */
    /* Called as texts first .. first + n - 1 are scored; may be NULL. */
    dele_status (*scored)(void *data, size_t first, size_t n, dele_err *err);
    void *data;
} dele_token_opts;

/* A batch has several texts, some thousand tokens in all. */
dele_status dele_token_scores(dele_scored_text *texts, size_t n, dele_run *run,
                              const dele_model *model, const dele_token_opts *opts,
                              dele_arena *arena, dele_err *err);

/* A text's tokens, including those that the tokenizer puts before it; all but the first are scored.
 * The end is truncated to the model's context. */
dele_status dele_scored_text_encode(dele_scored_text *text, const dele_model *model,
                                    const char *whole, dele_arena *arena, dele_err *err);

/* Minus the mean of logp over the tokens from first on. */
double dele_scored_loss(const dele_scored_text *text);

#endif
