/* Tables with a line for each fact: the mean hides whether facts agree.
 *
 *   effects.tsv               effect of each fact on every metric, group of tokens and column
 *   peaks.tsv                 where each fact's effect on p is largest
 *   plots/peaks_<chart>.tsv   how many facts peak at each layer, beside the mean effect */
#include <math.h>
#include <stddef.h>

#include "trace/picture.h"
#include "trace/tables.h"

/* ---- effects.tsv ------------------------------------------------------------------------------------------------- */

enum { SHOWN = 5, WITH_ERROR = 3 }; /* the first of them with a standard error */
static const lac_metric shown[SHOWN] = {LAC_PROB, LAC_LOGIT_DIFF, LAC_KL, LAC_LOGP, LAC_RANK};

/* Few digits where few mean anything: the table has a line for each fact and layer. */
static void put_digits(FILE *out, int digits, double x)
{
    if (isfinite(x)) fprintf(out, "\t%.*g", digits, x);
    else fputc('\t', out);
}

/* A row's standard error over noise draws; NaN for fewer than two. */
static double noise_error(const lac_fact_rows *rows, const lac_draws *draws, size_t row, int n_samples, size_t col)
{
    size_t C = rows->cols, first = draws->first[rows->fact[row]];
    double mean = rows->effect[row * C + col] - rows->origin[row * C + col], squares = 0;
    for (size_t s = 0; s < (size_t)n_samples; s++) {
        double d = (double)rows->sample[(first + s) * C + col] - mean;
        squares += d * d;
    }
    return n_samples > 1 ? sqrt(squares / (n_samples - 1) / n_samples) : NAN;
}

/* A line's numbers: rows and at say where they stand, one of each for a metric; at is -1 where the fact lacks it. */
static void put_numbers(FILE *out, const lac_saving *to, const lac_traced *fact, const lac_fact_rows rows[SHOWN],
                        const ptrdiff_t at[SHOWN], size_t col, const lac_interval *noise)
{
    const lac_grid *g = &fact->grid;
    double effect[SHOWN];
    for (int m = 0; m < SHOWN; m++) effect[m] = at[m] < 0 ? NAN : rows[m].effect[(size_t)at[m] * rows[m].cols + col];
    for (int m = 0; m < WITH_ERROR; m++) {
        put_digits(out, m ? 5 : 6, effect[m]);
        put_digits(out, 3, at[m] < 0 ? NAN : noise_error(&rows[m], &to->stats->draws, (size_t)at[m], g->n_samples, col));
    }
    put_digits(out, 4, at[0] < 0 ? NAN : noise->low);
    put_digits(out, 4, at[0] < 0 ? NAN : noise->high);
    put_digits(out, 4, effect[0] / fabs(g->high[LAC_PROB] - lac_low_mean(g, LAC_PROB)));
    for (int m = WITH_ERROR; m < SHOWN; m++) put_digits(out, 5, effect[m]);
    fputc('\n', out);
}

static lac_status put_fact_effects(FILE *out, const lac_saving *to, int which, lac_category category,
                                   const lac_fact_rows rows[SHOWN], lac_arena *scratch)
{
    const lac_chart *chart = &to->trace->charts[which];
    size_t next[SHOWN] = {0};
    lac_interval *noise = LAC_NEW(scratch, lac_interval, (size_t)chart->n_cols, to->err);
    for (size_t i = 0; i < to->trace->n && noise; i++) {
        const lac_traced *fact = &to->trace->facts[i];
        ptrdiff_t at[SHOWN];
        bool any = false;
        for (int m = 0; m < SHOWN; m++) {
            at[m] = next[m] < rows[m].n && rows[m].fact[next[m]] == i ? (ptrdiff_t)next[m]++ : -1;
            any |= at[m] >= 0;
        }
        if (at[0] >= 0 && lac_fact_row_noise(noise, &rows[0], (size_t)at[0], fact->grid.n_samples, &to->stats->draws, to->err))
            return to->err->code;
        for (int col = 0; col < chart->n_cols && any; col++) {
            fprintf(out, "%d\t%s\t%s\t", fact->fact->id, chart->name, lac_category_name[category]);
            lac_table_column(out, to->trace, chart, col);
            fprintf(out, "\t%d", fact->grid.n_samples);
            put_numbers(out, to, fact, rows, at, (size_t)col, &noise[col]);
        }
    }
    return noise ? LAC_OK : to->err->code;
}

