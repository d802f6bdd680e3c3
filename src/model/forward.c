/* The forward pass, layer by layer over all live rows.
 *
 *   x ──┬── attention ─────(+)──┬── MLP ─────(+)── x         the sublayers: sublayers/attention.h,
 *       │   HEAD_OUT        │   │             │              mlp.h, their norms among them
 *       │         ATTN_OUT ─┘   │   MLP_OUT ──┘
 *       └───────────────────(+) └────────────(+)
 *   RESID_PRE         RESID_MID         RESID_POST
 *
 *   x ──┬── attention ─────(+)── x                           a parallel residual: both read the
 *       ├── MLP ───────────(+)                               layer's input
 *       └──────────────────(+)
 *
 * Rows (token positions) are stacked over segments.  Segments come in order of start_layer, so at
 * each layer the live rows are a prefix of the stack and every matrix product is one call on
 * contiguous memory.
 *
 * In the last layer only the head reads a row's output.  The stream is compacted there to the
 * tails: of each segment the rows from its first output row on.  All rows still compute keys and
 * values, but only the tails compute queries.
 *
 * In a sparse layer the MLP is a mixture of experts, with sites of its own (sublayers/moe.h).
 *
 * A row whose MLP output a patch replaces is left out of that MLP. */
#include "model/forward.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/activations.h"
#include "model/layout.h"
#include "tensor/ops.h"

