#include "model/forward_attention.h"

#include <string.h>

#include "model/forward_patches.h"
#include "tensor/ops.h"

/* Copies a segment's keys and values of this layer, in rows of qkv, into its KV cache. */
static void store_kv(const dele_forward_pass *p, int layer, const dele_segment *s, const float *k,
                     const float *v)
{
    const dele_kv *kv = s->keep;
    size_t at = ((size_t)layer * (size_t)kv->capacity + (size_t)(s->first_pos - kv->first_pos)) *
                kv->kv_dim;
    for (size_t t = 0; t < (size_t)s->n_rows; t++, at += kv->kv_dim) {
        memcpy(kv->k + at, k + t * p->qkv_dim, kv->kv_dim * sizeof *k);
        memcpy(kv->v + at, v + t * p->qkv_dim, kv->kv_dim * sizeof *v);
    }
}

/* Points every segment's spans at this layer's keys and values, and stores the new ones in the KV
 * caches that keep them.  Returns the number of segments that are live. */
static size_t aim_spans(dele_forward_pass *p, int layer, float *qkv, float *z, size_t live)
{
    const dele_batch *b = p->batch;
    size_t i = 0, z_row = 0;
    for (; i < b->n_segments && p->first[i] < live; i++) {
        const dele_segment *s = &b->segments[i];
        float *rows = qkv + p->first[i] * p->qkv_dim, *k = rows + p->q_dim, *v = k + p->kv_dim;
        size_t from = p->first_span[i], own = p->first_span[i + 1] - 1;
        for (size_t j = from; j < own; j++) {
            const dele_kv *kv = p->span_kv[j];
            size_t at = (size_t)layer * (size_t)kv->capacity * kv->kv_dim;
            p->spans[j].k = kv->k + at, p->spans[j].v = kv->v + at, p->spans[j].ld = kv->kv_dim;
        }
        p->spans[own].k = k, p->spans[own].v = v, p->spans[own].ld = p->qkv_dim;
        size_t cut = p->pruned ? p->tail[i] : 0, n = (size_t)s->n_rows - cut;
        p->saved->items[i] = (dele_attention){.z = z + z_row * p->q_dim,
                                              .q = rows + cut * p->qkv_dim,
                                              .n = n,
                                              .ldz = p->q_dim,
                                              .ldq = p->qkv_dim,
                                              .spans = p->spans + from,
                                              .n_spans = own - from + 1};
        z_row += n;
        p->run->flops +=
            dele_heads_flops(p->c, layer, (double)n, (double)s->first_pos + (double)s->n_rows);
        if (s->keep) store_kv(p, layer, s, k, v);
    }
    return i;
}

/* Compacts the stream: of each segment only the tail remains.  Returns the number of rows left. */
static size_t compact_to_tails(dele_forward_pass *p, size_t live)
{
    size_t n = 0;
    for (size_t row = 0; row < live; row++) {
        if (p->compact_index[row] < 0) continue;
        n = (size_t)p->compact_index[row] + 1;
        if (n - 1 != row)
            memcpy(p->x + (n - 1) * p->d_model, p->x + row * p->d_model, p->d_model * sizeof *p->x);
    }
    p->pruned = true;
    return n;
}

size_t dele_attention_half(dele_forward_pass *p, int layer, size_t live,
                           dele_layer_activations *keep)
{
    const dele_attention_weights *w = &p->m->layers[layer].attn;
    dele_attention_saved *s = keep ? &keep->attn : &p->shared.attn;
    const dele_qkv_scratch scratch = {p->xn, p->out, p->run->tile, NULL, NULL};
    const dele_rotation rotation = dele_rotation_of(p->saved, p->c, layer);
    const bool cut = p->tail && layer == p->c->n_layers - 1;
    attention_qkv_forward(s, p->x, cut ? p->compact_index : NULL, live, w, rotation, p->c,
                          &scratch);
    const size_t left = cut ? compact_to_tails(p, live) : live;
    const size_t n_items = aim_spans(p, layer, s->qkv, s->z, live);
    attention_forward(p->saved->items, n_items, dele_attention_heads(p->c, layer),
                      p->saved->scratch);
    p->run->flops += dele_attention_flops(p->c, (double)live, (double)left);
    dele_patch_site(p, layer, DELE_HEAD_OUT, s->z, p->q_dim, left);
    float *out = p->held ? p->held : p->out;
    if (p->held || dele_site_is_patched(p, layer, DELE_ATTN_OUT)) {
        attention_out_forward(out, false, s, left, w, p->c, &scratch);
        dele_patch_site(p, layer, DELE_ATTN_OUT, out, p->d_model, left);
        if (!p->held) add(p->x, out, left * p->d_model);
    } else {
        attention_out_forward(p->x, true, s, left, w, p->c, &scratch);
    }
    if (!p->held) dele_patch_site(p, layer, DELE_RESID_MID, p->x, p->d_model, left);
    return left;
}
