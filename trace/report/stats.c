#include "trace/report/stats.h"

#include <math.h>
#include <stdlib.h>

/* ---- averages with intervals ----------------------------------------------------------------- */

/* The effects of all columns, from the statistics of the rows. */
static dele_status effects_of_rows(dele_effect *out, const dele_trace *trace,
                                   const dele_fact_rows *rows, const dele_draws *draws,
                                   dele_metric metric, dele_err *err)
{
    dele_row_stat *stat = calloc(rows->cols, sizeof *stat);
    double low = 0, high = 0, n = (double)rows->n;
    if (!stat) return dele_fail(err, DELE_ERR_MEMORY, "out of memory for the averages of a trace");
    dele_status status = dele_fact_rows_stats(stat, rows, draws, err);
    for (size_t i = 0; i < rows->n; i++) {
        low += dele_low_mean(&trace->facts[rows->fact[i]].grid, metric) / n;
        high += trace->facts[rows->fact[i]].grid.high[metric] / n;
    }
    bool falls = metric == DELE_RANK || metric == DELE_KL;
    for (size_t c = 0; c < rows->cols && !status; c++) {
        double effect = stat[c].mean, gained = falls ? -effect : effect;
        out[c] = (dele_effect){.n = rows->n,
                               .low = low,
                               .high = high,
                               .effect = effect,
                               .se = stat[c].se,
                               .score = trace->noising ? high - gained : low + gained,
                               .ci_low = stat[c].facts.low,
                               .ci_high = stat[c].facts.high,
                               .noise_ci_low = stat[c].noise.low,
                               .noise_ci_high = stat[c].noise.high,
                               .normalised = effect / fabs(high - low)};
        if (!rows->n) out[c] = (dele_effect){0};
    }
    free(stat);
    return status;
}

/* All of a chart's metric: groups of tokens, controls, and for p the ranking. */
static dele_status average(dele_trace_stats *stats, const dele_trace *trace, int chart,
                           dele_metric metric, dele_arena *arena, dele_arena *scratch,
                           dele_err *err)
{
    size_t C = (size_t)trace->charts[chart].n_cols, m = (size_t)metric;
    dele_controls *controls = &stats->controls[chart];
    dele_fact_rows rows, drawn;
    for (size_t c = 0; c < DELE_N_CATEGORIES; c++) {
        dele_effect *out = stats->effects[chart] + (m * DELE_N_CATEGORIES + c) * C;
        dele_arena_reset(scratch);
        if (dele_fact_rows_category(&rows, trace, &stats->draws, chart, metric, (dele_category)c,
                                    scratch, err) ||
            effects_of_rows(out, trace, &rows, &stats->draws, metric, err))
            return err->code;
        if (c != DELE_LAST_SUBJECT) continue;
        if (dele_fact_rows_random_column(&drawn, trace, &stats->draws, &rows, scratch, err) ||
            effects_of_rows(controls->layer + m, trace, &drawn, &stats->draws, metric, err))
            return err->code;
        if (metric == DELE_PROB && dele_over_layers(&trace->charts[chart]) &&
            dele_rank_layers(&stats->rankings[chart], &rows, arena, err))
            return err->code;
    }
    dele_arena_reset(scratch);
    if (dele_fact_rows_random_token(&rows, trace, &stats->draws, chart, metric, scratch, err))
        return err->code;
    return effects_of_rows(controls->token + m * C, trace, &rows, &stats->draws, metric, err);
}

/* ---- the mask -------------------------------------------------------------------------------- */

/* A cell's positive effect at the last subject token is spread evenly over the layers that its
 * window restored, which undoes the blur of wide windows as far as that can be done without more
 * runs; the shortest run of neighbouring layers that holds half of it is the mask.  It is a
 * suggestion: where a fact is read out need not be where changing weights works best (Hase et al.
 * 2023, arXiv 2301.04213). */
static dele_status suggest(dele_suggestion *out, const dele_trace *trace,
                           const dele_trace_stats *stats, dele_arena *arena, dele_err *err)
{
    static const dele_kind preferred[] = {DELE_MLP,    DELE_MOE, DELE_ATTN,
                                          DELE_HIDDEN, DELE_MID, DELE_ROUTER};
    int L = trace->n_layers;
    double total = 0;
    *out = (dele_suggestion){.chart = -1, .weight = DELE_NEW(arena, double, (size_t)L, err)};
    if (!out->weight) return err->code;
    for (size_t k = 0; k < sizeof preferred / sizeof *preferred && out->chart < 0; k++)
        for (int i = trace->n_charts - 1; i >= 0; i--)
            if (trace->charts[i].kind == preferred[k] && !trace->charts[i].sever) out->chart = i;
    if (out->chart < 0) return DELE_OK;
    const dele_chart *chart = &trace->charts[out->chart];
    for (int l = 0; l < L; l++) {
        int from = l, to = l + 1;
        double effect =
            dele_effect_at(stats, trace, out->chart, DELE_PROB, DELE_LAST_SUBJECT, l)->effect;
        if (!(effect > 0)) continue;
        if (dele_kind_has_windows(chart->kind))
            dele_window(&from, &to, l, chart->window, L, trace->paper_edges);
        for (int i = from; i < to; i++) out->weight[i] += effect / (to - from);
        total += effect;
    }
    if (!(total > 0)) return DELE_OK;
    for (int l = 0; l < L; l++) out->weight[l] /= total;
    for (int n = 1; n <= L && out->to == out->from; n++)
        for (int from = 0; from + n <= L; from++) {
            double share = 0;
            for (int l = from; l < from + n; l++) share += out->weight[l];
            if (share >= 0.5 - 1e-12 && share > out->share) {
                out->from = from;
                out->to = from + n;
                out->share = share;
            }
        }
    return DELE_OK;
}