void dele_run_release(dele_run *run)
{
    dele_arena_release(&run->arena);
    dele_arena_release(&run->tile_arena);
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

size_t dele_kv_bytes(const dele_config *config, int capacity)
{
    dele_arena counted = {.counts = true};
    dele_kv kv;
    dele_status status = dele_kv_init(&kv, config, NULL, 0, capacity, &counted, NULL);
    const size_t bytes = counted.used;
    dele_arena_release(&counted);
    return status ? SIZE_MAX : bytes;
}

dele_status dele_run_tile(dele_run *run, const dele_model *model, dele_err *err)
{
    size_t most = linear_tile(&model->head);
    for (size_t i = 0; i < model->n_tensors; i++) {
        const dele_tensor *t = &model->tensors[i];
        const dele_matrix *w =
            t->layer < 0 ? NULL : dele_layer_matrix(&model->layers[t->layer], t->slot, t->expert);
        if (w && linear_tile(w) > most) most = linear_tile(w);
    }
    if (most <= run->n_tile) return DELE_OK;
    dele_arena_release(&run->tile_arena);
    run->n_tile = 0;
    run->tile = dele_alloc_raw(&run->tile_arena, most, sizeof *run->tile, err);
    if (!run->tile) return DELE_ERR_MEMORY;
    run->n_tile = most;
    return DELE_OK;
}

size_t dele_tile_bytes(const dele_model *model)
{
    dele_run counted = {.tile_arena = {.counts = true}};
    dele_status status = dele_run_tile(&counted, model, NULL);
    const size_t bytes = counted.tile_arena.used;
    dele_run_release(&counted);
    return status ? SIZE_MAX : bytes;
}

/* ---- patches --------------------------------------------------------------------------------- */

static int patch_order(const void *a, const void *b)
{
    const dele_patch *p = *(const dele_patch *const *)a, *q = *(const dele_patch *const *)b;
    if (p->layer != q->layer) return p->layer < q->layer ? -1 : 1;
    if (p->site != q->site) return p->site < q->site ? -1 : 1;
    return p < q ? -1 : p > q; /* as the caller listed them */
}

static void patch_apply(const dele_patch *p, size_t i, float *row, size_t width)
{
    switch (p->op) { /* row i of the patch's rows; it has `width` values */
    case DELE_REPLACE:
        memcpy(row, p->value + i * width, width * sizeof *row);
        break;
    case DELE_ADD:
        for (size_t j = 0; j < width; j++) row[j] += p->value[i * width + j];
        break;
    case DELE_SCALE:
        for (size_t j = 0; j < width; j++) row[j] *= p->value[0];
        break;
    case DELE_READ:
        memcpy(p->seen + i * width, row, width * sizeof *row);
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
    size_t n_rows, d_model, q_dim, kv_dim, qkv_dim;
    size_t *first;            /* [n_segments + 1] first row of each segment */
    const dele_patch **patch; /* [n_patches] in order of layer and site */
    size_t next_patch;
    row_use *skip_mask;  /* [rows] of this layer's MLP: PRUNED where a patch replaces its output */
    float *x, *xn, *out; /* [rows, d_model] the stream, its norm, a sublayer's output */
    float *held; /* [rows, d_model] attention's output while the MLP reads the layer's input;
                  * NULL unless the residual is parallel */
    float *h;    /* [rows, d_ff] of a dense layer */
    dele_moe_scratch moe;     /* of a sparse one */
    dele_perft_scratch perft; /* of its adapters */
    size_t *block_row; /* [rows] in the batch, of each row that a sparse layer's MLP is given */
    dele_layer_activations shared; /* of all layers that are not kept for the backward pass */
    bool pruned;                   /* in the last layer: the stream holds the tails alone */
    size_t *tail; /* [n_segments] rows that compacting drops from each segment's start; or NULL */
    size_t *dropped, *segment; /* [n_segments] memory of tail; [rows] the segment of each row */
    int *compact_index;        /* [rows] a row's index after compacting, -1: dropped */
    dele_kv_span *spans;       /* of all segments, parents first */
    size_t *first_span;        /* [n_segments + 1] */
    const dele_kv **span_kv;   /* the KV cache of each parent span, NULL for a segment's own rows */
    float *inv_freq;           /* [pairs] */
    struct dele_activations *saved;
} forward_pass;

/* A row of the batch in the stream as it is now; -1: it is not computed here. */
static int live_row(const forward_pass *p, size_t row, size_t live)
{
    const int at = p->pruned ? p->compact_index[row] : (int)row;
    return at >= 0 && (size_t)at < live ? at : -1;
}

/* Applies the patches of (layer, site) to the live rows of data [.., width]; counts those of which
 * every row was live. */
static void patches_at(forward_pass *p, int layer, dele_site site, float *data, size_t width,
                       size_t live)
{
    for (; p->next_patch < p->batch->n_patches; p->next_patch++) {
        const dele_patch *patch = p->patch[p->next_patch];
        if (patch->layer > layer || (patch->layer == layer && patch->site > site)) return;
        if (patch->layer < layer || patch->site < site) continue;
        const bool one_head = site == DELE_HEAD_OUT && patch->head != DELE_ALL_HEADS;
        const size_t head_dim = (size_t)p->c->head_dim, n = dele_patch_rows(patch),
                     at = one_head ? (size_t)patch->head * head_dim : 0;
        size_t met = 0;
        for (size_t i = 0; i < n; i++) {
            const int row = live_row(p, (size_t)patch->row + i, live);
            if (row < 0) continue;
            patch_apply(patch, i, data + (size_t)row * width + at, one_head ? head_dim : width);
            met++;
        }
        p->run->patches_applied += met == n;
    }
}

/* Excludes from the MLP the rows whose first patch at this layer's MLP_OUT, the next site, replaces
 * the value.  Returns the number of rows left to compute: all where a site within the MLP is
 * patched or routes are recorded. */
static size_t skip_replaced(forward_pass *p, int layer, size_t live)
{
    size_t left = live;
    memset(p->skip_mask, 0, live * sizeof *p->skip_mask);
    if (p->batch->routes) return live;
    for (size_t i = p->next_patch; i < p->batch->n_patches; i++) {
        const dele_patch *patch = p->patch[i];
        if (patch->layer != layer || patch->site != DELE_MLP_OUT) break;
        for (size_t j = 0; j < dele_patch_rows(patch); j++) {
            const int row = live_row(p, (size_t)patch->row + j, live);
            if (row < 0 || p->skip_mask[row]) continue;
            p->skip_mask[row] = patch->op == DELE_REPLACE ? PRUNED : REQUIRED;
            left -= p->skip_mask[row] == PRUNED;
        }
    }
    return left;
}

/* The contributions of a row's experts, in the order of its route. */
static void read_chosen(float *seen, forward_pass *p, const dele_moe_saved *s, size_t row, size_t n)
{
    const size_t k = (size_t)p->c->top_k;
    for (size_t j = 0; j < k; j++)
        memcpy(seen + j * p->d_model,
               moe_contribution(s, row, s->expert[row * k + j], false, n, p->c, &p->moe),
               p->d_model * sizeof *seen);
}

/* The same for EXPERT_OUT, whose values are the contributions of one expert, or of those chosen, to
 * some of the n rows of the block. */
static void patches_at_experts(forward_pass *p, int layer, const dele_moe_saved *s, size_t n)
{
    for (; p->next_patch < p->batch->n_patches; p->next_patch++) {
        const dele_patch *patch = p->patch[p->next_patch];
        if (patch->layer != layer || patch->site != DELE_EXPERT_OUT) return;
        const bool makes = patch->op == DELE_REPLACE || patch->op == DELE_ADD;
        size_t met = 0;
        for (size_t i = 0; i < dele_patch_rows(patch); i++) {
            const int row = live_row(p, (size_t)patch->row + i, n);
            if (row < 0) continue;
            met++;
            if (patch->expert == DELE_ALL_EXPERTS) {
                read_chosen(patch->seen + i * (size_t)p->c->top_k * p->d_model, p, s, (size_t)row,
                            n);
                continue;
            }
            float *at = moe_contribution(s, (size_t)row, patch->expert, makes, n, p->c, &p->moe);
            if (at)
                patch_apply(patch, i, at, p->d_model);
            else if (patch->op == DELE_READ)
                memset(patch->seen + i * p->d_model, 0, p->d_model * sizeof *patch->seen);
        }
        p->run->patches_applied += met == dele_patch_rows(patch);
    }
}

/* ---- checking and laying out ----------------------------------------------------------------- */

static int text_length(const dele_segment *s) { return s->first_pos + s->n_rows + s->n_behind; }

static bool same_routing(const dele_routes *r, const dele_config *c)
{
    return r->n_layers == c->n_layers && r->n_experts == c->n_experts && r->top_k == c->top_k;
}

/* A route of one row and layer: top_k different experts with finite weights, or first -1. */
static bool route_holds(const int *expert, const float *weight, const dele_config *c)
{
    for (int j = 0; j < c->top_k && expert[0] != -1; j++) {
        if (expert[j] < 0 || expert[j] >= c->n_experts || !isfinite(weight[j])) return false;
        for (int i = 0; i < j; i++)
            if (expert[i] == expert[j]) return false;
    }
    return true;
}

static dele_status check_forced(const dele_config *c, const dele_segment *s, dele_err *err)
{
    const dele_routes *r = s->forced;
    if (!same_routing(r, c))
        return dele_fail(err, DELE_ERR_DATA,
                         "routes of %d layers and %d of %d experts do not fit a model of %d layers "
                         "and %d of %d experts",
                         r->n_layers, r->top_k, r->n_experts, c->n_layers, c->top_k, c->n_experts);
    if (s->forced_at > r->n_rows || (size_t)s->n_rows > r->n_rows - s->forced_at)
        return dele_fail(err, DELE_ERR_DATA,
                         "a sequence of %d tokens follows routes from row %zu on, and there are "
                         "%zu",
                         s->n_rows, s->forced_at, r->n_rows);
    for (size_t t = 0; t < (size_t)s->n_rows; t++)
        for (int l = s->start_layer; l < c->n_layers; l++)
            if (dele_layer_is_sparse(c, l) &&
                !route_holds(dele_route_experts(r, s->forced_at + t, l),
                             dele_route_weights(r, s->forced_at + t, l), c))
                return dele_fail(err, DELE_ERR_DATA,
                                 "the given route of row %zu in layer %d is not %d different "
                                 "experts of %d with finite weights",
                                 s->forced_at + t, l, c->top_k, c->n_experts);
    return DELE_OK;
}

/* What would otherwise read or write outside an array: positions beyond the context, ids beyond the
 * vocabulary, parents that do not reach the segment, a KV cache that is too small. */
static dele_status check_segment(const forward_pass *p, size_t i, dele_err *err)
{
    const dele_segment *s = &p->batch->segments[i];
    if (s->n_rows <= 0 || s->first_pos < 0 || s->first_pos + s->n_rows > dele_longest(p->c))
        return dele_fail(err, DELE_ERR_DATA,
                         "a sequence of %d tokens does not fit the model's context of %d",
                         s->first_pos + s->n_rows, dele_longest(p->c));
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
    const int trained = dele_rotation_grows_beyond(p->c);
    if (s->parent && s->parent != s->keep && text_length(s) > trained)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "a sequence of %d tokens cannot continue a KV cache: beyond %d, dynamic "
                         "scaling rotates all of its tokens anew",
                         text_length(s), trained);
    const dele_kv *keep = s->keep;
    if (keep && (s->first_pos < keep->first_pos ||
                 s->first_pos + s->n_rows > keep->first_pos + keep->capacity))
        return dele_fail(err, DELE_ERR_DATA, "the KV cache is too small for position %d",
                         s->first_pos + s->n_rows - 1);
    if (p->batch->keep_for_backward && (s->first_pos || s->start_layer))
        return dele_fail(err, DELE_ERR_UNSUPPORTED, "a backward pass needs whole sequences");
    return s->forced ? check_forced(p->c, s, err) : DELE_OK;
}

static dele_status check_patch(const forward_pass *p, const dele_patch *patch, dele_err *err)
{
    const dele_config *c = p->c;
    if (patch->row < 0 || (size_t)patch->row + dele_patch_rows(patch) > p->n_rows)
        return dele_fail(err, DELE_ERR_DATA, "a patch names row %d of a batch of %zu",
                         patch->row + (int)dele_patch_rows(patch) - 1, p->n_rows);
    if (!dele_config_has_site(c, patch->site))
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "a patch names a site that the layers of this model of family %s do not "
                         "have",
                         c->family->hf);
    if (patch->layer >= 0 && patch->layer < c->n_layers &&
        !dele_layer_has_site(c, patch->layer, patch->site))
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "a patch names a site of a mixture of experts, and layer %d is dense",
                         patch->layer);
    if (patch->site == DELE_HEAD_OUT && (patch->head < 0 || patch->head >= c->n_heads) &&
        patch->head != DELE_ALL_HEADS)
        return dele_fail(err, DELE_ERR_DATA, "a patch names head %d of %d", patch->head,
                         c->n_heads);
    if (patch->site == DELE_EXPERT_OUT && (patch->expert < 0 || patch->expert >= c->n_experts) &&
        !(patch->expert == DELE_ALL_EXPERTS && patch->op == DELE_READ))
        return dele_fail(err, DELE_ERR_DATA, "a patch names expert %d of %d", patch->expert,
                         c->n_experts);
    return DELE_OK;
}

