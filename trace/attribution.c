/* All cells from a clean run, S corrupted ones and their gradients.  See attribution.h for the
 * formula.
 *
 *   clean      [L, R, d_model]      a, three sites                 R = T - begin rows: nothing
 *                                   differs before the subject
 *   corrupted  [n, L, R, d_model]   a, three sites; n samples a pass, each a segment that enters
 *                                   from noised embeddings
 *   slope      [n, L, R, d_model]   d log p / da, two sites: what the MLP adds has the gradient of
 *                                   the stream it joins
 *
 * The gradient of log p(answer) by the logits is 1[answer] - softmax, one row a sample, and that of
 * p is p times it: one backward pass serves both measures. */
#include "trace/attribution.h"

#include "trace/corrupt.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <string.h>

#include "base/stat.h"
#include "model/backward.h"
#include "tensor/ops.h"

enum { N_SLOPES = 2 };

static const int slope_of[DELE_N_ATTRIBUTED] = {[DELE_HIDDEN] = 0, [DELE_MLP] = 0, [DELE_ATTN] = 1};
static const dele_site slope_site[N_SLOPES] = {DELE_RESID_POST, DELE_ATTN_OUT};

typedef struct {
    const dele_model *model;
    dele_run *run;
    dele_attribution *attribution;
    size_t T, R, L, d_model, S, vocab;
    size_t together;                 /* samples a pass */
    float *noised;                   /* [S, tokens of the subject, d_model] */
    float *embed;                    /* [S, T, d_model] what the corrupted runs enter with */
    float *clean[DELE_N_ATTRIBUTED]; /* [L, R, d_model] */
    float *corrupted[DELE_N_ATTRIBUTED], *slope[N_SLOPES]; /* [together, L, R, d_model] */
    float *logits;                   /* [together, vocab], and then their gradient */
    dele_patch *reads, *slope_reads; /* [DELE_N_ATTRIBUTED or N_SLOPES, together, L, R] */
    dele_segment *segments;          /* [together] */
    int *output_rows;                /* [together] the last row of each */
} attribution_work;

/* ---- laying out ------------------------------------------------------------------------------ */

/* The site of all rows from the subject on, of every layer and of n segments of T rows: [n, L, R,
 * d_model] at seen. */
static void read_site(dele_patch *reads, const attribution_work *w, dele_site site, float *seen,
                      size_t n)
{
    size_t begin = (size_t)w->attribution->begin;
    for (size_t i = 0; i < n * w->L; i++)
        reads[i] = (dele_patch){.layer = (int)(i % w->L),
                                .row = (int)(i / w->L * w->T + begin),
                                .n_rows = (int)w->R,
                                .site = site,
                                .op = DELE_READ,
                                .seen = seen + i * w->R * w->d_model};
}

/* Allocates for passes of w->together samples; on a counting arena it gives their size. */
static dele_status lay_out(attribution_work *w, dele_arena *scratch, dele_err *err)
{
    const dele_attribution *s = w->attribution;
    size_t cells = w->L * w->R, n = w->together * cells;
    w->noised = dele_alloc_raw(scratch, w->S * (size_t)(s->end - s->begin) * w->d_model,
                               sizeof(float), err);
    w->embed = dele_alloc_raw(scratch, w->S * w->T * w->d_model, sizeof(float), err);
    w->logits = dele_alloc_raw(scratch, w->together * w->vocab, sizeof(float), err);
    w->reads = DELE_NEW(scratch, dele_patch, DELE_N_ATTRIBUTED * w->together * w->L, err);
    w->slope_reads = DELE_NEW(scratch, dele_patch, N_SLOPES * w->together * w->L, err);
    w->segments = DELE_NEW(scratch, dele_segment, w->together, err);
    w->output_rows = DELE_NEW(scratch, int, w->together, err);
    for (int kind = 0; kind < DELE_N_ATTRIBUTED; kind++) {
        w->clean[kind] = dele_alloc_raw(scratch, cells * w->d_model, sizeof(float), err);
        w->corrupted[kind] = dele_alloc_raw(scratch, n * w->d_model, sizeof(float), err);
        if (!w->clean[kind] || !w->corrupted[kind]) return DELE_ERR_MEMORY;
    }
    for (int i = 0; i < N_SLOPES; i++)
        if (!(w->slope[i] = dele_alloc_raw(scratch, n * w->d_model, sizeof(float), err)))
            return DELE_ERR_MEMORY;
    return w->noised && w->embed && w->logits && w->reads && w->slope_reads && w->segments &&
                   w->output_rows
               ? DELE_OK
               : DELE_ERR_MEMORY;
}

