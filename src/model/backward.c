/* The backward pass: the steps of forward.c in reverse order.
 *
 *   dlogits ── head ── last norm ──┬── MLP ──(+)─┬── attention ──(+)── the layer below
 *                                  └── dx ───┘   └── dx ──────────┘
 *
 * The gradient dx of the residual stream passes each sublayer by and goes through it; the two are
 * added at (+).  With a parallel residual both sublayers start from the gradient of the layer's
 * output, of which a copy stays.
 *
 * A tensor whose gradient buffer is NULL is frozen: nothing is computed for it.  The pass stops at
 * the lowest layer that trains a tensor or whose states' gradients are requested, and inside that
 * layer at the lowest sublayer that does.
 *
 * The gradient of a sublayer's output, its norm included, equals the gradient of the stream to
 * which it is added. */
#include "model/forward.h"

#include <string.h>

#include "model/activations.h"
#include "tensor/ops.h"

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
} backward_pass;

static float *expert_grad(const backward_pass *p, dele_slot slot, int layer, int expert)
{
    const dele_tensor *t = dele_expert_tensor(p->m, slot, layer, expert);
    return t && p->grads->g ? p->grads->g[t - p->m->tensors] : NULL;
}

static float *grad(const backward_pass *p, dele_slot slot, int layer)
{
    return expert_grad(p, slot, layer, -1);
}

/* Whether a tensor of the layer from slot `first` on and before `end` trains.  Slots are in the
 * order of computation, so that a sublayer is a range of them. */
static bool trains(const backward_pass *p, int layer, dele_slot first, dele_slot end)
{
    for (size_t i = p->m->layer_at[layer]; p->grads->g && i < p->m->layer_at[layer + 1]; i++) {
        const dele_tensor *t = &p->m->tensors[i];
        if (t->slot >= first && t->slot < end && p->grads->g[i]) return true;
    }
    return false;
}

/* Whether a weight of norm, q, k or v trains, whose gradient needs that of q, k and v. */
static bool trains_qkv(const backward_pass *p, int layer)
{
    return trains(p, layer, DELE_SLOT_ATTN_NORM, DELE_SLOT_O);
}

/* Of a norm whose bias has the slot behind its weight's. */
static dele_norm_grads norm_grads(const backward_pass *p, dele_slot weight, int layer)
{
    return (dele_norm_grads){grad(p, weight, layer), grad(p, weight + 1, layer)};
}

static bool norm_trains(dele_norm_grads grads) { return grads.weight || grads.bias; }

static dele_attention_grads attention_grads(const backward_pass *p, int layer)
{
    return (dele_attention_grads){.norm = norm_grads(p, DELE_SLOT_ATTN_NORM, layer),
                                  .post_norm = {grad(p, DELE_SLOT_ATTN_POST_NORM, layer), NULL},
                                  .q_norm.weight = grad(p, DELE_SLOT_Q_NORM, layer),
                                  .k_norm.weight = grad(p, DELE_SLOT_K_NORM, layer),
                                  .q = grad(p, DELE_SLOT_Q, layer),
                                  .k = grad(p, DELE_SLOT_K, layer),
                                  .v = grad(p, DELE_SLOT_V, layer),
                                  .q_bias = grad(p, DELE_SLOT_Q_BIAS, layer),
                                  .k_bias = grad(p, DELE_SLOT_K_BIAS, layer),
                                  .v_bias = grad(p, DELE_SLOT_V_BIAS, layer),
                                  .o = grad(p, DELE_SLOT_O, layer),
                                  .o_bias = grad(p, DELE_SLOT_O_BIAS, layer)};
}

static dele_mlp_grads mlp_grads(const backward_pass *p, int layer)
{
    return (dele_mlp_grads){.norm = norm_grads(p, DELE_SLOT_MLP_NORM, layer),
                            .post_norm = {grad(p, DELE_SLOT_MLP_POST_NORM, layer), NULL},
                            .gate = grad(p, DELE_SLOT_GATE, layer),
                            .up = grad(p, DELE_SLOT_UP, layer),
                            .gate_bias = grad(p, DELE_SLOT_GATE_BIAS, layer),
                            .up_bias = grad(p, DELE_SLOT_UP_BIAS, layer),
                            .down = grad(p, DELE_SLOT_DOWN, layer),
                            .down_bias = grad(p, DELE_SLOT_DOWN_BIAS, layer)};
}

