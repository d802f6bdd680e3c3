#include "trace/stats.h"

#include <math.h>
#include <stdlib.h>

/* ---- averages with intervals ------------------------------------------------------------------------------------- */

lac_status lac_effects_of_rows(lac_effect *out, const lac_trace *trace, const lac_fact_rows *rows,
                               const lac_draws *draws, lac_metric metric, lac_err *err)
{
    lac_row_stat *stat = calloc(rows->cols, sizeof *stat);
    double low = 0, high = 0, n = (double)rows->n;
    if (!stat) return lac_fail(err, LAC_ERR_MEMORY, "out of memory for the averages of a trace");
    lac_status status = lac_fact_rows_stats(stat, rows, draws, err);
    for (size_t i = 0; i < rows->n; i++) {
        low += lac_low_mean(&trace->facts[rows->fact[i]].grid, metric) / n;
        high += trace->facts[rows->fact[i]].grid.high[metric] / n;
    }
    bool falls = metric == LAC_RANK || metric == LAC_KL;
    for (size_t c = 0; c < rows->cols && !status; c++) {
        double effect = stat[c].mean, gained = falls ? -effect : effect;
        out[c] = (lac_effect){.n = rows->n, .low = low, .high = high, .effect = effect, .se = stat[c].se,
                              .score = trace->noising ? high - gained : low + gained,
                              .ci_low = stat[c].facts.low, .ci_high = stat[c].facts.high,
                              .noise_ci_low = stat[c].noise.low, .noise_ci_high = stat[c].noise.high,
                              .normalised = effect / fabs(high - low)};
        if (!rows->n) out[c] = (lac_effect){0};
    }
    free(stat);
    return status;
}

/* All of a chart's metric: groups of tokens, controls, and for p the ranking. */
static lac_status average(lac_trace_stats *stats, const lac_trace *trace, int chart, lac_metric metric,
                          lac_arena *arena, lac_arena *scratch, lac_err *err)
{
    size_t C = (size_t)trace->charts[chart].n_cols, m = (size_t)metric;
    lac_controls *controls = &stats->controls[chart];
    lac_fact_rows rows, drawn;
    for (size_t c = 0; c < LAC_N_CATEGORIES; c++) {
        lac_effect *out = stats->effects[chart] + (m * LAC_N_CATEGORIES + c) * C;
        lac_arena_reset(scratch);
        if (lac_fact_rows_category(&rows, trace, &stats->draws, chart, metric, (lac_category)c, scratch, err) ||
            lac_effects_of_rows(out, trace, &rows, &stats->draws, metric, err))
            return err->code;
        if (c != LAC_LAST_SUBJECT) continue;
        if (lac_fact_rows_random_column(&drawn, trace, &stats->draws, &rows, scratch, err) ||
            lac_effects_of_rows(controls->layer + m, trace, &drawn, &stats->draws, metric, err))
            return err->code;
        if (metric == LAC_PROB && lac_over_layers(&trace->charts[chart]) &&
            lac_rank_layers(&stats->rankings[chart], &rows, arena, err))
            return err->code;
    }
    lac_arena_reset(scratch);
    if (lac_fact_rows_random_token(&rows, trace, &stats->draws, chart, metric, scratch, err)) return err->code;
    return lac_effects_of_rows(controls->token + m * C, trace, &rows, &stats->draws, metric, err);
}

/* ---- the mask ---------------------------------------------------------------------------------------------------- */

/* A cell's positive effect at the last subject token is spread evenly over the layers that its window restored, which
 * undoes the blur of wide windows as far as that can be done without more runs; the shortest run of neighbouring layers
 * that holds half of it is the mask.  It is a suggestion: where a fact is read out need not be where changing weights
 * works best (Hase et al. 2023, arXiv 2301.04213). */
static lac_status suggest(lac_suggestion *out, const lac_trace *trace, const lac_trace_stats *stats, lac_arena *arena,
                          lac_err *err)
{
    static const lac_kind preferred[] = {LAC_MLP, LAC_ATTN, LAC_HIDDEN, LAC_MID};
    int L = trace->n_layers;
    double total = 0;
    *out = (lac_suggestion){.chart = -1, .weight = LAC_NEW(arena, double, (size_t)L, err)};
    if (!out->weight) return err->code;
    for (size_t k = 0; k < sizeof preferred / sizeof *preferred && out->chart < 0; k++)
        for (int i = trace->n_charts - 1; i >= 0; i--)
            if (trace->charts[i].kind == preferred[k] && !trace->charts[i].sever) out->chart = i;
    if (out->chart < 0) return LAC_OK;
    const lac_chart *chart = &trace->charts[out->chart];
    for (int l = 0; l < L; l++) {
        int from = l, to = l + 1;
        double effect = lac_effect_at(stats, trace, out->chart, LAC_PROB, LAC_LAST_SUBJECT, l)->effect;
        if (!(effect > 0)) continue;
        if (chart->kind == LAC_MLP || chart->kind == LAC_ATTN)
            lac_window(&from, &to, l, chart->window, L, trace->paper_edges);
        for (int i = from; i < to; i++) out->weight[i] += effect / (to - from);
        total += effect;
    }
    if (!(total > 0)) return LAC_OK;
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
    return LAC_OK;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void whole_run(lac_trace_stats *stats, const lac_trace *trace)
{
    stats->noop = NAN;
    for (size_t i = 0; i < trace->n; i++) {
        const lac_traced *fact = &trace->facts[i];
        if (fact->left_out) continue;
        for (int m = 0; m < LAC_N_METRICS; m++) {
            stats->high[m] += fact->grid.high[m] / (double)trace->n_traced;
            stats->low[m] += lac_low_mean(&fact->grid, (lac_metric)m) / (double)trace->n_traced;
        }
        if (!(fact->noop <= stats->noop) && isfinite(fact->noop)) stats->noop = fact->noop;
    }
}

static lac_status averages(lac_trace_stats *stats, const lac_trace *trace, lac_arena *arena, lac_arena *scratch,
                           lac_err *err)
{
    for (int chart = 0; chart < trace->n_charts; chart++) {
        size_t C = (size_t)trace->charts[chart].n_cols;
        lac_controls *controls = &stats->controls[chart];
        stats->effects[chart] = LAC_NEW(arena, lac_effect, LAC_N_METRICS * LAC_N_CATEGORIES * C, err);
        controls->token = LAC_NEW(arena, lac_effect, LAC_N_METRICS * C, err);
        controls->layer = LAC_NEW(arena, lac_effect, LAC_N_METRICS, err);
        if (!stats->effects[chart] || !controls->token || !controls->layer) return err->code;
        for (int m = 0; m < LAC_N_METRICS; m++)
            if (average(stats, trace, chart, (lac_metric)m, arena, scratch, err)) return err->code;
    }
    return LAC_OK;
}

lac_status lac_trace_statistics(lac_trace_stats *stats, const lac_trace *trace, lac_arena *arena, lac_err *err)
{
    size_t n = (size_t)trace->n_charts;
    *stats = (lac_trace_stats){.effects = LAC_NEW(arena, lac_effect *, n, err),
                               .controls = LAC_NEW(arena, lac_controls, n, err),
                               .rankings = LAC_NEW(arena, lac_ranking, n, err)};
    if (!stats->effects || !stats->controls || !stats->rankings || lac_draws_make(&stats->draws, trace, arena, err))
        return err->code;
    whole_run(stats, trace);
    lac_arena scratch = {0};
    lac_status status = averages(stats, trace, arena, &scratch, err);
    lac_arena_release(&scratch);
    return status ? status : suggest(&stats->suggestion, trace, stats, arena, err);
}
