/* One backward pass at work: the state that its parts share, its memory, and which tensors have a
 * gradient.  Private to backward.c and backward_*.c. */
#ifndef DELE_BACKWARD_PASS_H
#define DELE_BACKWARD_PASS_H

#include "model/activations.h"
#include "model/batch.h"
#include "model/run.h"

typedef struct {
    const dele_model *m;
    const dele_config *c;
    dele_run *run;
    const dele_batch *batch;
    const dele_grads *grads;
    struct dele_activations *saved;
    size_t rows, d_model, q_dim, kv_dim, qkv_dim;
    float *dx;      /* [rows, d_model] gradient of the stream */
    float *dleaves; /* [rows, d_model] the same as it leaves the layer, which both sublayers read;
                     * NULL unless the residual is parallel */
    dele_mlp_scratch scratch;           /* both sublayers use it */
    dele_moe_scratch moe;               /* of a sparse layer's MLP */
    dele_expert_grads *experts;         /* [n_experts] of the current layer */
    dele_perft_scratch perft;           /* of its adapters */
    dele_perft_adapter_grads *adapters; /* [perft.adapters] of the current layer */
    float *dz, *dqkv;                   /* [rows, q_dim], [rows, q_dim + 2 kv_dim] */
    float *dq;                          /* [rows, q_dim] of a q/k norm */
    dele_attention_grad *dattn;         /* [n_segments] */
    size_t reads_met, adds_met;
} dele_backward_pass;

/* A pass without memory. */
dele_backward_pass dele_backward_begin(const dele_config *config, size_t rows);

dele_status dele_backward_lay_out(dele_backward_pass *p, size_t n_segments, dele_arena *arena,
                                  dele_err *err);

/* The buffer of a tensor's gradient; NULL: it is frozen, or the model has none. */
float *dele_tensor_gradient(const dele_backward_pass *p, dele_slot slot, int layer);
float *dele_expert_gradient(const dele_backward_pass *p, dele_slot slot, int layer, int expert);

/* Of a norm whose bias has the slot after its weight's. */
dele_norm_grads dele_norm_gradients(const dele_backward_pass *p, dele_slot weight, int layer);

/* Whether a tensor of the layer from slot `first` on and before `end` trains.  Slots are in the
 * order of computation, so that a sublayer is a range of them. */
bool dele_backward_trains(const dele_backward_pass *p, int layer, dele_slot first, dele_slot end);

/* The gradient of what a sublayer adds to the stream. */
static inline const float *dele_backward_joined(const dele_backward_pass *p)
{
    return p->dleaves ? p->dleaves : p->dx;
}

static inline bool dele_norm_trains(dele_norm_grads grads) { return grads.weight || grads.bias; }

#endif
