/* A prompt at work: its clean and its corrupted runs, remembered.  What the quick way (cells.c) and
 * the plain one (reference.c) both start from. */
#ifndef DELE_PROMPT_CACHE_H
#define DELE_PROMPT_CACHE_H

#include "trace/plan.h"

enum { DELE_N_SITES = DELE_RESID_POST + 1 };

/* n runs of the same length: rows at positions first .. first + n_rows - 1. */
typedef struct {
    int n, first, n_rows;
    float *embed;              /* [n, n_rows, d_model] */
    float *site[DELE_N_SITES]; /* [n, n_layers, n_rows, width], by dele_site; NULL where no chart
                                  needs it */
    dele_kv *kv;               /* [n] */
} dele_states;

/* What each site holds on average over the facts' prompts, for mean ablation; or zeros.  Made once
 * for all prompts. */
typedef struct {
    float *embed;              /* [d_model] */
    float *site[DELE_N_SITES]; /* [n_layers, width] */
} dele_ablation;

typedef struct dele_prompt_cache {
    const dele_plan *plan;
    const dele_model *model;
    const dele_ablation *ablation; /* NULL unless the plan ablates */
    dele_grid *grid;
    int *tokens, n_rows;         /* the prompt and its answer but the last token */
    int first_sample, n_samples; /* those that are being added to the grid */
    dele_states clean,
        corrupted; /* corrupted: from the subject on, reading the clean run's keys before it */
    float *clean_logits, *clean_p; /* [vocab] the clean run's, for the next token */
    double clean_entropy;          /* nats */
    int clean_second;              /* the most likely token but the answer */
    double *base; /* [n_samples, DELE_N_METRICS] of the runs that cells start from */
    struct dele_prompt_cache *again; /* --compat rome --sever: what severed cells start from, its
                                        noise drawn again; or NULL */
    const struct dele_prompt_cache
        *severed;        /* of such a one: the case whose outputs the severed path keeps; or NULL */
    dele_arena *scratch; /* the caller's: holds all of this but what the corrupted runs bring */
    dele_arena *drawn;   /* the caller's too: their states, and base; emptied for other samples */
} dele_prompt_cache;

/* A remembered row: of run i, leaving `site` of layer l, at position t.  Layer -1 of RESID_POST is
 * the embedding. */
const float *dele_state(const dele_prompt_cache *c, const dele_states *states, dele_site site,
                        int i, int l, int t);

/* The run that cells of sample s start from, and the value that is put in. */
const float *dele_base(const dele_prompt_cache *c, dele_site site, int s, int l, int t);
const float *dele_source(const dele_prompt_cache *c, dele_site site, int s, int l, int t);
const dele_kv *dele_base_kv(const dele_prompt_cache *c, int s,
                            int t); /* what a segment from position t continues, or NULL */

/* Prepares a case: the clean run, the answer where the grid has none, high, greedy, and what
 * measuring needs. */
dele_status dele_prompt_cache_clean(dele_prompt_cache *c, dele_run *run, dele_err *err);

/* Copies the answer, which may be the case's, to where the grid lives. */
dele_status dele_grid_keep_answer(dele_grid *grid, dele_arena *arena, dele_err *err);

/* The corrupted runs of samples [first, first + n), in place of those before them: grows the grid
 * to hold them, fills low and, once, the foil. */
dele_status dele_prompt_cache_corrupt(dele_prompt_cache *c, dele_run *run, int first, int n,
                                      dele_arena *arena, dele_err *err);

/* Bytes that a case of so many tokens and samples keeps; n_samples 0: no corrupted runs. */
double dele_prompt_cache_bytes(const dele_plan *plan, const dele_grid *grid, int n_samples);

/* Adds a clean run's rows to what `a` holds, which begins as zeros; returns how many.  Zeros are
 * zero ablation; divided by the rows of all facts' prompts they are mean ablation. */
dele_status dele_ablation_init(dele_ablation *a, const dele_plan *plan, dele_arena *arena,
                               dele_err *err);
int dele_ablation_add(dele_ablation *a, const dele_prompt_cache *c);
void dele_ablation_scale(dele_ablation *a, const dele_plan *plan, double factor);

/* The metrics of n runs of cases from the final states of their answer's rows, in order: out [n,
 * DELE_N_METRICS]. */
dele_status dele_measure(double *out, const float *states, const dele_prompt_cache *const *cases,
                         size_t n, dele_run *run, dele_err *err);

#endif
