/* What a fact's cells are computed from, shared by the quick way (cells.c) and the plain one (reference.c). */
#ifndef LAC_TRACE_CELLS_H
#define LAC_TRACE_CELLS_H

#include "trace/trace.h"

/* Two runs, remembered.  Clean: T rows.  Corrupted: S runs of the R = T - begin rows from the subject on, which read
 * the clean keys and values of what came before. */
typedef struct {
    const lac_model *model;
    lac_run *run;
    lac_grid *grid;
    size_t T, R, S, L, dim;
    float *embed;                           /* [S, R, dim] corrupted (the subject's rows) and clean ones */
    float *clean[LAC_N_KINDS];              /* [L, T, dim] what each kind restores */
    lac_kv clean_kv, *kv;                   /* kv [S] */
    float *post, *mid;                      /* [S, L, R, dim] corrupted: leaving a layer, and between its halves */
    lac_progress *progress;
    double progress_from, price, row_layers_from;
} lac_cells;

/* Corrupted states as layer l's output (l == -1: the embeddings), [R, dim] of sample s. */
static inline const float *lac_cells_post(const lac_cells *c, size_t s, int l)
{
    return l < 0 ? c->embed + s * c->R * c->dim : c->post + (s * c->L + (size_t)l) * c->R * c->dim;
}

static inline const float *lac_cells_clean(const lac_cells *c, lac_kind kind, int l, int t)
{
    return c->clean[kind] + ((size_t)l * c->T + (size_t)t) * c->dim;
}

static inline double *lac_cells_sample(const lac_cells *c, lac_kind kind, size_t s, int t, int l)
{
    return c->grid->samples[kind] + (s * c->T + (size_t)t) * c->L + (size_t)l;
}

/* p(answer) of the first n wanted rows of the last forward. */
lac_status lac_cells_answer(double *p, const lac_cells *c, size_t n, lac_arena *scratch, lac_err *err);
void lac_cells_progress(const lac_cells *c);

/* Every cell of the kinds asked for, by full-length segments without caches. */
lac_status lac_cells_reference(lac_cells *c, int window, lac_arena *scratch, lac_err *err);

#endif
