/* The forward pass, layer by layer over all live rows.
 *
 *   x ── norm ── q k v ── clip ── rotate ── attention ── o ──(+)── norm ── gate,up ── silu ⊙ ─┐
 *                                   HEAD_OUT  ATTN_OUT ──┘ RESID_MID                          │
 *                                                         x ──(+)────────────────── down ─────┘
 *                                                 RESID_POST  └── MLP_OUT
 *
 * Rows (token positions) are stacked over segments.  Segments come in order of start_layer, so at
 * each layer the live rows are a prefix of the stack and every matrix product is one call on
 * contiguous memory.
 *
 * In the last layer only the head reads a row's output.  The stream is compacted there to the
 * tails: of each segment the rows from its first output row on.  All rows still compute keys and
 * values, but only the tails compute queries.
 *
 * A row whose MLP output a patch replaces is left out of that MLP. */
#include "model/forward.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/activations.h"
#include "tensor/gemm.h"
#include "tensor/ops.h"

void dele_run_release(dele_run *run)
{
    dele_arena_release(&run->arena);
    *run = (dele_run){0};
}

dele_status dele_kv_init(dele_kv *kv, const dele_config *config, const dele_kv *parent,
                         int first_pos, int capacity, dele_arena *arena, dele_err *err)
{
    size_t kv_dim = dele_kv_dim(config), n = (size_t)config->n_layers * (size_t)capacity;
    *kv =
        (dele_kv){.parent = parent, .first_pos = first_pos, .capacity = capacity, .kv_dim = kv_dim};
    kv->k = dele_alloc_raw(arena, n, kv_dim * sizeof(float), err);
    kv->v = kv->k ? dele_alloc_raw(arena, n, kv_dim * sizeof(float), err) : NULL;
    return kv->v ? DELE_OK : DELE_ERR_MEMORY;
}

void dele_norm_forward(float *y, float *rstd, float *mean, const float *x, const float *w, size_t n,
                       const dele_config *config)
{
    if (config->family->norm == DELE_RMSNORM)
        rmsnorm_forward(y, rstd, x, w, n, (size_t)config->hidden_size, config->norm_eps);
    else
        layernorm_forward(y, rstd, mean, x, n, (size_t)config->hidden_size, config->norm_eps);
}

/* ---- patches --------------------------------------------------------------------------------- */

static int patch_order(const void *a, const void *b)
{
    const dele_patch *p = *(const dele_patch *const *)a, *q = *(const dele_patch *const *)b;
    if (p->layer != q->layer) return p->layer < q->layer ? -1 : 1;
    if (p->site != q->site) return p->site < q->site ? -1 : 1;
    return p < q ? -1 : p > q; /* as the caller listed them */
}

static void patch_apply(const dele_patch *p, float *row, size_t d_model)
{
    switch (p->op) { /* row has d_model values: a head's or the stream's */
    case DELE_REPLACE:
        memcpy(row, p->value, d_model * sizeof *row);
        break;
    case DELE_ADD:
        for (size_t i = 0; i < d_model; i++) row[i] += p->value[i];
        break;
    case DELE_SCALE:
        for (size_t i = 0; i < d_model; i++) row[i] *= p->value[0];
        break;
    case DELE_READ:
        memcpy(p->seen, row, d_model * sizeof *row);
        break;
    }
}

typedef enum { PLAIN, REQUIRED, PRUNED } row_use;

/* One pass's working state. */
typedef struct {
    const dele_model *m;
    const dele_config *c;
    const dele_batch *batch;
    dele_run *run;
    size_t n_rows, d_model, q_dim, kv_dim, qkv_dim, d_ff;
    size_t *first;            /* [n_segments + 1] first row of each segment */
    const dele_patch **patch; /* [n_patches] in order of layer and site */
    size_t next_patch;
    row_use *skip_mask;  /* [rows] of this layer's MLP: PRUNED where a patch replaces its output */
    float *x, *xn, *out; /* [rows, d_model] the stream, its norm, a sublayer's output */
    float *qkv, *z, *gate_up, *h; /* shared by all layers, unless they are kept */
    bool pruned;                  /* in the last layer: the stream holds the tails alone */
    size_t *tail; /* [n_segments] rows that compacting drops from each segment's start; or NULL */
    int *compact_index; /* [rows] a row's index after compacting, -1: dropped */
    float *rstd, *mean;
    dele_kv_span *spans;     /* of all segments, parents first */
    size_t *first_span;      /* [n_segments + 1] */
    const dele_kv **span_kv; /* the KV cache of each parent span, NULL for a segment's own rows */
    struct dele_activations *saved;
} pass;

