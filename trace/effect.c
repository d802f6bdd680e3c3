/* Values of one fact: the groups of its tokens, a cell's mean over samples, and its effect. */
#include "trace/trace.h"

#include <math.h>

const char *const dele_category_name[DELE_N_CATEGORIES] = {
    "first subject",          "middle subject", "last subject",
    "first subsequent token", "further tokens", "last"};

void dele_category_range(int *from, int *to, dele_category category, int T, int b, int e)
{
    const int first[DELE_N_CATEGORIES] = {b, b + 1, e - 1, e, e + 1, T - 1};
    const int end[DELE_N_CATEGORIES] = {b + 1, e - 1, e, e < T ? e + 1 : e, T - 1, T};
    *from = first[category];
    *to = end[category] > *from ? end[category] : *from;
}

/* ---- one fact -------------------------------------------------------------------------------- */

double dele_cell_mean(const dele_grid *g, const dele_chart *chart, int which, dele_metric metric,
                      int t, int col)
{
    double sum = 0;
    for (int s = 0; s < g->n_samples; s++)
        sum += (double)*dele_cell(g, chart, which, s, metric, t, col);
    return sum / g->n_samples;
}

double dele_low_mean(const dele_grid *g, dele_metric metric)
{
    double sum = 0;
    for (int s = 0; s < g->n_samples; s++)
        sum += g->low[(size_t)s * DELE_N_METRICS + (size_t)metric];
    return sum / g->n_samples;
}

double dele_effect_of(const dele_trace *trace, dele_metric metric, double value, double high,
                      double low)
{
    double gained = trace->noising ? high - value : value - low;
    return metric == DELE_RANK || metric == DELE_KL ? -gained
                                                    : gained; /* these two fall as p rises */
}

double dele_cell_effect(const dele_trace *trace, const dele_traced *fact, int which, int t, int col)
{
    const dele_grid *g = &fact->grid;
    double score = dele_cell_mean(g, &trace->charts[which], which, DELE_PROB, t, col);
    return dele_effect_of(trace, DELE_PROB, score, g->high[DELE_PROB], dele_low_mean(g, DELE_PROB));
}

double dele_category_value(const dele_trace *trace, const dele_traced *fact, int chart,
                           dele_metric metric, dele_category category, int col)
{
    const dele_grid *g = &fact->grid;
    int from, to;
    dele_category_range(&from, &to, category, g->n_tokens, g->begin, g->end);
    if (to <= from) return NAN;
    double sum = 0;
    for (int t = from; t < to; t++)
        sum += dele_cell_mean(g, &trace->charts[chart], chart, metric, t, col);
    return sum / (to - from);
}
