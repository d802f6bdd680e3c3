/* differences.tsv: paired over facts, at the last subject token.
 *
 *   charts   one kind − another, or one width of a kind − another, layer by layer (a window's layer
 *            is its centre)
 *   layers   every layer − the chart's best one (ranking.h tests which of these differ from 0, all
 *            at once)
 *
 * What varies between facts (a fact known well has large effects everywhere) cancels in a paired
 * difference, so its interval is narrower than the intervals of the two means suggest. */
#include "trace/report/differences.h"

#include <math.h>

static const dele_metric shown[] = {DELE_PROB, DELE_LOGIT_DIFF};

typedef struct {
    int chart, other, other_col; /* other_col -1: the same column */
    dele_metric metric;
} difference;

static void put_rows(FILE *out, const dele_saving *to, const difference *d,
                     const dele_row_stat *stat)
{
    const dele_chart *chart = &to->trace->charts[d->chart], *other = &to->trace->charts[d->other];
    for (int col = 0; col < chart->n_cols; col++) {
        if (col == d->other_col || !stat[col].n || isnan(stat[col].mean)) continue;
        fprintf(out, "%s\t%s\t%s\t", d->other_col < 0 ? "charts" : "layers",
                dele_metric_name[d->metric], chart->name);
        dele_table_column(out, to->trace, chart, col);
        fprintf(out, "\t%s\t", other->name);
        dele_table_column(out, to->trace, other, d->other_col < 0 ? col : d->other_col);
        fprintf(out, "\t%zu", stat[col].n);
        dele_table_number(out, stat[col].mean);
        dele_table_number(out, stat[col].se);
        dele_table_interval(out, stat[col].facts);
        dele_table_interval(out, stat[col].noise);
        fputc('\n', out);
    }
}

static dele_status put(FILE *out, const dele_saving *to, const difference *d,
                       const dele_fact_rows *a, const dele_fact_rows *b, dele_arena *scratch)
{
    dele_fact_rows rows;
    dele_row_stat *stat = DELE_NEW(scratch, dele_row_stat, a->cols, to->err);
    if (!stat ||
        dele_fact_rows_minus(&rows, to->trace, &to->stats->draws, a, b, d->other_col, scratch,
                             to->err) ||
        dele_fact_rows_stats(stat, &rows, &to->stats->draws, to->err))
        return to->err->code;
    put_rows(out, to, d, stat);
    return DELE_OK;
}

/* Layer by layer: single layers with windows around them, and a kind with itself in another width.
 * Two windowed kinds are compared in equal width alone, or a difference would be of two things at
 * once. */
static bool comparable(const dele_chart *a, const dele_chart *b)
{
    const bool units = dele_kind_has_units(a->kind) || dele_kind_has_units(b->kind),
               both = dele_kind_has_windows(a->kind) && dele_kind_has_windows(b->kind);
    return a->n_cols == b->n_cols && (!units || a->kind == b->kind) &&
           (!both || a->kind == b->kind || a->window == b->window);
}

/* All that begin with one chart. */
static dele_status put_chart(FILE *out, const dele_saving *to, int chart, dele_metric metric,
                             dele_arena *scratch)
{
    const dele_trace *trace = to->trace;
    const dele_draws *draws = &to->stats->draws;
    dele_fact_rows own, other;
    if (dele_fact_rows_category(&own, trace, draws, chart, metric, DELE_LAST_SUBJECT, scratch,
                                to->err))
        return to->err->code;
    for (int i = chart + 1; i < trace->n_charts; i++) {
        const difference d = {chart, i, -1, metric};
        if (!comparable(&trace->charts[chart], &trace->charts[i])) continue;
        if (dele_fact_rows_category(&other, trace, draws, i, metric, DELE_LAST_SUBJECT, scratch,
                                    to->err) ||
            put(out, to, &d, &own, &other, scratch))
            return to->err->code;
    }
    const dele_ranking *ranking = &to->stats->rankings[chart];
    const difference d = {chart, chart, ranking->best, metric};
    return ranking->n_layers && ranking->best >= 0 ? put(out, to, &d, &own, &own, scratch)
                                                   : DELE_OK;
}

dele_status dele_save_differences(const dele_saving *to)
{
    dele_writer out = {0};
    dele_arena scratch = {0};
    bool failed = false;
    if (dele_table_open(&out, to, "differences.tsv")) return to->err->code;
    fputs("# effect of chart and layer less that of other and other_layer, paired over facts, at "
          "the last subject token; "
          "each interval (95 %, bootstrap) is for one comparison; best layers are those on p\n"
          "between\tmetric\tchart\tlayer\tother\tother_layer\tfacts\tdifference\tse\tci_low\tci_"
          "high\tnoise_ci_low\t"
          "noise_ci_high\n",
          out.stream);
    for (int i = 0; i < to->trace->n_charts && !failed; i++)
        for (size_t m = 0; m < sizeof shown / sizeof *shown && !failed; m++) {
            dele_arena_reset(&scratch);
            failed = put_chart(out.stream, to, i, shown[m], &scratch);
        }
    dele_arena_release(&scratch);
    if (!failed) return dele_writer_commit(&out, to->err);
    dele_writer_abandon(&out);
    return to->err->code;
}
