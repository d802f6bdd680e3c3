/* Computes every cell of a group of prompts. */
#ifndef DELE_TRACE_CELLS_H
#define DELE_TRACE_CELLS_H

#include "base/progress.h"
#include "trace/prompt_cache.h"

/* Prompts of one plan, each with its corrupted runs.  Cells of all of them share batches.  The
 * group only points. */
typedef struct {
    const dele_plan *plan;
    const dele_model *model;
    dele_run *run;
    dele_prompt_cache **cases;
    int n_cases;
    dele_progress *progress;
    double progress_price; /* the cost (dele_plan_price) of one fact of progress */
} dele_trace_group;

/* Fills the grids of all prompts for the samples that they have. */
dele_status dele_cells_compute(const dele_trace_group *group, dele_err *err);

/* Bytes that the caches of these prompts and the cells of all threads take, counted by the code
 * that lays them out.  cell_rows: rows of all cells (dele_plan_rows); of the prompts only grid,
 * n_rows and n_samples are read. */
dele_status dele_cells_bytes(size_t *bytes, const dele_trace_group *group, double cell_rows,
                             dele_err *err);

/* The same by full forward passes from the embedding, one cell at a time. */
dele_status dele_cells_reference(const dele_trace_group *group, dele_err *err);

/* One cell of a prompt, and its clean and corrupted runs, by full forward passes: each
 * [c->n_samples, DELE_N_METRICS], of the samples that c has.  Under ablation `corrupted` is not
 * written; under --compat rome --replace it is not the grid's low. */
dele_status dele_cell_reference(double *metrics, const dele_prompt_cache *c,
                                const dele_trace_group *group, int chart, int t, int col,
                                dele_err *err);
dele_status dele_runs_reference(double *clean, double *corrupted, const dele_prompt_cache *c,
                                const dele_trace_group *group, dele_err *err);

/* A check of the caches: the change of p when one state is replaced by the run's own value, which
 * is 0 but for rounding. */
dele_status dele_noop(double *change, const dele_prompt_cache *c, dele_run *run, dele_err *err);

#endif
