/* Routing drift: how much of the routing of a mixture of experts training has left as it was.
 *
 *   share(l) = 1/N Σ_t |E_l(t) ∩ E'_l(t)| / k        E, E': the k experts of position t in layer l
 *                                                    before training and now
 *
 * This is the measure that the OLMoE paper calls router saturation (arXiv 2409.02060, section 5.1),
 * with the model before training in place of the last checkpoint.  The mean is over the layers
 * that have experts.  N counts the positions from which a set's passes compute the layer: in the
 * last layer those from a row's first label on.
 *
 * The released models give a scale: fine-tuning OLMoE for instructions moved its experts' load by a
 * total variation of at most 0.083. */
#ifndef DELE_ROUTE_DRIFT_H
#define DELE_ROUTE_DRIFT_H

#include <stdint.h>

#include "model/forward.h"

typedef struct {
    int n_layers, top_k;
    size_t n_rows;    /* positions of the set */
    uint16_t *before; /* [n_rows, n_layers, top_k]; DELE_MAX_EXPERTS: the layer has no experts or
                         was not computed */
    bool recorded;
    size_t *common,
        *counted;  /* [n_layers] of the evaluation under way: shared choices, positions */
    double *share; /* [n_layers] of the last evaluation; NaN: the layer has no experts */
    double mean;
} dele_route_drift;

/* For a set of n_rows positions.  The arena owns the tables. */
dele_status dele_route_drift_init(dele_route_drift *d, const dele_config *config, size_t n_rows,
                                  dele_arena *arena, dele_err *err);

/* An evaluation: begin, the routes of each pass, whose first row is position `at` of the set, and
 * end.  The first evaluation records the routes; its shares are 1. */
void dele_route_drift_begin(dele_route_drift *d);
void dele_route_drift_pass(dele_route_drift *d, const dele_routes *routes, size_t at);
void dele_route_drift_end(dele_route_drift *d);

#endif