/* Counts the rows, and holds segments, patches and output rows against them and the family. */
static dele_status check_batch(forward_pass *p, dele_err *err)
{
    const dele_batch *b = p->batch;
    for (size_t i = 0; i < b->n_segments; i++) {
        if (check_segment(p, i, err)) return err ? err->code : DELE_ERR_DATA;
        p->n_rows += (size_t)b->segments[i].n_rows;
    }
    for (size_t i = 0; i < b->n_patches; i++) {
        if (check_patch(p, &b->patches[i], err)) return err ? err->code : DELE_ERR_DATA;
    }
    const dele_routes *r = b->routes;
    if (r && (!same_routing(r, p->c) || r->capacity < p->n_rows))
        return dele_fail(err, DELE_ERR_DATA,
                         "the routes of a batch of %zu rows do not fit what they are recorded in: "
                         "%zu rows, %d layers, %d of %d experts",
                         p->n_rows, r->capacity, r->n_layers, r->top_k, r->n_experts);
    for (size_t i = 0; i < b->n_output_rows; i++)
        if (b->output_rows[i] < 0 || (size_t)b->output_rows[i] >= p->n_rows)
            return dele_fail(err, DELE_ERR_DATA, "an output row is %d in a batch of %zu rows",
                             b->output_rows[i], p->n_rows);
    return DELE_OK;
}

