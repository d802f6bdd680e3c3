#include "model/backward_mlp.h"

#include "model/backward_states.h"

static dele_mlp_grads mlp_grads(const dele_backward_pass *p, int layer)
{
    return (dele_mlp_grads){
        .norm = dele_norm_gradients(p, DELE_SLOT_MLP_NORM, layer),
        .post_norm = {dele_tensor_gradient(p, DELE_SLOT_MLP_POST_NORM, layer), NULL},
        .gate = dele_tensor_gradient(p, DELE_SLOT_GATE, layer),
        .up = dele_tensor_gradient(p, DELE_SLOT_UP, layer),
        .gate_bias = dele_tensor_gradient(p, DELE_SLOT_GATE_BIAS, layer),
        .up_bias = dele_tensor_gradient(p, DELE_SLOT_UP_BIAS, layer),
        .down = dele_tensor_gradient(p, DELE_SLOT_DOWN, layer),
        .down_bias = dele_tensor_gradient(p, DELE_SLOT_DOWN_BIAS, layer)};
}

/* expert [n_experts]: written. */
static dele_moe_grads moe_grads(const dele_backward_pass *p, int layer, dele_expert_grads *expert)
{
    for (int e = 0; e < p->c->n_experts; e++)
        expert[e] = (dele_expert_grads){dele_expert_gradient(p, DELE_SLOT_EXPERT_GATE, layer, e),
                                        dele_expert_gradient(p, DELE_SLOT_EXPERT_UP, layer, e),
                                        dele_expert_gradient(p, DELE_SLOT_EXPERT_DOWN, layer, e)};
    return (dele_moe_grads){
        .norm = dele_norm_gradients(p, DELE_SLOT_MLP_NORM, layer),
        .post_norm = {dele_tensor_gradient(p, DELE_SLOT_MLP_POST_NORM, layer), NULL},
        .router = dele_tensor_gradient(p, DELE_SLOT_ROUTER, layer),
        .expert = expert,
        .shared = {dele_tensor_gradient(p, DELE_SLOT_SHARED_GATE, layer),
                   dele_tensor_gradient(p, DELE_SLOT_SHARED_UP, layer),
                   dele_tensor_gradient(p, DELE_SLOT_SHARED_DOWN, layer)},
        .shared_scale = dele_tensor_gradient(p, DELE_SLOT_SHARED_SCALE, layer)};
}

/* The adapters of a sparse layer, from the gradient of the block's sum. */
static void adapters_backward(dele_backward_pass *p, int layer, const dele_moe_grads *block,
                              const float *dy)
{
    const dele_perft_saved *s = &p->saved->layer[layer].perft;
    const dele_moe_saved *moe = &p->saved->layer[layer].moe;
    for (int j = 0; j < p->c->perft.adapters; j++)
        p->adapters[j] =
            (dele_perft_adapter_grads){dele_expert_gradient(p, DELE_SLOT_PERFT_DOWN, layer, j),
                                       dele_expert_gradient(p, DELE_SLOT_PERFT_UP, layer, j)};
    const size_t n = (size_t)p->c->perft.adapters;
    const dele_perft_weights *w = &p->m->layers[layer].perft;
    dele_perft_grads grads = {.input = block->input,
                              .weights = block->logits,
                              .gate = dele_tensor_gradient(p, DELE_SLOT_PERFT_GATE, layer),
                              .adapter = p->adapters};
    grads.logits = grads.input || grads.gate || dele_reads_any(p, layer, DELE_AT_ADAPTER_LOGITS);
    const float *xn = norm_before_forward(p->moe.xn, &moe->norm, moe->x,
                                          p->m->layers[layer].moe.norm, p->rows, p->c);
    p->perft.tile = p->scratch.tile;
    perft_backward(&grads, dy, s, moe, xn, p->rows, w, p->c, &p->perft, &p->moe);
    if (dele_perft_routes(p->c)) {
        dele_add_gradients(p, layer, DELE_ADAPTER_LOGITS, grads.logits ? p->perft.dlogits : NULL,
                           n);
        dele_read_gradients(p, layer, DELE_AT_ADAPTER_LOGITS, p->perft.dlogits, n);
        if (grads.logits) perft_gate_backward(&grads, xn, p->rows, w, p->c, &p->perft);
    }
    p->moe.dmore = p->c->perft.variant == DELE_PERFT_E ? NULL : p->perft.out;
}

/* The MLP of a sparse layer. */
static void moe_backward(dele_backward_pass *p, int layer, bool below)
{
    const dele_moe_weights *w = &p->m->layers[layer].moe;
    const dele_moe_saved *s = &p->saved->layer[layer].moe;
    const size_t experts = (size_t)p->c->n_experts;
    dele_moe_grads grads = moe_grads(p, layer, p->experts);
    grads.input = below || dele_norm_trains(grads.norm);
    grads.logits = grads.input || grads.router || dele_reads_any(p, layer, DELE_AT_LOGITS);
    p->moe.tile = p->scratch.tile;
    const float *dy =
        moe_sum_backward(&grads, dele_backward_joined(p), s, p->rows, w, p->c, &p->moe);
    dele_read_gradients(p, layer, DELE_AT_EXPERTS, dy, p->d_model);
    moe_experts_backward(&grads, dy, s, p->rows, w, p->c, &p->moe);
    if (dele_perft_adds(p->c)) adapters_backward(p, layer, &grads, dy);
    if (grads.logits) moe_choose_backward(s, p->rows, p->c, &p->moe);
    dele_add_gradients(p, layer, DELE_ROUTER_LOGITS, grads.logits ? p->moe.dlogits : NULL, experts);
    dele_read_gradients(p, layer, DELE_AT_LOGITS, p->moe.dlogits, experts);
    moe_input_backward(p->dx, &grads, dy, s, p->rows, w, p->c, &p->moe);
}

void dele_mlp_half_backward(dele_backward_pass *p, int layer, bool below)
{
    if (dele_layer_is_sparse(p->c, layer)) {
        moe_backward(p, layer, below);
        return;
    }
    const dele_mlp_grads grads = mlp_grads(p, layer);
    mlp_backward(below || dele_norm_trains(grads.norm) ? p->dx : NULL, &grads,
                 dele_backward_joined(p), &p->saved->layer[layer].mlp, p->rows,
                 &p->m->layers[layer].mlp, p->c, &p->scratch);
}