/* Applies the patches of (layer, site) to the live rows of data [.., width]; counts them. */
static void patches_at(pass *p, int layer, dele_site site, float *data, size_t width, size_t live)
{
    for (; p->next_patch < p->batch->n_patches; p->next_patch++) {
        const dele_patch *patch = p->patch[p->next_patch];
        if (patch->layer > layer || (patch->layer == layer && patch->site > site)) return;
        if (patch->layer < layer || patch->site < site) continue;
        int row = p->pruned ? p->compact_index[patch->row] : patch->row;
        if (row < 0 || (size_t)row >= live) continue;
        float *at = data + (size_t)row * width;
        if (site == DELE_HEAD_OUT)
            patch_apply(patch, at + (size_t)patch->head * (size_t)p->c->head_dim,
                        (size_t)p->c->head_dim);
        else
            patch_apply(patch, at, width);
        p->run->patches_applied++;
    }
}

/* Excludes from the MLP the rows whose first patch at this layer's MLP_OUT, the next site, replaces
 * the value.  Returns the number of rows left to compute. */
static size_t skip_replaced(pass *p, int layer, size_t live)
{
    size_t left = live;
    memset(p->skip_mask, 0, live * sizeof *p->skip_mask);
    for (size_t i = p->next_patch; i < p->batch->n_patches; i++) {
        const dele_patch *patch = p->patch[i];
        if (patch->layer != layer || patch->site != DELE_MLP_OUT) break;
        int row = p->pruned ? p->compact_index[patch->row] : patch->row;
        if (row < 0 || (size_t)row >= live || p->skip_mask[row]) continue;
        p->skip_mask[row] = patch->op == DELE_REPLACE ? PRUNED : REQUIRED;
        left -= p->skip_mask[row] == PRUNED;
    }
    return left;
}

/* ---- checking and laying out ----------------------------------------------------------------- */

static dele_status check_segment(const pass *p, size_t i, dele_err *err)
{
    const dele_segment *s = &p->batch->segments[i];
    if (s->n_rows <= 0 || s->first_pos < 0 || s->first_pos + s->n_rows > p->c->context)
        return dele_fail(err, DELE_ERR_DATA,
                         "a sequence of %d tokens does not fit the model's context of %d",
                         s->first_pos + s->n_rows, p->c->context);
    if (i && s->start_layer < p->batch->segments[i - 1].start_layer)
        return dele_fail(err, DELE_ERR_DATA,
                         "segments must come in order of the layer at which they start");
    if (s->start_layer < 0 || s->start_layer > p->c->n_layers ||
        (!s->states && (s->start_layer || !s->tokens)))
        return dele_fail(err, DELE_ERR_DATA, "a segment that starts at layer %d needs states",
                         s->start_layer);
    for (int t = 0; s->tokens && t < s->n_rows; t++)
        if (s->tokens[t] < 0 || s->tokens[t] >= p->c->vocab)
            return dele_fail(err, DELE_ERR_DATA,
                             "token id %d is outside the model's vocabulary of %d", s->tokens[t],
                             p->c->vocab);
    int need = s->first_pos;
    for (const dele_kv *kv = s->parent; kv && need > 0; kv = kv->parent) {
        if (kv->first_pos + kv->n_rows < need) break;
        if (kv->first_pos < need) need = kv->first_pos;
    }
    if (need > 0)
        return dele_fail(err, DELE_ERR_DATA,
                         "a segment begins at position %d and its parents do not reach it",
                         s->first_pos);
    const dele_kv *keep = s->keep;
    if (keep && (s->first_pos < keep->first_pos ||
                 s->first_pos + s->n_rows > keep->first_pos + keep->capacity))
        return dele_fail(err, DELE_ERR_DATA, "the KV cache is too small for position %d",
                         s->first_pos + s->n_rows - 1);
    if (p->batch->keep_for_backward && (s->first_pos || s->start_layer))
        return dele_fail(err, DELE_ERR_UNSUPPORTED, "a backward pass needs whole sequences");
    return DELE_OK;
}