typedef struct {
    double effect;
    int col;
} ranked_expert;

static int by_effect(const void *a, const void *b)
{
    const ranked_expert *x = a, *y = b;
    if (x->effect != y->effect) return x->effect > y->effect ? -1 : 1;
    return (x->col > y->col) - (x->col < y->col);
}

/* The experts with the largest effects, half of all in sum. */
static dele_status suggest_experts(dele_expert_suggestion *out, const dele_trace *trace,
                                   const dele_trace_stats *stats, dele_arena *arena, dele_err *err)
{
    double total = 0, sum = 0;
    int n = 0;
    *out = (dele_expert_suggestion){.chart = -1};
    for (int i = 0; i < trace->n_charts; i++)
        if (trace->charts[i].kind == DELE_EXPERT) out->chart = i;
    if (out->chart < 0) return DELE_OK;
    const int C = trace->charts[out->chart].n_cols;
    ranked_expert *ranked = DELE_NEW(arena, ranked_expert, (size_t)C, err);
    out->col = DELE_NEW(arena, int, (size_t)C, err);
    if (!ranked || !out->col) return err->code;
    for (int col = 0; col < C; col++) {
        const double effect =
            dele_effect_at(stats, trace, out->chart, DELE_PROB, DELE_LAST_SUBJECT, col)->effect;
        if (!(effect > 0)) continue;
        ranked[n++] = (ranked_expert){effect, col};
        total += effect;
    }
    qsort(ranked, (size_t)n, sizeof *ranked, by_effect);
    while (out->n < n && sum < 0.5 * total) {
        sum += ranked[out->n].effect;
        out->col[out->n] = ranked[out->n].col;
        out->n++;
    }
    if (out->n) out->share = sum / total;
    return DELE_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void whole_run(dele_trace_stats *stats, const dele_trace *trace)
{
    stats->noop = NAN;
    for (size_t i = 0; i < trace->n; i++) {
        const dele_traced *fact = &trace->facts[i];
        if (fact->left_out) continue;
        for (int m = 0; m < DELE_N_METRICS; m++) {
            stats->high[m] += fact->grid.high[m] / (double)trace->n_traced;
            stats->low[m] += dele_low_mean(&fact->grid, (dele_metric)m) / (double)trace->n_traced;
        }
        if (!(fact->noop <= stats->noop) && isfinite(fact->noop)) stats->noop = fact->noop;
    }
}

static dele_status averages(dele_trace_stats *stats, const dele_trace *trace, dele_arena *arena,
                            dele_arena *scratch, dele_err *err)
{
    for (int chart = 0; chart < trace->n_charts; chart++) {
        size_t C = (size_t)trace->charts[chart].n_cols;
        dele_controls *controls = &stats->controls[chart];
        stats->effects[chart] =
            DELE_NEW(arena, dele_effect, DELE_N_METRICS * DELE_N_CATEGORIES * C, err);
        controls->token = DELE_NEW(arena, dele_effect, DELE_N_METRICS * C, err);
        controls->layer = DELE_NEW(arena, dele_effect, DELE_N_METRICS, err);
        if (!stats->effects[chart] || !controls->token || !controls->layer) return err->code;
        for (int m = 0; m < DELE_N_METRICS; m++)
            if (average(stats, trace, chart, (dele_metric)m, arena, scratch, err)) return err->code;
    }
    return DELE_OK;
}

dele_status dele_trace_statistics(dele_trace_stats *stats, const dele_trace *trace,
                                  dele_arena *arena, dele_err *err)
{
    size_t n = (size_t)trace->n_charts;
    *stats = (dele_trace_stats){.effects = DELE_NEW(arena, dele_effect *, n, err),
                                .controls = DELE_NEW(arena, dele_controls, n, err),
                                .rankings = DELE_NEW(arena, dele_ranking, n, err)};
    if (!stats->effects || !stats->controls || !stats->rankings ||
        dele_draws_make(&stats->draws, trace, arena, err))
        return err->code;
    whole_run(stats, trace);
    dele_arena scratch = {0};
    dele_status status = averages(stats, trace, arena, &scratch, err);
    dele_arena_release(&scratch);
    if (!status) status = suggest(&stats->suggestion, trace, stats, arena, err);
    if (!status) status = suggest_experts(&stats->experts, trace, stats, arena, err);
    return status ? status
                  : dele_route_statistics(&stats->routes, trace, &stats->draws, arena, err);
}
