/* The screen over a file's facts: estimates for each, their averages, and how well they agree with what is exact.
 * See screen.h for what an estimate is worth. */
#ifndef LAC_TRACE_SCREENING_H
#define LAC_TRACE_SCREENING_H

#include "trace/plan.h"
#include "trace/screen.h"

/* One fact's chart against its exact cells. */
typedef struct {
    const lac_traced *fact;
    int chart;
    lac_metric metric; /* LAC_PROB or LAC_LOGP */
    lac_agreement agreement;
} lac_screen_check;

typedef struct {
    const lac_trace *trace; /* its facts, read and judged; no cells */
    lac_plan plan;          /* its charts: hidden, and mlp and attn by window */
    lac_screen *screens;    /* [trace->n]; n_layers is 0 where the fact was left out */
    lac_screen_check *checks;
    size_t n_checks, n_checked; /* n_checked facts */
} lac_screening;

/* Whether the options are ones that can be screened: Gaussian noise added, denoising, hidden, mlp and attn. */
lac_status lac_screening_check(const lac_trace_opts *opts, lac_err *err);

/* trace: what lac_trace_run made with opts.screen.  The first `check` of its facts are traced exactly as well. */
lac_status lac_screening_run(lac_screening *screening, const lac_trace *trace, const lac_model *model, int check,
                             lac_progress *progress, lac_arena *arena, lac_err *err);

/* screen.tsv, screen_summary.tsv and, where facts were checked, screen_agreement.tsv. */
lac_status lac_screening_save(const lac_screening *screening, const char *dir, lac_err *err);

void lac_screening_report(FILE *to, const lac_screening *screening);

#endif
