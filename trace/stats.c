#include "trace/stats.h"

#include <math.h>

#include "base/stat.h"

const char *const lac_category_name[LAC_N_CATEGORIES] = {"first subject", "middle subject",  "last subject",
                                                         "first after",   "further", "last"};

enum { RESAMPLES = 1000 };

void lac_category_range(int *from, int *to, lac_category category, int T, int b, int e)
{
    const int first[LAC_N_CATEGORIES] = {b, b + 1, e - 1, e, e + 1, T - 1};
    const int end[LAC_N_CATEGORIES] = {b + 1, e - 1, e, e < T ? e + 1 : e, T - 1, T};
    *from = first[category];
    *to = end[category] > *from ? end[category] : *from;
}

/* ---- one fact --------------------------------------------------------------------------------------------------- */

double lac_cell_mean(const lac_grid *g, const lac_chart *chart, int which, lac_metric metric, int t, int col)
{
    double sum = 0;
    for (int s = 0; s < g->n_samples; s++) sum += (double)*lac_cell(g, chart, which, s, metric, t, col);
    return sum / g->n_samples;
}

double lac_low_mean(const lac_grid *g, lac_metric metric)
{
    double sum = 0;
    for (int s = 0; s < g->n_samples; s++) sum += g->low[(size_t)s * LAC_N_METRICS + (size_t)metric];
    return sum / g->n_samples;
}

double lac_effect_of(const lac_trace *trace, lac_metric metric, double value, double high, double low)
{
    double gained = trace->noising ? high - value : value - low;
    return metric == LAC_RANK || metric == LAC_KL ? -gained : gained; /* these two fall as the answer comes back */
}

double lac_category_value(const lac_trace *trace, const lac_traced *fact, int chart, lac_metric metric, lac_category category,
                          int col)
{
    const lac_grid *g = &fact->grid;
    int from, to;
    lac_category_range(&from, &to, category, g->n_tokens, g->begin, g->end);
    if (to <= from) return NAN;
    double sum = 0;
    for (int t = from; t < to; t++) sum += lac_cell_mean(g, &trace->charts[chart], chart, metric, t, col);
    return sum / (to - from);
}

/* ---- averages with intervals ------------------------------------------------------------------------------------ */

static lac_status average(lac_effect *e, const lac_trace *trace, int chart, lac_metric metric, lac_category category, int col,
                          double *value, lac_err *err)
{
    *e = (lac_effect){0};
    for (size_t i = 0; i < trace->n; i++) {
        const lac_traced *fact = &trace->facts[i];
        double score = fact->left_out ? NAN : lac_category_value(trace, fact, chart, metric, category, col);
        if (!isfinite(score)) continue;
        double low = lac_low_mean(&fact->grid, metric), high = fact->grid.high[metric];
        value[e->n++] = lac_effect_of(trace, metric, score, high, low);
        e->score += score;
        e->low += low;
        e->high += high;
    }
    if (!e->n) return LAC_OK;
    e->score /= (double)e->n;
    e->low /= (double)e->n;
    e->high /= (double)e->n;
    lac_stat stat = lac_stat_of(value, e->n);
    e->effect = stat.mean;
    e->se = stat.se;
    lac_rng rng;
    lac_interval interval;
    lac_rng_seed(&rng, 1 + (uint64_t)category); /* the same resamples for every layer, chart and metric */
    if (lac_bootstrap_mean(&interval, value, e->n, 0.95, RESAMPLES, &rng, err)) return err->code;
    e->ci_low = interval.low;
    e->ci_high = interval.high;
    return LAC_OK;
}

/* ---- the mask --------------------------------------------------------------------------------------------------- */

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
        if (chart->kind == LAC_MLP || chart->kind == LAC_ATTN) lac_window(&from, &to, l, chart->window, L, trace->paper_edges);
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

/* ---- the whole -------------------------------------------------------------------------------------------------- */

lac_status lac_trace_statistics(lac_trace_stats *stats, const lac_trace *trace, lac_arena *arena, lac_err *err)
{
    *stats = (lac_trace_stats){.effects = LAC_NEW(arena, lac_effect *, (size_t)trace->n_charts, err)};
    double *value = LAC_NEW(arena, double, trace->n ? trace->n : 1, err);
    if (!stats->effects || !value) return err->code;
    for (int m = 0; m < LAC_N_METRICS; m++) {
        for (size_t i = 0; i < trace->n; i++) {
            if (trace->facts[i].left_out) continue;
            stats->high[m] += trace->facts[i].grid.high[m] / (double)trace->n_traced;
            stats->low[m] += lac_low_mean(&trace->facts[i].grid, (lac_metric)m) / (double)trace->n_traced;
        }
    }
    for (int chart = 0; chart < trace->n_charts; chart++) {
        int C = trace->charts[chart].n_cols;
        stats->effects[chart] = LAC_NEW(arena, lac_effect, (size_t)(LAC_N_METRICS * LAC_N_CATEGORIES * C), err);
        if (!stats->effects[chart]) return err->code;
        for (int i = 0; i < LAC_N_METRICS * LAC_N_CATEGORIES * C; i++)
            if (average(&stats->effects[chart][i], trace, chart, (lac_metric)(i / C / LAC_N_CATEGORIES),
                        (lac_category)(i / C % LAC_N_CATEGORIES), i % C, value, err))
                return err->code;
    }
    return suggest(&stats->suggestion, trace, stats, arena, err);
}