static size_t count_spans(const dele_batch *b)
{
    size_t n = b->n_segments;
    for (size_t i = 0; i < b->n_segments; i++)
        for (const dele_kv *kv = b->segments[i].parent; kv; kv = kv->parent) n++;
    return n;
}

/* Spans of every segment: the parents' KV caches from the oldest on, then the segment's own
 * rows. */
static void fill_spans(forward_pass *p)
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

static float *floats(forward_pass *p, size_t rows, size_t cols, dele_err *err)
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
static dele_status lay_shared(forward_pass *p, size_t n, dele_err *err)
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
static dele_status lay_mlp_scratch(forward_pass *p, size_t n, size_t most_extra, dele_err *err)
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

static dele_status lay_kept(forward_pass *p, const dele_pass_size *size, dele_err *err)
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

/* In the last layer the rows before a segment's first output row are dropped, unless the backward
 * pass or a patch there needs one of them. */
static void find_tails(forward_pass *p)
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

static dele_status lay_tables(forward_pass *p, const dele_pass_size *size, dele_arena *arena,
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

static dele_status lay_rotations(forward_pass *p, const dele_pass_size *size, dele_err *err)
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

/* The pass's memory, which depends on the size alone: dele_forward_bytes runs this to count. */
static dele_status lay_out_forward(forward_pass *p, const dele_pass_size *size, dele_err *err)
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

static dele_pass_size size_of(const forward_pass *p)
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

/* The angles of a rotation, of every row; where the rotation grows with the sequence, each segment
 * has its own. */
static void fill_angles(forward_pass *p, int which)
{
    const dele_rope *rope = &p->c->rope[which];
    const size_t pairs = dele_rotation_pairs(p->c);
    float factor = 0;
    for (size_t i = 0; i < p->batch->n_segments; i++) {
        const dele_segment *s = &p->batch->segments[i];
        if (i == 0 || rope->type == DELE_ROPE_DYNAMIC)
            factor = dele_rotation_frequencies(p->inv_freq, p->c, rope, text_length(s));
        rope_angles(p->saved->cos_sin[which] + p->first[i] * 2 * pairs, p->inv_freq, pairs, factor,
                    s->first_pos, (size_t)s->n_rows);
    }
}

static void no_routes(dele_routes *r, size_t n)
{
    r->n_rows = n;
    for (size_t i = 0; i < n * (size_t)r->n_layers * (size_t)r->top_k; i++)
        r->experts[i] = -1, r->weights[i] = 0;
}

/* Patches in order, the angles of the rotations, the tails and the spans of the
 * segments. */
static void prepare(forward_pass *p)
{
    const dele_batch *b = p->batch;
    for (size_t i = 0; i < b->n_segments; i++)
        p->first[i + 1] = p->first[i] + (size_t)b->segments[i].n_rows;
    for (size_t i = 0; i < b->n_patches; i++) p->patch[i] = &b->patches[i];
    qsort(p->patch, b->n_patches, sizeof *p->patch, patch_order);
    for (size_t i = 0; i < b->n_segments; i++)
        for (int t = 0; t < b->segments[i].n_rows; t++)
            p->saved->pos[p->first[i] + (size_t)t] = b->segments[i].first_pos + t;
    for (int which = 0; which < DELE_N_ROTATIONS; which++)
        if (p->saved->cos_sin[which]) fill_angles(p, which);
    if (!b->keep_for_backward) find_tails(p);
    fill_spans(p);
    if (b->routes) no_routes(b->routes, p->n_rows);
}

static forward_pass begin_forward(dele_run *run, const dele_config *c)
{
    dele_arena_reset(&run->arena);
    run->patches_applied = 0;
    run->saved = NULL;
    return (forward_pass){.c = c,
                          .run = run,
                          .d_model = (size_t)c->hidden_size,
                          .q_dim = dele_q_dim(c),
                          .kv_dim = dele_kv_dim(c),
                          .qkv_dim = dele_q_dim(c) + 2 * dele_kv_dim(c)};
}

size_t dele_forward_bytes(const dele_config *config, const dele_pass_size *size)
{
    dele_run counted = {.arena = {.counts = true}};
    forward_pass p = begin_forward(&counted, config);
    dele_status status = lay_out_forward(&p, size, NULL);
    const size_t bytes = counted.arena.used;
    dele_run_release(&counted);
    return status ? SIZE_MAX : bytes;
}

/* ---- the layers ------------------------------------------------------------------------------ */

/* Rows that start at this layer: their embeddings, or their given states.  Returns the number of
 * live rows. */
static size_t join(forward_pass *p, int layer)
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
            float *x = p->x + (p->pruned ? (size_t)p->compact_index[row] : row) * p->d_model;
            if (s->states)
                memcpy(x, s->states + t * p->d_model, p->d_model * sizeof *x);
            else
                dele_embed(x, p->m, &s->tokens[t], 1, s->first_pos + (int)t);
        }
    }
    return live;
}

