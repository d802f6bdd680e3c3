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
 * forward_pass.h       the state of a pass, its memory, the tables filled before the first layer
 * forward_attention.h  the attention half of a layer, and which rows the last layer drops
 * forward_mlp.h        the MLP half, dense or a mixture of experts
 * forward_patches.h    what the batch's patches do at the sites */
#include "model/forward.h"

#include <string.h>

#include "model/forward_attention.h"
#include "model/forward_mlp.h"
#include "model/forward_patches.h"

size_t dele_forward_bytes(const dele_config *config, const dele_pass_size *size)
{
    dele_run counted = {.arena = {.counts = true}};
    dele_forward_pass p = dele_forward_begin(&counted, config);
    dele_status status = dele_forward_lay_out(&p, size, NULL);
    const size_t bytes = counted.arena.used;
    dele_run_release(&counted);
    return status ? SIZE_MAX : bytes;
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

/* Rows that start at this layer: their embeddings, or their given states.  Returns the number of
 * live rows. */
static size_t join(dele_forward_pass *p, int layer)
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

static void last_norm(dele_forward_pass *p)
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
    dele_forward_pass p = dele_forward_begin(run, c);
    p.m = model;
    p.batch = batch;
    if (dele_batch_check(&p.n_rows, batch, c, err)) return err->code;
    const dele_pass_size size = dele_forward_size(&p);
    if (dele_forward_lay_out(&p, &size, err) || dele_run_tile(run, model, err)) return err->code;
    dele_forward_prepare(&p);
    dele_patches_sort(&p);
    dele_routes_begin(&p);
    run->n_rows = p.n_rows;

    for (int layer = 0; layer < c->n_layers; layer++) {
        size_t live = join(&p, layer);
        if (live == 0) continue;
        dele_layer_activations *keep =
            batch->keep_for_backward && layer >= batch->lowest ? &p.saved->layer[layer] : NULL;
        dele_patch_site(&p, layer, DELE_EMBED, p.x, p.d_model, layer == 0 ? live : 0);
        dele_patch_site(&p, layer, DELE_RESID_PRE, p.x, p.d_model, live);
        dele_mlp_half(&p, layer, dele_attention_half(&p, layer, live, keep), keep);
        run->row_layers += (double)live;
    }
    join(&p, c->n_layers);
    if (dele_patches_check(&p, err)) return err->code;
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
    dele_forward_pass p = dele_forward_begin(run, &model->config);
    p.m = model;
    if (dele_forward_lay_layer_mlp(&p, layer, n, err) || dele_run_tile(run, model, err))
        return DELE_ERR_MEMORY;
    dele_mlp_of_layer(&p, layer, x, true, x, n, NULL);
    return DELE_OK;
}