/* Bytes of passes of n samples: their states, their gradients and what the backward pass needs. */
static size_t attribution_bytes(const void *data, size_t n)
{
    attribution_work w = *(const attribution_work *)data;
    dele_arena counted = {.counts = true};
    const dele_pass_size size = {.n_rows = n * w.T,
                                 .n_segments = n,
                                 .n_spans = n,
                                 .n_patches = DELE_N_ATTRIBUTED * n * w.L,
                                 .n_output_rows = n,
                                 .longest = w.T,
                                 .keep_for_backward = true};
    w.together = n;
    dele_status status = lay_out(&w, &counted, NULL);
    const size_t bytes = counted.used;
    dele_arena_release(&counted);
    if (status) return SIZE_MAX;
    return DELE_BYTES(bytes, dele_forward_bytes(&w.model->config, &size),
                      dele_backward_bytes(&w.model->config, &size), dele_tile_bytes(w.model));
}

/* Samples of a pass that fit into the memory given. */
static dele_status count_together(attribution_work *w, int memory, dele_err *err)
{
    w->together = dele_most_that_fits(attribution_bytes, w, 1, w->S, (size_t)memory << 20);
    if (w->together) return DELE_OK;
    return dele_fail(
        err, DELE_ERR_MEMORY,
        "attribution patching of %zu tokens with %zu samples needs at least %zu MiB; raise "
        "--batch-memory or take fewer --samples",
        w->T, w->S, (attribution_bytes(w, 1) >> 20) + 1);
}

static dele_status lay_estimates(dele_attribution *s, const attribution_work *w, dele_arena *arena,
                                 dele_err *err)
{
    s->n_layers = (int)w->L;
    s->n_samples = (int)w->S;
    s->low = s->log_low = 0;
    for (int kind = 0; kind < DELE_N_ATTRIBUTED; kind++) {
        s->p[kind] = DELE_NEW(arena, double, w->T * w->L, err);
        s->logp[kind] = DELE_NEW(arena, double, w->T * w->L, err);
        if (!s->p[kind] || !s->logp[kind]) return DELE_ERR_MEMORY;
    }
    return DELE_OK;
}

static dele_status corrupted_embeddings(attribution_work *w, const dele_attribution_opts *o,
                                        dele_err *err)
{
    const dele_attribution *s = w->attribution;
    size_t n = (size_t)(s->end - s->begin), row = w->d_model * sizeof(float);
    float *noised = w->noised;
    const dele_corruption noise = {
        .by = DELE_CORRUPT_NOISE, .distribution = DELE_NOISE_GAUSSIAN, .sigma = o->sigma};
    if (dele_corrupt_embed(noised, &noise, w->model, s->ids + s->begin, (int)n, s->begin, 0,
                           (int)w->S, o->seed, err))
        return err->code;
    for (size_t i = 0; i < w->S; i++) {
        float *x = w->embed + i * w->T * w->d_model;
        dele_embed(x, w->model, s->ids, w->T, 0);
        memcpy(x + (size_t)s->begin * w->d_model, noised + i * n * w->d_model, n * row);
    }
    return DELE_OK;
}

/* ---- the runs -------------------------------------------------------------------------------- */

static dele_status clean_run(attribution_work *w, dele_err *err)
{
    dele_attribution *s = w->attribution;
    for (int kind = 0; kind < DELE_N_ATTRIBUTED; kind++)
        read_site(w->reads + (size_t)kind * w->L, w, dele_kind_site[kind], w->clean[kind], 1);
    int last = s->n_tokens - 1;
    dele_segment segment = {.tokens = s->ids, .n_rows = s->n_tokens};
    dele_batch batch = {.segments = &segment,
                        .n_segments = 1,
                        .patches = w->reads,
                        .n_patches = DELE_N_ATTRIBUTED * w->L,
                        .output_rows = &last,
                        .n_output_rows = 1};
    if (dele_forward(w->run, w->model, &batch, err)) return err->code;
    dele_logits(w->logits, w->run, w->model, w->run->final, 1);
    if (dele_logits_check(w->logits, 1, w->model, err)) return DELE_ERR_DATA;
    if (s->answer < 0) s->answer = (int)argmax(w->logits, w->vocab);
    s->log_high = (double)w->logits[s->answer] - log_sum_exp(w->logits, w->vocab);
    s->high = exp(s->log_high);
    return DELE_OK;
}

/* d log p(answer) / d logits, in place of the logits; returns log p(answer). */
static double answer_slope(float *logits, size_t vocab, int answer)
{
    double sum = log_sum_exp(logits, vocab), logp = (double)logits[answer] - sum;
    for (size_t j = 0; j < vocab; j++) logits[j] = (float)-exp((double)logits[j] - sum);
    logits[answer] = (float)-expm1(logp);
    return logp;
}

