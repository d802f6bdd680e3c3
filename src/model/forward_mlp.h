/* The MLP half of a layer in the forward pass.  Private to forward.c.
 *
 * In a sparse layer the MLP is a mixture of experts, with sites of its own (sublayers/moe.h); its
 * routes are recorded or given by the batch.  A row whose MLP output a patch replaces is left out
 * of that MLP. */
#ifndef DELE_FORWARD_MLP_H
#define DELE_FORWARD_MLP_H

#include "model/forward_pass.h"

/* The MLP of the live rows, added to the stream. */
void dele_mlp_half(dele_forward_pass *p, int layer, size_t live, dele_layer_activations *keep);

/* out = MLP(x) of a layer, or += where it adds, for n rows of x; out may be x. */
void dele_mlp_of_layer(dele_forward_pass *p, int layer, float *out, bool adds, const float *x,
                       size_t n, dele_layer_activations *keep);

/* What the batch records of routes: no row has one yet. */
void dele_routes_begin(const dele_forward_pass *p);

#endif
