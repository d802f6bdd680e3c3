/* The backward pass: the steps of forward.c in reverse order.
 *
 *   dlogits ── head ── last norm ──┬── down, silu ⊙, gate/up, norm ──(+)─┬── o, attention, ...
 *                                  └─────── the residual stream ──────┘  └── the stream ── ...
 *
 * The gradient of the residual stream passes each sublayer by and goes through it; the two are
 * added at (+).  After the MLP follow o, attention, rotation, clip, qkv and norm of the same layer,
 * then the layer below.
 *
 * A tensor whose gradient buffer is NULL is frozen: nothing is computed for it.  The pass stops at
 * the lowest layer that trains a tensor or whose states' gradients are requested, and inside that
 * layer at the lowest sublayer that does.
 *
 * The gradient of a sublayer's output equals the gradient of the stream to which it is added. */
#include <string.h>

#include "model/activations.h"
#include "tensor/gemm.h"
#include "tensor/ops.h"

typedef struct {
    const dele_model *m;
    const dele_config *c;
    const dele_batch *batch;
    const dele_grads *grads;
    struct dele_activations *saved;
    size_t rows, d_model, q_dim, kv_dim, qkv_dim, d_ff;
    float *dx;                  /* [rows, d_model] gradient of the stream */
    float *xn, *dxn;            /* [rows, d_model] a norm's output again, and its gradient */
    float *h, *dh, *dgate_up;   /* [rows, d_ff], [rows, d_ff], [rows, 2 d_ff] */
    float *dz, *dqkv;           /* [rows, q_dim], [rows, q_dim + 2 kv_dim] */
    dele_attention_grad *dattn; /* [n_segments] */
    size_t reads_met, adds_met;
} pass;

static float *grad(const pass *p, dele_slot slot, int layer)
{
    const dele_tensor *t = dele_model_tensor(p->m, slot, layer);
    return t && p->grads->g ? p->grads->g[t - p->m->tensors] : NULL;
}

static bool trains_any(const pass *p, int layer, const dele_slot *slots, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (grad(p, slots[i], layer)) return true;
    return false;
}

static bool trains_attention(const pass *p, int layer)
{
    static const dele_slot slots[] = {DELE_SLOT_ATTN_NORM, DELE_SLOT_Q, DELE_SLOT_K, DELE_SLOT_V,
                                      DELE_SLOT_O};
    return trains_any(p, layer, slots, sizeof slots / sizeof *slots);
}

/* ---- gradients of states --------------------------------------------------------------------- */

/* The points of a layer at which gradients are read: three of the stream, with the sites that share
 * the stream's gradient there, and one of the heads' outputs. */
typedef enum { ENTERS, HEADS, BETWEEN, LEAVES } place;

static bool stands_at(const dele_patch *read, int layer, place where)
{
    static const place of_site[] = {
        [DELE_EMBED] = ENTERS,     [DELE_RESID_PRE] = ENTERS,  [DELE_HEAD_OUT] = HEADS,
        [DELE_ATTN_OUT] = BETWEEN, [DELE_RESID_MID] = BETWEEN, [DELE_MLP_OUT] = LEAVES,
        [DELE_RESID_POST] = LEAVES};
    return read->layer == layer && of_site[read->site] == where &&
           (read->site != DELE_EMBED || layer == 0);
}

static bool reads_any(const pass *p, int layer, place where)
{
    for (size_t i = 0; i < p->grads->n_reads; i++)
        if (stands_at(&p->grads->reads[i], layer, where)) return true;
    return false;
}

static void read_gradients(pass *p, int layer, place where)
{
    for (size_t i = 0; i < p->grads->n_reads; i++) {
        const dele_patch *read = &p->grads->reads[i];
        size_t row = (size_t)read->row, head = (size_t)read->head,
               head_dim = (size_t)p->c->head_dim;
        if (!stands_at(read, layer, where) || read->row < 0 || row >= p->rows) continue;
        if (where == HEADS && (read->head < 0 || read->head >= p->c->n_heads)) continue;
        if (where == HEADS)
            memcpy(read->seen, p->dz + row * p->q_dim + head * head_dim, head_dim * sizeof *p->dz);
        else
            memcpy(read->seen, p->dx + row * p->d_model, p->d_model * sizeof *p->dx);
        p->reads_met++;
    }
}