static dele_status check(pass *p, dele_err *err)
{
    const dele_batch *b = p->batch;
    p->first = DELE_NEW(&p->run->arena, size_t, b->n_segments + 1, err);
    p->patch = DELE_NEW(&p->run->arena, const dele_patch *, b->n_patches, err);
    if (!p->first || !p->patch) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < b->n_segments; i++) {
        if (check_segment(p, i, err)) return err ? err->code : DELE_ERR_DATA;
        p->first[i + 1] = p->first[i] + (size_t)b->segments[i].n_rows;
    }
    p->n_rows = p->first[b->n_segments];
    for (size_t i = 0; i < b->n_patches; i++) {
        p->patch[i] = &b->patches[i];
        if (b->patches[i].row < 0 || (size_t)b->patches[i].row >= p->n_rows)
            return dele_fail(err, DELE_ERR_DATA, "a patch names row %d of a batch of %zu",
                             b->patches[i].row, p->n_rows);
        if (b->patches[i].site == DELE_HEAD_OUT &&
            (b->patches[i].head < 0 || b->patches[i].head >= p->c->n_heads))
            return dele_fail(err, DELE_ERR_DATA, "a patch names head %d of %d", b->patches[i].head,
                             p->c->n_heads);
    }
    qsort(p->patch, b->n_patches, sizeof *p->patch, patch_order);
    for (size_t i = 0; i < b->n_output_rows; i++)
        if (b->output_rows[i] < 0 || (size_t)b->output_rows[i] >= p->n_rows)
            return dele_fail(err, DELE_ERR_DATA, "an output row is %d in a batch of %zu rows",
                             b->output_rows[i], p->n_rows);
    return DELE_OK;
}

/* Spans of every segment: the parents' KV caches from the oldest on, then the segment's own
 * rows. */
static dele_status lay_spans(pass *p, dele_err *err)
{
    const dele_batch *b = p->batch;
    size_t total = 0;
    for (size_t i = 0; i < b->n_segments; i++, total++)
        for (const dele_kv *kv = b->segments[i].parent; kv; kv = kv->parent) total++;
    p->spans = DELE_NEW(&p->run->arena, dele_kv_span, total, err);
    p->span_kv = DELE_NEW(&p->run->arena, const dele_kv *, total, err);
    p->first_span = DELE_NEW(&p->run->arena, size_t, b->n_segments + 1, err);
    if (!p->spans || !p->span_kv || !p->first_span) return DELE_ERR_MEMORY;
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
    return DELE_OK;
}

static float *floats(pass *p, size_t rows, size_t cols, dele_err *err)
{
    return dele_alloc_raw(&p->run->arena, rows, cols * sizeof(float), err);
}

static dele_status lay_layer(pass *p, dele_layer_activations *s, dele_err *err)
{
    size_t n = p->n_rows;
    s->x_pre = floats(p, n, p->d_model, err);
    s->x_mid = floats(p, n, p->d_model, err);
    s->attn_rstd = floats(p, 4 * n, 1, err);
    s->qkv = floats(p, n, p->qkv_dim, err);
    s->z = floats(p, n, p->q_dim, err);
    s->gate_up = floats(p, n, 2 * p->d_ff, err);
    if (p->c->clip_qkv > 0) s->clipped = dele_alloc(&p->run->arena, n, p->qkv_dim, err);
    if (!s->x_pre || !s->x_mid || !s->attn_rstd || !s->qkv || !s->z || !s->gate_up ||
        (p->c->clip_qkv > 0 && !s->clipped))
        return DELE_ERR_MEMORY;
    s->attn_mean = s->attn_rstd + n;
    s->mlp_rstd = s->attn_mean + n;
    s->mlp_mean = s->mlp_rstd + n;
    return DELE_OK;
}

/* In the last layer the rows before a segment's first output row are dropped, unless the backward
 * pass or a patch there needs one of them. */