double dele_segment_flops(const dele_config *c, int start_layer, int first_pos, int n_rows,
                          int n_tail)
{
    double flops = 0;
    for (int layer = start_layer; layer < c->n_layers; layer++) {
        const double n = layer == c->n_layers - 1 ? n_tail : n_rows;
        flops += dele_attention_flops(c, n_rows, n) +
                 dele_heads_flops(c, layer, n, first_pos + n_rows) +
                 dele_layer_mlp_flops(c, layer, n);
    }
    return flops;
}

/* Copies a segment's keys and values of this layer, in rows of qkv, into its KV cache. */
static void store_kv(const forward_pass *p, int layer, const dele_segment *s, const float *k,
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
static size_t aim_spans(forward_pass *p, int layer, float *qkv, float *z, size_t live)
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

/* Whether a patch applies at (layer, site), which the pass has yet to reach.  Where none does, the
 * matrix product of a sublayer adds its output to the stream directly. */
static bool patched(const forward_pass *p, int layer, dele_site site)
{
    for (size_t i = p->next_patch; i < p->batch->n_patches; i++) {
        const dele_patch *patch = p->patch[i];
        if (patch->layer != layer || patch->site >= site)
            return patch->layer == layer && patch->site == site;
    }
    return false;
}

/* Compacts the stream: of each segment only the tail remains.  Returns the number of rows left. */
static size_t compact_to_tails(forward_pass *p, size_t live)
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

/* Attention and its output projection, added to the stream, or held where the MLP reads the layer's
 * input.  Returns the number of rows left: fewer only in the last layer, where only the tails have
 * queries. */
static size_t attention_half(forward_pass *p, int layer, size_t live, dele_layer_activations *keep)
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
    patches_at(p, layer, DELE_HEAD_OUT, s->z, p->q_dim, left);
    float *out = p->held ? p->held : p->out;
    if (p->held || patched(p, layer, DELE_ATTN_OUT)) {
        attention_out_forward(out, false, s, left, w, p->c, &scratch);
        patches_at(p, layer, DELE_ATTN_OUT, out, p->d_model, left);
        if (!p->held) add(p->x, out, left * p->d_model);
    } else {
        attention_out_forward(p->x, true, s, left, w, p->c, &scratch);
    }
    if (!p->held) patches_at(p, layer, DELE_RESID_MID, p->x, p->d_model, left);
    return left;
}

