#include "trace/rows.h"

#include <math.h>
#include <string.h>

#include "tensor/gemm.h"

enum { SEED_FACTS = 1, SEED_NOISE = 1 << 20, SEED_TOKEN = 2 << 20, SEED_COLUMN = 3 << 20 };

/* ---- what is drawn --------------------------------------------------------------------------- */

void dele_resample_counts(float *count, size_t resamples, size_t n, dele_rng *rng)
{
    memset(count, 0, resamples * n * sizeof *count);
    for (size_t r = 0; r < resamples; r++)
        for (size_t i = 0; i < n; i++) count[r * n + (size_t)dele_rng_below(rng, n)]++;
}

/* Draws S of a fact's S samples.  Where the noise is shared, all facts follow one stream of sample
 * numbers, and a fact skips those that it does not have: facts with equal S have equal draws, and
 * sample s is the same noise in all. */
static void draw_samples(float *weight, int S, int most, dele_rng *rng)
{
    for (int drawn = 0; drawn < S;) {
        uint64_t s = dele_rng_below(rng, (uint64_t)most);
        if (s >= (uint64_t)S) continue;
        weight[s] += 1.0f / (float)S;
        drawn++;
    }
}

dele_status dele_draws_make(dele_draws *draws, const dele_trace *trace, dele_arena *arena,
                            dele_err *err)
{
    bool shared = dele_shares_noise(&trace->opts);
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
    draws->first[trace->n] = draws->n;
    draws->several = most > 1;
    draws->shared = shared;
    draws->weight = DELE_NEW(arena, float, DELE_RESAMPLES *(draws->n ? draws->n : 1), err);
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

/* ---- rows ------------------------------------------------------------------------------------ */

static dele_status new_rows(dele_fact_rows *rows, const dele_trace *trace, const dele_draws *draws,
                            size_t cols, dele_arena *arena, dele_err *err)
{
    size_t n = trace->n ? trace->n : 1, samples = draws->n ? draws->n : 1;
    *rows = (dele_fact_rows){.cols = cols,
                             .fact = DELE_NEW(arena, size_t, n, err),
                             .effect = DELE_NEW(arena, double, n *cols, err),
                             .sample = DELE_NEW(arena, float, samples *cols, err),
                             .origin = DELE_NEW(arena, double, n *cols, err)};
    return rows->fact && rows->effect && rows->sample && rows->origin ? DELE_OK : err->code;
}

/* Where a table's effects come from. */
typedef struct {
    const dele_trace *trace;
    const dele_draws *draws;
    int chart;
    dele_metric metric;
    double *scratch; /* [cols] */
} effect_source;

/* Tokens of a fact: the mean over [from, to), or where token is given, token[c] for column c. */
typedef struct {
    int from, to;
    const int *token;
} token_choice;

/* One sample's effects at the tokens, for each column. */
static void sample_effect(double *out, const effect_source *of, const dele_traced *fact, int s,
                          const token_choice *at)
{
    const dele_grid *g = &fact->grid;
    const dele_chart *chart = &of->trace->charts[of->chart];
    const dele_metric metric = of->metric;
    int C = chart->n_cols;
    double high = g->high[metric], low = g->low[(size_t)s * DELE_N_METRICS + (size_t)metric];
    for (int c = 0; c < C; c++) out[c] = 0;
    for (int t = at->from; t < at->to && !at->token; t++) {
        const float *cell = dele_cell(g, chart, of->chart, s, metric, t, 0);
        for (int c = 0; c < C; c++) out[c] += (double)cell[c];
    }
    for (int c = 0; c < C; c++) {
        double value = out[c] / (at->to - at->from);
        if (dele_column_is_absent(of->trace, chart, c)) {
            out[c] = NAN;
            continue;
        }
        if (at->token) value = (double)*dele_cell(g, chart, of->chart, s, metric, at->token[c], c);
        out[c] = dele_effect_of(of->trace, metric, value, high, low);
    }
}

/* Adds the row of fact i, unless it lacks an entry.  The first sample's effects are subtracted from
 * all, so that float32 holds the small differences. */
static void add_row(dele_fact_rows *rows, const effect_source *of, size_t i, const token_choice *at)
{
    const dele_traced *fact = &of->trace->facts[i];
    const dele_chart *chart = &of->trace->charts[of->chart];
    int S = fact->grid.n_samples;
    size_t C = rows->cols;
    double *effect = rows->effect + rows->n * C, *origin = rows->origin + rows->n * C,
           *own = of->scratch;
    float *sample = rows->sample + of->draws->first[i] * C;
    bool whole = true;
    memset(effect, 0, C * sizeof *effect);
    for (int s = 0; s < S && whole; s++) {
        sample_effect(own, of, fact, s, at);
        if (s == 0) memcpy(origin, own, C * sizeof *origin);
        for (size_t c = 0; c < C; c++) {
            const bool absent = dele_column_is_absent(of->trace, chart, (int)c);
            whole &= absent || isfinite(own[c]);
            sample[(size_t)s * C + c] = absent ? 0 : (float)(own[c] - origin[c]);
            effect[c] += (own[c] - origin[c]) / S;
        }
    }
    if (!whole) {
        memset(sample, 0, (size_t)S * C * sizeof *sample);
        return;
    }
    for (size_t c = 0; c < C; c++) effect[c] += origin[c];
    rows->fact[rows->n++] = i;
}

dele_status dele_fact_rows_category(dele_fact_rows *rows, const dele_trace *trace,
                                    const dele_draws *draws, int chart, dele_metric metric,
                                    dele_category category, dele_arena *arena, dele_err *err)
{
    size_t C = (size_t)trace->charts[chart].n_cols;
    const effect_source of = {trace, draws, chart, metric, DELE_NEW(arena, double, C, err)};
    if (!of.scratch || new_rows(rows, trace, draws, C, arena, err)) return err->code;
    for (size_t i = 0; i < trace->n; i++) {
        const dele_grid *g = &trace->facts[i].grid;
        token_choice at = {.token = NULL};
        if (trace->facts[i].left_out) continue;
        dele_category_range(&at.from, &at.to, category, g->n_tokens, g->begin, g->end);
        if (at.to > at.from) add_row(rows, &of, i, &at);
    }
    return DELE_OK;
}

/* The prompt's patched tokens that are neither the subject's nor the last; where there are none,
 * all but the subject's last.  Returns their number. */
static int other_tokens(int *out, const dele_trace *trace, const dele_traced *fact, int chart)
{
    const dele_grid *g = &fact->grid;
    const int col = dele_first_column(trace, &trace->charts[chart]);
    int n = 0;
    for (int any = 0; any < 2 && !n; any++)
        for (int t = 0; t < g->n_tokens; t++) {
            bool output_rows =
                any ? t != g->end - 1 : (t < g->begin || t >= g->end) && t < g->n_tokens - 1;
            if (output_rows &&
                isfinite(*dele_cell(g, &trace->charts[chart], chart, 0, DELE_PROB, t, col)))
                out[n++] = t;
        }
    return n;
}

dele_status dele_fact_rows_random_token(dele_fact_rows *rows, const dele_trace *trace,
                                        const dele_draws *draws, int chart, dele_metric metric,
                                        dele_arena *arena, dele_err *err)
{
    size_t C = (size_t)trace->charts[chart].n_cols, longest = 1;
    for (size_t i = 0; i < trace->n; i++)
        if ((size_t)trace->facts[i].grid.n_tokens > longest)
            longest = (size_t)trace->facts[i].grid.n_tokens;
    const effect_source of = {trace, draws, chart, metric, DELE_NEW(arena, double, C, err)};
    int *token = DELE_NEW(arena, int, C, err), *others = DELE_NEW(arena, int, longest, err);
    if (!of.scratch || !token || !others || new_rows(rows, trace, draws, C, arena, err))
        return err->code;
    for (size_t i = 0; i < trace->n; i++) {
        const dele_traced *fact = &trace->facts[i];
        int n = fact->left_out ? 0 : other_tokens(others, trace, fact, chart);
        dele_rng rng;
        dele_rng_seed(&rng, SEED_TOKEN + i);
        for (size_t c = 0; c < C && n; c++) token[c] = others[dele_rng_below(&rng, (uint64_t)n)];
        if (n) add_row(rows, &of, i, &(token_choice){0, 1, token});
    }
    return DELE_OK;
}

dele_status dele_fact_rows_random_column(dele_fact_rows *out, const dele_trace *trace,
                                         const dele_draws *draws, const dele_fact_rows *rows,
                                         dele_arena *arena, dele_err *err)
{
    size_t C = rows->cols;
    if (new_rows(out, trace, draws, 1, arena, err)) return err->code;
    for (size_t k = 0; k < rows->n; k++) {
        size_t i = rows->fact[k], begin = draws->first[i],
               S = (size_t)trace->facts[i].grid.n_samples;
        dele_rng rng;
        dele_rng_seed(&rng, SEED_COLUMN + i);
        size_t c = (size_t)dele_rng_below(&rng, C);
        while (isnan(rows->effect[k * C + c])) c = (c + 1) % C; /* of the columns that there are */
        out->fact[k] = i;
        out->effect[k] = rows->effect[k * C + c];
        out->origin[k] = rows->origin[k * C + c];
        for (size_t s = begin; s < begin + S; s++) out->sample[s] = rows->sample[s * C + c];
    }
    out->n = rows->n;
    return DELE_OK;
}

dele_status dele_fact_rows_minus(dele_fact_rows *out, const dele_trace *trace,
                                 const dele_draws *draws, const dele_fact_rows *a,
                                 const dele_fact_rows *b, int minus_col, dele_arena *arena,
                                 dele_err *err)
{
    size_t C = a->cols;
    if (new_rows(out, trace, draws, C, arena, err)) return err->code;
    for (size_t i = 0, k = 0; i < a->n; i++) {
        while (k < b->n && b->fact[k] < a->fact[i]) k++;
        if (k == b->n || b->fact[k] != a->fact[i]) continue;
        size_t fact = a->fact[i], begin = draws->first[fact],
               S = (size_t)trace->facts[fact].grid.n_samples;
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

/* ---- intervals ------------------------------------------------------------------------------- */

/* Sums over resamples of one column, [DELE_RESAMPLES] each: written over by whoever takes points of
 * them. */
typedef struct {
    double off[DELE_RESAMPLES], t[DELE_RESAMPLES];
} resampled;

/* The items of all columns in standard deviations about their mean, and squared: [n, 2C].  A column
 * without spread is 0. */
static void standardise(float *x, const dele_fact_rows *rows, const dele_row_stat *stat)
{
    const size_t C = rows->cols;
    const double root = sqrt((double)rows->n);
    for (size_t i = 0; i < rows->n; i++)
        for (size_t c = 0; c < C; c++) {
            const double sd = stat[c].se * root,
                         d = sd > 0 ? (rows->effect[i * C + c] - stat[c].mean) / sd : 0;
            x[i * 2 * C + c] = (float)d;
            x[i * 2 * C + C + c] = (float)(d * d);
        }
}

static double skew_of_column(const float *x, size_t n, size_t C, size_t c)
{
    double squares = 0, cubes = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)x[i * 2 * C + c];
        squares += d * d;
        cubes += d * d * d;
    }
    return squares > 0 ? cubes / pow(squares, 1.5) : 0;
}

/* Column c of the sums [DELE_RESAMPLES, 2C] as resampled means, in standard deviations, and what
 * these are over their own standard errors; infinite where a resample is one item again and again,
 * but for rounding. */
static void take_column(resampled *r, const float *sum, size_t n, size_t C, size_t c)
{
    for (size_t k = 0; k < DELE_RESAMPLES; k++) {
        const double mean = (double)sum[k * 2 * C + c] / (double)n;
        const double variance = (double)sum[k * 2 * C + C + c] / (double)n - mean * mean;
        r->off[k] = mean;
        if (variance > 1e-5 * (1 + mean * mean))
            r->t[k] = mean / sqrt(variance / (double)(n - 1));
        else
            r->t[k] = fabs(mean) > 1e-3 ? copysign(INFINITY, mean) : 0;
    }
}

/* Confidence intervals over facts: the bootstrap's resampled means are one matrix product of the
 * resampling counts with the facts' values.  Columns hold values and squares, from which the
 * studentised interval follows; where all facts are equal there is nothing to resample. */
static dele_status fact_intervals(dele_row_stat *out, const dele_fact_rows *rows,
                                  dele_arena *scratch, dele_err *err)
{
    const size_t n = rows->n, C = rows->cols;
    float *count = dele_alloc_raw(scratch, DELE_RESAMPLES * n, sizeof *count, err);
    float *x = dele_alloc_raw(scratch, n * 2 * C, sizeof *x, err);
    float *sum = dele_alloc_raw(scratch, DELE_RESAMPLES * 2 * C, sizeof *sum, err);
    resampled *r = DELE_NEW(scratch, resampled, 1, err);
    if (!count || !x || !sum || !r) return err->code;
    dele_rng rng;
    dele_rng_seed(&rng, SEED_FACTS); /* the same resamples wherever as many facts are averaged */
    dele_resample_counts(count, DELE_RESAMPLES, n, &rng);
    standardise(x, rows, out);
    gemm_nn(sum, 2 * C, count, n, x, 2 * C, DELE_RESAMPLES, 2 * C, n, 0);
    for (size_t c = 0; c < C; c++) {
        const double sd = out[c].se * sqrt((double)n);
        out[c].facts = (dele_interval){out[c].mean, out[c].mean};
        if (!(sd > 0)) continue; /* all alike: by construction, as where nothing can be patched */
        take_column(r, sum, n, C, c);
        const dele_interval off =
            dele_bca(r->off, DELE_RESAMPLES, 0, skew_of_column(x, n, C, c), n, 0.95);
        out[c].facts = dele_studentised(
            out[c].mean, out[c].se, r->t, DELE_RESAMPLES, 0.95,
            (dele_interval){out[c].mean + sd * off.low, out[c].mean + sd * off.high});
    }
    return DELE_OK;
}

/* The points of column c of resampled sums over noise draws [DELE_RESAMPLES, cols]: `free` draws
 * more than means, `samples` a fact. */
static dele_interval noise_points(resampled *r, const float *x, size_t cols, size_t c, double free,
                                  double samples)
{
    for (size_t k = 0; k < DELE_RESAMPLES; k++) r->off[k] = (double)x[k * cols + c];
    return dele_expanded(r->off, DELE_RESAMPLES, free, sqrt(samples / (samples - 1)), 0.95);
}

/* Independent draws: those of each fact less its mean are free.  Shared ones: those of the fact
 * that has the most. */
static double free_draws(double *fewest, const dele_fact_rows *rows, const dele_draws *draws)
{
    double sum = 0, most = 0;
    *fewest = INFINITY;
    for (size_t i = 0; i < rows->n; i++) {
        const double S = (double)(draws->first[rows->fact[i] + 1] - draws->first[rows->fact[i]]);
        sum += S - 1;
        most = fmax(most, S - 1);
        if (S > 1) *fewest = fmin(*fewest, S);
    }
    return draws->shared ? most : sum;
}

static dele_status noise_intervals(dele_row_stat *out, const dele_fact_rows *rows,
                                   const dele_draws *draws, dele_arena *scratch, dele_err *err)
{
    const size_t n = rows->n, C = rows->cols;
    double fewest;
    const double free = free_draws(&fewest, rows, draws);
    if (free < DELE_LEAST_ITEMS - 1) return DELE_OK;
    float *sums = dele_alloc_raw(scratch, DELE_RESAMPLES * C, sizeof *sums, err);
    resampled *r = DELE_NEW(scratch, resampled, 1, err);
    if (!sums || !r) return err->code;
    gemm_nn(sums, C, draws->weight, draws->n, rows->sample, C, DELE_RESAMPLES, C, draws->n, 0);
    for (size_t c = 0; c < C; c++) {
        double origin = 0;
        for (size_t i = 0; i < n; i++) origin += rows->origin[i * C + c];
        const dele_interval sum = noise_points(r, sums, C, c, free, fewest);
        out[c].noise =
            (dele_interval){(origin + sum.low) / (double)n, (origin + sum.high) / (double)n};
    }
    return DELE_OK;
}

dele_status dele_fact_row_noise(dele_interval *out, const dele_fact_rows *rows, size_t row,
                                int n_samples, const dele_draws *draws, dele_err *err)
{
    const size_t C = rows->cols, first = draws->first[rows->fact[row]];
    for (size_t c = 0; c < C; c++) out[c] = (dele_interval){NAN, NAN};
    if (n_samples < DELE_LEAST_ITEMS) return DELE_OK;
    dele_arena scratch = {0};
    float *means = dele_alloc_raw(&scratch, DELE_RESAMPLES * C, sizeof *means, err);
    resampled *r = DELE_NEW(&scratch, resampled, 1, err);
    if (means && r)
        gemm_nn(means, C, draws->weight + first, draws->n, rows->sample + first * C, C,
                DELE_RESAMPLES, C, (size_t)n_samples, 0);
    for (size_t c = 0; c < C && means && r; c++) {
        const dele_interval around = noise_points(r, means, C, c, n_samples - 1, n_samples);
        out[c] = (dele_interval){rows->origin[row * C + c] + around.low,
                                 rows->origin[row * C + c] + around.high};
    }
    dele_arena_release(&scratch);
    return means && r ? DELE_OK : err->code;
}

dele_status dele_fact_rows_stats(dele_row_stat *out, const dele_fact_rows *rows,
                                 const dele_draws *draws, dele_err *err)
{
    size_t n = rows->n, C = rows->cols;
    const dele_interval unknown = {NAN, NAN};
    dele_arena scratch = {0};
    dele_status status = DELE_OK;
    double *column = DELE_NEW(&scratch, double, n ? n : 1, err);
    if (!column) status = err->code;
    for (size_t c = 0; c < C && !status; c++) {
        for (size_t i = 0; i < n; i++) column[i] = rows->effect[i * C + c];
        dele_stat stat = dele_stat_of(column, n);
        out[c] = (dele_row_stat){
            .n = n, .mean = stat.mean, .se = stat.se, .facts = unknown, .noise = unknown};
    }
    if (n >= DELE_LEAST_ITEMS && !status) status = fact_intervals(out, rows, &scratch, err);
    if (n && !status && draws->several) status = noise_intervals(out, rows, draws, &scratch, err);
    dele_arena_release(&scratch);
    return status;
}
