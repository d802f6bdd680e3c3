#include "model/batch.h"

#include <math.h>

#include "model/config/rotation.h"

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

int dele_segment_text(const dele_segment *s) { return s->first_pos + s->n_rows + s->n_after; }

/* ---- checks ---------------------------------------------------------------------------------- */

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
static dele_status check_segment(const dele_batch *b, size_t i, const dele_config *c, dele_err *err)
{
    const dele_segment *s = &b->segments[i];
    if (s->n_rows <= 0 || s->first_pos < 0 || s->first_pos + s->n_rows > dele_longest(c))
        return dele_fail(err, DELE_ERR_DATA,
                         "a sequence of %d tokens does not fit the model's context of %d",
                         s->first_pos + s->n_rows, dele_longest(c));
    if (i && s->start_layer < b->segments[i - 1].start_layer)
        return dele_fail(err, DELE_ERR_DATA,
                         "segments must come in order of the layer at which they start");
    if (s->start_layer < 0 || s->start_layer > c->n_layers ||
        (!s->states && (s->start_layer || !s->tokens)))
        return dele_fail(err, DELE_ERR_DATA, "a segment that starts at layer %d needs states",
                         s->start_layer);
    for (int t = 0; s->tokens && t < s->n_rows; t++)
        if (s->tokens[t] < 0 || s->tokens[t] >= c->vocab)
            return dele_fail(err, DELE_ERR_DATA,
                             "token id %d is outside the model's vocabulary of %d", s->tokens[t],
                             c->vocab);
    int need = s->first_pos;
    for (const dele_kv *kv = s->parent; kv && need > 0; kv = kv->parent) {
        if (kv->first_pos + kv->n_rows < need) break;
        if (kv->first_pos < need) need = kv->first_pos;
    }
    if (need > 0)
        return dele_fail(err, DELE_ERR_DATA,
                         "a segment begins at position %d and its parents do not reach it",
                         s->first_pos);
    const int trained = dele_rotation_grows_beyond(c);
    if (s->parent && s->parent != s->keep && dele_segment_text(s) > trained)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "a sequence of %d tokens cannot continue a KV cache: beyond %d, dynamic "
                         "scaling rotates all of its tokens anew",
                         dele_segment_text(s), trained);
    const dele_kv *keep = s->keep;
    if (keep && (s->first_pos < keep->first_pos ||
                 s->first_pos + s->n_rows > keep->first_pos + keep->capacity))
        return dele_fail(err, DELE_ERR_DATA, "the KV cache is too small for position %d",
                         s->first_pos + s->n_rows - 1);
    if (b->keep_for_backward && (s->first_pos || s->start_layer))
        return dele_fail(err, DELE_ERR_UNSUPPORTED, "a backward pass needs whole sequences");
    return s->forced ? check_forced(c, s, err) : DELE_OK;
}

static dele_status check_patch(const dele_patch *patch, size_t n_rows, const dele_config *c,
                               dele_err *err)
{
    if (patch->row < 0 || (size_t)patch->row + dele_patch_rows(patch) > n_rows)
        return dele_fail(err, DELE_ERR_DATA, "a patch names row %d of a batch of %zu",
                         patch->row + (int)dele_patch_rows(patch) - 1, n_rows);
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

dele_status dele_batch_check(size_t *n_rows, const dele_batch *b, const dele_config *c,
                             dele_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n_segments; i++) {
        if (check_segment(b, i, c, err)) return err ? err->code : DELE_ERR_DATA;
        n += (size_t)b->segments[i].n_rows;
    }
    for (size_t i = 0; i < b->n_patches; i++) {
        if (check_patch(&b->patches[i], n, c, err)) return err ? err->code : DELE_ERR_DATA;
    }
    const dele_routes *r = b->routes;
    if (r && (!same_routing(r, c) || r->capacity < n))
        return dele_fail(err, DELE_ERR_DATA,
                         "the routes of a batch of %zu rows do not fit what they are recorded in: "
                         "%zu rows, %d layers, %d of %d experts",
                         n, r->capacity, r->n_layers, r->top_k, r->n_experts);
    for (size_t i = 0; i < b->n_output_rows; i++)
        if (b->output_rows[i] < 0 || (size_t)b->output_rows[i] >= n)
            return dele_fail(err, DELE_ERR_DATA, "an output row is %d in a batch of %zu rows",
                             b->output_rows[i], n);
    *n_rows = n;
    return DELE_OK;
}