/* Marks the rows whose route the caller gives, and copies it. */
static void give_routes(const forward_pass *p, int layer, dele_moe_saved *s, size_t n)
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

static void record_routes(const forward_pass *p, int layer, const dele_moe_saved *s, size_t n)
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

/* The seed of a layer's dropout in this pass; 0: there is none. */
static uint64_t layer_dropout(const forward_pass *p, int layer)
{
    const uint64_t seed = p->batch && p->batch->keep_for_backward ? p->batch->dropout : 0;
    return seed && p->c->perft.dropout > 0 ? seed + ((uint64_t)layer + 1) * 0xd1342543de82ef95u : 0;
}

/* mlp of a sparse layer, for the rows `block_row` of the batch. */
static void moe(forward_pass *p, int layer, float *out, bool adds, const float *x, size_t n,
                dele_layer_activations *saved)
{
    const dele_config *c = p->c;
    dele_moe_saved *s = &saved->moe;
    const bool adapted = dele_perft_adds(c);
    const dele_moe_weights *w = &p->m->layers[layer].moe;
    p->moe.tile = p->run->tile;
    const float *xn = moe_router_forward(s, x, n, w, c, &p->moe);
    if (p->batch) patches_at(p, layer, DELE_ROUTER_LOGITS, s->logits, (size_t)c->n_experts, n);
    give_routes(p, layer, s, n);
    moe_choose_forward(s, n, c);
    if (p->batch && p->batch->routes) record_routes(p, layer, s, n);
    moe_experts_forward(s, xn, n, w, c, &p->moe);
    p->perft.tile = p->run->tile;
    saved->perft.dropout = adapted ? layer_dropout(p, layer) : 0;
    if (adapted)
        perft_forward(&saved->perft, s, xn, n, &p->m->layers[layer].perft, c, &p->perft, &p->moe);
    if (p->batch) patches_at_experts(p, layer, s, n);
    moe_shared_forward(s, xn, n, w, c, &p->moe);
    if (p->batch && w->shared_scale)
        patches_at(p, layer, DELE_SHARED_OUT, p->moe.shared, p->d_model, n);
    moe_sum_forward(out, adds, s, n, w, c, &p->moe);
    if (adapted) perft_join(out, n, c, &p->perft);
}

