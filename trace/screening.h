/* The screen over a file's facts: estimates for each, their averages, and how well they agree with what is exact.
 * See screen.h for what an estimate is worth. */
#ifndef DELE_TRACE_SCREENING_H
#define DELE_TRACE_SCREENING_H

#include "trace/plan.h"
#include "trace/screen.h"

/* One fact's chart against its exact cells. */
typedef struct {
    const dele_traced *fact;
    int chart;
    dele_metric metric; /* DELE_PROB or DELE_LOGP */
    dele_agreement agreement;
} dele_screen_check;

typedef struct {
    const dele_trace *trace; /* its facts, read and judged; no cells */
    dele_plan plan;          /* its charts: hidden, and mlp and attn by window */
    dele_screen *screens;    /* [trace->n]; n_layers is 0 where the fact was left out */
    dele_screen_check *checks;
    size_t n_checks, n_checked; /* n_checked facts */
} dele_screening;

/* Whether the options are ones that can be screened: Gaussian noise added, denoising, hidden, mlp and attn. */
dele_status dele_screening_check(const dele_trace_opts *opts, dele_err *err);

/* trace: what dele_trace_run made with opts.screen.  The first `check` of its facts are traced exactly as well. */
dele_status dele_screening_run(dele_screening *screening, const dele_trace *trace, const dele_model *model, int check,
                             dele_progress *progress, dele_arena *arena, dele_err *err);

/* screen.tsv, screen_summary.tsv and, where facts were checked, screen_agreement.tsv. */
dele_status dele_screening_save(const dele_screening *screening, const char *dir, dele_err *err);

void dele_screening_report(FILE *to, const dele_screening *screening);

#endif
