#include "trace/rows.h"

#include <gsl/gsl_sort.h>
#include <math.h>
#include <string.h>

#include "tensor/gemm.h"

enum { SEED_FACTS = 1, SEED_NOISE = 1 << 20, SEED_TOKEN = 2 << 20, SEED_COLUMN = 3 << 20 };

/* ---- what is drawn ----------------------------------------------------------------------------------------------- */

void dele_resample_counts(float *count, size_t resamples, size_t n, dele_rng *rng)
{
    memset(count, 0, resamples * n * sizeof *count);
    for (size_t r = 0; r < resamples; r++)
        for (size_t i = 0; i < n; i++) count[r * n + (size_t)dele_rng_below(rng, n)]++;
}

bool dele_shares_noise(const dele_trace *trace)
{
    const dele_trace_opts *o = &trace->opts;
    return (o->noise_seed && !strcmp(o->noise_seed, "shared")) || (o->compat && !strcmp(o->compat, "rome"));
}

/* S of a fact's S samples.  Where the noise is shared all facts follow one stream of sample numbers, each past those
 * that it does not have: equal S, equal draws, and sample s stands for the same noise in all. */
static void draw_samples(float *weight, int S, int most, dele_rng *rng)
{
    for (int drawn = 0; drawn < S;) {
        uint64_t s = dele_rng_below(rng, (uint64_t)most);
        if (s >= (uint64_t)S) continue;
        weight[s] += 1.0f / (float)S;
        drawn++;
    }
}