/* Samples from..from + n through the model and back. */
static dele_status corrupted_runs(double *logp, attribution_work *w, size_t from, size_t n,
                                  dele_err *err)
{
    const size_t sites = n * w->L; /* of one kind */
    for (size_t i = 0; i < n; i++) {
        w->segments[i] = (dele_segment){.states = w->embed + (from + i) * w->T * w->d_model,
                                        .n_rows = (int)w->T};
        w->output_rows[i] = (int)((i + 1) * w->T) - 1;
    }
    for (int kind = 0; kind < DELE_N_ATTRIBUTED; kind++)
        read_site(w->reads + (size_t)kind * sites, w, dele_kind_site[kind], w->corrupted[kind], n);
    for (int i = 0; i < N_SLOPES; i++)
        read_site(w->slope_reads + (size_t)i * sites, w, slope_site[i], w->slope[i], n);
    dele_batch batch = {.segments = w->segments,
                        .n_segments = n,
                        .patches = w->reads,
                        .n_patches = DELE_N_ATTRIBUTED * sites,
                        .output_rows = w->output_rows,
                        .n_output_rows = n,
                        .keep_for_backward = true};
    if (dele_forward(w->run, w->model, &batch, err)) return err->code;
    dele_logits(w->logits, w->run, w->model, w->run->final, n);
    if (dele_logits_check(w->logits, n, w->model, err)) return DELE_ERR_DATA;
    for (size_t i = 0; i < n; i++)
        logp[i] = answer_slope(w->logits + i * w->vocab, w->vocab, w->attribution->answer);
    dele_grads grads = {.reads = w->slope_reads, .n_reads = N_SLOPES * sites};
    return dele_backward(w->run, w->model, &batch, w->logits, &grads, err);
}

/* Adds sample i of the pass to the estimates. */
static void accumulate(attribution_work *w, size_t i, double logp)
{
    dele_attribution *s = w->attribution;
    double p = exp(logp), share = 1.0 / (double)w->S;
    s->low += p * share;
    s->log_low += logp * share;
    for (int kind = 0; kind < DELE_N_ATTRIBUTED; kind++)
        for (size_t l = 0; l < w->L; l++)
            for (size_t r = 0; r < w->R; r++) {
                size_t at = (l * w->R + r) * w->d_model, sample = i * w->L * w->R * w->d_model + at;
                const float *clean = w->clean[kind] + at, *corrupted = w->corrupted[kind] + sample;
                const float *slope = w->slope[slope_of[kind]] + sample;
                double effect = 0;
                for (size_t c = 0; c < w->d_model; c++)
                    effect += ((double)clean[c] - corrupted[c]) * slope[c];
                size_t cell = ((size_t)s->begin + r) * w->L + l;
                s->logp[kind][cell] += effect * share;
                s->p[kind][cell] += p * effect * share;
            }
}

static dele_status attribute(attribution_work *w, const dele_attribution_opts *o, dele_arena *arena,
                             dele_arena *scratch, dele_err *err)
{
    double *logp = DELE_NEW(scratch, double, w->S, err);
    if (!logp || count_together(w, o->memory, err) || lay_out(w, scratch, err) ||
        lay_estimates(w->attribution, w, arena, err) || corrupted_embeddings(w, o, err) ||
        clean_run(w, err))
        return err->code;
    for (size_t from = 0; from < w->S; from += w->together) {
        size_t n = w->S - from < w->together ? w->S - from : w->together;
        if (corrupted_runs(logp, w, from, n, err)) return err->code;
        for (size_t i = 0; i < n; i++) accumulate(w, i, logp[i]);
    }
    return DELE_OK;
}

/* Checks what the estimates take for granted: ids are looked up in the embedding before any
 * forward pass would check them. */