static dele_status find_tails(pass *p, dele_err *err)
{
    const dele_batch *b = p->batch;
    size_t *tail = DELE_NEW(&p->run->arena, size_t, b->n_segments, err);
    size_t *segment = DELE_NEW(&p->run->arena, size_t, p->n_rows, err);
    p->compact_index = DELE_NEW(&p->run->arena, int, p->n_rows, err);
    if (!tail || !segment || !p->compact_index) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < b->n_segments; i++) {
        tail[i] = (size_t)b->segments[i].n_rows;
        for (size_t row = p->first[i]; row < p->first[i + 1]; row++) segment[row] = i;
    }
    for (size_t i = 0; i < b->n_output_rows; i++) {
        size_t row = (size_t)b->output_rows[i], of = segment[row];
        if (row - p->first[of] < tail[of]) tail[of] = row - p->first[of];
    }
    for (size_t i = 0; i < b->n_patches; i++) {
        size_t row = (size_t)b->patches[i].row, of = segment[row];
        bool late =
            b->patches[i].layer == p->c->n_layers - 1 && b->patches[i].site > DELE_RESID_PRE;
        if (late && row - p->first[of] < tail[of]) return DELE_OK;
    }
    int n = 0;
    for (size_t row = 0; row < p->n_rows; row++)
        p->compact_index[row] = row - p->first[segment[row]] >= tail[segment[row]] ? n++ : -1;
    p->tail = tail;
    return DELE_OK;
}

static dele_status lay_out(pass *p, dele_err *err)
{
    const dele_batch *b = p->batch;
    dele_arena *arena = &p->run->arena;
    size_t n = p->n_rows, longest = 0, half = (size_t)p->c->head_dim / 2;
    p->x = floats(p, n, p->d_model, err);
    p->xn = floats(p, n, p->d_model, err);
    p->out = floats(p, n, p->d_model, err);
    p->rstd = floats(p, 2 * n, 1, err);
    p->h = floats(p, n, p->d_ff, err);
    p->qkv = floats(p, n, p->qkv_dim, err);
    p->z = floats(p, n, p->q_dim, err);
    p->gate_up = floats(p, n, 2 * p->d_ff, err);
    p->skip_mask = dele_alloc_raw(arena, n, sizeof *p->skip_mask, err);
    struct dele_activations *s = p->saved = p->run->saved =
        DELE_NEW(arena, struct dele_activations, 1, err);
    if (!p->x || !p->xn || !p->out || !p->rstd || !p->h || !p->qkv || !p->z || !p->gate_up ||
        !p->skip_mask || !s)
        return DELE_ERR_MEMORY;
    p->mean = p->rstd + n;
    for (size_t i = 0; i < b->n_segments; i++) {
        size_t keys = (size_t)b->segments[i].first_pos + (size_t)b->segments[i].n_rows;
        if (keys > longest) longest = keys;
    }
    s->pos = DELE_NEW(arena, int, n, err);
    s->inv_freq = floats(p, half, 1, err);
    s->items = DELE_NEW(arena, dele_attention, b->n_segments, err);
    s->scratch = floats(p, dele_attention_scratch(longest), 1, err);
    s->layer = DELE_NEW(arena, dele_layer_activations, (size_t)p->c->n_layers, err);
    s->x_final = floats(p, b->n_output_rows, p->d_model, err);
    s->final_rstd = floats(p, 2 * b->n_output_rows, 1, err);
    p->run->final = floats(p, b->n_output_rows, p->d_model, err);
    if (!s->pos || !s->inv_freq || !s->items || !s->scratch || !s->layer || !s->x_final ||
        !s->final_rstd || !p->run->final)
        return DELE_ERR_MEMORY;
    s->final_mean = s->final_rstd + b->n_output_rows;
    for (size_t i = 0; i < b->n_segments; i++)
        for (int t = 0; t < b->segments[i].n_rows; t++)
            s->pos[p->first[i] + (size_t)t] = b->segments[i].first_pos + t;
    for (size_t i = 0; i < half; i++)
        s->inv_freq[i] = 1.0f / powf(p->c->rope_theta, (float)(2 * i) / (float)p->c->head_dim);
    for (int l = b->lowest; b->keep_for_backward && l < p->c->n_layers; l++)
        if (lay_layer(p, &s->layer[l], err)) return DELE_ERR_MEMORY;
    if (!b->keep_for_backward && find_tails(p, err)) return DELE_ERR_MEMORY;
    return lay_spans(p, err);
}