dele_status dele_draws_make(dele_draws *draws, const dele_trace *trace, dele_arena *arena, dele_err *err)
{
    bool shared = dele_shares_noise(trace);
    int most = 0;
    *draws = (dele_draws){.first = DELE_NEW(arena, size_t, trace->n + 1, err)};
    if (!draws->first) return err->code;
    for (size_t i = 0; i < trace->n; i++) {
        const dele_traced *fact = &trace->facts[i];
        draws->first[i] = draws->n;
        if (fact->left_out) continue;
        draws->n += (size_t)fact->grid.n_samples;
        if (fact->grid.n_samples > most) most = fact->grid.n_samples;
    }
    draws->several = most > 1;
    draws->weight = DELE_NEW(arena, float, DELE_RESAMPLES * (draws->n ? draws->n : 1), err);
    if (!draws->weight) return err->code;
    for (size_t r = 0; r < DELE_RESAMPLES; r++) {
        dele_rng own, stream;
        dele_rng_seed(&own, SEED_NOISE + r);
        stream = own;
        for (size_t i = 0; i < trace->n; i++) {
            if (trace->facts[i].left_out) continue;
            int S = trace->facts[i].grid.n_samples;
            float *weight = draws->weight + r * draws->n + draws->first[i];
            if (shared) own = stream;
            draw_samples(weight, S, shared ? most : S, &own);
        }
    }
    return DELE_OK;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static dele_status new_rows(dele_fact_rows *rows, const dele_trace *trace, const dele_draws *draws, size_t cols,
                           dele_arena *arena, dele_err *err)
{
    size_t n = trace->n ? trace->n : 1, samples = draws->n ? draws->n : 1;
    *rows = (dele_fact_rows){.cols = cols, .fact = DELE_NEW(arena, size_t, n, err),
                       .effect = DELE_NEW(arena, double, n * cols, err),
                       .sample = DELE_NEW(arena, float, samples * cols, err),
                       .origin = DELE_NEW(arena, double, n * cols, err)};
    return rows->fact && rows->effect && rows->sample && rows->origin ? DELE_OK : err->code;
}

/* One sample's effect at the tokens [from, to), or, where token is given, at each column's own. */
static void sample_effect(double *out, const dele_trace *trace, const dele_traced *fact, int chart, dele_metric metric,
                          int s, int from, int to, const int *token)
{
    const dele_grid *g = &fact->grid;
    int C = trace->charts[chart].n_cols;
    double high = g->high[metric], low = g->low[(size_t)s * DELE_N_METRICS + (size_t)metric];
    for (int c = 0; c < C; c++) out[c] = 0;
    for (int t = from; t < to && !token; t++) {
        const float *cell = dele_cell(g, &trace->charts[chart], chart, s, metric, t, 0);
        for (int c = 0; c < C; c++) out[c] += (double)cell[c];
    }
    for (int c = 0; c < C; c++) {
        double value = out[c] / (to - from);
        if (token) value = (double)*dele_cell(g, &trace->charts[chart], chart, s, metric, token[c], c);
        out[c] = dele_effect_of(trace, metric, value, high, low);
    }
}

/* Adds the fact's row, unless it has a hole. */
static void add_row(dele_fact_rows *rows, const dele_trace *trace, const dele_draws *draws, size_t i, int chart,
                    dele_metric metric, int from, int to, const int *token, double *scratch)
{
    const dele_traced *fact = &trace->facts[i];
    int S = fact->grid.n_samples;
    size_t C = rows->cols;
    double *effect = rows->effect + rows->n * C, *origin = rows->origin + rows->n * C;
    float *sample = rows->sample + draws->first[i] * C;
    bool whole = true;
    memset(effect, 0, C * sizeof *effect);
    for (int s = 0; s < S && whole; s++) {
        sample_effect(scratch, trace, fact, chart, metric, s, from, to, token);
        if (s == 0) memcpy(origin, scratch, C * sizeof *origin);
        for (size_t c = 0; c < C; c++) {
            whole &= isfinite(scratch[c]) != 0;
            sample[(size_t)s * C + c] = (float)(scratch[c] - origin[c]);
            effect[c] += (scratch[c] - origin[c]) / S;
        }
    }
    if (!whole) {
        memset(sample, 0, (size_t)S * C * sizeof *sample);
        return;
    }
    for (size_t c = 0; c < C; c++) effect[c] += origin[c];
    rows->fact[rows->n++] = i;
}

dele_status dele_fact_rows_category(dele_fact_rows *rows, const dele_trace *trace, const dele_draws *draws, int chart,
                                  dele_metric metric, dele_category category, dele_arena *arena, dele_err *err)
{
    size_t C = (size_t)trace->charts[chart].n_cols;
    double *scratch = DELE_NEW(arena, double, C, err);
    if (!scratch || new_rows(rows, trace, draws, C, arena, err)) return err->code;
    for (size_t i = 0; i < trace->n; i++) {
        const dele_grid *g = &trace->facts[i].grid;
        int from, to;
        if (trace->facts[i].left_out) continue;
        dele_category_range(&from, &to, category, g->n_tokens, g->begin, g->end);
        if (to > from) add_row(rows, trace, draws, i, chart, metric, from, to, NULL, scratch);
    }
    return DELE_OK;
}

/* The prompt's patched tokens that are neither the subject's nor the last, where a patch has the least business; where
 * there are none all but the last of the subject.  How many. */
static int other_tokens(int *out, const dele_trace *trace, const dele_traced *fact, int chart)
{
    const dele_grid *g = &fact->grid;
    int n = 0;
    for (int any = 0; any < 2 && !n; any++)
        for (int t = 0; t < g->n_tokens; t++) {
            bool wanted = any ? t != g->end - 1 : (t < g->begin || t >= g->end) && t < g->n_tokens - 1;
            if (wanted && isfinite(*dele_cell(g, &trace->charts[chart], chart, 0, DELE_PROB, t, 0))) out[n++] = t;
        }
    return n;
}

dele_status dele_fact_rows_random_token(dele_fact_rows *rows, const dele_trace *trace, const dele_draws *draws, int chart,
                                 dele_metric metric, dele_arena *arena, dele_err *err)
{
    size_t C = (size_t)trace->charts[chart].n_cols, longest = 1;
    for (size_t i = 0; i < trace->n; i++)
        if ((size_t)trace->facts[i].grid.n_tokens > longest) longest = (size_t)trace->facts[i].grid.n_tokens;
    double *scratch = DELE_NEW(arena, double, C, err);
    int *token = DELE_NEW(arena, int, C, err), *others = DELE_NEW(arena, int, longest, err);
    if (!scratch || !token || !others || new_rows(rows, trace, draws, C, arena, err)) return err->code;
    for (size_t i = 0; i < trace->n; i++) {
        const dele_traced *fact = &trace->facts[i];
        int n = fact->left_out ? 0 : other_tokens(others, trace, fact, chart);
        dele_rng rng;
        dele_rng_seed(&rng, SEED_TOKEN + i);
        for (size_t c = 0; c < C && n; c++) token[c] = others[dele_rng_below(&rng, (uint64_t)n)];
        if (n) add_row(rows, trace, draws, i, chart, metric, 0, 1, token, scratch);
    }
    return DELE_OK;
}

dele_status dele_fact_rows_random_column(dele_fact_rows *out, const dele_trace *trace, const dele_draws *draws,
                                       const dele_fact_rows *rows, dele_arena *arena, dele_err *err)
{
    size_t C = rows->cols;
    if (new_rows(out, trace, draws, 1, arena, err)) return err->code;
    for (size_t k = 0; k < rows->n; k++) {
        size_t i = rows->fact[k], begin = draws->first[i], S = (size_t)trace->facts[i].grid.n_samples;
        dele_rng rng;
        dele_rng_seed(&rng, SEED_COLUMN + i);
        size_t c = (size_t)dele_rng_below(&rng, C);
        out->fact[k] = i;
        out->effect[k] = rows->effect[k * C + c];
        out->origin[k] = rows->origin[k * C + c];
        for (size_t s = begin; s < begin + S; s++) out->sample[s] = rows->sample[s * C + c];
    }
    out->n = rows->n;
    return DELE_OK;
}

dele_status dele_fact_rows_minus(dele_fact_rows *out, const dele_trace *trace, const dele_draws *draws,
                               const dele_fact_rows *a, const dele_fact_rows *b, int minus_col, dele_arena *arena,
                               dele_err *err)
{
    size_t C = a->cols;
    if (new_rows(out, trace, draws, C, arena, err)) return err->code;
    for (size_t i = 0, k = 0; i < a->n; i++) {
        while (k < b->n && b->fact[k] < a->fact[i]) k++;
        if (k == b->n || b->fact[k] != a->fact[i]) continue;
        size_t fact = a->fact[i], begin = draws->first[fact], S = (size_t)trace->facts[fact].grid.n_samples;
        for (size_t c = 0; c < C; c++) {
            size_t from = minus_col < 0 ? c : (size_t)minus_col;
            out->effect[out->n * C + c] = a->effect[i * C + c] - b->effect[k * b->cols + from];
            out->origin[out->n * C + c] = a->origin[i * C + c] - b->origin[k * b->cols + from];
            for (size_t s = begin; s < begin + S; s++)
                out->sample[s * C + c] = a->sample[s * C + c] - b->sample[s * b->cols + from];
        }
        out->fact[out->n++] = fact;
    }
    return DELE_OK;
}

/* ---- intervals --------------------------------------------------------------------------------------------------- */

/* The 2.5 % and 97.5 % points of column c of x [DELE_RESAMPLES, cols], interpolated as GSL's quantiles are. */
static dele_interval interval_of(const float *x, size_t cols, size_t c)
{
    enum { TAIL = DELE_RESAMPLES / 40 + 1 };
    float low[TAIL], high[TAIL];
    double at = 0.025 * (DELE_RESAMPLES - 1), part = at - floor(at);
    size_t k = (size_t)at;
    gsl_sort_float_smallest(low, TAIL, x + c, cols, DELE_RESAMPLES);
    gsl_sort_float_largest(high, TAIL, x + c, cols, DELE_RESAMPLES);
    return (dele_interval){(double)low[k] + part * ((double)low[k + 1] - (double)low[k]),
                          (double)high[k] + part * ((double)high[k + 1] - (double)high[k])};
}

static dele_status fact_intervals(dele_row_stat *out, const dele_fact_rows *rows, float *means, dele_arena *scratch,
                                 dele_err *err)
{
    size_t n = rows->n, C = rows->cols;
    float *count = dele_alloc_raw(scratch, DELE_RESAMPLES * n, sizeof *count, err);
    float *x = dele_alloc_raw(scratch, n * C, sizeof *x, err);
    if (!count || !x) return err->code;
    dele_rng rng;
    dele_rng_seed(&rng, SEED_FACTS); /* the same resamples wherever as many facts are averaged */
    dele_resample_counts(count, DELE_RESAMPLES, n, &rng);
    for (size_t i = 0; i < n * C; i++) x[i] = (float)((rows->effect[i] - out[i % C].mean) / (double)n);
    gemm_nn(means, C, count, n, x, C, DELE_RESAMPLES, C, n, 0);
    for (size_t c = 0; c < C; c++) {
        dele_interval around = interval_of(means, C, c);
        out[c].facts = (dele_interval){out[c].mean + around.low, out[c].mean + around.high};
    }
    return DELE_OK;
}

static void noise_intervals(dele_row_stat *out, const dele_fact_rows *rows, const dele_draws *draws, float *means)
{
    size_t n = rows->n, C = rows->cols;
    gemm_nn(means, C, draws->weight, draws->n, rows->sample, C, DELE_RESAMPLES, C, draws->n, 0);
    for (size_t c = 0; c < C; c++) {
        double origin = 0;
        for (size_t i = 0; i < n; i++) origin += rows->origin[i * C + c];
        dele_interval sum = interval_of(means, C, c);
        out[c].noise = (dele_interval){(origin + sum.low) / (double)n, (origin + sum.high) / (double)n};
    }
}

dele_status dele_fact_row_noise(dele_interval *out, const dele_fact_rows *rows, size_t row, int n_samples,
                              const dele_draws *draws, dele_err *err)
{
    size_t C = rows->cols, first = draws->first[rows->fact[row]];
    dele_arena scratch = {0};
    float *means = dele_alloc_raw(&scratch, DELE_RESAMPLES * C, sizeof *means, err);
    if (means && n_samples > 1)
        gemm_nn(means, C, draws->weight + first, draws->n, rows->sample + first * C, C, DELE_RESAMPLES, C, (size_t)n_samples, 0);
    for (size_t c = 0; c < C && means; c++) {
        dele_interval around = n_samples > 1 ? interval_of(means, C, c) : (dele_interval){NAN, NAN};
        out[c] = (dele_interval){rows->origin[row * C + c] + around.low, rows->origin[row * C + c] + around.high};
    }
    dele_arena_release(&scratch);
    return means ? DELE_OK : err->code;
}

dele_status dele_fact_rows_stats(dele_row_stat *out, const dele_fact_rows *rows, const dele_draws *draws, dele_err *err)
{
    size_t n = rows->n, C = rows->cols;
    const dele_interval unknown = {NAN, NAN};
    dele_arena scratch = {0};
    dele_status status = DELE_OK;
    double *column = DELE_NEW(&scratch, double, n ? n : 1, err);
    float *means = dele_alloc_raw(&scratch, DELE_RESAMPLES * C, sizeof *means, err);
    if (!column || !means) status = err->code;
    for (size_t c = 0; c < C && !status; c++) {
        for (size_t i = 0; i < n; i++) column[i] = rows->effect[i * C + c];
        dele_stat stat = dele_stat_of(column, n);
        out[c] = (dele_row_stat){.n = n, .mean = stat.mean, .se = stat.se, .facts = unknown, .noise = unknown};
    }
    if (n && !status) status = fact_intervals(out, rows, means, &scratch, err);
    if (n && !status && draws->several) noise_intervals(out, rows, draws, means);
    dele_arena_release(&scratch);
    return status;
}
