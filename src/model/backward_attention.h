/* The attention half of a layer in the backward pass.  Private to backward.c. */
#ifndef DELE_BACKWARD_ATTENTION_H
#define DELE_BACKWARD_ATTENTION_H

#include "model/backward_pass.h"

/* below: whether something below the attention needs the stream's gradient. */
void dele_attention_half_backward(dele_backward_pass *p, int layer, bool below);

#endif
