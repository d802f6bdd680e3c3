#include "model/backward_pass.h"

dele_backward_pass dele_backward_begin(const dele_config *c, size_t rows)
{
    return (dele_backward_pass){.c = c,
                                .rows = rows,
                                .d_model = (size_t)c->hidden_size,
                                .q_dim = dele_q_dim(c),
                                .kv_dim = dele_kv_dim(c),
                                .qkv_dim = dele_q_dim(c) + 2 * dele_kv_dim(c)};
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* What the MLPs use in turn, beside what attention uses too. */
static dele_status lay_mlps(dele_backward_pass *p, dele_arena *arena, dele_err *err)
{
    const size_t n = p->rows;
    bool dense = false, sparse = false;
    for (int l = 0; l < p->c->n_layers; l++)
        *(dele_layer_is_sparse(p->c, l) ? &sparse : &dense) = true;
    if (dense) {
        dele_mlp_scratch *s = &p->scratch;
        const size_t d_ff = (size_t)p->c->intermediate_size;
        s->h = dele_alloc_raw(arena, n, d_ff * sizeof(float), err);
        s->dh = dele_alloc_raw(arena, n, d_ff * sizeof(float), err);
        s->dgate_up = dele_alloc_raw(arena, n, dele_mlp_width(p->c) * sizeof(float), err);
        if (!s->h || !s->dh || !s->dgate_up) return DELE_ERR_MEMORY;
    }
    if (!sparse) return DELE_OK;
    p->experts = DELE_NEW(arena, dele_expert_grads, (size_t)p->c->n_experts, err);
    if (!p->experts || dele_moe_lay_scratch(&p->moe, p->c, n, 0, true, arena, err))
        return DELE_ERR_MEMORY;
    if (!p->c->perft.variant) return DELE_OK;
    p->adapters = DELE_NEW(arena, dele_perft_adapter_grads, (size_t)p->c->perft.adapters, err);
    return p->adapters ? dele_perft_lay_scratch(&p->perft, p->c, n, true, arena, err)
                       : DELE_ERR_MEMORY;
}

dele_status dele_backward_lay_out(dele_backward_pass *p, size_t n_segments, dele_arena *arena,
                                  dele_err *err)
{
    const size_t n = p->rows;
    dele_mlp_scratch *s = &p->scratch;
    p->dx = dele_alloc(arena, n, p->d_model * sizeof(float), err);
    s->xn = dele_alloc_raw(arena, n, p->d_model * sizeof(float), err);
    s->dxn = dele_alloc_raw(arena, n, p->d_model * sizeof(float), err);
    p->dz = dele_alloc_raw(arena, n, p->q_dim * sizeof(float), err);
    p->dqkv = dele_alloc_raw(arena, n, p->qkv_dim * sizeof(float), err);
    p->dattn = DELE_NEW(arena, dele_attention_grad, n_segments, err);
    if (!p->dx || !s->xn || !s->dxn || !p->dz || !p->dqkv || !p->dattn || lay_mlps(p, arena, err))
        return DELE_ERR_MEMORY;
    if (p->c->parallel_residual &&
        !(p->dleaves = dele_alloc_raw(arena, n, p->d_model * sizeof(float), err)))
        return DELE_ERR_MEMORY;
    if (p->c->family->qk_norm != DELE_QK_NORM_NONE &&
        !(p->dq = dele_alloc_raw(arena, n, p->q_dim * sizeof(float), err)))
        return DELE_ERR_MEMORY;
    return DELE_OK;
}

/* ---- gradients of weights -------------------------------------------------------------------- */

float *dele_expert_gradient(const dele_backward_pass *p, dele_slot slot, int layer, int expert)
{
    const dele_tensor *t = dele_expert_tensor(p->m, slot, layer, expert);
    return t && p->grads->g ? p->grads->g[t - p->m->tensors] : NULL;
}

float *dele_tensor_gradient(const dele_backward_pass *p, dele_slot slot, int layer)
{
    return dele_expert_gradient(p, slot, layer, -1);
}

dele_norm_grads dele_norm_gradients(const dele_backward_pass *p, dele_slot weight, int layer)
{
    return (dele_norm_grads){dele_tensor_gradient(p, weight, layer),
                             dele_tensor_gradient(p, weight + 1, layer)};
}

bool dele_backward_trains(const dele_backward_pass *p, int layer, dele_slot first, dele_slot end)
{
    for (size_t i = p->m->layer_at[layer]; p->grads->g && i < p->m->layer_at[layer + 1]; i++) {
        const dele_tensor *t = &p->m->tensors[i];
        if (t->slot >= first && t->slot < end && p->grads->g[i]) return true;
    }
    return false;
}
