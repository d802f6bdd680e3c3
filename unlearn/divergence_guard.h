/* The divergence guard.  Before each step it stores the weights that gave a finite loss.  It stops
 * the run with DELE_ERR_DIVERGED and restores the last good weights when
 *   - the loss or the gradient is not finite, or
 *   - the retain loss (finetune: the loss), averaged over the last eight updates, exceeds that of
 *     the first update by `collapse` nats. */
#ifndef DELE_DIVERGENCE_GUARD_H
#define DELE_DIVERGENCE_GUARD_H

#include "unlearn/param_buffers.h"
#include "unlearn/train_options.h"

enum { DELE_DIVERGENCE_WINDOW = 8 }; /* updates in the mean that is compared */

typedef struct {
    const dele_model *params; /* what is trained: the model, or the table of its adapters */
    const dele_train_options *o;
    float **last_good;                     /* per tensor; weights of the last finite loss */
    size_t last_good_at;                   /* updates done at that time */
    double window[DELE_DIVERGENCE_WINDOW]; /* retain losses of the last updates */
} dele_divergence_guard;

dele_status dele_divergence_guard_init(dele_divergence_guard *h, const dele_trainable *trainable,
                                       const dele_train_options *o, dele_arena *arena,
                                       dele_err *err);

/* Checks the update just computed, report->last, before its step. If it is good, its weights are
 * stored; otherwise the weights and report->done return to the last good update. */
dele_status dele_divergence_guard_check(dele_divergence_guard *h, dele_train_report *report,
                                        dele_err *err);

void dele_divergence_guard_serialize(dele_divergence_guard *h, size_t updates,
                                     dele_training_state *state); /* updates: of the whole run */

/* Checks that the weights after the last step are finite; no loss has tested them. */
dele_status dele_divergence_guard_check_last(dele_divergence_guard *h, dele_train_report *report,
                                             dele_err *err);

#endif
