/* From cells to statements: averages over facts with intervals, and the layers to change.
 *
 * Per fact, layer and metric a category's value is the mean of its tokens' scores, less the fact's own low; only then is
 * the mean over facts taken, each counting once.  (ROME's notebook pools tokens over facts, subtracts the low of other
 * facts and clips at zero.)  Effects are positive where the patched thing matters: see lac_effect_of. */
#ifndef LAC_TRACE_STATS_H
#define LAC_TRACE_STATS_H

#include "trace/ranking.h"
#include "trace/rows.h"

/* Mean effect of a cell of the averaged map, over the facts that have such tokens. */
typedef struct {
    size_t n;
    double score, low, high, effect, se, ci_low, ci_high; /* of the same n facts; interval: bootstrap over facts, 95 % */
    double noise_ci_low, noise_ci_high; /* facts fixed, bootstrap over noise draws; NaN where no fact has two samples */
    double normalised; /* effect over the mean total effect, |high - low| of the means; NaN under ablation */
} lac_effect;

/* What a patch does where nothing is to be expected.  On the same facts, metric by metric. */
typedef struct {
    lac_effect *token; /* [LAC_N_METRICS, n_cols] at a token drawn for each fact and column, see rows.h */
    lac_effect *layer; /* [LAC_N_METRICS] at the last subject token, at a column drawn for each fact */
} lac_controls;

/* The shortest run of neighbouring layers with at least half of the effect. */
typedef struct {
    int chart;      /* index, or -1: no chart over layers */
    int from, to;   /* layers [from, to); empty when nothing gained anything */
    double share;   /* of the positive effect */
    double *weight; /* [n_layers] each layer's part of it: cells spread over the layers that they restored */
} lac_suggestion;

typedef struct {
    double high[LAC_N_METRICS], low[LAC_N_METRICS]; /* means over the traced facts */
    lac_effect **effects; /* [n_charts] of [LAC_N_METRICS, LAC_N_CATEGORIES, n_cols] */
    lac_controls *controls; /* [n_charts] */
    lac_ranking *rankings;  /* [n_charts] by effect on p at the last subject token; n_layers 0 for heads and embedding */
    double noop;            /* the largest change of p when a run's own value is put back; NaN: nowhere measured */
    lac_draws draws;
    lac_suggestion suggestion;
} lac_trace_stats;

lac_status lac_trace_statistics(lac_trace_stats *stats, const lac_trace *trace, lac_arena *arena, lac_err *err);

static inline const lac_effect *lac_effect_at(const lac_trace_stats *stats, const lac_trace *trace, int chart,
                                              lac_metric metric, lac_category category, int col)
{
    size_t C = (size_t)trace->charts[chart].n_cols;
    return stats->effects[chart] + ((size_t)metric * LAC_N_CATEGORIES + (size_t)category) * C + (size_t)col;
}

/* A cell's mean effect on p over its fact's draws. */
double lac_cell_effect(const lac_trace *trace, const lac_traced *fact, int chart, int t, int col);

/* A fact's mean over a category's tokens; NaN where it has none, or they were not asked for. */
double lac_category_value(const lac_trace *trace, const lac_traced *fact, int chart, lac_metric metric,
                          lac_category category, int col);

/* Whether a chart's columns are layers. */
static inline bool lac_over_layers(const lac_chart *chart)
{
    return chart->kind != LAC_HEAD && chart->kind != LAC_EMBEDDING;
}

/* What the rows say, column by column, filled in as effects. */
lac_status lac_effects_of_rows(lac_effect *out, const lac_trace *trace, const lac_fact_rows *rows,
                               const lac_draws *draws, lac_metric metric, lac_err *err);

/* summary.tsv, layers.tsv, mask.json and plots/ *.tsv (the first `pictures` facts and the averages) into an existing
 * directory.  lac_plots_draw (plots/gnuplot.h) makes the pictures. */
lac_status lac_trace_save_tables(const lac_trace *trace, const lac_trace_stats *stats, const char *dir, int pictures,
                                 lac_err *err);

/* Heatmaps for the terminal: of one traced fact, and of the averages. */
void lac_trace_sketch(FILE *to, const lac_trace *trace, const lac_traced *traced, int chart);
void lac_trace_sketch_average(FILE *to, const lac_trace *trace, const lac_trace_stats *stats, int chart);

#endif
