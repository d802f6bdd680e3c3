/* Routes of a model over texts: a forward pass over each window. */
#ifndef DELE_ROUTING_COLLECT_H
#define DELE_ROUTING_COLLECT_H

#include "base/progress.h"
#include "model/forward.h"
#include "routing/study/texts.h"

/* Fills in routes, predicted ids and log-probabilities of r, which dele_routing_texts_routed made
 * for the model.  forced (NULL: none): routes [r->n rows] that the model follows instead of
 * its own.  progress counts tokens, and may be NULL. */
dele_status dele_routing_collect(dele_routed *r, const dele_routing_texts *texts,
                                 const dele_model *model, const dele_routes *forced, dele_run *run,
                                 dele_progress *progress, dele_err *err);

#endif
