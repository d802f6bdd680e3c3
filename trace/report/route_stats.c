#include "trace/report/route_stats.h"

#include <math.h>

const char *const dele_route_quantity_name[DELE_N_ROUTE_QUANTITIES] = {
    "clean input, clean routes",
    "corrupted input, corrupted routes",
    "corrupted input, clean routes",
    "clean input, corrupted routes",
    "total effect",
    "restored by the routes",
    "lost by the routes",
    "restored by the input",
    "lost by the input",
    "interaction"};

/* A fact's value in a sample, for one column of a table; NaN: it has none. */
typedef struct {
    const dele_trace *trace;
    double (*of)(const void *what, const dele_traced *fact, int s, int col);
    size_t cols;
    dele_metric metric;     /* of quantities */
    dele_category category; /* of the experts left */
} source;

/* ---- the table of two by two ----------------------------------------------------------------- */

static double quantity_of(const void *what, const dele_traced *fact, int s, int col)
{
    const source *from = what;
    const dele_grid *g = &fact->grid;
    const size_t m = (size_t)from->metric, sample = (size_t)s;
    const double *forced = g->routes->forced + sample * DELE_N_FORCED * DELE_N_METRICS + m,
                 high = g->high[m], low = g->low[sample * DELE_N_METRICS + m],
                 a = forced[DELE_CLEAN_ROUTES * DELE_N_METRICS],
                 b = forced[DELE_CORRUPTED_ROUTES * DELE_N_METRICS],
                 sign = from->metric == DELE_RANK || from->metric == DELE_KL ? -1 : 1;
    const double value[DELE_N_ROUTE_QUANTITIES] = {high,
                                                   low,
                                                   a,
                                                   b,
                                                   sign * (high - low),
                                                   sign * (a - low),
                                                   sign * (high - b),
                                                   sign * (b - low),
                                                   sign * (high - a),
                                                   sign * (high - a - b + low)};
    return value[col];
}

double dele_route_share(const dele_route_stats *stats, dele_metric metric, dele_route_quantity q)
{
    const dele_row_stat *of = stats->quantity[metric];
    return of[q].mean / of[DELE_ROUTES_TOTAL].mean;
}

/* ---- experts left by the corruption ---------------------------------------------------------- */

static double unchanged_of(const void *what, const dele_traced *fact, int s, int layer)
{
    const source *from = what;
    const dele_grid *g = &fact->grid;
    const size_t T = (size_t)g->n_tokens, L = (size_t)from->trace->n_layers;
    int begin, end;
    double sum = 0;
    dele_category_range(&begin, &end, from->category, g->n_tokens, g->begin, g->end);
    for (int t = begin; t < end; t++)
        sum += (double)g->routes->unchanged[((size_t)s * T + (size_t)t) * L + (size_t)layer];
    return end > begin ? sum / (end - begin) : NAN;
}

double dele_fact_unchanged(const dele_trace *trace, const dele_traced *fact, dele_category category,
                           int layer)
{
    const source from = {.trace = trace, .category = category};
    double sum = 0;
    for (int s = 0; s < fact->grid.n_samples; s++) sum += unchanged_of(&from, fact, s, layer);
    return sum / fact->grid.n_samples;
}

/* ---- statistics ------------------------------------------------------------------------------ */

/* The row of one fact, unless it lacks a value that others have: a column is NaN in all facts or in
 * none (a layer without experts). */
static void add_row(dele_fact_rows *rows, const source *from, const dele_draws *draws, size_t i,
                    const bool *dense)
{
    const dele_traced *fact = &from->trace->facts[i];
    const size_t C = from->cols;
    const int S = fact->grid.n_samples;
    for (size_t c = 0; c < C; c++)
        for (int s = 0; s < S; s++)
            if (!isfinite(from->of(from, fact, s, (int)c)) && !(dense && dense[c])) return;
    for (size_t c = 0; c < C; c++) {
        const double origin = from->of(from, fact, 0, (int)c);
        double mean = 0;
        for (int s = 0; s < S; s++) {
            const double off = from->of(from, fact, s, (int)c) - origin;
            rows->sample[(draws->first[i] + (size_t)s) * C + c] = isnan(off) ? 0 : (float)off;
            mean += off / S;
        }
        rows->origin[rows->n * C + c] = origin;
        rows->effect[rows->n * C + c] = origin + mean;
    }
    rows->fact[rows->n++] = i;
}

static dele_status statistics(dele_row_stat *out, const source *from, const dele_draws *draws,
                              const bool *dense, dele_arena *scratch, dele_err *err)
{
    const size_t n = from->trace->n;
    dele_fact_rows rows = {.cols = from->cols,
                           .fact = DELE_NEW(scratch, size_t, n, err),
                           .effect = DELE_NEW(scratch, double, n * from->cols, err),
                           .sample = DELE_NEW(scratch, float, draws->n * from->cols, err),
                           .origin = DELE_NEW(scratch, double, n * from->cols, err)};
    if (!rows.fact || !rows.effect || !rows.sample || !rows.origin) return err->code;
    for (size_t i = 0; i < n; i++)
        if (!from->trace->facts[i].left_out) add_row(&rows, from, draws, i, dense);
    return dele_fact_rows_stats(out, &rows, draws, err);
}

dele_status dele_route_statistics(dele_route_stats **stats, const dele_trace *trace,
                                  const dele_draws *draws, dele_arena *arena, dele_err *err)
{
    dele_arena scratch = {0};
    dele_status status = DELE_OK;
    size_t k = 0;
    *stats = NULL;
    while (k < trace->n && trace->facts[k].left_out) k++;
    if (!trace->n_experts || k == trace->n || !trace->facts[k].grid.routes ||
        isnan(trace->facts[k].grid.routes->forced[0]))
        return DELE_OK;
    dele_route_stats *out = DELE_NEW(arena, dele_route_stats, 1, err);
    if (!out) return err->code;
    for (int m = 0; m < DELE_N_METRICS && !status; m++) {
        const source from = {trace, quantity_of, DELE_N_ROUTE_QUANTITIES, (dele_metric)m,
                             DELE_LAST_SUBJECT};
        dele_arena_reset(&scratch);
        status = statistics(out->quantity[m], &from, draws, NULL, &scratch, err);
    }
    for (int c = 0; c < DELE_N_CATEGORIES && !status; c++) {
        const source from = {trace, unchanged_of, (size_t)trace->n_layers, DELE_PROB,
                             (dele_category)c};
        dele_arena_reset(&scratch);
        out->unchanged[c] = DELE_NEW(arena, dele_row_stat, from.cols, err);
        status = out->unchanged[c]
                     ? statistics(out->unchanged[c], &from, draws, trace->dense, &scratch, err)
                     : err->code;
    }
    dele_arena_release(&scratch);
    if (!status) *stats = out;
    return status;
}
