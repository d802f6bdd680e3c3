/* Greedy continuation of many prompts at once.
 *
 *   a pass     slot 0: one new row        slot 1: one new row      slot 2: a whole prompt that has just come in
 *
 * A finished prompt's place goes to the next one in the same pass, so that the weights are always read for many rows.
 * What each prompt gets does not depend on its neighbours beyond rounding. */
#ifndef LAC_GENERATE_H
#define LAC_GENERATE_H

#include "model/forward.h"

typedef struct {
    const int *prompt; /* [n_prompt] */
    size_t n_prompt;
    int *out;          /* [max_new] new ids, the stop not among them */
    size_t n_out;
    bool stopped;      /* ended at a stop, not at the length */
} lac_continuation;

typedef struct {
    size_t max_new;
    const int *stops;
    size_t n_stops;
    size_t max_slots; /* prompts under way at a time; 0: as many as 512 MiB of keys and values hold, at most 32 */
    /* Called as continuation i is complete; may be NULL. */
    lac_status (*finished)(void *data, size_t i, lac_err *err);
    void *data;
} lac_many_opts;

/* n_prompt >= 1 each; prompts and new ids together must fit the model's context. */
lac_status lac_generate_many(lac_continuation *items, size_t n, lac_run *run, const lac_model *model,
                              const lac_many_opts *opts, lac_err *err);

/* The greedy continuation of one prompt: at most max_new ids into out, ending before an id in stops. */
lac_status lac_generate(int *out, size_t *n_out, lac_run *run, const lac_model *model, const int *prompt,
                        size_t n_prompt, size_t max_new, const int *stops, size_t n_stops, lac_err *err);

#endif
