#include "model/forward_pass.h"

#include <string.h>

#include "tensor/ops.h"

dele_forward_pass dele_forward_begin(dele_run *run, const dele_config *c)
{
    dele_arena_reset(&run->arena);
    run->patches_applied = 0;
    run->saved = NULL;
    return (dele_forward_pass){.c = c,
                               .run = run,
                               .d_model = (size_t)c->hidden_size,
                               .q_dim = dele_q_dim(c),
                               .kv_dim = dele_kv_dim(c),
                               .qkv_dim = dele_q_dim(c) + 2 * dele_kv_dim(c)};
}

/* ---- memory ---------------------------------------------------------------------------------- */

static float *floats(dele_forward_pass *p, size_t rows, size_t cols, dele_err *err)
{
    return dele_alloc_raw(&p->run->arena, rows, cols * sizeof(float), err);
}

/* What the MLP saves of a dense or of a sparse layer. */
static dele_status lay_mlp(dele_layer_activations *s, const dele_config *c, bool sparse, size_t n,
                           bool for_backward, dele_arena *arena, dele_err *err)
{
    if (!sparse) return dele_mlp_lay_saved(&s->mlp, c, n, for_backward, arena, err);
    const dele_status status = dele_moe_lay_saved(&s->moe, c, n, for_backward, arena, err);
    return status || !c->perft.variant ? status : dele_perft_lay_saved(&s->perft, c, n, arena, err);
}

/* Whether the model has layers of this kind. */
static bool has_layer(const dele_config *c, bool sparse)
{
    for (int l = 0; l < c->n_layers; l++)
        if (dele_layer_is_sparse(c, l) == sparse) return true;
    return false;
}

/* What all layers use in turn that are not kept for the backward pass. */
static dele_status lay_shared(dele_forward_pass *p, size_t n, dele_err *err)
{
    dele_arena *arena = &p->run->arena;
    if (dele_attention_lay_saved(&p->shared.attn, p->c, n, false, arena, err))
        return DELE_ERR_MEMORY;
    for (int sparse = 0; sparse < 2; sparse++)
        if (has_layer(p->c, sparse) && lay_mlp(&p->shared, p->c, sparse, n, false, arena, err))
            return DELE_ERR_MEMORY;
    return DELE_OK;
}

/* What the MLPs of all layers use in turn. */
static dele_status lay_mlp_scratch(dele_forward_pass *p, size_t n, size_t most_extra, dele_err *err)
{
    dele_arena *arena = &p->run->arena;
    if (has_layer(p->c, false) && !(p->h = floats(p, n, (size_t)p->c->intermediate_size, err)))
        return DELE_ERR_MEMORY;
    if (!has_layer(p->c, true)) return DELE_OK;
    p->block_row = dele_alloc_raw(arena, n, sizeof *p->block_row, err);
    if (!p->block_row || dele_moe_lay_scratch(&p->moe, p->c, n, most_extra, false, arena, err) ||
        (p->c->perft.variant && dele_perft_lay_scratch(&p->perft, p->c, n, false, arena, err)))
        return DELE_ERR_MEMORY;
    return DELE_OK;
}

static dele_status lay_kept(dele_forward_pass *p, const dele_pass_size *size, dele_err *err)
{
    dele_arena *arena = &p->run->arena;
    for (int l = size->lowest; l < p->c->n_layers; l++) {
        dele_layer_activations *s = &p->saved->layer[l];
        if (dele_attention_lay_saved(&s->attn, p->c, size->n_rows, true, arena, err) ||
            lay_mlp(s, p->c, dele_layer_is_sparse(p->c, l), size->n_rows, true, arena, err))
            return DELE_ERR_MEMORY;
    }
    return DELE_OK;
}

static dele_status lay_tables(dele_forward_pass *p, const dele_pass_size *size, dele_arena *arena,
                              dele_err *err)
{
    p->first = DELE_NEW(arena, size_t, size->n_segments + 1, err);
    p->patch = DELE_NEW(arena, const dele_patch *, size->n_patches, err);
    p->spans = DELE_NEW(arena, dele_kv_span, size->n_spans, err);
    p->span_kv = DELE_NEW(arena, const dele_kv *, size->n_spans, err);
    p->first_span = DELE_NEW(arena, size_t, size->n_segments + 1, err);
    if (!p->first || !p->patch || !p->spans || !p->span_kv || !p->first_span)
        return DELE_ERR_MEMORY;
    if (size->keep_for_backward) return DELE_OK;
    p->dropped = DELE_NEW(arena, size_t, size->n_segments, err);
    p->segment = DELE_NEW(arena, size_t, size->n_rows, err);
    p->compact_index = DELE_NEW(arena, int, size->n_rows, err);
    return p->dropped && p->segment && p->compact_index ? DELE_OK : DELE_ERR_MEMORY;
}