/* expert [n_experts]: written. */
static dele_moe_grads moe_grads(const backward_pass *p, int layer, dele_expert_grads *expert)
{
    for (int e = 0; e < p->c->n_experts; e++)
        expert[e] = (dele_expert_grads){expert_grad(p, DELE_SLOT_EXPERT_GATE, layer, e),
                                        expert_grad(p, DELE_SLOT_EXPERT_UP, layer, e),
                                        expert_grad(p, DELE_SLOT_EXPERT_DOWN, layer, e)};
    return (dele_moe_grads){.norm = norm_grads(p, DELE_SLOT_MLP_NORM, layer),
                            .post_norm = {grad(p, DELE_SLOT_MLP_POST_NORM, layer), NULL},
                            .router = grad(p, DELE_SLOT_ROUTER, layer),
                            .expert = expert,
                            .shared = {grad(p, DELE_SLOT_SHARED_GATE, layer),
                                       grad(p, DELE_SLOT_SHARED_UP, layer),
                                       grad(p, DELE_SLOT_SHARED_DOWN, layer)},
                            .shared_scale = grad(p, DELE_SLOT_SHARED_SCALE, layer)};
}

/* ---- gradients of states --------------------------------------------------------------------- */

/* The points of a layer at which gradients are read: three of the stream, with the sites that share
 * the stream's gradient there, one of the heads' outputs, and two of a mixture of experts: of what
 * the experts contribute and of the router's logits. */
typedef enum { ENTERS, HEADS, BETWEEN, LOGITS, CONTRIBUTED, LEAVES } place;

static place site_place(const backward_pass *p, dele_site site)
{
    static const place of_site[] = {
        [DELE_EMBED] = ENTERS,           [DELE_RESID_PRE] = ENTERS,
        [DELE_HEAD_OUT] = HEADS,         [DELE_ATTN_OUT] = BETWEEN,
        [DELE_RESID_MID] = BETWEEN,      [DELE_ROUTER_LOGITS] = LOGITS,
        [DELE_EXPERT_OUT] = CONTRIBUTED, [DELE_SHARED_OUT] = CONTRIBUTED,
        [DELE_MLP_OUT] = LEAVES,         [DELE_RESID_POST] = LEAVES};
    return site == DELE_ATTN_OUT && p->c->parallel_residual ? LEAVES : of_site[site];
}

static bool stands_at(const backward_pass *p, const dele_patch *read, int layer, place where)
{
    return read->layer == layer && site_place(p, read->site) == where &&
           (read->site != DELE_EMBED || layer == 0) && dele_layer_has_site(p->c, layer, read->site);
}

static bool reads_any(const backward_pass *p, int layer, place where)
{
    for (size_t i = 0; i < p->grads->n_reads; i++)
        if (stands_at(p, &p->grads->reads[i], layer, where)) return true;
    return false;
}

/* Copies what one read asks for of `from` [rows, width]; false: it names a row, a head or an expert
 * that does not exist. */
static bool read_gradient(const backward_pass *p, const dele_patch *read, const float *from,
                          size_t width)
{
    const size_t n = dele_patch_rows(read), row = (size_t)read->row, head = (size_t)read->head,
                 head_dim = (size_t)p->c->head_dim;
    if (read->row < 0 || row + n > p->rows) return false;
    if (read->site == DELE_EXPERT_OUT && (read->expert < 0 || read->expert >= p->c->n_experts))
        return false;
    if (read->site != DELE_HEAD_OUT || read->head == DELE_ALL_HEADS) {
        memcpy(read->seen, from + row * width, n * width * sizeof *from);
        return true;
    }
    if (read->head < 0 || read->head >= p->c->n_heads) return false;
    for (size_t i = 0; i < n; i++)
        memcpy(read->seen + i * head_dim, from + (row + i) * width + head * head_dim,
               head_dim * sizeof *from);
    return true;
}

