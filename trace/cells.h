/* Every cell of some prompts. */
#ifndef DELE_TRACE_CELLS_H
#define DELE_TRACE_CELLS_H

#include "trace/prompt_cache.h"

/* Cases of one plan, each with its corrupted runs; cells of all of them are stacked into the same
 * batches.  `progress` moves by the price of what is computed. */
typedef struct {
    const dele_plan *plan;
    const dele_model *model;
    dele_run *run;
    dele_prompt_cache **cases;
    int n_cases;
    dele_progress *progress;
    double progress_price; /* what moves it by one */
} dele_trace_group;

dele_status dele_cells_compute(const dele_trace_group *group, dele_err *err);

/* The same by full-length runs from the tokens up, one cell at a time. */
dele_status dele_cells_reference(const dele_trace_group *group, dele_err *err);

/* One cell of a case, and the runs that cells lie between, by the plain way: all [c->n_samples,
 * DELE_N_METRICS], of the samples that the case holds.  Ablation leaves `corrupted` alone; under
 * --compat rome --replace it is not low. */
dele_status dele_cell_reference(double *metrics, const dele_prompt_cache *c,
                                const dele_trace_group *group, int chart, int t, int col,
                                dele_err *err);
dele_status dele_runs_reference(double *clean, double *corrupted, const dele_prompt_cache *c,
                                const dele_trace_group *group, dele_err *err);

/* One cell by hand: what putting `site`'s own base value back changes of p, which is 0 but for
 * rounding. */
dele_status dele_noop(double *change, const dele_prompt_cache *c, dele_run *run, dele_err *err);

#endif
