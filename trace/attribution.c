/* All cells from a clean run, S corrupted ones and their gradients.  See attribution.h for the
 * formula.
 *
 *   clean      [layers, R, width]      a at a site                 R = T - begin rows: nothing
 *                                      differs before the subject
 *   corrupted  [n, layers, R, width]   a at a site; n samples a pass, each a segment that enters
 *                                      from noised embeddings
 *   slope      [n, layers, R, width]   d log p / da: what the MLP adds has the gradient of the
 *                                      stream it joins, and every expert that of the block's sum
 *
 * Of the experts of a row the k chosen ones are read, in the order of its route.
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

/* The states that are read, and the gradients; those of experts come last. */
enum { OF_HIDDEN, OF_MLP, OF_ATTN, OF_ROUTER, OF_EXPERTS, N_STATES, N_PLAIN_STATES = OF_ROUTER };
enum { BY_STREAM, BY_ATTN, BY_ROUTER, BY_EXPERTS, N_SLOPES, N_PLAIN_SLOPES = BY_ROUTER };
static const dele_site state_site[N_STATES] = {DELE_RESID_POST, DELE_MLP_OUT, DELE_ATTN_OUT,
                                               DELE_ROUTER_LOGITS, DELE_EXPERT_OUT};
static const dele_site slope_site[N_SLOPES] = {DELE_RESID_POST, DELE_ATTN_OUT, DELE_ROUTER_LOGITS,
                                               DELE_EXPERT_OUT};

/* A site in all layers, or in those with experts. */
typedef struct {
    dele_site site;
    int expert;
    const int *layer; /* [n_layers] */
    size_t n_layers, width;
    float *of; /* [n, n_layers, R, width] */
} series;

typedef struct {
    const dele_model *model;
    dele_run *run;
    dele_attribution *attribution;
    size_t T, R, L, d_model, S, vocab;
    size_t together; /* samples a pass */
    size_t n_states, n_slopes;
    int *all, *sparse; /* layers: [L], [n_sparse] */
    size_t n_sparse;
    float *noised; /* [S, tokens of the subject, d_model] */
    float *embed;  /* [S, T, d_model] what the corrupted runs enter with */
    series clean[N_STATES], corrupted[N_STATES], slope[N_SLOPES];
    dele_routes clean_routes, routes; /* with experts: of the clean run, and of a pass */
    float *logits;                    /* [together, vocab], and then their gradient */
    dele_patch *reads, *slope_reads;  /* of all series in a pass */
    dele_segment *segments;           /* [together] */
    int *output_rows;                 /* [together] the last row of each */
} attribution_work;

/* ---- laying out ------------------------------------------------------------------------------ */

/* The patches that read a series of n segments of T rows, from the subject on; returns how many. */
static size_t read_series(dele_patch *reads, const attribution_work *w, const series *s, size_t n)
{
    const size_t begin = (size_t)w->attribution->begin;
    for (size_t i = 0; i < n * s->n_layers; i++)
        reads[i] = (dele_patch){.layer = s->layer[i % s->n_layers],
                                .row = (int)(i / s->n_layers * w->T + begin),
                                .n_rows = (int)w->R,
                                .site = s->site,
                                .expert = s->expert,
                                .op = DELE_READ,
                                .seen = s->of + i * w->R * s->width};
    return n * s->n_layers;
}

static size_t read_every(dele_patch *reads, const attribution_work *w, const series *s,
                         size_t n_series, size_t n)
{
    size_t at = 0;
    for (size_t i = 0; i < n_series; i++) at += read_series(reads + at, w, &s[i], n);
    return at;
}

/* Of n samples.  A gradient is the same for all experts of a row; of their states the chosen are
 * read. */
