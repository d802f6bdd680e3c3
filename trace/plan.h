/* What a run of the tracer will do, parsed and checked once: charts, and the distinct things that fill their cells.
 *
 * Two charts often ask for the same thing: clipped windows of different widths, or mid and hidden, whose cells are
 * equal where each half of a layer reads only its own row.  A *restoration* is one distinct thing; its targets are the
 * columns that show it.
 *
 * Windows [a, z) of one kind that begin at the same layer share a trunk: the widest is computed, and the narrower ones
 * leave its states at the layer where they end. */
#ifndef LAC_TRACE_PLAN_H
#define LAC_TRACE_PLAN_H

#include "trace/corrupt.h"
#include "trace/trace.h"

typedef struct {
    int chart, col;
} lac_target;

typedef struct {
    lac_kind kind;
    lac_sever sever;
    int from, to;    /* layers [from, to) patched at the cell's token */
    int head;
    int join;        /* the layer its cells join at; n_layers: only the last norm and the head are left */
    int trunk;       /* the restoration whose states it takes over at `to`, or -1 */
    int n_branches;  /* restorations whose trunk this is; they follow in plan->branch from first_branch on */
    int first_branch;
    int first_target, n_targets; /* in plan->targets */
} lac_restoration;

typedef enum { LAC_TOKENS_ALL, LAC_TOKENS_SUBJECT, LAC_TOKENS_LAST_SUBJECT, LAC_TOKENS_LAST } lac_tokens;

typedef struct {
    lac_chart *charts;
    int n_charts;
    lac_restoration *restorations; /* in order of join */
    int n_restorations;
    int *branch;                   /* restorations, grouped by trunk, ascending in `to` */
    lac_target *targets;
    int n_targets;
    lac_tokens tokens;
    bool noising, paper_edges, reference;
    lac_corruption corruption;     /* sigma is measured by lac_corruption_measure */
    int samples, memory;
    const lac_config *config;
} lac_plan;

lac_status lac_plan_make(lac_plan *plan, const lac_trace_opts *opts, const lac_config *config, lac_arena *arena, lac_err *err);

/* Whether the options are ones that can be, before any model is loaded. */
lac_status lac_plan_check(const lac_trace_opts *opts, lac_err *err);

/* The tokens [*from, *to) of a prompt whose cells are computed; cells before the subject are the base run's. */
void lac_plan_tokens(int *from, int *to, const lac_plan *plan, const lac_grid *prompt);

/* The first of them that a patch can change anything at. */
int lac_plan_first(const lac_plan *plan, const lac_grid *prompt);

/* Rows times layers that n_samples samples of a prompt take: the price, known beforehand. */
double lac_plan_price(const lac_plan *plan, const lac_grid *prompt, int n_samples);

/* One prompt by hand: fills a grid whose ids, n_tokens, begin and end are given, n_answer 0 for the greedy answer and
 * foil -1 for the one that is found.  (Mean ablation needs lac_trace_run: it is a mean over facts.) */
lac_status lac_trace_grid(lac_grid *grid, const lac_plan *plan, lac_run *run, const lac_model *model, lac_arena *arena,
                          lac_err *err);

#endif
