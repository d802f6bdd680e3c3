/* Divergence.  Before each step the weights that just gave a finite loss are kept aside.  A loss or gradient that is not
 * finite, or a kept-side loss (retain; all when learning) whose mean over the last eight updates exceeds that of the
 * first update by `collapse` nats, stops the run with DELE_ERR_DIVERGED; the weights go back to the last kept. */
#ifndef DELE_HEALTH_H
#define DELE_HEALTH_H

#include "unlearn/train_options.h"
#include "unlearn/weights.h"

enum { DELE_HEALTH_WINDOW = 8 }; /* updates over which a collapse is judged */

typedef struct {
    const dele_model *model;
    const dele_train_options *o;
    float **kept;              /* last good weights */
    size_t kept_at;            /* updates done then */
    double window[DELE_HEALTH_WINDOW]; /* losses of the kept side */
} dele_health;

dele_status dele_health_init(dele_health *h, const dele_model *model, const dele_mask *mask, const dele_train_options *o,
                           dele_arena *arena, dele_err *err);

/* Judges the update just computed, report->last, before its step, and keeps the weights where it is well.  Else the
 * weights and report->done are those of the last update that was. */
dele_status dele_health_check(dele_health *h, dele_train_report *report, dele_err *err);

void dele_health_remember(dele_health *h, size_t updates, dele_tape *tape); /* updates: of the whole run */

/* The weights after the last step, which no loss has judged. */
dele_status dele_health_check_last(dele_health *h, dele_train_report *report, dele_err *err);

#endif
