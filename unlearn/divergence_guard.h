/* Divergence.  Before each step the weights that just gave a finite loss are kept aside.  A loss or
 * gradient that is not finite, or a kept-side loss (retain; all when learning) whose mean over the
 * last eight updates exceeds that of the first update by `collapse` nats, stops the run with
 * DELE_ERR_DIVERGED; the weights go back to the last kept. */
#ifndef DELE_DIVERGENCE_GUARD_H
#define DELE_DIVERGENCE_GUARD_H

#include "unlearn/param_buffers.h"
#include "unlearn/train_options.h"

enum { DELE_DIVERGENCE_WINDOW = 8 }; /* updates over which a collapse is judged */

typedef struct {
    const dele_model *model;
    const dele_train_options *o;
    float **kept;                          /* last good weights */
    size_t kept_at;                        /* updates done then */
    double window[DELE_DIVERGENCE_WINDOW]; /* losses of the kept side */
} dele_divergence_guard;

dele_status dele_divergence_guard_init(dele_divergence_guard *h, const dele_model *model,
                                       const dele_mask *mask, const dele_train_options *o,
                                       dele_arena *arena, dele_err *err);

/* Judges the update just computed, report->last, before its step, and keeps the weights where it is
 * well.  Else the weights and report->done are those of the last update that was. */
dele_status dele_divergence_guard_check(dele_divergence_guard *h, dele_train_report *report,
                                        dele_err *err);

void dele_divergence_guard_serialize(dele_divergence_guard *h, size_t updates,
                                     dele_training_state *state); /* updates: of the whole run */

/* The weights after the last step, which no loss has judged. */
dele_status dele_divergence_guard_check_last(dele_divergence_guard *h, dele_train_report *report,
                                             dele_err *err);

#endif
