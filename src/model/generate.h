/* Greedy decoding of many prompts at once.
 *
 *   a pass     slot 0: one new row     slot 1: one new row     slot 2: a whole prompt, new
 *
 * When a prompt is finished, the next prompt takes its slot in the same pass, so that each read of
 * the weights serves many rows.  The result of a prompt does not depend on the other prompts, up to
 * rounding. */
#ifndef DELE_GENERATE_H
#define DELE_GENERATE_H

#include "model/forward.h"
#include "text/chat.h"

/* The ids at which generation stops. */
typedef struct {
    int id[DELE_MAX_ENDS + 2];
    size_t n;
} dele_ends;

/* The ids that the model's files list (config->ends: eos_token_id of generation_config.json or
 * config.json, the GGUF's eos, eot and eom), or its tokenizer's end of text where the files have
 * none; and, with a chat layout, the token that ends a turn.  The model must have a tokenizer. */
dele_ends dele_ends_of(const dele_model *model, const dele_layout *layout);

typedef struct {
    const int *prompt; /* [n_prompt] */
    size_t n_prompt;
    int *out; /* [max_new] new ids, without the stop id */
    size_t n_out;
    bool stopped; /* ended at a stop, not at the length */
} dele_continuation;

typedef struct {
    size_t max_new;
    const int *stops;
    size_t n_stops;
    const dele_model *router; /* a mixture whose routes are followed, token by token, with their
                                 weights; it reads the same ids.  NULL: the model's own */
    size_t max_slots; /* prompts under way at a time; 0: as many as 512 MiB of KV cache hold, at
                         most 32 */
    /* Called as continuation i is complete; may be NULL. */
    dele_status (*finished)(void *data, size_t i, dele_err *err);
    void *data;
} dele_many_opts;

/* n_prompt >= 1 each; prompts and new ids together must fit the model's context. */
dele_status dele_generate_many(dele_continuation *items, size_t n, dele_run *run,
                               const dele_model *model, const dele_many_opts *opts, dele_err *err);

/* Bytes that dele_generate takes beside the model. */
size_t dele_generate_bytes(const dele_model *model, size_t n_prompt, size_t max_new);

/* The greedy continuation of one prompt: at most max_new ids into out, ending before an id in
 * stops. */
dele_status dele_generate(int *out, size_t *n_out, dele_run *run, const dele_model *model,
                          const int *prompt, size_t n_prompt, size_t max_new, const int *stops,
                          size_t n_stops, dele_err *err);

#endif
