/* The activations that a forward pass stores for the backward pass.  Private to forward.c and
 * backward.c. */
#ifndef DELE_ACTIVATIONS_H
#define DELE_ACTIVATIONS_H

#include "model/forward.h"
#include "tensor/attention.h"

typedef struct {
    float *x_pre, *x_mid; /* [rows, d_model] the stream before the layer and between its halves */
    float *attn_rstd, *attn_mean, *mlp_rstd, *mlp_mean; /* [rows] of the two norms */
    float *qkv; /* [rows, q_dim + 2 kv_dim] after clipping and rotation */
    unsigned char
        *clipped;   /* [rows, q_dim + 2 kv_dim] 1 where clip_qkv cut; NULL without clipping */
    float *z;       /* [rows, q_dim] */
    float *gate_up; /* [rows, 2 d_ff] */
} dele_layer_activations;

struct dele_activations {
    dele_layer_activations *layer; /* [n_layers], filled from `lowest` up */
    int *pos;                      /* [rows] */
    float *inv_freq;               /* [head_dim / 2] */
    dele_attention *items;         /* [n_segments] of the current layer */
    float *scratch;                /* attention's */
    float *x_final, *final_rstd,
        *final_mean; /* [n_output_rows, d_model], [n_output_rows]: the last norm's input */
};

/* The family's norm, forward; w may be NULL. */
void dele_norm_forward(float *y, float *rstd, float *mean, const float *x, const float *w, size_t n,
                       const dele_config *config);

#endif
