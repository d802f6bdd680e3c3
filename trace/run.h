/* Traces prompts and facts. */
#ifndef DELE_TRACE_RUN_H
#define DELE_TRACE_RUN_H

#include "base/progress.h"
#include "trace/plan.h"

/* Traces one prompt: fills a grid whose ids, n_tokens, begin and end are given, with n_answer 0 for
 * the greedy answer and foil -1 for the most likely other token.  Mean ablation, a mean over facts,
 * needs dele_trace_run. */
dele_status dele_trace_grid(dele_grid *grid, const dele_plan *plan, dele_run *run,
                            const dele_model *model, dele_arena *arena, dele_err *err);

/* Whether the options' split and ids select the fact. */
bool dele_trace_wants(const dele_trace_opts *o, const dele_fact *fact);

/* Traces the facts.  Each fact's record is written into dir (may be NULL; dir/traces must exist)
 * when it is computed; records of an earlier run that are there already are read instead.  The
 * arena owns the trace; model and facts must exist as long. */
dele_status dele_trace_run(dele_trace *trace, const char *dir, const dele_model *model,
                           const dele_facts *facts, const dele_trace_opts *opts,
                           dele_progress *progress, dele_arena *arena, dele_err *err);

/* Bytes that tracing takes beside the model and the trace's records, where all prompts are as this
 * one, of which n_tokens, n_answer, begin and end are read. */
dele_status dele_trace_bytes(size_t *bytes, const dele_grid *prompt, const dele_trace_opts *opts,
                             const dele_model *model, dele_err *err);

/* A comparison of some cells of a trace with the same cells computed from the embedding, each in a
 * run of its own, and of their facts' clean and corrupted runs. */
typedef struct {
    int n_cells;
    size_t n_facts;
    double difference;       /* the largest difference of p, in a single sample */
    const dele_traced *fact; /* of the fact and cell that has it; chart -1: a run without patches */
    int chart, token, col;
} dele_trace_checked;

/* Compares n cells, drawn at random.  model, facts: those of the trace. */
dele_status dele_trace_check(dele_trace_checked *out, const dele_trace *trace,
                             const dele_model *model, const dele_facts *facts, int n,
                             dele_arena *arena, dele_err *err);

#endif