/* Of the reads at a place, where the gradient is `from` [rows, width]. */
static void read_gradients(backward_pass *p, int layer, place where, const float *from,
                           size_t width)
{
    for (size_t i = 0; i < p->grads->n_reads; i++) {
        const dele_patch *read = &p->grads->reads[i];
        if (stands_at(p, read, layer, where)) p->reads_met += read_gradient(p, read, from, width);
    }
}

/* Adds the gradients that a loss has for states at a site directly, to `to` [rows, width]; NULL:
 * nothing needs them. */
static void add_gradients(backward_pass *p, int layer, dele_site site, float *to, size_t width)
{
    for (size_t i = 0; i < p->grads->n_adds; i++) {
        const dele_patch *a = &p->grads->adds[i];
        const size_t n = dele_patch_rows(a);
        if (a->layer != layer || a->site != site || a->row < 0 || (size_t)a->row + n > p->rows)
            continue;
        if (to) add(to + (size_t)a->row * width, a->value, n * width);
        p->adds_met++;
    }
}

/* ---- the two sublayers ----------------------------------------------------------------------- */

/* Memory of the head's part alone. */
typedef struct {
    float *dfinal, *dlast, *final; /* [n_output_rows, d_model] */
    float *capped;                 /* [up to LOGIT_ROWS, vocab]; NULL without a soft cap */
} head_scratch;

enum { LOGIT_ROWS = 256 };

static void head_product_backward(const backward_pass *p, float *dfinal, float *dhead,
                                  const float *dlogits, const float *final, size_t n)
{
    const size_t vocab = (size_t)p->c->vocab;
    linear_backward(dfinal, p->d_model, dlogits, vocab, n, &p->m->head, p->scratch.tile);
    if (dhead) linear_weight_backward(dhead, dlogits, vocab, final, n, vocab, p->d_model);
}

/* With a soft cap the logits are formed again, some rows at a time: its slope follows from them. */
static void capped_head_backward(const backward_pass *p, const head_scratch *s, float *dhead,
                                 const float *dlogits)
{
    const size_t vocab = (size_t)p->c->vocab, n = p->batch->n_output_rows;
    const float cap = p->c->logit_softcap;
    for (size_t at = 0, m; at < n; at += m) {
        m = n - at < LOGIT_ROWS ? n - at : LOGIT_ROWS;
        dele_logits(s->capped, p->run, p->m, s->final + at * p->d_model, m);
        softcap_backward(s->capped, dlogits + at * vocab, m * vocab, 1, cap);
        head_product_backward(p, s->dfinal + at * p->d_model, dhead, s->capped,
                              s->final + at * p->d_model, m);
    }
}

static void head_backward(backward_pass *p, const head_scratch *s, const float *dlogits)
{
    const size_t n = p->batch->n_output_rows;
    float *dhead = grad(p, p->c->tied ? DELE_SLOT_EMBED : DELE_SLOT_HEAD, -1);
    if (dhead || s->capped)
        norm_forward(s->final, &p->saved->final, p->saved->x_final, p->m->final_norm, n, p->d_model,
                     p->c);
    if (s->capped)
        capped_head_backward(p, s, dhead, dlogits);
    else
        head_product_backward(p, s->dfinal, dhead, dlogits, s->final, n);
    norm_backward(s->dlast, norm_grads(p, DELE_SLOT_FINAL_NORM, -1), s->dfinal, p->saved->x_final,
                  p->m->final_norm, &p->saved->final, n, p->d_model, p->c);
    for (size_t i = 0; i < n; i++)
        add(p->dx + (size_t)p->batch->output_rows[i] * p->d_model, s->dlast + i * p->d_model,
            p->d_model);
}

/* The gradient of what a sublayer adds to the stream. */
static const float *joined(const backward_pass *p) { return p->dleaves ? p->dleaves : p->dx; }

