/* Divergence.  Before each step the weights that just gave a finite loss are kept aside.  A loss or gradient that is not
 * finite, or a kept-side loss (retain; all when learning) whose mean over the last eight updates exceeds that of the
 * first update by `collapse` nats, stops the run with LAC_ERR_DIVERGED; the weights go back to the last kept. */
#ifndef LAC_HEALTH_H
#define LAC_HEALTH_H

#include "unlearn/train_options.h"
#include "unlearn/weights.h"

enum { LAC_HEALTH_WINDOW = 8 }; /* updates over which a collapse is judged */

typedef struct {
    const lac_model *model;
    const lac_train_options *o;
    float **kept;              /* last good weights */
    size_t kept_at;            /* updates done then */
    double window[LAC_HEALTH_WINDOW]; /* losses of the kept side */
} lac_health;

lac_status lac_health_init(lac_health *h, const lac_model *model, const lac_mask *mask, const lac_train_options *o,
                           lac_arena *arena, lac_err *err);

/* Judges the update just computed, report->last, before its step, and keeps the weights where it is well.  Else the
 * weights and report->done are those of the last update that was. */
lac_status lac_health_check(lac_health *h, lac_train_report *report, lac_err *err);

void lac_health_remember(lac_health *h, lac_tape *tape);

/* The weights after the last step, which no loss has judged. */
lac_status lac_health_check_last(lac_health *h, lac_train_report *report, lac_err *err);

#endif
