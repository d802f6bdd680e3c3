/* One fact, read: its tokens' groups, a cell's mean over samples, and how much that says. */
#include "trace/stats.h"

#include <math.h>

const char *const lac_category_name[LAC_N_CATEGORIES] = {"first subject", "middle subject",  "last subject",
                                                         "first after",   "further", "last"};

void lac_category_range(int *from, int *to, lac_category category, int T, int b, int e)
{
    const int first[LAC_N_CATEGORIES] = {b, b + 1, e - 1, e, e + 1, T - 1};
    const int end[LAC_N_CATEGORIES] = {b + 1, e - 1, e, e < T ? e + 1 : e, T - 1, T};
    *from = first[category];
    *to = end[category] > *from ? end[category] : *from;
}

/* ---- one fact ---------------------------------------------------------------------------------------------------- */

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

double lac_cell_effect(const lac_trace *trace, const lac_traced *fact, int which, int t, int col)
{
    const lac_grid *g = &fact->grid;
    double score = lac_cell_mean(g, &trace->charts[which], which, LAC_PROB, t, col);
    return lac_effect_of(trace, LAC_PROB, score, g->high[LAC_PROB], lac_low_mean(g, LAC_PROB));
}

double lac_category_value(const lac_trace *trace, const lac_traced *fact, int chart, lac_metric metric,
                          lac_category category, int col)
{
    const lac_grid *g = &fact->grid;
    int from, to;
    lac_category_range(&from, &to, category, g->n_tokens, g->begin, g->end);
    if (to <= from) return NAN;
    double sum = 0;
    for (int t = from; t < to; t++) sum += lac_cell_mean(g, &trace->charts[chart], chart, metric, t, col);
    return sum / (to - from);
}