static dele_status lay_rotations(dele_forward_pass *p, const dele_pass_size *size, dele_err *err)
{
    const size_t pairs = dele_rotation_pairs(p->c);
    if (!(p->inv_freq = floats(p, pairs, 1, err))) return DELE_ERR_MEMORY;
    for (int which = 0; which < DELE_N_ROTATIONS; which++) {
        if (!dele_uses_rotation(p->c, which)) continue;
        p->saved->cos_sin[which] = floats(p, size->n_rows, 2 * pairs, err);
        if (!p->saved->cos_sin[which]) return DELE_ERR_MEMORY;
    }
    return DELE_OK;
}

dele_status dele_forward_lay_out(dele_forward_pass *p, const dele_pass_size *size, dele_err *err)
{
    dele_arena *arena = &p->run->arena;
    const size_t n = size->n_rows, n_out = size->n_output_rows;
    if (lay_tables(p, size, arena, err)) return DELE_ERR_MEMORY;
    p->x = floats(p, n, p->d_model, err);
    p->xn = floats(p, n, p->d_model, err);
    p->out = floats(p, n, p->d_model, err);
    p->skip_mask = dele_alloc_raw(arena, n, sizeof *p->skip_mask, err);
    struct dele_activations *s = p->saved = p->run->saved =
        DELE_NEW(arena, struct dele_activations, 1, err);
    if (!p->x || !p->xn || !p->out || !p->skip_mask || !s ||
        lay_mlp_scratch(p, n, size->n_expert_rows, err))
        return DELE_ERR_MEMORY;
    if (p->c->parallel_residual && !(p->held = floats(p, n, p->d_model, err)))
        return DELE_ERR_MEMORY;
    s->pos = DELE_NEW(arena, int, n, err);
    s->items = DELE_NEW(arena, dele_attention, size->n_segments, err);
    s->scratch = floats(p, dele_attention_scratch(size->longest, p->c->attn_softcap > 0), 1, err);
    s->layer = DELE_NEW(arena, dele_layer_activations, (size_t)p->c->n_layers, err);
    s->x_final = floats(p, n_out, p->d_model, err);
    p->run->final = floats(p, n_out, p->d_model, err);
    if (!s->pos || !s->items || !s->scratch || !s->layer || !s->x_final || !p->run->final ||
        lay_rotations(p, size, err) || dele_norm_lay_saved(&s->final, n_out, arena, err))
        return DELE_ERR_MEMORY;
    const bool all_kept = size->keep_for_backward && size->lowest == 0;
    if (!all_kept && lay_shared(p, n, err)) return DELE_ERR_MEMORY;
    return size->keep_for_backward ? lay_kept(p, size, err) : DELE_OK;
}

dele_status dele_forward_lay_layer_mlp(dele_forward_pass *p, int layer, size_t n, dele_err *err)
{
    p->xn = floats(p, n, p->d_model, err);
    if (!p->xn || lay_mlp_scratch(p, n, 0, err)) return DELE_ERR_MEMORY;
    return lay_mlp(&p->shared, p->c, dele_layer_is_sparse(p->c, layer), n, false, &p->run->arena,
                   err);
}

/* ---- its size -------------------------------------------------------------------------------- */

static size_t count_spans(const dele_batch *b)
{
    size_t n = b->n_segments;
    for (size_t i = 0; i < b->n_segments; i++)
        for (const dele_kv *kv = b->segments[i].parent; kv; kv = kv->parent) n++;
    return n;
}

/* Rows of the patches at EXPERT_OUT of the layer that has most of them. */
static size_t count_expert_rows(const dele_batch *b)
{
    size_t of[DELE_MAX_LAYERS] = {0}, most = 0;
    for (size_t i = 0; i < b->n_patches; i++) {
        const dele_patch *patch = &b->patches[i];
        if (patch->site != DELE_EXPERT_OUT || patch->layer < 0 || patch->layer >= DELE_MAX_LAYERS)
            continue;
        size_t *n = &of[patch->layer];
        *n += dele_patch_rows(patch);
        if (*n > most) most = *n;
    }
    return most;
}