/* Adds the gradients that a loss has for states directly to the gradient of the stream after the
 * layer. */
static void add_gradients(pass *p, int layer)
{
    for (size_t i = 0; i < p->grads->n_adds; i++) {
        const dele_patch *a = &p->grads->adds[i];
        if (a->layer != layer || a->row < 0 || (size_t)a->row >= p->rows) continue;
        add(p->dx + (size_t)a->row * p->d_model, a->value, p->d_model);
        p->adds_met++;
    }
}

/* ---- the two sublayers ----------------------------------------------------------------------- */

static void norm_backward(pass *p, float *dx, float *dw, const float *dy, const float *x,
                          const float *rstd, const float *mean, const float *w, size_t n)
{
    if (p->c->family->norm == DELE_RMSNORM)
        rmsnorm_backward(dx, dw, dy, x, rstd, w, n, p->d_model);
    else
        layernorm_backward(dx, dy, x, rstd, mean, n, p->d_model);
}

/* dW [out, in] += dyᵀ x, dy a view of stride ld. */
static void weight_gradient(float *dw, const float *dy, size_t ld, const float *x, size_t n,
                            size_t out, size_t in)
{
    if (dw) gemm_tn(dw, in, dy, ld, x, in, out, in, n, 1.0f);
}

static dele_status head_backward(pass *p, const float *dlogits, dele_arena *arena, dele_err *err)
{
    size_t n = p->batch->n_output_rows, vocab = (size_t)p->c->vocab;
    float *dfinal = dele_alloc_raw(arena, n, p->d_model * sizeof *dfinal, err);
    float *dlast = dele_alloc(arena, n, p->d_model * sizeof *dlast, err), *dhead;
    float *final = dele_alloc_raw(arena, n, p->d_model * sizeof *final, err);
    float *stats = dele_alloc_raw(arena, 2 * n, sizeof *stats, err);
    if (!dfinal || !dlast || !final || !stats) return DELE_ERR_MEMORY;
    gemm_nn(dfinal, p->d_model, dlogits, vocab, p->m->head, p->d_model, n, p->d_model, vocab, 0.0f);
    dhead = grad(p, p->c->tied ? DELE_SLOT_EMBED : DELE_SLOT_HEAD, -1);
    if (dhead) {
        dele_norm_forward(final, stats, stats + n, p->saved->x_final, p->m->final_norm, n, p->c);
        weight_gradient(dhead, dlogits, vocab, final, n, vocab, p->d_model);
    }
    norm_backward(p, dlast, grad(p, DELE_SLOT_FINAL_NORM, -1), dfinal, p->saved->x_final,
                  p->saved->final_rstd, p->saved->final_mean, p->m->final_norm, n);
    for (size_t i = 0; i < n; i++)
        add(p->dx + (size_t)p->batch->output_rows[i] * p->d_model, dlast + i * p->d_model,
            p->d_model);
    return DELE_OK;
}

static void mlp_backward(pass *p, int layer, bool below)
{
    const dele_layer *w = &p->m->layers[layer];
    const dele_layer_activations *s = &p->saved->layer[layer];
    size_t n = p->rows, d_ff = p->d_ff;
    float *dgate = grad(p, DELE_SLOT_GATE, layer), *dup = grad(p, DELE_SLOT_UP, layer);
    float *ddown = grad(p, DELE_SLOT_DOWN, layer), *dnorm = grad(p, DELE_SLOT_MLP_NORM, layer);
    if (!below && !dgate && !dup && !ddown && !dnorm) return;
    if (ddown) {
        swiglu_forward(p->h, s->gate_up, n, d_ff);
        weight_gradient(ddown, p->dx, p->d_model, p->h, n, p->d_model, d_ff);
    }
    if (!below && !dgate && !dup && !dnorm) return;
    gemm_nn(p->dh, d_ff, p->dx, p->d_model, w->down, d_ff, n, d_ff, p->d_model, 0.0f);
    swiglu_backward(p->dgate_up, p->dh, s->gate_up, n, d_ff);
    if (dgate || dup) {
        dele_norm_forward(p->xn, s->mlp_rstd, s->mlp_mean, s->x_mid, w->mlp_norm, n, p->c);
        weight_gradient(dgate, p->dgate_up, 2 * d_ff, p->xn, n, d_ff, p->d_model);
        weight_gradient(dup, p->dgate_up + d_ff, 2 * d_ff, p->xn, n, d_ff, p->d_model);
    }
    if (!below && !dnorm) return;
    gemm_nn(p->dxn, p->d_model, p->dgate_up, 2 * d_ff, w->gate, p->d_model, n, p->d_model, 2 * d_ff,
            0.0f);
    norm_backward(p, p->dx, dnorm, p->dxn, s->x_mid, s->mlp_rstd, s->mlp_mean, w->mlp_norm, n);
}