/* The adapters of a sparse layer, from the gradient of the block's sum. */
static void adapters_backward(backward_pass *p, int layer, const dele_moe_grads *block,
                              const float *dy)
{
    const dele_perft_saved *s = &p->saved->layer[layer].perft;
    const dele_moe_saved *moe = &p->saved->layer[layer].moe;
    for (int j = 0; j < p->c->perft.adapters; j++)
        p->adapters[j] = (dele_perft_adapter_grads){expert_grad(p, DELE_SLOT_PERFT_DOWN, layer, j),
                                                    expert_grad(p, DELE_SLOT_PERFT_UP, layer, j)};
    const dele_perft_grads grads = {.input = block->input,
                                    .weights = block->logits,
                                    .gate = grad(p, DELE_SLOT_PERFT_GATE, layer),
                                    .adapter = p->adapters};
    const float *xn = norm_before_forward(p->moe.xn, &moe->norm, moe->x,
                                          p->m->layers[layer].moe.norm, p->rows, p->c);
    p->perft.tile = p->scratch.tile;
    perft_backward(&grads, dy, s, moe, xn, p->rows, &p->m->layers[layer].perft, p->c, &p->perft,
                   &p->moe);
    p->moe.dmore = p->c->perft.variant == DELE_PERFT_E ? NULL : p->perft.out;
}

/* The MLP of a sparse layer. */
static void moe_backward(backward_pass *p, int layer, bool below)
{
    const dele_moe_weights *w = &p->m->layers[layer].moe;
    const dele_moe_saved *s = &p->saved->layer[layer].moe;
    const size_t experts = (size_t)p->c->n_experts;
    dele_moe_grads grads = moe_grads(p, layer, p->experts);
    grads.input = below || norm_trains(grads.norm);
    grads.logits = grads.input || grads.router || reads_any(p, layer, LOGITS);
    p->moe.tile = p->scratch.tile;
    const float *dy = moe_sum_backward(&grads, joined(p), s, p->rows, w, p->c, &p->moe);
    read_gradients(p, layer, CONTRIBUTED, dy, p->d_model);
    moe_experts_backward(&grads, dy, s, p->rows, w, p->c, &p->moe);
    if (dele_perft_adds(p->c)) adapters_backward(p, layer, &grads, dy);
    if (grads.logits) moe_choose_backward(s, p->rows, p->c, &p->moe);
    add_gradients(p, layer, DELE_ROUTER_LOGITS, grads.logits ? p->moe.dlogits : NULL, experts);
    read_gradients(p, layer, LOGITS, p->moe.dlogits, experts);
    moe_input_backward(p->dx, &grads, dy, s, p->rows, w, p->c, &p->moe);
}

/* below: whether something below the MLP needs the stream's gradient. */
static void mlp_half_backward(backward_pass *p, int layer, bool below)
{
    if (dele_layer_is_sparse(p->c, layer)) {
        moe_backward(p, layer, below);
        return;
    }
    const dele_mlp_grads grads = mlp_grads(p, layer);
    mlp_backward(below || norm_trains(grads.norm) ? p->dx : NULL, &grads, joined(p),
                 &p->saved->layer[layer].mlp, p->rows, &p->m->layers[layer].mlp, p->c, &p->scratch);
}

/* dqkv from dz, through the heads of every segment. */
static void heads_backward(backward_pass *p, int layer, const dele_attention_saved *s)
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

/* below: whether something below the attention needs the stream's gradient. */
static void attention_half_backward(backward_pass *p, int layer, bool below)
{
    const dele_attention_weights *w = &p->m->layers[layer].attn;
    const dele_attention_saved *s = &p->saved->layer[layer].attn;
    const dele_attention_grads grads = attention_grads(p, layer);
    const dele_qkv_scratch scratch = {p->scratch.xn, NULL, p->scratch.tile, p->dz, p->dq};
    const dele_rotation rotation = dele_rotation_of(p->saved, p->c, layer);
    const bool deeper = below || trains_qkv(p, layer), heads = reads_any(p, layer, HEADS);
    attention_out_backward(deeper || heads ? p->dz : NULL, &grads, joined(p), p->scratch.dxn, s,
                           p->rows, w, p->c, p->scratch.tile);
    if (heads) read_gradients(p, layer, HEADS, p->dz, p->q_dim);
    if (!deeper) return;
    heads_backward(p, layer, s);
    attention_qkv_backward(below || norm_trains(grads.norm) ? p->dx : NULL, &grads, p->dqkv,
                           p->scratch.dxn, s, p->rows, w, rotation, p->c, &scratch);
}

