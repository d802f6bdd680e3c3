/* The plan of a trace, from options that are checked once: charts, and the distinct restorations
 * that fill their cells.
 *
 * Columns of several charts are often the same computation: clipped windows of different widths, or
 * mid and hidden, whose cells are equal where each half of a layer reads only its own row.  A
 * *restoration* is one distinct computation; its targets are the columns that show it.
 *
 * Windows [a, z) of one kind that begin at the same layer share a trunk: the widest is computed,
 * and a narrower one is a branch that continues from the trunk's states at the layer where it
 * ends. */
#ifndef DELE_TRACE_PLAN_H
#define DELE_TRACE_PLAN_H

#include "trace/corrupt.h"
#include "trace/trace.h"

typedef struct {
    int chart, col;
} dele_target;

typedef struct {
    dele_kind kind;
    dele_sever sever;
    int from, to;    /* layers [from, to) patched at the cell's token */
    int unit;        /* the head or expert */
    int start_layer; /* the first layer that its cells compute; n_layers: only the last norm and the
                        head */
    int trunk;       /* the restoration from whose states it continues at `to`, or -1 */
    int n_branches;  /* restorations whose trunk this is: n_branches of plan->branch, from
                        first_branch on */
    int first_branch;
    int first_target, n_targets; /* in plan->targets */
} dele_restoration;

typedef struct {
    dele_chart *charts;
    int n_charts;
    dele_restoration *restorations; /* in order of start_layer */
    int n_restorations;
    int *branch; /* restorations, grouped by trunk, ascending in `to` */
    dele_target *targets;
    int n_targets;
    dele_tokens tokens;
    bool noising, paper_edges, reference, patches_experts;
    bool severs_anew; /* --compat rome --sever: severed cells have a second draw of the noise
                         (prompt_cache.c) */
    dele_corruption corruption; /* sigma is measured by dele_corruption_measure */
    int samples, memory;
    const dele_config *config;
} dele_plan;

/* Checks the options and makes the plan.  The arena owns its tables; opts' texts and config must
 * exist as long as the plan. */
dele_status dele_plan_make(dele_plan *plan, const dele_trace_opts *opts, const dele_config *config,
                           dele_arena *arena, dele_err *err);

/* Checks the options before a model is loaded. */
dele_status dele_plan_check(const dele_trace_opts *opts, dele_err *err);

/* The tokens [*from, *to) of a prompt whose cells are computed; cells before the subject are the
 * base run's. */
void dele_plan_tokens(int *from, int *to, const dele_plan *plan, const dele_grid *prompt);

/* The first of these tokens at which a patch can change anything. */
int dele_plan_first(const dele_plan *plan, const dele_grid *prompt);

/* Whether the column's layer has such cells: of router, expert and moe only layers with experts. */
bool dele_plan_has_cells(const dele_plan *plan, const dele_chart *chart, int col);

/* Whether a restoration at token t can change the answer: in the last layer a token's state is read
 * by that token alone.  Severed cells with a second draw of the noise differ from the base in any
 * case. */
bool dele_plan_reaches(const dele_plan *plan, const dele_restoration *r, const dele_grid *prompt,
                       int t);

/* Floating-point operations of n_samples samples of a prompt, for the progress; rows of all cells.
 * Of a layer's experts no more are computed than two runs can choose. */
double dele_plan_price(const dele_plan *plan, const dele_grid *prompt, int n_samples);
double dele_plan_rows(const dele_plan *plan, const dele_grid *prompt, int n_samples);

#endif