static void attention_gradient(pass *p, const dele_layer_activations *s)
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
    dele_heads heads = {(size_t)p->c->n_heads, (size_t)p->c->n_kv_heads, (size_t)p->c->head_dim};
    attention_backward(p->dattn, p->saved->items, p->batch->n_segments, heads, p->saved->scratch);
    rope(p->dqkv, p->qkv_dim, p->saved->pos, p->rows, (size_t)(p->c->n_heads + p->c->n_kv_heads),
         (size_t)p->c->head_dim, p->saved->inv_freq, -1.0f);
    if (s->clipped)
        for (size_t i = 0; i < p->rows * p->qkv_dim; i++)
            if (s->clipped[i]) p->dqkv[i] = 0;
}

static void attention_half_backward(pass *p, int layer, bool below)
{
    const dele_layer *w = &p->m->layers[layer];
    const dele_layer_activations *s = &p->saved->layer[layer];
    size_t n = p->rows;
    float *dq = grad(p, DELE_SLOT_Q, layer), *dk = grad(p, DELE_SLOT_K, layer),
          *dv = grad(p, DELE_SLOT_V, layer);
    float *dnorm = grad(p, DELE_SLOT_ATTN_NORM, layer);
    weight_gradient(grad(p, DELE_SLOT_O, layer), p->dx, p->d_model, s->z, n, p->d_model, p->q_dim);
    bool deeper = below || dq || dk || dv || dnorm;
    if (!deeper && !reads_any(p, layer, HEADS)) return;
    gemm_nn(p->dz, p->q_dim, p->dx, p->d_model, w->o, p->q_dim, n, p->q_dim, p->d_model, 0.0f);
    read_gradients(p, layer, HEADS);
    if (!deeper) return;
    attention_gradient(p, s);
    if (dq || dk || dv) {
        dele_norm_forward(p->xn, s->attn_rstd, s->attn_mean, s->x_pre, w->attn_norm, n, p->c);
        weight_gradient(dq, p->dqkv, p->qkv_dim, p->xn, n, p->q_dim, p->d_model);
        weight_gradient(dk, p->dqkv + p->q_dim, p->qkv_dim, p->xn, n, p->kv_dim, p->d_model);
        weight_gradient(dv, p->dqkv + p->q_dim + p->kv_dim, p->qkv_dim, p->xn, n, p->kv_dim,
                        p->d_model);
    }
    if (!below && !dnorm) return;
    gemm_nn(p->dxn, p->d_model, p->dqkv, p->qkv_dim, w->q, p->d_model, n, p->d_model, p->qkv_dim,
            0.0f);
    norm_backward(p, p->dx, dnorm, p->dxn, s->x_pre, s->attn_rstd, s->attn_mean, w->attn_norm, n);
}

static void embedding_backward(pass *p, float *dembed)
{
    size_t row = 0;
    for (size_t i = 0; i < p->batch->n_segments; i++)
        for (int t = 0; t < p->batch->segments[i].n_rows; t++, row++)
            add(dembed + (size_t)p->batch->segments[i].tokens[t] * p->d_model,
                p->dx + row * p->d_model, p->d_model);
}

