/* How likely each token of a text is behind those before it, and how it is among the others there.
 *
 *   logp      log p(id | ids before)                                     natural logarithm
 *   greedy    it is the most likely
 *   mean      μ = Σ_v p(v) log p(v)        of the whole vocabulary at that place
 *   variance  Σ_v p(v) log² p(v) − μ²
 */
#ifndef DELE_TOKEN_SCORES_H
#define DELE_TOKEN_SCORES_H

#include "model/forward.h"

typedef struct {
    const int *ids;          /* [n] */
    int n, first;            /* the tokens first .. n - 1 are scored; first >= 1, n > first */
    bool cut;                /* its end was cut where the model's context ends */
    double *logp;            /* out [n - first], in the caller's arena */
    bool *greedy;            /* out [n - first] */
    double *mean, *variance; /* out [n - first] */
} dele_scored_text;

typedef struct {
    size_t n_known; /* so many texts from the first on are known already: batches of nothing else
                       are left out */
    /* Called as texts first .. first + n - 1 are scored; may be NULL. */
    dele_status (*scored)(void *data, size_t first, size_t n, dele_err *err);
    void *data;
} dele_token_opts;

/* Texts of one batch are side by side, some thousand tokens of them. */
dele_status dele_token_scores(dele_scored_text *texts, size_t n, dele_run *run,
                              const dele_model *model, const dele_token_opts *opts,
                              dele_arena *arena, dele_err *err);

/* A text's own tokens (what the tokenizer puts before it among them), all but the first scored.
 * The end is cut where the model's context ends. */
dele_status dele_scored_text_encode(dele_scored_text *text, const dele_model *model,
                                    const char *whole, dele_arena *arena, dele_err *err);

/* Minus the mean of logp over the tokens from first on. */
double dele_scored_loss(const dele_scored_text *text);

#endif
