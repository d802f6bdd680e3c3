/* What a sparse layer's router reads: the stream after attention, after the norm that stands
 * before the experts. */
#ifndef DELE_ROUTER_INPUTS_H
#define DELE_ROUTER_INPUTS_H

#include "model/model.h"

/* x [n, d_model]: states at RESID_MID of the layer become what its router reads.  The scratch arena
 * is reset. */
dele_status dele_router_inputs(float *x, const dele_model *model, int layer, size_t n,
                               dele_arena *scratch, dele_err *err);

#endif
