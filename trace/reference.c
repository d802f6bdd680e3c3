/* The plain way: each cell is a run of its own, from the tokens up, over the whole prompt, with the subject's
 * embeddings replaced by corrupted ones and the cell's states by clean ones as they come by.  Nothing is cached but
 * the clean states and joins nothing late; it is what the quick way is measured against. */
#include "trace/cells.h"

typedef struct {
    lac_segment *segments;
    lac_patch *patches; /* [S * (subject tokens + window)] */
    int *wanted;
    double *p;
} plain;

static size_t corrupt(lac_patch *patches, const lac_cells *c)
{
    size_t n = 0;
    const lac_grid *g = c->grid;
    for (size_t s = 0; s < c->S; s++)
        for (int t = g->begin; t < g->end; t++)
            patches[n++] = (lac_patch){.layer = 0, .row = (int)(s * c->T) + t, .site = LAC_EMBED, .op = LAC_REPLACE,
                                       .value = c->embed + (s * c->R + (size_t)(t - g->begin)) * c->dim};
    return n;
}

static size_t restore(lac_patch *patches, const lac_cells *c, lac_kind kind, int t, int l, int window)
{
    static const lac_site site[LAC_N_KINDS] = {LAC_RESID_POST, LAC_MLP_OUT, LAC_ATTN_OUT};
    int from = l, to = l + 1;
    if (kind != LAC_HIDDEN) lac_window(&from, &to, l, window, (int)c->L);
    size_t n = 0;
    for (size_t s = 0; s < c->S; s++)
        for (int layer = from; layer < to; layer++)
            patches[n++] = (lac_patch){.layer = layer, .row = (int)(s * c->T) + t, .site = site[kind],
                                       .op = LAC_REPLACE, .value = lac_cells_clean(c, kind, layer, t)};
    return n;
}

static lac_status plain_forward(const plain *w, lac_cells *c, size_t n_patches, lac_err *err)
{
    lac_arena scratch = {0};
    lac_batch batch = {.segments = w->segments, .n_segments = c->S, .patches = w->patches, .n_patches = n_patches,
                       .wanted = w->wanted, .n_wanted = c->S};
    lac_status status = lac_forward(c->run, c->model, &batch, err);
    if (!status) status = lac_cells_answer(w->p, c, c->S, &scratch, err);
    lac_arena_release(&scratch);
    return status;
}

lac_status lac_cells_reference(lac_cells *c, int window, lac_arena *scratch, lac_err *err)
{
    lac_grid *g = c->grid;
    size_t most = (size_t)(g->end - g->begin) + ((size_t)window < c->L ? (size_t)window : c->L);
    plain w = {LAC_NEW(scratch, lac_segment, c->S, err), LAC_NEW(scratch, lac_patch, c->S * most, err),
               LAC_NEW(scratch, int, c->S, err), LAC_NEW(scratch, double, c->S, err)};
    if (!w.segments || !w.patches || !w.wanted || !w.p) return err->code;
    for (size_t s = 0; s < c->S; s++) {
        w.segments[s] = (lac_segment){.tokens = g->ids, .n_rows = (int)c->T};
        w.wanted[s] = (int)((s + 1) * c->T) - 1;
    }
    size_t n = corrupt(w.patches, c);
    if (plain_forward(&w, c, n, err)) return err->code;
    g->low = 0;
    for (size_t s = 0; s < c->S; s++) g->low += (g->low_sample[s] = w.p[s]) / (double)c->S;

    for (int kind = 0; kind < LAC_N_KINDS; kind++) {
        if (!g->samples[kind]) continue;
        for (int t = 0; t < (int)c->T; t++)
            for (int l = 0; l < (int)c->L; l++) {
                size_t cell = restore(w.patches + n, c, (lac_kind)kind, t, l, window);
                if (plain_forward(&w, c, n + cell, err)) return err->code;
                for (size_t s = 0; s < c->S; s++) *lac_cells_sample(c, (lac_kind)kind, s, t, l) = w.p[s];
                lac_cells_progress(c);
            }
    }
    return LAC_OK;
}