/* out = MLP(x) of a layer, or += where it adds, for n rows of x; out may be x. */
static void mlp(forward_pass *p, int layer, float *out, bool adds, const float *x, size_t n,
                dele_layer_activations *keep)
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
static void find_block_rows(forward_pass *p, size_t n, const row_use *mask)
{
    size_t at = 0, found = 0;
    for (size_t row = 0; row < p->n_rows && at < n && p->block_row; row++) {
        if (p->pruned && p->compact_index[row] < 0) continue;
        if (!mask || mask[at] != PRUNED) p->block_row[found++] = row;
        at++;
    }
}

/* The same for the rows whose MLP output is not replaced: they are gathered, and their results are
 * scattered back. */
static void mlp_of_some(forward_pass *p, int layer, size_t live, size_t left)
{
    size_t n = 0;
    for (size_t row = 0; row < live; row++)
        if (p->skip_mask[row] != PRUNED)
            memcpy(p->out + n++ * p->d_model, p->x + row * p->d_model, p->d_model * sizeof *p->x);
    find_block_rows(p, live, p->skip_mask);
    mlp(p, layer, p->out, false, p->out, left, NULL);
    for (size_t row = live; row-- > 0;)
        if (p->skip_mask[row] != PRUNED && --n != row)
            memcpy(p->out + row * p->d_model, p->out + n * p->d_model, p->d_model * sizeof *p->x);
}

static void mlp_half(forward_pass *p, int layer, size_t live, dele_layer_activations *keep)
{
    find_block_rows(p, live, NULL);
    if (patched(p, layer, DELE_MLP_OUT)) {
        size_t left = keep ? live : skip_replaced(p, layer, live);
        if (left < live)
            mlp_of_some(p, layer, live, left);
        else
            mlp(p, layer, p->out, false, p->x, live, keep);
        patches_at(p, layer, DELE_MLP_OUT, p->out, p->d_model, live);
        add(p->x, p->out, live * p->d_model);
    } else {
        mlp(p, layer, p->x, true, p->x, live, keep);
    }
    if (p->held) add(p->x, p->held, live * p->d_model);
    patches_at(p, layer, DELE_RESID_POST, p->x, p->d_model, live);
}

static void last_norm(forward_pass *p)
{
    const dele_batch *b = p->batch;
    struct dele_activations *s = p->saved;
    for (size_t i = 0; i < b->n_output_rows; i++) {
        size_t row =
            p->pruned ? (size_t)p->compact_index[b->output_rows[i]] : (size_t)b->output_rows[i];
        memcpy(s->x_final + i * p->d_model, p->x + row * p->d_model, p->d_model * sizeof *p->x);
    }
    norm_forward(p->run->final, &s->final, s->x_final, p->m->final_norm, b->n_output_rows,
                 p->d_model, p->c);
}

dele_status dele_forward(dele_run *run, const dele_model *model, const dele_batch *batch,
                         dele_err *err)
{
    const dele_config *c = &model->config;
    dele_err local = {0}; /* so that a caller without err still learns the code */
    if (!err) err = &local;
    forward_pass p = begin_forward(run, c);
    p.m = model;
    p.batch = batch;
    if (check_batch(&p, err)) return err->code;
    const dele_pass_size size = size_of(&p);
    if (lay_out_forward(&p, &size, err) || dele_run_tile(run, model, err)) return err->code;
    prepare(&p);
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
    forward_pass p = begin_forward(run, c);
    p.m = model;
    p.xn = floats(&p, n, p.d_model, err);
    if (!p.xn || lay_mlp_scratch(&p, n, 0, err) || dele_run_tile(run, model, err) ||
        lay_mlp(&p.shared, c, dele_layer_is_sparse(c, layer), n, false, &run->arena, err))
        return DELE_ERR_MEMORY;
    mlp(&p, layer, x, true, x, n, NULL);
    return DELE_OK;
}
