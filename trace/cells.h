/* Every cell of some prompts. */
#ifndef LAC_TRACE_CELLS_H
#define LAC_TRACE_CELLS_H

#include "trace/states.h"

/* Cases of one plan, each with its corrupted runs; cells of all of them are stacked into the same batches.  `progress`
 * moves by the price of what is computed. */
typedef struct {
    const lac_plan *plan;
    const lac_model *model;
    lac_run *run;
    lac_case **cases;
    int n_cases;
    lac_progress *progress;
    double progress_price; /* what moves it by one */
} lac_group;

lac_status lac_cells_compute(const lac_group *group, lac_err *err);

/* The same by full-length runs from the tokens up, one cell at a time. */
lac_status lac_cells_reference(const lac_group *group, lac_err *err);

/* One cell of a case, and the runs that cells lie between, by the plain way: all [c->n_samples, LAC_N_METRICS], of the
 * samples that the case holds.  Ablation leaves `corrupted` alone; under --compat rome --replace it is not low. */
lac_status lac_cell_plainly(double *metrics, const lac_case *c, const lac_group *group, int chart, int t, int col,
                            lac_err *err);
lac_status lac_runs_plainly(double *clean, double *corrupted, const lac_case *c, const lac_group *group, lac_err *err);

/* Writes a cell's metrics into every column that shows this restoration. */
void lac_cell_store(const lac_case *c, const lac_restoration *r, int t, int s, const double *metrics);

/* One cell by hand: what putting `site`'s own base value back changes of p, which is 0 but for rounding. */
lac_status lac_noop(double *change, const lac_case *c, lac_run *run, lac_err *err);

#endif
