/* A prompt at work: its clean and its corrupted runs, remembered.  What the quick way (cells.c) and the plain one
 * (reference.c) both start from. */
#ifndef LAC_TRACE_STATES_H
#define LAC_TRACE_STATES_H

#include "trace/plan.h"

enum { LAC_N_SITES = LAC_RESID_POST + 1 };

/* n runs of the same length: rows at positions first .. first + n_rows - 1. */
typedef struct {
    int n, first, n_rows;
    float *embed;             /* [n, n_rows, dim] */
    float *site[LAC_N_SITES]; /* [n, n_layers, n_rows, width], by lac_site; NULL where no chart needs it */
    lac_kv *kv;               /* [n] */
} lac_states;

/* What each site holds on average over the facts' prompts, for mean ablation; or zeros.  Made once for all prompts. */
typedef struct {
    float *embed;             /* [dim] */
    float *site[LAC_N_SITES]; /* [n_layers, width] */
} lac_ablation;

typedef struct {
    const lac_plan *plan;
    const lac_model *model;
    const lac_ablation *ablation; /* NULL unless the plan ablates */
    lac_grid *grid;
    int *tokens, n_rows;          /* the prompt and its answer but the last token */
    int first_sample, n_samples;  /* those that are being added to the grid */
    lac_states clean, corrupted;  /* corrupted: from the subject on, reading the clean run's keys before it */
    float *clean_logits, *clean_p; /* [vocab] the clean run's, for the next token */
    double clean_entropy;         /* nats */
    int clean_second;             /* the likeliest token but the answer */
    double *base;                 /* [n_samples, LAC_N_METRICS] of the runs that cells start from */
    lac_arena *scratch;           /* the caller's: holds all of this but what the corrupted runs bring */
    lac_arena *drawn;             /* the caller's too: their states, and base; emptied for other samples */
} lac_case;

/* Values a site has a row: dim, or q_dim for HEAD_OUT. */
size_t lac_site_width(const lac_config *config, lac_site site);

/* A remembered row: of run i, leaving `site` of layer l, at position t.  Layer -1 of RESID_POST is the embedding. */
const float *lac_state(const lac_case *c, const lac_states *states, lac_site site, int i, int l, int t);

/* The run that cells of sample s start from, and the value that is put in. */
const float *lac_base(const lac_case *c, lac_site site, int s, int l, int t);
const float *lac_source(const lac_case *c, lac_site site, int s, int l, int t);
const lac_kv *lac_base_kv(const lac_case *c, int s, int t); /* what a segment from position t continues, or NULL */

/* Prepares a case: the clean run, the answer where the grid has none, high, greedy, and what measuring needs. */
lac_status lac_case_clean(lac_case *c, lac_run *run, lac_err *err);

/* Copies the answer, which may be the case's, to where the grid lives. */
lac_status lac_grid_keep_answer(lac_grid *grid, lac_arena *arena, lac_err *err);

/* The corrupted runs of samples [first, first + n), in place of those before them: grows the grid to hold them, fills
 * low and, once, the foil. */
lac_status lac_case_corrupt(lac_case *c, lac_run *run, int first, int n, lac_arena *arena, lac_err *err);

/* Bytes that a case of so many tokens and samples keeps; n_samples 0: no corrupted runs. */
double lac_case_bytes(const lac_plan *plan, const lac_grid *grid, int n_samples);

/* Adds a clean run's rows to what `a` holds, which begins as zeros; returns how many.  Zeros are zero ablation; divided
 * by the rows of all facts' prompts they are mean ablation. */
lac_status lac_ablation_init(lac_ablation *a, const lac_plan *plan, lac_arena *arena, lac_err *err);
int lac_ablation_add(lac_ablation *a, const lac_case *c);
void lac_ablation_scale(lac_ablation *a, const lac_plan *plan, double factor);

/* The metrics of n runs of cases from the final states of their answer's rows, in order: out [n, LAC_N_METRICS]. */
lac_status lac_measure(double *out, const float *states, const lac_case *const *cases, size_t n, lac_run *run, lac_err *err);

#endif