/* ---- the layers ------------------------------------------------------------------------------ */

/* Rows that start at this layer: their embeddings, or their given states.  Returns the number of
 * live rows. */
static size_t join(pass *p, int layer)
{
    const dele_batch *b = p->batch;
    size_t live = 0;
    for (size_t i = 0; i < b->n_segments && b->segments[i].start_layer <= layer; i++) {
        const dele_segment *s = &b->segments[i];
        live = p->first[i + 1];
        for (size_t t = 0; t < (size_t)s->n_rows && s->start_layer == layer; t++) {
            size_t row = p->first[i] + t;
            if (p->pruned && p->compact_index[row] < 0)
                continue; /* compacted already: this segment starts after all layers */
            memcpy(p->x + (p->pruned ? (size_t)p->compact_index[row] : row) * p->d_model,
                   s->states ? s->states + t * p->d_model
                             : p->m->embed + (size_t)s->tokens[t] * p->d_model,
                   p->d_model * sizeof *p->x);
        }
    }
    return live;
}

static void clip(float *qkv, unsigned char *clipped, size_t n, float limit)
{
    for (size_t i = 0; i < n; i++) {
        float x = qkv[i];
        if (clipped) clipped[i] = x < -limit || x > limit;
        qkv[i] = x < -limit ? -limit : x > limit ? limit : x;
    }
}

/* Points every segment's spans at this layer's keys and values, and copies the new ones into the KV
 * caches that store them. */
static size_t aim_spans(pass *p, int layer, float *qkv, float *z, size_t live)
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
            2.0 * (double)n * (2 * s->first_pos + 2 * s->n_rows - (double)n + 1) * (double)p->q_dim;
        if (!s->keep) continue;
        dele_kv *kv = s->keep;
        size_t at =
            ((size_t)layer * (size_t)kv->capacity + (size_t)(s->first_pos - kv->first_pos)) *
            kv->kv_dim;
        for (size_t t = 0; t < (size_t)s->n_rows; t++) {
            memcpy(kv->k + at + t * kv->kv_dim, k + t * p->qkv_dim, kv->kv_dim * sizeof *k);
            memcpy(kv->v + at + t * kv->kv_dim, v + t * p->qkv_dim, kv->kv_dim * sizeof *v);
        }
    }
    return i;
}

/* y [m, n] = x [m, k] wᵀ + beta y; packed: w's copy, or NULL. */
static void linear(pass *p, float *y, float beta, const float *x, const float *w,
                   const gemm_packed *packed, size_t m, size_t n, size_t k)
{
    if (!gemm_nt_packed(y, n, x, k, packed, m, beta)) gemm_nt(y, n, x, k, w, k, m, n, k, beta);
    p->run->flops += 2.0 * (double)m * (double)n * (double)k;
}

/* Whether a patch applies at (layer, site), the next site.  Where none does, the matrix product of
 * a sublayer adds its output to the stream directly. */
static bool patched(const pass *p, int layer, dele_site site)
{
    if (p->next_patch == p->batch->n_patches) return false;
    const dele_patch *next = p->patch[p->next_patch];
    return next->layer == layer && next->site == site;
}

/* Compacts the stream: of each segment only the tail remains.  Returns the number of rows left. */
static size_t compact_to_tails(pass *p, size_t live)
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

/* In the layer where the stream is compacted: keys and values of all live rows, queries of the
 * tails alone.  The other rows' queries are not read and are set to 0. */
static void project_tails(pass *p, float *qkv, const float *w, size_t live)
{
    size_t n = 0, kv = 2 * p->kv_dim;
    gemm_nt(qkv + p->q_dim, p->qkv_dim, p->xn, p->d_model, w + p->q_dim * p->d_model, p->d_model,
            live, kv, p->d_model, 0.0f);
    p->run->flops += 2.0 * (double)live * (double)kv * (double)p->d_model;
    for (size_t row = 0; row < live; row++)
        if (p->compact_index[row] >= 0)
            memcpy(p->out + n++ * p->d_model, p->xn + row * p->d_model, p->d_model * sizeof *p->xn);
    linear(p, p->z, 0, p->out, w, NULL, n, p->q_dim, p->d_model);
    for (size_t row = 0; row < live; row++) {
        float *q = qkv + row * p->qkv_dim;
        if (p->compact_index[row] < 0)
            memset(q, 0, p->q_dim * sizeof *q);
        else
            memcpy(q, p->z + (size_t)p->compact_index[row] * p->q_dim, p->q_dim * sizeof *q);
    }
}

