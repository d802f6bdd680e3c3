/* From cells to statements: averages over facts with intervals, and the layers to change.
 *
 * Per fact, layer and metric a category's value is the mean of its tokens' scores, less the fact's own low; only then is
 * the mean over facts taken, each counting once.  (ROME's notebook pools tokens over facts, subtracts the low of other
 * facts and clips at zero.)  Effects are positive where the patched thing matters: see lac_effect_of. */
#ifndef LAC_TRACE_STATS_H
#define LAC_TRACE_STATS_H

#include "trace/trace.h"

/* Mean effect of a cell of the averaged map, over the facts that have such tokens. */
typedef struct {
    size_t n;
    double score, low, high, effect, se, ci_low, ci_high; /* of the same n facts; interval: bootstrap over facts, 95 % */
} lac_effect;

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
    lac_suggestion suggestion;
} lac_trace_stats;

lac_status lac_trace_statistics(lac_trace_stats *stats, const lac_trace *trace, lac_arena *arena, lac_err *err);

static inline const lac_effect *lac_effect_at(const lac_trace_stats *stats, const lac_trace *trace, int chart,
                                              lac_metric metric, lac_category category, int col)
{
    size_t C = (size_t)trace->charts[chart].n_cols;
    return stats->effects[chart] + ((size_t)metric * LAC_N_CATEGORIES + (size_t)category) * C + (size_t)col;
}

/* A fact's mean over a category's tokens; NaN where it has none, or they were not asked for. */
double lac_category_value(const lac_trace *trace, const lac_traced *fact, int chart, lac_metric metric, lac_category category,
                          int col);

/* summary.tsv, layers.tsv, mask.json and plots/ *.tsv (the first `pictures` facts and the averages) into an existing
 * directory.  lac_plots_draw (plots/gnuplot.h) makes the pictures. */
lac_status lac_trace_save_tables(const lac_trace *trace, const lac_trace_stats *stats, const char *dir, int pictures,
                                 lac_err *err);

/* Heatmaps for the terminal: of one traced fact, and of the averages. */
void lac_trace_sketch(FILE *to, const lac_trace *trace, const lac_traced *traced, int chart);
void lac_trace_sketch_average(FILE *to, const lac_trace *trace, const lac_trace_stats *stats, int chart);

#endif
