/* Weights of retain tokens, after TRACE (arXiv 2606.10338, of which only the abstract was known
 * when this was written): the retain set is weighted so that the experts that are trained see as
 * much of its traffic as of the forget set's.
 *
 *   f_e, r_e   the share of labels of the forget and of the retain set whose position is routed to
 *              expert e, by the model before training
 *   w_e(t)     f_e / r_e        where position t is routed to e
 *              (1 − f_e) / (1 − r_e)                where it is not
 *   w(t)       the mean of w_e(t) over the trained experts
 *
 * Over the retain labels w has mean 1, and weighted by w_e the share of e is f_e: with one trained
 * expert the two sets send it the same share.  An expert to which no retain label is routed, or all
 * are, has w_e = 1, for no weights of retain tokens change its share. */
#ifndef DELE_RETAIN_WEIGHTS_H
#define DELE_RETAIN_WEIGHTS_H

#include "model/expert_list.h"
#include "model/model.h"
#include "unlearn/dataset.h"

typedef struct {
    double forget, retain; /* f_e, r_e */
} dele_expert_traffic;

/* Sets retain->weight.  traffic [experts->n]: in their order.  The arena owns the weights. */
dele_status dele_retain_weights(dele_dataset *retain, dele_expert_traffic *traffic,
                                const dele_dataset *forget, const dele_model *model,
                                const dele_expert_list *experts, size_t batch_tokens,
                                dele_arena *arena, dele_err *err);

#endif
