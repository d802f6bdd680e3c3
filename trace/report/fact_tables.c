/* Tables with a line for each fact: the mean hides whether facts agree.
 *
 *   effects.tsv               effect of each fact on every metric, group of tokens and column
 *   peaks.tsv                 where each fact's effect on p is largest
 *   plots/peaks_<chart>.tsv   how many facts peak at each layer, beside the mean effect */
#include "trace/report/fact_tables.h"

#include <math.h>
#include <stddef.h>

#include "trace/report/picture.h"

/* ---- effects.tsv ----------------------------------------------------------------------------- */

enum { SHOWN = 5, WITH_ERROR = 3 }; /* the first of them with a standard error */
static const dele_metric shown[SHOWN] = {DELE_PROB, DELE_LOGIT_DIFF, DELE_KL, DELE_LOGP, DELE_RANK};

/* Few digits where few mean anything: the table has a line for each fact and layer. */
static void put_digits(FILE *out, int digits, double x)
{
    if (isfinite(x))
        fprintf(out, "\t%.*g", digits, x);
    else
        fputc('\t', out);
}

/* A row's standard error over noise draws; NaN for fewer than two. */
static double noise_error(const dele_fact_rows *rows, const dele_draws *draws, size_t row,
                          int n_samples, size_t col)
{
    size_t C = rows->cols, first = draws->first[rows->fact[row]];
    double mean = rows->effect[row * C + col] - rows->origin[row * C + col], squares = 0;
    for (size_t s = 0; s < (size_t)n_samples; s++) {
        double d = (double)rows->sample[(first + s) * C + col] - mean;
        squares += d * d;
    }
    return n_samples > 1 ? sqrt(squares / (n_samples - 1) / n_samples) : NAN;
}

/* The numbers of a line, from one table (rows) for each metric; at: the fact's row in it, or -1. */
static void put_numbers(FILE *out, const dele_saving *to, const dele_traced *fact,
                        const dele_fact_rows rows[SHOWN], const ptrdiff_t at[SHOWN], size_t col,
                        const dele_interval *noise)
{
    const dele_grid *g = &fact->grid;
    double effect[SHOWN];
    for (int m = 0; m < SHOWN; m++)
        effect[m] = at[m] < 0 ? NAN : rows[m].effect[(size_t)at[m] * rows[m].cols + col];
    for (int m = 0; m < WITH_ERROR; m++) {
        put_digits(out, m ? 5 : 6, effect[m]);
        put_digits(
            out, 3,
            at[m] < 0 ? NAN
                      : noise_error(&rows[m], &to->stats->draws, (size_t)at[m], g->n_samples, col));
    }
    put_digits(out, 4, at[0] < 0 ? NAN : noise->low);
    put_digits(out, 4, at[0] < 0 ? NAN : noise->high);
    put_digits(out, 4, effect[0] / fabs(g->high[DELE_PROB] - dele_low_mean(g, DELE_PROB)));
    for (int m = WITH_ERROR; m < SHOWN; m++) put_digits(out, 5, effect[m]);
    fputc('\n', out);
}

/* The lines of one chart and group of tokens.  rows has the metrics' tables, from which different
 * facts may be left out; next is each table's next row, at its row of this fact or -1. */
static dele_status put_fact_effects(FILE *out, const dele_saving *to, int which,
                                    dele_category category, const dele_fact_rows rows[SHOWN],
                                    dele_arena *scratch)
{
    const dele_chart *chart = &to->trace->charts[which];
    size_t next[SHOWN] = {0};
    dele_interval *noise = DELE_NEW(scratch, dele_interval, (size_t)chart->n_cols, to->err);
    for (size_t i = 0; i < to->trace->n && noise; i++) {
        const dele_traced *fact = &to->trace->facts[i];
        ptrdiff_t at[SHOWN];
        bool any = false;
        for (int m = 0; m < SHOWN; m++) {
            at[m] = next[m] < rows[m].n && rows[m].fact[next[m]] == i ? (ptrdiff_t)next[m]++ : -1;
            any |= at[m] >= 0;
        }
        if (at[0] >= 0 && dele_fact_row_noise(noise, &rows[0], (size_t)at[0], fact->grid.n_samples,
                                              &to->stats->draws, to->err))
            return to->err->code;
        for (int col = 0; col < chart->n_cols && any; col++) {
            fprintf(out, "%d\t%s\t%s\t", fact->fact->id, chart->name, dele_category_name[category]);
            dele_table_column(out, to->trace, chart, col);
            fprintf(out, "\t%d", fact->grid.n_samples);
            put_numbers(out, to, fact, rows, at, (size_t)col, &noise[col]);
        }
    }
    return noise ? DELE_OK : to->err->code;
}

/* Tables of facts are made one chart and group at a time, so that the scratch memory is that of one
 * group. */
