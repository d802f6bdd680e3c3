/* A guardrail by an unlearned model: it writes where the original is confident of what it forgot.
 *
 *   t = argmax of the original's next-token distribution, with probability p
 *   p >= tau and log p - log p_guard(t) >= margin      the guard's most likely token is written
 *   else                                               t
 *
 * Nudging hands over where the base's top-1 probability is low; memorised text has a high one, so
 * that nudging does not stop it.  The trigger here is the reverse, and holds where the unlearned
 * model gives the token a much lower probability: log p - log p_guard is the score of forgetting.
 * Both models have one vocabulary and one prompt.  Greedy.  A guardrail is not unlearning: the
 * original's weights are what they were. */
#ifndef DELE_GUARD_H
#define DELE_GUARD_H

#include "nudge/joint.h"

typedef struct {
    double tau;    /* of the original's top-1 probability */
    double margin; /* nats */
} dele_guard_opts;

typedef struct {
    char *text;                          /* after the prompt */
    const dele_nudge_span *span;         /* [n_spans] BASE: the original, NUDGER: the guard */
    size_t n_spans, n_tokens, n_guarded; /* tokens, and those that the guard wrote */
    bool ended;                          /* at a stop of who wrote it */
} dele_guard_result;

/* models [2]: the original, the guard.  An error where their vocabularies differ. */
dele_status dele_guard_init(dele_joint *j, const dele_model *const *models,
                            const dele_layout *layout, dele_err *err);

/* At most max_new tokens after id [n], in the arena; fewer where a context is full. */
dele_status dele_guard_generate(dele_guard_result *result, dele_joint *j, const int *id, size_t n,
                                int max_new, const dele_guard_opts *o, dele_arena *arena,
                                dele_err *err);

#endif
