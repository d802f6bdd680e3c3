/* The MLP half of a layer in the backward pass, dense or a mixture of experts with its adapters.
 * Private to backward.c. */
#ifndef DELE_BACKWARD_MLP_H
#define DELE_BACKWARD_MLP_H

#include "model/backward_pass.h"

/* below: whether something below the MLP needs the stream's gradient. */
void dele_mlp_half_backward(dele_backward_pass *p, int layer, bool below);

#endif
