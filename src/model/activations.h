/* The activations that a forward pass stores for the backward pass.  Private to forward*.c and
 * backward*.c. */
#ifndef DELE_ACTIVATIONS_H
#define DELE_ACTIVATIONS_H

#include "model/config/rotation.h"
#include "model/sublayers/attention.h"
#include "model/sublayers/mlp.h"
#include "model/sublayers/moe.h"
#include "model/sublayers/perft.h"
#include "tensor/attention.h"

typedef struct {
    dele_attention_saved attn;
    dele_mlp_saved mlp;     /* of a dense layer */
    dele_moe_saved moe;     /* of a sparse one */
    dele_perft_saved perft; /* of its adapters */
} dele_layer_activations;

struct dele_activations {
    dele_layer_activations *layer;    /* [n_layers], filled from `lowest` up */
    int *pos;                         /* [rows] */
    float *cos_sin[DELE_N_ROTATIONS]; /* [rows, 2 pairs] of each rotation; NULL: no layer has it */
    dele_attention *items;            /* [n_segments] of the current layer */
    float *scratch;                   /* attention's */
    float *x_final;                   /* [n_output_rows, d_model] the last norm's input */
    dele_norm_saved final;            /* of n_output_rows */
};

static inline dele_rotation dele_rotation_of(const struct dele_activations *s, const dele_config *c,
                                             int layer)
{
    const int which = dele_layer_rotation(c, layer);
    return (dele_rotation){which < 0 ? NULL : s->cos_sin[which], dele_rotation_pairs(c)};
}

#endif