/* dpositions: of learned positions; either may be NULL.  The pad token's row gets nothing from
 * being looked up where transformers gives it nothing: torch's padding_idx. */
static void embedding_backward(backward_pass *p, float *dembed, float *dpositions)
{
    const float scale = p->c->embed_scale != 0 ? p->c->embed_scale : 1;
    const int untrained = p->c->family->pad_row_trains ? -1 : p->c->pad;
    size_t row = 0;
    for (size_t i = 0; i < p->batch->n_segments; i++)
        for (int t = 0; t < p->batch->segments[i].n_rows; t++, row++) {
            const float *dx = p->dx + row * p->d_model;
            const size_t pos = (size_t)p->saved->pos[row];
            const int token = p->batch->segments[i].tokens[t];
            if (dpositions) add(dpositions + pos * p->d_model, dx, p->d_model);
            if (!dembed || token == untrained) continue;
            float *to = dembed + (size_t)token * p->d_model;
            for (size_t j = 0; j < p->d_model; j++) to[j] += scale * dx[j];
        }
}

/* What the MLPs use in turn, beside what attention uses too. */
static dele_status lay_mlps(backward_pass *p, dele_arena *arena, dele_err *err)
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

static dele_status lay_out_backward(backward_pass *p, size_t n_segments, dele_arena *arena,
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

static dele_status lay_out_head(head_scratch *s, const backward_pass *p, size_t n,
                                dele_arena *arena, dele_err *err)
{
    s->dfinal = dele_alloc_raw(arena, n, p->d_model * sizeof(float), err);
    s->dlast = dele_alloc(arena, n, p->d_model * sizeof(float), err);
    s->final = dele_alloc_raw(arena, n, p->d_model * sizeof(float), err);
    const bool capped = p->c->logit_softcap > 0;
    const size_t some = n < LOGIT_ROWS ? n : LOGIT_ROWS;
    s->capped =
        capped ? dele_alloc_raw(arena, some, (size_t)p->c->vocab * sizeof(float), err) : NULL;
    return s->dfinal && s->dlast && s->final && (s->capped || !capped) ? DELE_OK : DELE_ERR_MEMORY;
}

static backward_pass begin_backward(const dele_config *c, size_t rows)
{
    return (backward_pass){.c = c,
                           .rows = rows,
                           .d_model = (size_t)c->hidden_size,
                           .q_dim = dele_q_dim(c),
                           .kv_dim = dele_kv_dim(c),
                           .qkv_dim = dele_q_dim(c) + 2 * dele_kv_dim(c)};
}

size_t dele_backward_bytes(const dele_config *config, const dele_pass_size *size)
{
    dele_arena counted = {.counts = true};
    head_scratch head;
    backward_pass p = begin_backward(config, size->n_rows);
    dele_status status = lay_out_backward(&p, size->n_segments, &counted, NULL);
    if (!status) status = lay_out_head(&head, &p, size->n_output_rows, &counted, NULL);
    const size_t bytes = counted.used;
    dele_arena_release(&counted);
    return status ? SIZE_MAX : bytes;
}

/* The forward pass must have kept its activations, of states that no patch changed; of patches on
 * gradients only those that are supported. */
static dele_status check_saved(const backward_pass *p, dele_err *err)
{
    const dele_batch *b = p->batch;
    if (!p->saved || !b->keep_for_backward)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "a backward pass needs a forward pass with keep_for_backward");
    for (size_t i = 0; i < b->n_patches; i++)
        if (b->patches[i].op != DELE_READ)
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "a backward pass through patched states is not supported");
    for (size_t i = 0; i < p->grads->n_reads; i++) {
        if (p->grads->reads[i].op != DELE_READ)
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "a gradient can be read (DELE_READ), but not replaced or scaled");
        if (!dele_config_has_site(p->c, p->grads->reads[i].site))
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "a gradient is asked for at a site that the layers of this model of "
                             "family %s do not have",
                             p->c->family->hf);
    }
    for (size_t i = 0; i < p->grads->n_adds; i++)
        if (p->grads->adds[i].op != DELE_ADD || (p->grads->adds[i].site != DELE_RESID_POST &&
                                                 p->grads->adds[i].site != DELE_ROUTER_LOGITS))
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "a gradient can be added at DELE_RESID_POST and DELE_ROUTER_LOGITS "
                             "only");
    const bool embeds = grad(p, DELE_SLOT_EMBED, -1) || grad(p, DELE_SLOT_POSITIONS, -1);
    for (size_t i = 0; i < b->n_segments && embeds; i++)
        if (b->segments[i].states)
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "embeddings cannot be trained from given states");
    return DELE_OK;
}

