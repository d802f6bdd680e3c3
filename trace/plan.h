/* What a run of the tracer will do, parsed and checked once: charts, and the distinct things that
 * fill their cells.
 *
 * Two charts often ask for the same thing: clipped windows of different widths, or mid and hidden,
 * whose cells are equal where each half of a layer reads only its own row.  A *restoration* is one
 * distinct thing; its targets are the columns that show it.
 *
 * Windows [a, z) of one kind that begin at the same layer share a trunk: the widest is computed,
 * and the narrower ones leave its states at the layer where they end. */
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
    int from, to; /* layers [from, to) patched at the cell's token */
    int head;
    int join;  /* the layer its cells join at; n_layers: only the last norm and the head are left */
    int trunk; /* the restoration whose states it takes over at `to`, or -1 */
    int n_branches; /* restorations whose trunk this is; they follow in plan->branch from
                       first_branch on */
    int first_branch;
    int first_target, n_targets; /* in plan->targets */
} dele_restoration;

typedef enum {
    DELE_TOKENS_ALL,
    DELE_TOKENS_SUBJECT,
    DELE_TOKENS_LAST_SUBJECT,
    DELE_TOKENS_LAST
} dele_tokens;

typedef struct {
    dele_chart *charts;
    int n_charts;
    dele_restoration *restorations; /* in order of join */
    int n_restorations;
    int *branch; /* restorations, grouped by trunk, ascending in `to` */
    dele_target *targets;
    int n_targets;
    dele_tokens tokens;
    bool noising, paper_edges, reference;
    bool severs_anew; /* --compat rome --sever: severed cells have a second draw of the noise
                         (prompt_cache.c) */
    dele_corruption corruption; /* sigma is measured by dele_corruption_measure */
    int samples, memory;
    const dele_config *config;
} dele_plan;

dele_status dele_plan_make(dele_plan *plan, const dele_trace_opts *opts, const dele_config *config,
                           dele_arena *arena, dele_err *err);

/* Whether the options are ones that can be, before any model is loaded. */
dele_status dele_plan_check(const dele_trace_opts *opts, dele_err *err);

/* The tokens [*from, *to) of a prompt whose cells are computed; cells before the subject are the
 * base run's. */
void dele_plan_tokens(int *from, int *to, const dele_plan *plan, const dele_grid *prompt);

/* The first of them that a patch can change anything at. */
int dele_plan_first(const dele_plan *plan, const dele_grid *prompt);

/* Rows times layers that n_samples samples of a prompt take: the price, known beforehand. */
double dele_plan_price(const dele_plan *plan, const dele_grid *prompt, int n_samples);

/* One prompt by hand: fills a grid whose ids, n_tokens, begin and end are given, n_answer 0 for the
 * greedy answer and foil -1 for the one that is found.  (Mean ablation needs dele_trace_run: it is
 * a mean over facts.) */
dele_status dele_trace_grid(dele_grid *grid, const dele_plan *plan, dele_run *run,
                            const dele_model *model, dele_arena *arena, dele_err *err);

#endif