dele_status dele_save_fact_effects(const dele_saving *to)
{
    dele_writer out = {0};
    dele_arena scratch = {0};
    bool failed = false;
    if (dele_table_open(&out, to, "effects.tsv")) return to->err->code;
    fputs("# per fact: effect (positive where the patched thing matters), mean over noise draws, "
          "and its standard error "
          "over them; p_ci: 95 %, bootstrap over the fact's own draws, none of fewer than five; "
          "normalised: p / |high - low| of the fact\n"
          "id\tchart\ttokens\tlayer\tsamples\tp\tp_se\tlogit_diff\tlogit_diff_se\tkl\tkl_se\tp_ci_"
          "low\tp_ci_high\t"
          "normalised\tlogp\trank\n",
          out.stream);
    for (int i = 0; i < to->trace->n_charts && !failed; i++)
        for (int c = 0; c < DELE_N_CATEGORIES && !failed; c++) {
            dele_fact_rows rows[SHOWN];
            dele_arena_reset(&scratch);
            for (int m = 0; m < SHOWN && !failed; m++)
                failed = dele_fact_rows_category(&rows[m], to->trace, &to->stats->draws, i,
                                                 shown[m], (dele_category)c, &scratch, to->err);
            if (!failed)
                failed = put_fact_effects(out.stream, to, i, (dele_category)c, rows, &scratch);
        }
    dele_arena_release(&scratch);
    if (!failed) return dele_writer_commit(&out, to->err);
    dele_writer_abandon(&out);
    return to->err->code;
}

/* ---- peaks ----------------------------------------------------------------------------------- */

dele_peak dele_peak_of(const dele_trace *trace, const dele_traced *fact, int chart)
{
    const dele_grid *g = &fact->grid;
    dele_peak peak = {-1, NAN, -1, -1, NAN};
    double high = g->high[DELE_PROB], low = dele_low_mean(g, DELE_PROB);
    for (int t = 0; t < g->n_tokens; t++)
        for (int col = 0; col < trace->charts[chart].n_cols; col++) {
            double score = dele_cell_mean(g, &trace->charts[chart], chart, DELE_PROB, t, col);
            double effect = dele_effect_of(trace, DELE_PROB, score, high, low);
            if (!isfinite(effect)) continue;
            if (t == g->end - 1 && !(effect <= peak.effect)) {
                peak.col = col;
                peak.effect = effect;
            }
            if (!(effect <= peak.any_effect)) {
                peak.any_token = t;
                peak.any_col = col;
                peak.any_effect = effect;
            }
        }
    return peak;
}

static void put_place(FILE *out, const dele_saving *to, int chart, int col)
{
    fputc('\t', out);
    if (col >= 0) dele_table_column(out, to->trace, &to->trace->charts[chart], col);
}

static void put_peak(FILE *out, const dele_saving *to, const dele_traced *fact, int chart,
                     const dele_peak *peak)
{
    fprintf(out, "%d\t%s", fact->fact->id, to->trace->charts[chart].name);
    put_place(out, to, chart, peak->col);
    dele_table_number(out, peak->effect);
    fputc('\t', out);
    if (peak->any_token >= 0) fprintf(out, "%d", peak->any_token);
    put_place(out, to, chart, peak->any_col);
    dele_table_number(out, peak->any_effect);
    fputc('\n', out);
}

static dele_status save_histogram(const dele_saving *to, int which, const int *facts, int n)
{
    const dele_chart *chart = &to->trace->charts[which];
    dele_writer out = {0};
    char *name = dele_printf(to->arena, to->err, "plots/peaks_%s.tsv", chart->name);
    if (!name || dele_table_open(&out, to, name)) return to->err->code;
    fprintf(out.stream,
            "# plot peaks.gp\n# title Layer of the largest indirect effect, last subject token, %d "
            "facts (%s)\n",
            n, chart->name);
    dele_picture_describe(out.stream, to->trace, NULL, chart, NULL);
    fputs("#layer\tfacts\tmean effect\n", out.stream);
    for (int l = 0; l < chart->n_cols; l++) {
        const dele_effect *e =
            dele_effect_at(to->stats, to->trace, which, DELE_PROB, DELE_LAST_SUBJECT, l);
        fprintf(out.stream, "%d\t%d", l, facts[l]);
        dele_picture_number(out.stream, e->effect);
        fputc('\n', out.stream);
    }
    return dele_writer_commit(&out, to->err);
}

dele_status dele_save_peaks(const dele_saving *to)
{
    const dele_trace *trace = to->trace;
    dele_writer out = {0};
    if (dele_table_open(&out, to, "peaks.tsv")) return to->err->code;
    fputs("# per fact: the layer with the largest effect on p at the last subject token; and the "
          "token (from 0) and layer "
          "with the largest of all\n"
          "id\tchart\tlayer\teffect\tany_token\tany_layer\tany_effect\n",
          out.stream);
    for (int which = 0; which < trace->n_charts; which++) {
        int C = trace->charts[which].n_cols, n = 0,
            *facts = DELE_NEW(to->arena, int, (size_t)C, to->err);
        for (size_t i = 0; i < trace->n && facts; i++) {
            if (trace->facts[i].left_out) continue;
            dele_peak peak = dele_peak_of(trace, &trace->facts[i], which);
            put_peak(out.stream, to, &trace->facts[i], which, &peak);
            if (peak.col >= 0) n++, facts[peak.col]++;
        }
        if (!facts ||
            (n && dele_over_layers(&trace->charts[which]) && save_histogram(to, which, facts, n))) {
            dele_writer_abandon(&out);
            return to->err->code;
        }
    }
    return dele_writer_commit(&out, to->err);
}
