/* From final states to metrics.  Of each run the rows come together: the position before each of
 * the answer's tokens.
 *
 *   p, logp      product, sum over the answer's tokens
 *   logit_diff, rank, kl    of the first of those rows alone; KL(clean || run) = -H(clean) - sum_v
 *                           clean_v logit_v + lse
 *
 * Logits are formed a few hundred rows at a time and never kept. */

#include "trace/prompt_cache.h"

#include <math.h>

#include "tensor/ops.h"

enum { CHUNK = 512 }; /* the head is read once for so many rows */

typedef struct {
    size_t run; /* of n */
    int k;      /* which of the answer's tokens */
} place;

static void measure_row(double *out, const float *logits, const dele_prompt_cache *c, int k)
{
    size_t vocab = (size_t)c->model->config.vocab;
    const dele_grid *g = c->grid;
    float answer = logits[g->answer[k]];
    double lse = log_sum_exp(logits, vocab);
    out[DELE_LOGP] += (double)answer - lse;
    if (k) return;
    size_t rank = 1;
    double cross = 0;
    for (size_t v = 0; v < vocab; v++) {
        rank += logits[v] > answer;
        cross += (double)c->clean_p[v] * (double)logits[v];
    }
    out[DELE_RANK] = (double)rank;
    out[DELE_KL] = lse - cross - c->clean_entropy;
    out[DELE_LOGIT_DIFF] = g->foil >= 0 ? (double)answer - (double)logits[g->foil] : NAN;
}

/* Memory of the run, which is reused: fresh pages are dear. */
typedef struct {
    size_t chunk; /* rows of logits */
    float *logits;
    place *places; /* [rows] */
} measuring;

static dele_status lay_measuring(measuring *w, const dele_config *config, size_t rows,
                                 dele_arena *arena, dele_err *err)
{
    w->chunk = rows < CHUNK ? rows : CHUNK;
    w->logits = dele_alloc_raw(arena, w->chunk, (size_t)config->vocab * sizeof *w->logits, err);
    w->places = DELE_NEW(arena, place, rows, err);
    return w->logits && w->places ? DELE_OK : DELE_ERR_MEMORY;
}

size_t dele_measure_bytes(const dele_config *config, size_t rows)
{
    measuring w;
    dele_arena counted = {.counts = true};
    dele_status status = lay_measuring(&w, config, rows, &counted, NULL);
    const size_t bytes = counted.used;
    dele_arena_release(&counted);
    return status ? SIZE_MAX : bytes;
}

dele_status dele_measure(double *out, const float *states, const dele_prompt_cache *const *cases,
                         size_t n, dele_run *run, dele_err *err)
{
    if (!n) return DELE_OK;
    const dele_model *model = cases[0]->model;
    size_t d_model = (size_t)model->config.hidden_size, vocab = (size_t)model->config.vocab,
           rows = 0, at = 0;
    for (size_t i = 0; i < n; i++) rows += (size_t)cases[i]->grid->n_answer;
    measuring w;
    if (lay_measuring(&w, &model->config, rows, &run->arena, err)) return DELE_ERR_MEMORY;
    const size_t chunk = w.chunk;
    float *logits = w.logits;
    place *places = w.places;
    for (size_t i = 0; i < n; i++) {
        for (int m = 0; m < DELE_N_METRICS; m++) out[i * DELE_N_METRICS + (size_t)m] = 0;
        for (int k = 0; k < cases[i]->grid->n_answer; k++) places[at++] = (place){i, k};
    }
    for (at = 0; at < rows; at += chunk) {
        size_t m = rows - at < chunk ? rows - at : chunk;
        dele_logits(logits, run, model, states + at * d_model, m);
        run->flops += dele_head_flops(&model->config, (double)m);
        /* rows of one run add up: they stay on one thread, in order */
#pragma omp parallel for schedule(static) if (m * vocab > 1 << 15)
        for (size_t i = 0; i < m; i++) {
            if (i && places[at + i].run == places[at + i - 1].run) continue;
            for (size_t r = i; r < m && places[at + r].run == places[at + i].run; r++)
                measure_row(out + places[at + r].run * DELE_N_METRICS, logits + r * vocab,
                            cases[places[at + r].run], places[at + r].k);
        }
    }
    for (size_t i = 0; i < n; i++) {
        double *metric = out + i * DELE_N_METRICS;
        metric[DELE_PROB] = exp(metric[DELE_LOGP]);
        if (!isfinite(metric[DELE_LOGP]))
            return dele_fail(
                err, DELE_ERR_DATA,
                "%s gives a probability that is not a number in a corrupted or patched "
                "run: the noise is too strong for float32, or the model is broken",
                model->path ? model->path : "the model");
    }
    return DELE_OK;
}
