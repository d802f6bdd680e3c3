/* The cached runs of a prompt, clean and corrupted: states at every site that is patched, and the
 * KV cache.  cells.c and reference.c both start from them. */
#ifndef DELE_PROMPT_CACHE_H
#define DELE_PROMPT_CACHE_H

#include "trace/plan.h"

enum { DELE_N_SITES = DELE_RESID_POST + 1 };

/* n runs of the same length: rows at positions first .. first + n_rows - 1. */
typedef struct {
    int n, first, n_rows;
    float *embed;              /* [n, n_rows, d_model] */
    float *site[DELE_N_SITES]; /* [n, n_layers, n_rows, width], by dele_site; NULL where no chart
                                  needs it.  EXPERT_OUT has the chosen experts' outputs, [top_k,
                                  d_model] in the order of the route; where a layer does not have
                                  the site nothing is written */
    dele_kv *kv;               /* [n] */
    dele_routes routes;        /* of n * n_rows rows, where the model has experts */
} dele_states;

/* The mean of each site over the facts' prompts, for mean ablation; or zeros.  One for all
 * prompts. */
typedef struct {
    float *embed;              /* [d_model] */
    float *site[DELE_N_SITES]; /* [n_layers, width]; EXPERT_OUT [n_layers, n_experts, d_model] */
} dele_ablation;

typedef struct dele_prompt_cache {
    const dele_plan *plan;
    const dele_model *model;
    const dele_ablation *ablation; /* NULL unless the plan ablates */
    dele_grid *grid;
    int *tokens, n_rows;         /* the prompt and its answer without the last token */
    int first_sample, n_samples; /* the samples that are being added to the grid */
    dele_states clean;
    dele_states corrupted; /* from the subject on; the tokens before it are the clean KV cache */
    float *clean_logits, *clean_p; /* [vocab] of the next token in the clean run */
    float *nothing;                /* [d_model] zeros: what an expert that is not chosen adds */
    double clean_entropy;          /* nats */
    int clean_second;              /* the most likely token other than the answer */
    double *base; /* [n_samples, DELE_N_METRICS] of the runs that cells start from */
    struct dele_prompt_cache *again; /* --compat rome --sever: the runs with new noise, from which
                                        severed cells start; else NULL */
    const struct dele_prompt_cache
        *severed;        /* in `again`: the cache whose outputs the severed path keeps; else NULL */
    dele_arena *scratch; /* the caller's; owns everything but the corrupted runs */
    dele_arena *drawn;   /* the caller's; owns the corrupted runs and base, released for other
                            samples */
} dele_prompt_cache;

/* A cached row [width]: output of `site` of layer l in run i, at position t.  Layer -1 of
 * RESID_POST is the embedding. */
const float *dele_state(const dele_prompt_cache *c, const dele_states *states, dele_site site,
                        int i, int l, int t);

/* The same in the run that cells of sample s start from, and in the run whose values are patched
 * in. */
const float *dele_base(const dele_prompt_cache *c, dele_site site, int s, int l, int t);
const float *dele_source(const dele_prompt_cache *c, dele_site site, int s, int l, int t);

/* The source's value of one unit of the site: a head, an expert; else unit is 0. */
const float *dele_source_unit(const dele_prompt_cache *c, dele_site site, int s, int l, int t,
                              int unit);

/* Whether what expert e of layer l adds at t is not nothing in both runs, base and source. */
bool dele_expert_differs(const dele_prompt_cache *c, int s, int l, int t, int e);

/* The KV cache that a segment from position t continues, or NULL. */
const dele_kv *dele_base_kv(const dele_prompt_cache *c, int s, int t);

/* Computes the clean run; fills the grid's high and greedy, and its answer where it has none. */
dele_status dele_prompt_cache_clean(dele_prompt_cache *c, dele_run *run, dele_err *err);

/* Copies the answer, which may be in the cache's arena, into the grid's. */
dele_status dele_grid_keep_answer(dele_grid *grid, dele_arena *arena, dele_err *err);

/* Computes the corrupted runs of samples [first, first + n), which replace those of other samples.
 * Grows the grid (in arena) for these samples, fills its low and, the first time, its foil. */
dele_status dele_prompt_cache_corrupt(dele_prompt_cache *c, dele_run *run, int first, int n,
                                      dele_arena *arena, dele_err *err);

/* Bytes that the cache of a prompt takes with n_samples corrupted runs, and those of a run that
 * records them, counted by the code that lays them out. */
size_t dele_prompt_cache_bytes(const dele_plan *plan, const dele_grid *grid, int n_samples);
size_t dele_prompt_run_bytes(const dele_plan *plan, const dele_grid *grid, int n_samples);

/* Ablation values: init gives zeros (zero ablation).  For mean ablation, add sums a clean run's
 * rows and returns how many there are, and scale divides by the rows of all prompts. */
dele_status dele_ablation_init(dele_ablation *a, const dele_plan *plan, dele_arena *arena,
                               dele_err *err);
int dele_ablation_add(dele_ablation *a, const dele_prompt_cache *c);
void dele_ablation_scale(dele_ablation *a, const dele_plan *plan, double factor);

/* The metrics of n runs, out [n, DELE_N_METRICS], from the final states of their answers' rows, in
 * order. */
dele_status dele_measure(double *out, const float *states, const dele_prompt_cache *const *cases,
                         size_t n, dele_run *run, dele_err *err);

/* Bytes of the run's arena that it takes after the pass, with so many rows of answers. */
size_t dele_measure_bytes(const dele_config *config, size_t rows);

#endif