static dele_status lay_series(series *s, const attribution_work *w, dele_site site, bool slope,
                              size_t n, dele_arena *scratch, dele_err *err)
{
    const dele_config *c = &w->model->config;
    const bool of_experts = site == DELE_ROUTER_LOGITS || site == DELE_EXPERT_OUT;
    *s = (series){.site = site,
                  .layer = of_experts ? w->sparse : w->all,
                  .n_layers = of_experts ? w->n_sparse : w->L,
                  .width = site == DELE_ROUTER_LOGITS ? (size_t)c->n_experts : w->d_model};
    if (site == DELE_EXPERT_OUT && !slope) {
        s->expert = DELE_ALL_EXPERTS;
        s->width *= (size_t)c->top_k;
    }
    s->of = dele_alloc_raw(scratch, n * s->n_layers * w->R, s->width * sizeof *s->of, err);
    return s->of ? DELE_OK : DELE_ERR_MEMORY;
}

static dele_status lay_layers(attribution_work *w, dele_arena *scratch, dele_err *err)
{
    w->all = DELE_NEW(scratch, int, w->L, err);
    w->sparse = DELE_NEW(scratch, int, w->L, err);
    if (!w->all || !w->sparse) return DELE_ERR_MEMORY;
    w->n_sparse = 0;
    for (size_t l = 0; l < w->L; l++) {
        const bool sparse = dele_layer_is_sparse(&w->model->config, (int)l);
        if (!scratch->counts) w->all[l] = (int)l;
        if (!scratch->counts && sparse) w->sparse[w->n_sparse] = (int)l;
        w->n_sparse += sparse;
    }
    return DELE_OK;
}

