/* Attribution patching over the facts of a file: estimates for each fact, their averages, and their
 * agreement with exact effects.  attribution.h describes the estimate. */
#ifndef DELE_ATTRIBUTION_FACTS_H
#define DELE_ATTRIBUTION_FACTS_H

#include "base/progress.h"
#include "trace/attribution.h"
#include "trace/plan.h"

/* One fact's chart against its exact cells. */
typedef struct {
    const dele_traced *fact;
    int chart;
    dele_metric metric; /* DELE_PROB or DELE_LOGP */
    dele_agreement agreement;
} dele_attribution_check;

typedef struct {
    const dele_trace *trace;      /* its facts, traced or left out; without cells */
    dele_plan plan;               /* its charts: hidden, router and expert, and mlp, attn and moe by
                                  * window */
    bool sparse[DELE_MAX_LAYERS]; /* layers with experts */
    dele_attribution *estimates;  /* [trace->n]; n_layers is 0 where the fact was left out */
    dele_attribution_check *checks;
    size_t n_checks, n_checked; /* n_checked facts */
} dele_attribution_facts;

/* Refuses options that attribution patching does not cover.  It covers denoising with added
 * Gaussian noise, and the kinds hidden, mlp and attn, and moe, router and expert. */
dele_status dele_attribution_facts_check(const dele_trace_opts *opts, dele_err *err);

/* trace: made by dele_trace_run with opts.attribution.  The first `check` of its facts are traced
 * exactly, too. */
dele_status dele_attribution_facts_run(dele_attribution_facts *attribution, const dele_trace *trace,
                                       const dele_model *model, int check, dele_progress *progress,
                                       dele_arena *arena, dele_err *err);

/* Writes attribution.tsv, attribution_summary.tsv and, where facts were traced exactly,
 * attribution_agreement.tsv. */
dele_status dele_attribution_facts_save(const dele_attribution_facts *attribution, const char *dir,
                                        dele_err *err);

/* The averages and the agreement, as text. */
void dele_attribution_facts_report(FILE *to, const dele_attribution_facts *attribution);

#endif
