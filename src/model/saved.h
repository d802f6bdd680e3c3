/* What a forward pass keeps for the backward pass.  Private to forward.c and backward.c. */
#ifndef DELE_SAVED_H
#define DELE_SAVED_H

#include "model/forward.h"
#include "tensor/attention.h"

typedef struct {
    float *x_pre, *x_mid;            /* [rows, dim] the stream before the layer and between its halves */
    float *inv1, *mean1, *inv2, *mean2; /* [rows] of the two norms */
    float *qkv;                      /* [rows, q_dim + 2 kv_dim] after clipping and rotation */
    unsigned char *clipped;          /* [rows, q_dim + 2 kv_dim] 1 where clip_qkv cut; NULL without clipping */
    float *z;                        /* [rows, q_dim] */
    float *gu;                       /* [rows, 2 hidden] */
} dele_saved_layer;

struct dele_saved {
    dele_saved_layer *layer; /* [n_layers], filled from `lowest` up */
    int *pos;               /* [rows] */
    float *inv_freq;        /* [head_dim / 2] */
    dele_attention *items;   /* [n_segments] of the current layer */
    float *scratch;         /* attention's */
    float *x_final, *inv_final, *mean_final; /* [n_wanted, dim], [n_wanted]: what the last norm saw */
};

/* The family's norm, forward; w may be NULL. */
void dele_norm_forward(float *y, float *inv, float *mean, const float *x, const float *w, size_t n,
                      const dele_config *config);

#endif