/* Attention and its output projection.  Returns the number of rows left: fewer only in the last
 * layer. */
static size_t attention_half(pass *p, int layer, size_t live, dele_layer_activations *keep)
{
    const dele_layer *w = &p->m->layers[layer];
    float *qkv = keep ? keep->qkv : p->qkv, *z = keep ? keep->z : p->z;
    bool cut = p->tail && layer == p->c->n_layers - 1;
    if (keep) memcpy(keep->x_pre, p->x, live * p->d_model * sizeof *p->x);
    dele_norm_forward(p->xn, keep ? keep->attn_rstd : p->rstd, keep ? keep->attn_mean : p->mean,
                      p->x, w->attn_norm, live, p->c);
    if (cut)
        project_tails(p, qkv, w->q, live);
    else
        linear(p, qkv, 0, p->xn, w->q, w->packed_qkv, live, p->qkv_dim, p->d_model);
    if (p->c->clip_qkv > 0)
        clip(qkv, keep ? keep->clipped : NULL, live * p->qkv_dim, p->c->clip_qkv);
    rope(qkv, p->qkv_dim, p->saved->pos, live, (size_t)(p->c->n_heads + p->c->n_kv_heads),
         (size_t)p->c->head_dim, p->saved->inv_freq, 1.0f);
    size_t left = cut ? compact_to_tails(p, live) : live;
    size_t n_items = aim_spans(p, layer, qkv, z, live);
    dele_heads heads = {(size_t)p->c->n_heads, (size_t)p->c->n_kv_heads, (size_t)p->c->head_dim};
    attention_forward(p->saved->items, n_items, heads, p->saved->scratch);
    patches_at(p, layer, DELE_HEAD_OUT, z, p->q_dim, left);
    if (patched(p, layer, DELE_ATTN_OUT)) {
        linear(p, p->out, 0, z, w->o, w->packed_o, left, p->d_model, p->q_dim);
        patches_at(p, layer, DELE_ATTN_OUT, p->out, p->d_model, left);
        add(p->x, p->out, left * p->d_model);
    } else {
        linear(p, p->x, 1, z, w->o, w->packed_o, left, p->d_model, p->q_dim);
    }
    patches_at(p, layer, DELE_RESID_MID, p->x, p->d_model, left);
    return left;
}

/* y = MLP(norm(x)) + beta y, for n rows of x; y may be x. */
static void mlp(pass *p, int layer, float *y, float beta, const float *x, size_t n,
                dele_layer_activations *keep)
{
    const dele_layer *w = &p->m->layers[layer];
    float *gate_up = keep ? keep->gate_up : p->gate_up;
    dele_norm_forward(p->xn, keep ? keep->mlp_rstd : p->rstd, keep ? keep->mlp_mean : p->mean, x,
                      w->mlp_norm, n, p->c);
    linear(p, gate_up, 0, p->xn, w->gate, w->packed_gate_up, n, 2 * p->d_ff, p->d_model);
    swiglu_forward(p->h, gate_up, n, p->d_ff);
    linear(p, y, beta, p->h, w->down, w->packed_down, n, p->d_model, p->d_ff);
}

/* The same for the rows whose MLP output is not replaced: they are gathered, and their results are
 * scattered back. */
static void mlp_of_some(pass *p, int layer, size_t live, size_t left)
{
    size_t n = 0;
    for (size_t row = 0; row < live; row++)
        if (p->skip_mask[row] != PRUNED)
            memcpy(p->out + n++ * p->d_model, p->x + row * p->d_model, p->d_model * sizeof *p->x);
    mlp(p, layer, p->out, 0, p->out, left, NULL);
    for (size_t row = live; row-- > 0;)
        if (p->skip_mask[row] != PRUNED && --n != row)
            memcpy(p->out + row * p->d_model, p->out + n * p->d_model, p->d_model * sizeof *p->x);
}