dele_status dele_attribution_run(dele_attribution *attribution, dele_run *run,
                                 const dele_model *model, const dele_attribution_opts *opts,
                                 dele_arena *arena, dele_err *err)
{
    dele_err local = {0};
    if (!err) err = &local;
    if (attribution->begin < 0 || attribution->begin >= attribution->end ||
        attribution->end > attribution->n_tokens)
        return dele_fail(err, DELE_ERR_DATA,
                         "subject tokens %d to %d are not among the prompt's %d",
                         attribution->begin, attribution->end, attribution->n_tokens);
    if (opts->samples < 1 || opts->memory < 1 || !(opts->sigma >= 0))
        return dele_fail(err, DELE_ERR_USAGE,
                         "--samples and --batch-memory must be at least 1, the noise at least 0");
    for (int t = 0; t < attribution->n_tokens;
         t++) /* their embeddings are looked up here, before any forward checks them */
        if (attribution->ids[t] < 0 || attribution->ids[t] >= model->config.vocab)
            return dele_fail(err, DELE_ERR_DATA,
                             "token id %d is outside the model's vocabulary of %d",
                             attribution->ids[t], model->config.vocab);
    if (attribution->answer >= model->config.vocab)
        return dele_fail(err, DELE_ERR_DATA,
                         "the answer, token id %d, is outside the model's vocabulary of %d",
                         attribution->answer, model->config.vocab);
    attribution_work w = {.model = model,
                          .run = run,
                          .attribution = attribution,
                          .T = (size_t)attribution->n_tokens,
                          .R = (size_t)(attribution->n_tokens - attribution->begin),
                          .L = (size_t)model->config.n_layers,
                          .d_model = (size_t)model->config.hidden_size,
                          .S = (size_t)opts->samples,
                          .vocab = (size_t)model->config.vocab};
    dele_arena scratch = {0};
    dele_status status = attribute(&w, opts, arena, &scratch, err);
    dele_arena_release(&scratch);
    return status;
}

void dele_attribution_window(double *windowed, const double *single, int n_tokens, int n_layers,
                             int w)
{
    for (int t = 0; t < n_tokens; t++, windowed += n_layers, single += n_layers)
        for (int l = 0; l < n_layers; l++) {
            int from, to;
            dele_window(&from, &to, l, w, n_layers, false);
            windowed[l] = 0;
            for (int i = from; i < to; i++) windowed[l] += single[i];
        }
}

/* ---- agreement with what is exact ------------------------------------------------------------ */

static double share_of_top(const size_t *a, const size_t *b, size_t k)
{
    size_t both = 0;
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < k; j++) both += a[i] == b[j];
    return (double)both / (double)k;
}

dele_status dele_agreement_of(dele_agreement *out, const double *estimate, const double *exact,
                              size_t n, dele_err *err)
{
    *out = (dele_agreement){.n = n,
                            .n_top = (n + 19) / 20,
                            .pearson = NAN,
                            .spearman = NAN,
                            .overlap = NAN,
                            .scale = NAN};
    for (size_t i = 0; i < n; i++)
        if (!isfinite(estimate[i]) || !isfinite(exact[i]))
            return dele_fail(err, DELE_ERR_DATA, "an effect is not a number");
    if (n < 2 || dele_is_constant(estimate, n) || dele_is_constant(exact, n)) return DELE_OK;
    dele_arena arena = {0};
    size_t *top = DELE_NEW(&arena, size_t, 2 * out->n_top, err);
    double *ranks = DELE_NEW(&arena, double, 2 * n, err), squares = 0, products = 0;
    dele_status status = top && ranks ? DELE_OK : DELE_ERR_MEMORY;
    if (!status) {
        out->pearson = gsl_stats_correlation(estimate, 1, exact, 1, n);
        out->spearman = gsl_stats_spearman(estimate, 1, exact, 1, n, ranks);
        gsl_sort_largest_index(top, out->n_top, estimate, 1, n);
        gsl_sort_largest_index(top + out->n_top, out->n_top, exact, 1, n);
        out->overlap = share_of_top(top, top + out->n_top, out->n_top);
        for (size_t i = 0; i < n; i++)
            squares += estimate[i] * estimate[i], products += estimate[i] * exact[i];
        out->scale = products / squares;
    }
    dele_arena_release(&arena);
    return status;
}

dele_status dele_attribution_agreement(dele_agreement *out, const dele_attribution *attribution,
                                       const double *estimate, const double *exact, int window,
                                       dele_err *err)
{
    dele_arena arena = {0};
    int T = attribution->n_tokens, L = attribution->n_layers;
    size_t n = 0;
    double *estimates = DELE_NEW(&arena, double, (size_t)T *(size_t)L, err);
    double *effects = DELE_NEW(&arena, double, (size_t)T *(size_t)L, err);
    dele_status status = estimates && effects ? DELE_OK : DELE_ERR_MEMORY;
    for (int t = attribution->begin; t < T && !status; t++)
        for (int l = 0; l < L; l++) {
            int from, to;
            dele_window(&from, &to, l, window, L, false);
            if (from == L - 1 && t + 1 < T) continue;
            estimates[n] = estimate[t * L + l];
            effects[n++] = exact[t * L + l];
        }
    if (!status) status = dele_agreement_of(out, estimates, effects, n, err);
    dele_arena_release(&arena);
    return status;
}