/* After the pass: a read or an addition that applied to no row is the caller's mistake. */
static dele_status check_met(const backward_pass *p, dele_err *err)
{
    if (p->reads_met != p->grads->n_reads)
        return dele_fail(
            err, DELE_ERR_DATA,
            "%zu of %zu gradients apply to no row: a row or head that does not exist, or a "
            "layer below the lowest that was kept",
            p->grads->n_reads - p->reads_met, p->grads->n_reads);
    if (p->adds_met != p->grads->n_adds)
        return dele_fail(
            err, DELE_ERR_DATA,
            "%zu of %zu gradients of states apply to no row: a row that does not exist, or a "
            "layer below the lowest that was kept",
            p->grads->n_adds - p->adds_met, p->grads->n_adds);
    return DELE_OK;
}

dele_status dele_backward(dele_run *run, const dele_model *model, const dele_batch *batch,
                          const float *dlogits, const dele_grads *grads, dele_err *err)
{
    const dele_config *c = &model->config;
    head_scratch head;
    dele_err local = {0}; /* so that a caller without err still learns the code */
    if (!err) err = &local;
    backward_pass p = begin_backward(c, run->n_rows);
    p.m = model, p.run = run, p.batch = batch, p.grads = grads, p.saved = run->saved;
    if (check_saved(&p, err) || lay_out_backward(&p, batch->n_segments, &run->arena, err) ||
        lay_out_head(&head, &p, batch->n_output_rows, &run->arena, err) ||
        dele_run_tile(run, model, err))
        return err->code;
    p.scratch.tile = run->tile;
    head_backward(&p, &head, dlogits);

    float *dembed = grad(&p, DELE_SLOT_EMBED, -1), *dpositions = grad(&p, DELE_SLOT_POSITIONS, -1);
    for (int layer = c->n_layers - 1; layer >= batch->lowest; layer--) {
        bool below = layer > batch->lowest || dembed || dpositions || reads_any(&p, layer, ENTERS);
        bool attention = below || trains(&p, layer, DELE_SLOT_ATTN_NORM, DELE_SLOT_MLP_NORM) ||
                         reads_any(&p, layer, HEADS);
        add_gradients(&p, layer, DELE_RESID_POST, p.dx, p.d_model);
        read_gradients(&p, layer, LEAVES, p.dx, p.d_model);
        if (p.dleaves) memcpy(p.dleaves, p.dx, p.rows * p.d_model * sizeof *p.dx);
        mlp_half_backward(&p, layer,
                          p.dleaves ? below : attention || reads_any(&p, layer, BETWEEN));
        read_gradients(&p, layer, BETWEEN, p.dx, p.d_model);
        if (attention) attention_half_backward(&p, layer, below);
        read_gradients(&p, layer, ENTERS, p.dx, p.d_model);
    }
    if (dembed || dpositions) embedding_backward(&p, dembed, dpositions);
    return check_met(&p, err);
}
