/* The attention half of a layer in the forward pass.  Private to forward.c.
 *
 * In the last layer only the head reads a row's output.  The stream is compacted there to the
 * tails: of each segment the rows from its first output row on.  All rows still compute keys and
 * values, but only the tails compute queries. */
#ifndef DELE_FORWARD_ATTENTION_H
#define DELE_FORWARD_ATTENTION_H

#include "model/forward_pass.h"

/* Attention and its output projection, added to the stream, or held where the MLP reads the layer's
 * input.  Returns the number of rows left: fewer only in the last layer, where only the tails have
 * queries. */
size_t dele_attention_half(dele_forward_pass *p, int layer, size_t live,
                           dele_layer_activations *keep);

#endif
