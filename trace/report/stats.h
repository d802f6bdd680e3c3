/* Averages of a trace over facts, with intervals, and the layers to train.
 *
 * For each fact, layer and metric, a category's value is the mean of its tokens' scores − the
 * fact's own low; the mean over facts has equal weights.  (ROME's notebook pools tokens over facts,
 * subtracts the low of other facts and clips at zero.)  Effects are positive where the patched
 * activation matters: see dele_effect_of. */
#ifndef DELE_TRACE_STATS_H
#define DELE_TRACE_STATS_H

#include "trace/report/ranking.h"
#include "trace/report/route_stats.h"
#include "trace/rows.h"

/* Mean effect of a cell of the averaged map, over the facts that have such tokens. */
typedef struct {
    size_t n;
    double score, low, high, effect, se, ci_low,
        ci_high; /* of the same n facts; interval: bootstrap over facts, 95 % */
    double noise_ci_low, noise_ci_high; /* facts fixed, bootstrap over noise samples; NaN where no
                                           fact has two samples */
    double normalised; /* effect over the mean total effect, |high - low| of the means; NaN under
                          ablation */
} dele_effect;

/* Controls: the effects at random tokens and layers, on the same facts, for each metric. */
typedef struct {
    dele_effect
        *token; /* [DELE_N_METRICS, n_cols] at a token drawn for each fact and column, see rows.h */
    dele_effect
        *layer; /* [DELE_N_METRICS] at the last subject token, at a column drawn for each fact */
} dele_controls;

/* The suggested mask: the shortest range of layers with at least half of the effect. */
typedef struct {
    int chart;      /* index, or -1: no chart over layers */
    int from, to;   /* layers [from, to); empty where no effect is positive */
    double share;   /* of the positive effect */
    double *weight; /* [n_layers] each layer's share of it: a cell's effect is divided among the
                       layers that it restores */
} dele_suggestion;

/* The experts suggested to an unlearning run: those with the largest mean effect on p at the last
 * subject token, as many as have half of all positive effects. */
typedef struct {
    int chart;    /* -1: no chart over experts */
    int n, *col;  /* columns of the chart, the largest first; none where no effect is positive */
    double share; /* of the positive effect */
} dele_expert_suggestion;

typedef struct {
    double high[DELE_N_METRICS], low[DELE_N_METRICS]; /* means over the traced facts */
    dele_effect **effects;   /* [n_charts] of [DELE_N_METRICS, DELE_N_CATEGORIES, n_cols] */
    dele_controls *controls; /* [n_charts] */
    dele_ranking *rankings;  /* [n_charts] by effect on p at the last subject token; n_layers 0 for
                                heads, experts and embedding */
    double noop; /* the largest noop of a traced fact (dele_traced); NaN: not measured */
    dele_draws draws;
    dele_suggestion suggestion;
    dele_expert_suggestion experts;
    dele_route_stats *routes; /* of a mixture of experts; else NULL */
} dele_trace_stats;

dele_status dele_trace_statistics(dele_trace_stats *stats, const dele_trace *trace,
                                  dele_arena *arena, dele_err *err);

static inline const dele_effect *dele_effect_at(const dele_trace_stats *stats,
                                                const dele_trace *trace, int chart,
                                                dele_metric metric, dele_category category, int col)
{
    size_t C = (size_t)trace->charts[chart].n_cols;
    return stats->effects[chart] + ((size_t)metric * DELE_N_CATEGORIES + (size_t)category) * C +
           (size_t)col;
}

/* Whether a chart's columns are layers. */
static inline bool dele_over_layers(const dele_chart *chart)
{
    return !dele_kind_has_units(chart->kind) && chart->kind != DELE_EMBEDDING;
}

#endif