static dele_status lay_out(pass *p, dele_arena *arena, dele_err *err)
{
    size_t n = p->rows;
    p->dx = dele_alloc(arena, n, p->d_model * sizeof(float), err);
    p->xn = dele_alloc_raw(arena, n, p->d_model * sizeof(float), err);
    p->dxn = dele_alloc_raw(arena, n, p->d_model * sizeof(float), err);
    p->h = dele_alloc_raw(arena, n, p->d_ff * sizeof(float), err);
    p->dh = dele_alloc_raw(arena, n, p->d_ff * sizeof(float), err);
    p->dgate_up = dele_alloc_raw(arena, n, 2 * p->d_ff * sizeof(float), err);
    p->dz = dele_alloc_raw(arena, n, p->q_dim * sizeof(float), err);
    p->dqkv = dele_alloc_raw(arena, n, p->qkv_dim * sizeof(float), err);
    p->dattn = DELE_NEW(arena, dele_attention_grad, p->batch->n_segments, err);
    return p->dx && p->xn && p->dxn && p->h && p->dh && p->dgate_up && p->dz && p->dqkv && p->dattn
               ? DELE_OK
               : DELE_ERR_MEMORY;
}

static dele_status check(const pass *p, dele_err *err)
{
    const dele_batch *b = p->batch;
    if (!p->saved || !b->keep_for_backward)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "a backward pass needs a forward pass with keep_for_backward");
    for (size_t i = 0; i < b->n_patches; i++)
        if (b->patches[i].op != DELE_READ)
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "a backward pass through patched states is not supported");
    for (size_t i = 0; i < p->grads->n_reads; i++)
        if (p->grads->reads[i].op != DELE_READ)
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "a gradient can be read (DELE_READ), but not replaced or scaled");
    for (size_t i = 0; i < p->grads->n_adds; i++)
        if (p->grads->adds[i].op != DELE_ADD || p->grads->adds[i].site != DELE_RESID_POST)
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "a gradient can be added at DELE_RESID_POST only");
    for (size_t i = 0; i < b->n_segments && grad(p, DELE_SLOT_EMBED, -1); i++)
        if (b->segments[i].states)
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "embeddings cannot be trained from given states");
    return DELE_OK;
}

dele_status dele_backward(dele_run *run, const dele_model *model, const dele_batch *batch,
                          const float *dlogits, const dele_grads *grads, dele_err *err)
{
    const dele_config *c = &model->config;
    pass p = {.m = model,
              .c = c,
              .batch = batch,
              .grads = grads,
              .saved = run->saved,
              .rows = run->n_rows,
              .d_model = (size_t)c->hidden_size,
              .q_dim = dele_q_dim(c),
              .kv_dim = dele_kv_dim(c),
              .d_ff = (size_t)c->intermediate_size};
    p.qkv_dim = p.q_dim + 2 * p.kv_dim;
    dele_err local = {0}; /* so that a caller without err still learns the code */
    if (!err) err = &local;
    if (check(&p, err) || lay_out(&p, &run->arena, err) ||
        head_backward(&p, dlogits, &run->arena, err))
        return err->code;

    float *dembed = grad(&p, DELE_SLOT_EMBED, -1);
    for (int layer = c->n_layers - 1; layer >= batch->lowest; layer--) {
        bool below = layer > batch->lowest || dembed || reads_any(&p, layer, ENTERS);
        bool attention = below || trains_attention(&p, layer) || reads_any(&p, layer, HEADS);
        add_gradients(&p, layer);
        read_gradients(&p, layer, LEAVES);
        mlp_backward(&p, layer, attention || reads_any(&p, layer, BETWEEN));
        read_gradients(&p, layer, BETWEEN);
        if (attention) attention_half_backward(&p, layer, below);
        read_gradients(&p, layer, ENTERS);
    }
    if (dembed) embedding_backward(&p, dembed);
    if (p.reads_met != grads->n_reads)
        return dele_fail(
            err, DELE_ERR_DATA,
            "%zu of %zu gradients apply to no row: a row or head that does not exist, or a "
            "layer below the lowest that was kept",
            grads->n_reads - p.reads_met, grads->n_reads);
    if (p.adds_met != grads->n_adds)
        return dele_fail(
            err, DELE_ERR_DATA,
            "%zu of %zu gradients of states apply to no row: a row that does not exist, or a "
            "layer below the lowest that was kept",
            grads->n_adds - p.adds_met, grads->n_adds);
    return DELE_OK;
}