static void mlp_half(pass *p, int layer, size_t live, dele_layer_activations *keep)
{
    if (keep) memcpy(keep->x_mid, p->x, live * p->d_model * sizeof *p->x);
    if (patched(p, layer, DELE_MLP_OUT)) {
        size_t left = keep ? live : skip_replaced(p, layer, live);
        if (left < live)
            mlp_of_some(p, layer, live, left);
        else
            mlp(p, layer, p->out, 0, p->x, live, keep);
        patches_at(p, layer, DELE_MLP_OUT, p->out, p->d_model, live);
        add(p->x, p->out, live * p->d_model);
    } else {
        mlp(p, layer, p->x, 1, p->x, live, keep);
    }
    patches_at(p, layer, DELE_RESID_POST, p->x, p->d_model, live);
}

static void last_norm(pass *p)
{
    const dele_batch *b = p->batch;
    struct dele_activations *s = p->saved;
    for (size_t i = 0; i < b->n_output_rows; i++) {
        size_t row =
            p->pruned ? (size_t)p->compact_index[b->output_rows[i]] : (size_t)b->output_rows[i];
        memcpy(s->x_final + i * p->d_model, p->x + row * p->d_model, p->d_model * sizeof *p->x);
    }
    dele_norm_forward(p->run->final, s->final_rstd, s->final_mean, s->x_final, p->m->final_norm,
                      b->n_output_rows, p->c);
}

dele_status dele_forward(dele_run *run, const dele_model *model, const dele_batch *batch,
                         dele_err *err)
{
    const dele_config *c = &model->config;
    dele_arena_reset(&run->arena);
    run->patches_applied = 0;
    run->saved = NULL;
    pass p = {.m = model,
              .c = c,
              .batch = batch,
              .run = run,
              .d_model = (size_t)c->hidden_size,
              .q_dim = dele_q_dim(c),
              .kv_dim = dele_kv_dim(c),
              .d_ff = (size_t)c->intermediate_size};
    p.qkv_dim = p.q_dim + 2 * p.kv_dim;
    dele_err local = {0}; /* so that a caller without err still learns the code */
    if (!err) err = &local;
    if (check(&p, err) || lay_out(&p, err)) return err->code;
    run->n_rows = p.n_rows;

    for (int layer = 0; layer < c->n_layers; layer++) {
        size_t live = join(&p, layer);
        if (live == 0) continue;
        dele_layer_activations *keep =
            batch->keep_for_backward && layer >= batch->lowest ? &p.saved->layer[layer] : NULL;
        patches_at(&p, layer, DELE_EMBED, p.x, p.d_model, layer == 0 ? live : 0);
        patches_at(&p, layer, DELE_RESID_PRE, p.x, p.d_model, live);
        mlp_half(&p, layer, attention_half(&p, layer, live, keep), keep);
        run->row_layers += (double)live;
    }
    join(&p, c->n_layers);
    if (run->patches_applied != batch->n_patches)
        return dele_fail(
            err, DELE_ERR_DATA,
            "%zu of %zu patches apply to no row: a row that starts at a later layer, or a "
            "layer that the model does not have",
            batch->n_patches - run->patches_applied, batch->n_patches);
    for (size_t i = 0; i < batch->n_segments; i++) {
        const dele_segment *s = &batch->segments[i];
        if (s->keep) s->keep->n_rows = s->first_pos + s->n_rows - s->keep->first_pos;
    }
    last_norm(&p);
    return DELE_OK;
}

dele_status dele_forward_mlp(float *x, dele_run *run, const dele_model *model, int layer, size_t n,
                             dele_err *err)
{
    const dele_config *c = &model->config;
    dele_arena_reset(&run->arena);
    run->saved = NULL;
    pass p = {.m = model,
              .c = c,
              .run = run,
              .n_rows = n,
              .d_model = (size_t)c->hidden_size,
              .d_ff = (size_t)c->intermediate_size,
              .x = x};
    p.xn = floats(&p, n, p.d_model, err);
    p.rstd = floats(&p, 2 * n, 1, err);
    p.gate_up = floats(&p, n, 2 * p.d_ff, err);
    p.h = floats(&p, n, p.d_ff, err);
    if (!p.xn || !p.rstd || !p.gate_up || !p.h) return DELE_ERR_MEMORY;
    p.mean = p.rstd + n;
    mlp(&p, layer, x, 1, x, n, NULL);
    return DELE_OK;
}