lac_status lac_save_fact_effects(const lac_saving *to)
{
    lac_writer out = {0};
    lac_arena scratch = {0};
    bool failed = false;
    if (lac_table_open(&out, to, "effects.tsv")) return to->err->code;
    fputs("# per fact: effect (positive where the patched thing matters), mean over noise draws, and its standard error "
          "over them; p_ci: 95 %, bootstrap over the fact's own draws; normalised: p / |high - low| of the fact\n"
          "id\tchart\ttokens\tlayer\tsamples\tp\tp_se\tlogit_diff\tlogit_diff_se\tkl\tkl_se\tp_ci_low\tp_ci_high\t"
          "normalised\tlogp\trank\n", out.stream);
    for (int i = 0; i < to->trace->n_charts && !failed; i++)
        for (int c = 0; c < LAC_N_CATEGORIES && !failed; c++) {
            lac_fact_rows rows[SHOWN];
            lac_arena_reset(&scratch);
            for (int m = 0; m < SHOWN && !failed; m++)
                failed = lac_fact_rows_category(&rows[m], to->trace, &to->stats->draws, i, shown[m], (lac_category)c,
                                                &scratch, to->err);
            if (!failed) failed = put_fact_effects(out.stream, to, i, (lac_category)c, rows, &scratch);
        }
    lac_arena_release(&scratch);
    if (!failed) return lac_writer_commit(&out, to->err);
    lac_writer_abandon(&out);
    return to->err->code;
}

/* ---- peaks ------------------------------------------------------------------------------------------------------- */

lac_peak lac_peak_of(const lac_trace *trace, const lac_traced *fact, int chart)
{
    const lac_grid *g = &fact->grid;
    lac_peak peak = {-1, NAN, -1, -1, NAN};
    double high = g->high[LAC_PROB], low = lac_low_mean(g, LAC_PROB);
    for (int t = 0; t < g->n_tokens; t++)
        for (int col = 0; col < trace->charts[chart].n_cols; col++) {
            double score = lac_cell_mean(g, &trace->charts[chart], chart, LAC_PROB, t, col);
            double effect = lac_effect_of(trace, LAC_PROB, score, high, low);
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

static void put_place(FILE *out, const lac_saving *to, int chart, int col)
{
    fputc('\t', out);
    if (col >= 0) lac_table_column(out, to->trace, &to->trace->charts[chart], col);
}

static void put_peak(FILE *out, const lac_saving *to, const lac_traced *fact, int chart, const lac_peak *peak)
{
    fprintf(out, "%d\t%s", fact->fact->id, to->trace->charts[chart].name);
    put_place(out, to, chart, peak->col);
    lac_table_number(out, peak->effect);
    fputc('\t', out);
    if (peak->any_token >= 0) fprintf(out, "%d", peak->any_token);
    put_place(out, to, chart, peak->any_col);
    lac_table_number(out, peak->any_effect);
    fputc('\n', out);
}

static lac_status save_histogram(const lac_saving *to, int which, const int *facts, int n)
{
    const lac_chart *chart = &to->trace->charts[which];
    lac_writer out = {0};
    char *name = lac_printf(to->arena, to->err, "plots/peaks_%s.tsv", chart->name);
    if (!name || lac_table_open(&out, to, name)) return to->err->code;
    fprintf(out.stream, "# plot peaks.gp\n# title %s: peaks of %d facts at the last subject token\n", chart->name, n);
    lac_picture_describe(out.stream, to->trace, chart, NULL);
    fputs("#layer\tfacts\tmean effect\n", out.stream);
    for (int l = 0; l < chart->n_cols; l++) {
        const lac_effect *e = lac_effect_at(to->stats, to->trace, which, LAC_PROB, LAC_LAST_SUBJECT, l);
        fprintf(out.stream, "%d\t%d", l, facts[l]);
        lac_picture_number(out.stream, e->effect);
        fputc('\n', out.stream);
    }
    return lac_writer_commit(&out, to->err);
}

lac_status lac_save_peaks(const lac_saving *to)
{
    const lac_trace *trace = to->trace;
    lac_writer out = {0};
    if (lac_table_open(&out, to, "peaks.tsv")) return to->err->code;
    fputs("# per fact: the layer with the largest effect on p at the last subject token; and the token (from 0) and layer "
          "with the largest of all\n"
          "id\tchart\tlayer\teffect\tany_token\tany_layer\tany_effect\n", out.stream);
    for (int which = 0; which < trace->n_charts; which++) {
        int C = trace->charts[which].n_cols, n = 0, *facts = LAC_NEW(to->arena, int, (size_t)C, to->err);
        for (size_t i = 0; i < trace->n && facts; i++) {
            if (trace->facts[i].left_out) continue;
            lac_peak peak = lac_peak_of(trace, &trace->facts[i], which);
            put_peak(out.stream, to, &trace->facts[i], which, &peak);
            if (peak.col >= 0) n++, facts[peak.col]++;
        }
        if (!facts || (n && lac_over_layers(&trace->charts[which]) && save_histogram(to, which, facts, n))) {
            lac_writer_abandon(&out);
            return to->err->code;
        }
    }
    return lac_writer_commit(&out, to->err);
}
