#include "model/forward_mlp.h"

#include <string.h>

#include "model/forward_patches.h"
#include "tensor/ops.h"

/* ---- routes ---------------------------------------------------------------------------------- */

void dele_routes_begin(const dele_forward_pass *p)
{
    dele_routes *r = p->batch->routes;
    if (!r) return;
    r->n_rows = p->n_rows;
    for (size_t i = 0; i < r->n_rows * (size_t)r->n_layers * (size_t)r->top_k; i++)
        r->experts[i] = -1, r->weights[i] = 0;
}

/* Marks the rows whose route the caller gives, and copies it. */
static void give_routes(const dele_forward_pass *p, int layer, dele_moe_saved *s, size_t n)
{
    const size_t k = (size_t)p->c->top_k;
    memset(s->given, 0, n * sizeof *s->given);
    for (size_t i = 0, segment = 0; i < n && p->batch; i++) {
        while (p->first[segment + 1] <= p->block_row[i]) segment++; /* rows come in order */
        const dele_segment *of = &p->batch->segments[segment];
        const size_t at = of->forced_at + p->block_row[i] - p->first[segment];
        if (!of->forced || dele_route_experts(of->forced, at, layer)[0] < 0) continue;
        memcpy(s->expert + i * k, dele_route_experts(of->forced, at, layer), k * sizeof *s->expert);
        memcpy(s->weight + i * k, dele_route_weights(of->forced, at, layer), k * sizeof *s->weight);
        s->given[i] = true;
    }
}

static void record_routes(const dele_forward_pass *p, int layer, const dele_moe_saved *s, size_t n)
{
    const size_t k = (size_t)p->c->top_k;
    for (size_t i = 0; i < n; i++) {
        const dele_routes *r = p->batch->routes;
        memcpy(dele_route_experts(r, p->block_row[i], layer), s->expert + i * k,
               k * sizeof *s->expert);
        memcpy(dele_route_weights(r, p->block_row[i], layer), s->weight + i * k,
               k * sizeof *s->weight);
    }
}

/* ---- the MLP --------------------------------------------------------------------------------- */

/* The seed of a layer's dropout in this pass; 0: there is none. */
static uint64_t layer_dropout(const dele_forward_pass *p, int layer)
{
    const uint64_t seed = p->batch && p->batch->keep_for_backward ? p->batch->dropout : 0;
    return seed && p->c->perft.dropout > 0 ? seed + ((uint64_t)layer + 1) * 0xd1342543de82ef95u : 0;
}

/* mlp of a sparse layer, for the rows `block_row` of the batch. */
static void moe(dele_forward_pass *p, int layer, float *out, bool adds, const float *x, size_t n,
                dele_layer_activations *saved)
{
    const dele_config *c = p->c;
    dele_moe_saved *s = &saved->moe;
    const bool adapted = dele_perft_adds(c);
    const dele_moe_weights *w = &p->m->layers[layer].moe;
    p->moe.tile = p->run->tile;
    const float *xn = moe_router_forward(s, x, n, w, c, &p->moe);
    if (p->batch) dele_patch_site(p, layer, DELE_ROUTER_LOGITS, s->logits, (size_t)c->n_experts, n);
    give_routes(p, layer, s, n);
    moe_choose_forward(s, n, c);
    if (p->batch && p->batch->routes) record_routes(p, layer, s, n);
    moe_experts_forward(s, xn, n, w, c, &p->moe);
    p->perft.tile = p->run->tile;
    saved->perft.dropout = adapted ? layer_dropout(p, layer) : 0;
    if (adapted) {
        const dele_perft_weights *adapters = &p->m->layers[layer].perft;
        perft_gate_forward(&saved->perft, xn, n, adapters, c, &p->perft);
        if (p->batch && dele_perft_routes(c))
            dele_patch_site(p, layer, DELE_ADAPTER_LOGITS, saved->perft.p,
                            (size_t)c->perft.adapters, n);
        perft_forward(&saved->perft, s, xn, n, adapters, c, &p->perft, &p->moe);
    }
    if (p->batch) dele_patch_experts(p, layer, s, n);
    moe_shared_forward(s, xn, n, w, c, &p->moe);
    if (p->batch && w->shared_scale)
        dele_patch_site(p, layer, DELE_SHARED_OUT, p->moe.shared, p->d_model, n);
    moe_sum_forward(out, adds, s, n, w, c, &p->moe);
    if (adapted) perft_join(out, n, c, &p->perft);
}

void dele_mlp_of_layer(dele_forward_pass *p, int layer, float *out, bool adds, const float *x,
                       size_t n, dele_layer_activations *keep)
{
    dele_layer_activations *s = keep ? keep : &p->shared;
    const dele_mlp_scratch scratch = {.xn = p->xn, .h = p->h, .tile = p->run->tile};
    if (dele_layer_is_sparse(p->c, layer))
        moe(p, layer, out, adds, x, n, s);
    else
        mlp_forward(out, adds, &s->mlp, x, n, &p->m->layers[layer].mlp, p->c, &scratch);
    p->run->flops += dele_layer_mlp_flops(p->c, layer, (double)n);
}

/* block_row of the first n rows of the stream, without those that the mask excludes (NULL: none).
 */
static void find_block_rows(dele_forward_pass *p, size_t n, const dele_row_use *mask)
{
    size_t at = 0, found = 0;
    for (size_t row = 0; row < p->n_rows && at < n && p->block_row; row++) {
        if (p->pruned && p->compact_index[row] < 0) continue;
        if (!mask || mask[at] != DELE_ROW_PRUNED) p->block_row[found++] = row;
        at++;
    }
}

/* The same for the rows whose MLP output is not replaced: they are gathered, and their results are
 * scattered back. */
static void mlp_of_some(dele_forward_pass *p, int layer, size_t live, size_t left)
{
    size_t n = 0;
    for (size_t row = 0; row < live; row++)
        if (p->skip_mask[row] != DELE_ROW_PRUNED)
            memcpy(p->out + n++ * p->d_model, p->x + row * p->d_model, p->d_model * sizeof *p->x);
    find_block_rows(p, live, p->skip_mask);
    dele_mlp_of_layer(p, layer, p->out, false, p->out, left, NULL);
    for (size_t row = live; row-- > 0;)
        if (p->skip_mask[row] != DELE_ROW_PRUNED && --n != row)
            memcpy(p->out + row * p->d_model, p->out + n * p->d_model, p->d_model * sizeof *p->x);
}

void dele_mlp_half(dele_forward_pass *p, int layer, size_t live, dele_layer_activations *keep)
{
    find_block_rows(p, live, NULL);
    if (dele_site_is_patched(p, layer, DELE_MLP_OUT)) {
        size_t left = keep ? live : dele_patches_skip(p, layer, live);
        if (left < live)
            mlp_of_some(p, layer, live, left);
        else
            dele_mlp_of_layer(p, layer, p->out, false, p->x, live, keep);
        dele_patch_site(p, layer, DELE_MLP_OUT, p->out, p->d_model, live);
        add(p->x, p->out, live * p->d_model);
    } else {
        dele_mlp_of_layer(p, layer, p->x, true, p->x, live, keep);
    }
    if (p->held) add(p->x, p->held, live * p->d_model);
    dele_patch_site(p, layer, DELE_RESID_POST, p->x, p->d_model, live);
}
