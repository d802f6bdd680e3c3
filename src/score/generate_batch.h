/* What a model goes on to say behind many prompts, greedily.  Prompts are taken in groups of a
 * fixed number, so that a run which resumes another one computes what is left in just the same
 * company. */
#ifndef DELE_GENERATE_BATCH_H
#define DELE_GENERATE_BATCH_H

#include "base/progress.h"
#include "model/forward.h"

typedef struct {
    dele_chat chat;          /* DELE_CHAT_NONE: the raw prompt */
    int max_new;             /* at most so many tokens */
    const dele_ids *encoded; /* the prompts, encoded already: texts are not looked at, nor the
                                layout but for the end of a turn; NULL: they are */
    size_t n_known; /* so many from the first on are known already: groups of nothing else are left
                       out */
    /* Called in the order of the prompts; text (cleaned of nothing, special tokens left out) may be
     * written to.  ended: at the end of text, not at max_new. */
    dele_status (*on_output)(void *data, size_t i, char *text, bool ended, dele_err *err);
    void *data;
    dele_progress *progress;
    size_t before; /* done before these, for the progress */
} dele_generate_batch_opts;

/* prompts: NULL where they come encoded.  A prompt too long for the context and the new tokens
 * loses its beginning. */
dele_status dele_generate_batch(const char *const *prompts, size_t n, dele_run *run,
                                const dele_model *model, const dele_generate_batch_opts *opts,
                                dele_err *err);

#endif
