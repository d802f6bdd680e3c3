/* Greedy continuations of many prompts.  Prompts are processed in groups of a fixed size, so that a
 * resumed run computes the remaining prompts in the same groups. */
#ifndef DELE_GENERATE_BATCH_H
#define DELE_GENERATE_BATCH_H

#include "base/progress.h"
#include "model/forward.h"
#include "text/chat.h"

typedef struct {
    const dele_layout *chat;  /* NULL: the raw prompt */
    int max_new;              /* at most so many tokens */
    const dele_ids *encoded;  /* the prompts as ids: the texts are not used, nor the
                                 layout except for the end of a turn; or NULL */
    const dele_model *router; /* whose routes are followed (model/generate.h); NULL: the model's */
    size_t n_known; /* number of first prompts that are known: groups of known prompts are left
                       out */
    /* Called in the order of the prompts; text (without special tokens, otherwise unchanged) may be
     * modified.  ended: at an end of text, not at max_new. */
    dele_status (*on_output)(void *data, size_t i, char *text, bool ended, dele_err *err);
    void *data;
    dele_progress *progress;
    size_t before; /* done before these prompts, for the progress */
} dele_generate_batch_opts;

/* prompts: NULL if they are given as ids.  The beginning of a prompt that is too long for the
 * context and the new tokens is truncated. */
dele_status dele_generate_batch(const char *const *prompts, size_t n, dele_run *run,
                                const dele_model *model, const dele_generate_batch_opts *opts,
                                dele_err *err);

#endif