dele_pass_size dele_forward_size(const dele_forward_pass *p)
{
    const dele_batch *b = p->batch;
    dele_pass_size size = {.n_rows = p->n_rows,
                           .n_segments = b->n_segments,
                           .n_spans = count_spans(b),
                           .n_patches = b->n_patches,
                           .n_output_rows = b->n_output_rows,
                           .n_expert_rows = count_expert_rows(b),
                           .keep_for_backward = b->keep_for_backward,
                           .lowest = b->lowest};
    for (size_t i = 0; i < b->n_segments; i++) {
        size_t keys = (size_t)b->segments[i].first_pos + (size_t)b->segments[i].n_rows;
        if (keys > size.longest) size.longest = keys;
    }
    return size;
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* The angles of a rotation, of every row; where the rotation grows with the sequence, each segment
 * has its own. */
static void fill_angles(dele_forward_pass *p, int which)
{
    const dele_rope *rope = &p->c->rope[which];
    const size_t pairs = dele_rotation_pairs(p->c);
    float factor = 0;
    for (size_t i = 0; i < p->batch->n_segments; i++) {
        const dele_segment *s = &p->batch->segments[i];
        if (i == 0 || rope->type == DELE_ROPE_DYNAMIC)
            factor = dele_rotation_frequencies(p->inv_freq, p->c, rope, dele_segment_text(s));
        rope_angles(p->saved->cos_sin[which] + p->first[i] * 2 * pairs, p->inv_freq, pairs, factor,
                    s->first_pos, (size_t)s->n_rows);
    }
}

/* In the last layer the rows before a segment's first output row are dropped, unless the backward
 * pass or a patch there needs one of them. */
static void find_tails(dele_forward_pass *p)
{
    const dele_batch *b = p->batch;
    size_t *tail = p->dropped, *segment = p->segment;
    for (size_t i = 0; i < b->n_segments; i++) {
        tail[i] = (size_t)b->segments[i].n_rows;
        for (size_t row = p->first[i]; row < p->first[i + 1]; row++) segment[row] = i;
    }
    for (size_t i = 0; i < b->n_output_rows; i++) {
        size_t row = (size_t)b->output_rows[i], of = segment[row];
        if (row - p->first[of] < tail[of]) tail[of] = row - p->first[of];
    }
    for (size_t i = 0; i < b->n_patches; i++) {
        if (b->patches[i].layer != p->c->n_layers - 1 || b->patches[i].site <= DELE_RESID_PRE)
            continue;
        for (size_t j = 0; j < dele_patch_rows(&b->patches[i]); j++) {
            size_t row = (size_t)b->patches[i].row + j, of = segment[row];
            if (row - p->first[of] < tail[of]) return;
        }
    }
    int n = 0;
    for (size_t row = 0; row < p->n_rows; row++)
        p->compact_index[row] = row - p->first[segment[row]] >= tail[segment[row]] ? n++ : -1;
    p->tail = tail;
}

/* Spans of every segment: the parents' KV caches from the oldest on, then the segment's own
 * rows. */
static void fill_spans(dele_forward_pass *p)
{
    const dele_batch *b = p->batch;
    size_t at = 0;
    for (size_t i = 0; i < b->n_segments; i++) {
        const dele_segment *s = &b->segments[i];
        size_t n = 0;
        int end = s->first_pos;
        for (const dele_kv *kv = s->parent; kv && end > 0; kv = kv->parent)
            if (kv->first_pos < end) n++, end = kv->first_pos;
        end = s->first_pos;
        size_t slot = at + n;
        for (const dele_kv *kv = s->parent; kv && end > 0; kv = kv->parent)
            if (kv->first_pos < end) {
                p->span_kv[--slot] = kv;
                p->spans[slot].n = (size_t)(end - kv->first_pos);
                end = kv->first_pos;
            }
        p->spans[at + n].n = (size_t)s->n_rows;
        at += n + 1;
        p->first_span[i + 1] = at;
    }
}

void dele_forward_prepare(dele_forward_pass *p)
{
    const dele_batch *b = p->batch;
    for (size_t i = 0; i < b->n_segments; i++)
        p->first[i + 1] = p->first[i] + (size_t)b->segments[i].n_rows;
    for (size_t i = 0; i < b->n_segments; i++)
        for (int t = 0; t < b->segments[i].n_rows; t++)
            p->saved->pos[p->first[i] + (size_t)t] = b->segments[i].first_pos + t;
    for (int which = 0; which < DELE_N_ROTATIONS; which++)
        if (p->saved->cos_sin[which]) fill_angles(p, which);
    if (!b->keep_for_backward) find_tails(p);
    fill_spans(p);
}
