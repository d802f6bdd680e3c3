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
 * which it is added.
 *
 * backward_pass.h       the state of a pass, its memory, which tensors have a gradient
 * backward_attention.h  the attention half of a layer
 * backward_mlp.h        the MLP half, dense or a mixture of experts
 * backward_states.h     gradients of states, read by the caller or added by a loss */
#include "model/backward.h"

#include <string.h>

#include "model/backward_attention.h"
#include "model/backward_mlp.h"
#include "model/backward_states.h"
#include "model/forward.h"
#include "tensor/ops.h"

/* ---- the head -------------------------------------------------------------------------------- */

/* Memory of the head's part alone. */
typedef struct {
    float *dfinal, *dlast, *final; /* [n_output_rows, d_model] */
    float *capped;                 /* [up to LOGIT_ROWS, vocab]; NULL without a soft cap */
} head_scratch;

enum { LOGIT_ROWS = 256 };

static void head_product_backward(const dele_backward_pass *p, float *dfinal, float *dhead,
                                  const float *dlogits, const float *final, size_t n)
{
    const size_t vocab = (size_t)p->c->vocab;
    linear_backward(dfinal, p->d_model, dlogits, vocab, n, &p->m->head, p->scratch.tile);
    if (dhead) linear_weight_backward(dhead, dlogits, vocab, final, n, vocab, p->d_model);
}

/* With a soft cap the logits are formed again, some rows at a time: its slope follows from them. */
static void capped_head_backward(const dele_backward_pass *p, const head_scratch *s, float *dhead,
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

static void head_backward(dele_backward_pass *p, const head_scratch *s, const float *dlogits)
{
    const size_t n = p->batch->n_output_rows;
    float *dhead = dele_tensor_gradient(p, p->c->tied ? DELE_SLOT_EMBED : DELE_SLOT_HEAD, -1);
    if (dhead || s->capped)
        norm_forward(s->final, &p->saved->final, p->saved->x_final, p->m->final_norm, n, p->d_model,
                     p->c);
    if (s->capped)
        capped_head_backward(p, s, dhead, dlogits);
    else
        head_product_backward(p, s->dfinal, dhead, dlogits, s->final, n);
    norm_backward(s->dlast, dele_norm_gradients(p, DELE_SLOT_FINAL_NORM, -1), s->dfinal,
                  p->saved->x_final, p->m->final_norm, &p->saved->final, n, p->d_model, p->c);
    for (size_t i = 0; i < n; i++)
        add(p->dx + (size_t)p->batch->output_rows[i] * p->d_model, s->dlast + i * p->d_model,
            p->d_model);
}

static dele_status lay_out_head(head_scratch *s, const dele_backward_pass *p, size_t n,
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

/* ---- the pass -------------------------------------------------------------------------------- */

/* dpositions: of learned positions; either may be NULL.  The pad token's row gets nothing from
 * being looked up where transformers gives it nothing: torch's padding_idx. */
static void embedding_backward(dele_backward_pass *p, float *dembed, float *dpositions)
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

size_t dele_backward_bytes(const dele_config *config, const dele_pass_size *size)
{
    dele_arena counted = {.counts = true};
    head_scratch head;
    dele_backward_pass p = dele_backward_begin(config, size->n_rows);
    dele_status status = dele_backward_lay_out(&p, size->n_segments, &counted, NULL);
    if (!status) status = lay_out_head(&head, &p, size->n_output_rows, &counted, NULL);
    const size_t bytes = counted.used;
    dele_arena_release(&counted);
    return status ? SIZE_MAX : bytes;
}

/* The forward pass must have kept its activations, of states that no patch changed. */
static dele_status check_saved(const dele_backward_pass *p, dele_err *err)
{
    const dele_batch *b = p->batch;
    if (!p->saved || !b->keep_for_backward)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "a backward pass needs a forward pass with keep_for_backward");
    for (size_t i = 0; i < b->n_patches; i++)
        if (b->patches[i].op != DELE_READ)
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "a backward pass through patched states is not supported");
    const bool embeds = dele_tensor_gradient(p, DELE_SLOT_EMBED, -1) ||
                        dele_tensor_gradient(p, DELE_SLOT_POSITIONS, -1);
    for (size_t i = 0; i < b->n_segments && embeds; i++)
        if (b->segments[i].states)
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "embeddings cannot be trained from given states");
    return DELE_OK;
}

dele_status dele_backward(dele_run *run, const dele_model *model, const dele_batch *batch,
                          const float *dlogits, const dele_grads *grads, dele_err *err)
{
    const dele_config *c = &model->config;
    head_scratch head;
    dele_err local = {0}; /* so that a caller without err still learns the code */
    if (!err) err = &local;
    dele_backward_pass p = dele_backward_begin(c, run->n_rows);
    p.m = model, p.run = run, p.batch = batch, p.grads = grads, p.saved = run->saved;
    if (check_saved(&p, err) || dele_states_check(&p, err) ||
        dele_backward_lay_out(&p, batch->n_segments, &run->arena, err) ||
        lay_out_head(&head, &p, batch->n_output_rows, &run->arena, err) ||
        dele_run_tile(run, model, err))
        return err->code;
    p.scratch.tile = run->tile;
    head_backward(&p, &head, dlogits);

    float *dembed = dele_tensor_gradient(&p, DELE_SLOT_EMBED, -1),
          *dpositions = dele_tensor_gradient(&p, DELE_SLOT_POSITIONS, -1);
    for (int layer = c->n_layers - 1; layer >= batch->lowest; layer--) {
        bool below = layer > batch->lowest || dembed || dpositions ||
                     dele_reads_any(&p, layer, DELE_AT_ENTRY);
        bool attention = below ||
                         dele_backward_trains(&p, layer, DELE_SLOT_ATTN_NORM, DELE_SLOT_MLP_NORM) ||
                         dele_reads_any(&p, layer, DELE_AT_HEADS);
        dele_add_gradients(&p, layer, DELE_RESID_POST, p.dx, p.d_model);
        dele_read_gradients(&p, layer, DELE_AT_EXIT, p.dx, p.d_model);
        if (p.dleaves) memcpy(p.dleaves, p.dx, p.rows * p.d_model * sizeof *p.dx);
        dele_mlp_half_backward(
            &p, layer, p.dleaves ? below : attention || dele_reads_any(&p, layer, DELE_AT_MIDDLE));
        dele_read_gradients(&p, layer, DELE_AT_MIDDLE, p.dx, p.d_model);
        if (attention) dele_attention_half_backward(&p, layer, below);
        dele_read_gradients(&p, layer, DELE_AT_ENTRY, p.dx, p.d_model);
    }
    if (dembed || dpositions) embedding_backward(&p, dembed, dpositions);
    return dele_states_check_met(&p, err);
}
