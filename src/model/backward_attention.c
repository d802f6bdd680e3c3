#include "model/backward_attention.h"

#include <string.h>

#include "model/backward_states.h"

static dele_attention_grads attention_grads(const dele_backward_pass *p, int layer)
{
    return (dele_attention_grads){
        .norm = dele_norm_gradients(p, DELE_SLOT_ATTN_NORM, layer),
        .post_norm = {dele_tensor_gradient(p, DELE_SLOT_ATTN_POST_NORM, layer), NULL},
        .q_norm.weight = dele_tensor_gradient(p, DELE_SLOT_Q_NORM, layer),
        .k_norm.weight = dele_tensor_gradient(p, DELE_SLOT_K_NORM, layer),
        .q = dele_tensor_gradient(p, DELE_SLOT_Q, layer),
        .k = dele_tensor_gradient(p, DELE_SLOT_K, layer),
        .v = dele_tensor_gradient(p, DELE_SLOT_V, layer),
        .q_bias = dele_tensor_gradient(p, DELE_SLOT_Q_BIAS, layer),
        .k_bias = dele_tensor_gradient(p, DELE_SLOT_K_BIAS, layer),
        .v_bias = dele_tensor_gradient(p, DELE_SLOT_V_BIAS, layer),
        .o = dele_tensor_gradient(p, DELE_SLOT_O, layer),
        .o_bias = dele_tensor_gradient(p, DELE_SLOT_O_BIAS, layer)};
}

/* Whether a weight of norm, q, k or v trains, whose gradient needs that of q, k and v. */
static bool trains_qkv(const dele_backward_pass *p, int layer)
{
    return dele_backward_trains(p, layer, DELE_SLOT_ATTN_NORM, DELE_SLOT_O);
}

/* dqkv from dz, through the heads of every segment. */
static void heads_backward(dele_backward_pass *p, int layer, const dele_attention_saved *s)
{
    size_t row = 0;
    dele_kv_span *own = NULL;
    memset(p->dqkv, 0, p->rows * p->qkv_dim * sizeof *p->dqkv);
    for (size_t i = 0; i < p->batch->n_segments; i++) {
        dele_attention *item = &p->saved->items[i];
        float *qkv = s->qkv + row * p->qkv_dim, *d = p->dqkv + row * p->qkv_dim;
        item->z = s->z + row * p->q_dim;
        item->q = qkv;
        own = (dele_kv_span *)item->spans; /* the pass's own array, laid out by the forward pass */
        own->k = qkv + p->q_dim, own->v = qkv + p->q_dim + p->kv_dim;
        p->dattn[i] = (dele_attention_grad){.dz = p->dz + row * p->q_dim,
                                            .dq = d,
                                            .dk = d + p->q_dim,
                                            .dv = d + p->q_dim + p->kv_dim};
        row += item->n;
    }
    attention_backward(p->dattn, p->saved->items, p->batch->n_segments,
                       dele_attention_heads(p->c, layer), p->saved->scratch);
}

void dele_attention_half_backward(dele_backward_pass *p, int layer, bool below)
{
    const dele_attention_weights *w = &p->m->layers[layer].attn;
    const dele_attention_saved *s = &p->saved->layer[layer].attn;
    const dele_attention_grads grads = attention_grads(p, layer);
    const dele_qkv_scratch scratch = {p->scratch.xn, NULL, p->scratch.tile, p->dz, p->dq};
    const dele_rotation rotation = dele_rotation_of(p->saved, p->c, layer);
    const bool deeper = below || trains_qkv(p, layer),
               heads = dele_reads_any(p, layer, DELE_AT_HEADS);
    attention_out_backward(deeper || heads ? p->dz : NULL, &grads, dele_backward_joined(p),
                           p->scratch.dxn, s, p->rows, w, p->c, p->scratch.tile);
    if (heads) dele_read_gradients(p, layer, DELE_AT_HEADS, p->dz, p->q_dim);
    if (!deeper) return;
    heads_backward(p, layer, s);
    attention_qkv_backward(below || dele_norm_trains(grads.norm) ? p->dx : NULL, &grads, p->dqkv,
                           p->scratch.dxn, s, p->rows, w, rotation, p->c, &scratch);
}