/* Allocates for passes of w->together samples; on a counting arena it gives their size. */
static dele_status lay_out(attribution_work *w, dele_arena *scratch, dele_err *err)
{
    const dele_attribution *s = w->attribution;
    const dele_config *c = &w->model->config;
    if (lay_layers(w, scratch, err)) return DELE_ERR_MEMORY;
    w->noised = dele_alloc_raw(scratch, w->S * (size_t)(s->end - s->begin) * w->d_model,
                               sizeof(float), err);
    w->embed = dele_alloc_raw(scratch, w->S * w->T * w->d_model, sizeof(float), err);
    w->logits = dele_alloc_raw(scratch, w->together * w->vocab, sizeof(float), err);
    w->reads = DELE_NEW(scratch, dele_patch, w->n_states * w->together * w->L, err);
    w->slope_reads = DELE_NEW(scratch, dele_patch, w->n_slopes * w->together * w->L, err);
    w->segments = DELE_NEW(scratch, dele_segment, w->together, err);
    w->output_rows = DELE_NEW(scratch, int, w->together, err);
    for (size_t i = 0; i < w->n_states; i++)
        if (lay_series(&w->clean[i], w, state_site[i], false, 1, scratch, err) ||
            lay_series(&w->corrupted[i], w, state_site[i], false, w->together, scratch, err))
            return DELE_ERR_MEMORY;
    for (size_t i = 0; i < w->n_slopes; i++)
        if (lay_series(&w->slope[i], w, slope_site[i], true, w->together, scratch, err))
            return DELE_ERR_MEMORY;
    if (w->n_states > OF_EXPERTS &&
        (dele_routes_init(&w->clean_routes, c, w->T, scratch, err) ||
         dele_routes_init(&w->routes, c, w->together * w->T, scratch, err)))
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
                                 .n_patches = w.n_states * n * w.L,
                                 .n_expert_rows = w.n_states > OF_EXPERTS ? n * w.R : 0,
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

/* moe is mlp, of which the layers with experts alone are shown. */
static dele_status lay_estimates(dele_attribution *s, const attribution_work *w, dele_arena *arena,
                                 dele_err *err)
{
    const bool experts = w->n_states > OF_EXPERTS;
    s->n_layers = (int)w->L;
    s->n_samples = (int)w->S;
    s->n_experts = w->model->config.n_experts;
    s->low = s->log_low = 0;
    for (int kind = 0; kind < DELE_N_KINDS; kind++) {
        const size_t cells = w->T * w->L * (size_t)dele_attribution_units(s, (dele_kind)kind);
        s->p[kind] = s->logp[kind] = NULL;
        if (kind >= DELE_N_ATTRIBUTED && (!experts || (kind != DELE_ROUTER && kind != DELE_EXPERT)))
            continue;
        s->p[kind] = DELE_NEW(arena, double, cells, err);
        s->logp[kind] = DELE_NEW(arena, double, cells, err);
        if (!s->p[kind] || !s->logp[kind]) return DELE_ERR_MEMORY;
    }
    if (experts) s->p[DELE_MOE] = s->p[DELE_MLP], s->logp[DELE_MOE] = s->logp[DELE_MLP];
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
    int last = s->n_tokens - 1;
    dele_segment segment = {.tokens = s->ids, .n_rows = s->n_tokens};
    dele_batch batch = {.segments = &segment,
                        .n_segments = 1,
                        .patches = w->reads,
                        .n_patches = read_every(w->reads, w, w->clean, w->n_states, 1),
                        .output_rows = &last,
                        .n_output_rows = 1,
                        .routes = w->clean_routes.experts ? &w->clean_routes : NULL};
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
    for (size_t i = 0; i < n; i++) {
        w->segments[i] = (dele_segment){.states = w->embed + (from + i) * w->T * w->d_model,
                                        .n_rows = (int)w->T};
        w->output_rows[i] = (int)((i + 1) * w->T) - 1;
    }
    dele_batch batch = {.segments = w->segments,
                        .n_segments = n,
                        .patches = w->reads,
                        .n_patches = read_every(w->reads, w, w->corrupted, w->n_states, n),
                        .output_rows = w->output_rows,
                        .n_output_rows = n,
                        .keep_for_backward = true,
                        .routes = w->routes.experts ? &w->routes : NULL};
    if (dele_forward(w->run, w->model, &batch, err)) return err->code;
    dele_logits(w->logits, w->run, w->model, w->run->final, n);
    if (dele_logits_check(w->logits, n, w->model, err)) return DELE_ERR_DATA;
    for (size_t i = 0; i < n; i++)
        logp[i] = answer_slope(w->logits + i * w->vocab, w->vocab, w->attribution->answer);
    dele_grads grads = {.reads = w->slope_reads,
                        .n_reads = read_every(w->slope_reads, w, w->slope, w->n_slopes, n)};
    return dele_backward(w->run, w->model, &batch, w->logits, &grads, err);
}

/* The row r of layer number l of a series, in sample i. */
static const float *row_of(const series *s, const attribution_work *w, size_t i, size_t l, size_t r)
{
    return s->of + ((i * s->n_layers + l) * w->R + r) * s->width;
}

static double dot_difference(const float *a, const float *b, const float *slope, size_t n)
{
    double sum = 0;
    for (size_t c = 0; c < n; c++) sum += ((double)a[c] - b[c]) * slope[c];
    return sum;
}

static void add_effect(dele_attribution *s, dele_kind kind, size_t cell, double effect, double p)
{
    s->logp[kind][cell] += effect / s->n_samples;
    s->p[kind][cell] += p * effect / s->n_samples;
}

/* Kinds whose clean and corrupted values are one state each. */
static void accumulate_kind(attribution_work *w, dele_kind kind, int state, int slope, size_t i,
                            double p)
{
    dele_attribution *s = w->attribution;
    const series *clean = &w->clean[state];
    for (size_t l = 0; l < clean->n_layers; l++)
        for (size_t r = 0; r < w->R; r++)
            add_effect(s, kind, ((size_t)s->begin + r) * w->L + (size_t)clean->layer[l],
                       dot_difference(row_of(clean, w, 0, l, r),
                                      row_of(&w->corrupted[state], w, i, l, r),
                                      row_of(&w->slope[slope], w, i, l, r), clean->width),
                       p);
}

/* What a row's chosen experts add, times the slope of the block's sum: taken away where the
 * corrupted run chooses the expert (sign -1), and given where the clean one does. */
static void accumulate_experts(attribution_work *w, size_t i, double p)
{
    dele_attribution *s = w->attribution;
    const size_t k = (size_t)w->model->config.top_k, d_model = w->d_model;
    for (size_t l = 0; l < w->n_sparse; l++)
        for (size_t r = 0; r < w->R; r++)
            for (int clean = 0; clean < 2; clean++) {
                const size_t token = (size_t)s->begin + r, layer = (size_t)w->sparse[l];
                const int *chosen =
                    dele_route_experts(clean ? &w->clean_routes : &w->routes,
                                       clean ? token : i * w->T + token, (int)layer);
                const float *y = row_of(clean ? &w->clean[OF_EXPERTS] : &w->corrupted[OF_EXPERTS],
                                        w, clean ? 0 : i, l, r),
                            *slope = row_of(&w->slope[BY_EXPERTS], w, i, l, r);
                for (size_t j = 0; j < k; j++) {
                    const size_t column = layer * (size_t)s->n_experts + (size_t)chosen[j];
                    double effect = 0;
                    for (size_t c = 0; c < d_model; c++)
                        effect += (double)y[j * d_model + c] * slope[c];
                    add_effect(s, DELE_EXPERT, token * w->L * (size_t)s->n_experts + column,
                               clean ? effect : -effect, p);
                }
            }
}

/* Adds sample i of the pass to the estimates. */
static void accumulate(attribution_work *w, size_t i, double logp)
{
    dele_attribution *s = w->attribution;
    const double p = exp(logp), share = 1.0 / (double)w->S;
    s->low += p * share;
    s->log_low += logp * share;
    accumulate_kind(w, DELE_HIDDEN, OF_HIDDEN, BY_STREAM, i, p);
    accumulate_kind(w, DELE_MLP, OF_MLP, BY_STREAM, i, p);
    accumulate_kind(w, DELE_ATTN, OF_ATTN, BY_ATTN, i, p);
    if (w->n_states <= OF_EXPERTS) return;
    accumulate_kind(w, DELE_ROUTER, OF_ROUTER, BY_ROUTER, i, p);
    accumulate_experts(w, i, p);
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
    if (opts->experts && !model->config.n_experts)
        return dele_fail(err, DELE_ERR_USAGE,
                         "moe, router and expert are of mixtures of experts, and a model of family "
                         "%s is none",
                         model->config.family->hf);
    attribution_work w = {.model = model,
                          .run = run,
                          .attribution = attribution,
                          .T = (size_t)attribution->n_tokens,
                          .R = (size_t)(attribution->n_tokens - attribution->begin),
                          .L = (size_t)model->config.n_layers,
                          .d_model = (size_t)model->config.hidden_size,
                          .S = (size_t)opts->samples,
                          .n_states = opts->experts ? N_STATES : N_PLAIN_STATES,
                          .n_slopes = opts->experts ? N_SLOPES : N_PLAIN_SLOPES,
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
                                       int units, const bool *sparse, dele_err *err)
{
    dele_arena arena = {0};
    const int T = attribution->n_tokens, L = attribution->n_layers, n_cols = L * units;
    size_t n = 0;
    double *estimates = DELE_NEW(&arena, double, (size_t)T *(size_t)n_cols, err);
    double *effects = DELE_NEW(&arena, double, (size_t)T *(size_t)n_cols, err);
    dele_status status = estimates && effects ? DELE_OK : DELE_ERR_MEMORY;
    for (int t = attribution->begin; t < T && !status; t++)
        for (int col = 0; col < n_cols; col++) {
            int from, to;
            dele_window(&from, &to, col / units, window, L, false);
            if ((from == L - 1 && t + 1 < T) || (sparse && !sparse[col / units])) continue;
            estimates[n] = estimate[t * n_cols + col];
            effects[n++] = exact[t * n_cols + col];
        }
    if (!status) status = dele_agreement_of(out, estimates, effects, n, err);
    dele_arena_release(&arena);
    return status;
}
