/* The activations that a forward pass stores for the backward pass.  Private to forward.c and
 * backward.c. */
#ifndef DELE_ACTIVATIONS_H
#define DELE_ACTIVATIONS_H

#include "model/sublayers/attention.h"
#include "model/sublayers/mlp.h"
#include "tensor/attention.h"

typedef struct {
    dele_attention_saved attn;
    dele_mlp_saved mlp;
} dele_layer_activations;

struct dele_activations {
    dele_layer_activations *layer; /* [n_layers], filled from `lowest` up */
    int *pos;                      /* [rows] */
    float *inv_freq;               /* [head_dim / 2] */
    dele_attention *items;         /* [n_segments] of the current layer */
    float *scratch;                /* attention's */
    float *x_final;                /* [n_output_rows, d_model] the last norm's input */
    dele_norm_saved final;         /* of n_output_rows */
};

#endif
