/* Maps before and after beside each other, on one scale: effects, each of its own trace, so that
 * white is no effect in both.  The mean by groups of tokens, and one fact's cells. */
#include "trace/report/compare.h"

#include <math.h>

#include "trace/report/picture.h"
#include "trace/report/table_parts.h"

enum { AVERAGE = -1 };

typedef struct {
    const dele_comparison *c;
    int pair; /* of the facts in both, or AVERAGE */
} maps;

static const dele_chart *chart_of(const maps *m, int chart)
{
    return &m->c->before.charts[m->c->charts[chart][0]];
}

static bool drawn(const maps *m, int chart)
{
    return !dele_kind_has_units(chart_of(m, chart)->kind);
} /* of which there are too many columns */

static const dele_traced *fact_of(const maps *m, int side)
{
    return side ? &m->c->after.facts[m->pair] : &m->c->before.facts[m->pair];
}

static int rows_of(const maps *m)
{
    return m->pair == AVERAGE ? DELE_N_CATEGORIES : fact_of(m, 0)->grid.n_tokens;
}

static double value_of(const maps *m, int chart, int side, int row, int col)
{
    const dele_comparison *c = m->c;
    if (m->pair != AVERAGE)
        return dele_cell_effect(side ? &c->after : &c->before, fact_of(m, side),
                                c->charts[chart][side], row, col);
    const dele_change *x = dele_change_at(c, chart, 0, (dele_category)row, col);
    return !x->n ? NAN : side ? x->after : x->before;
}

/* Of all charts, so that they can be compared with each other too. */
static void scale_of(double *min, double *max, const maps *m)
{
    *min = *max = 0;
    for (int i = 0; i < m->c->n_charts; i++)
        for (int k = 0, C = 2 * chart_of(m, i)->n_cols; drawn(m, i) && k < rows_of(m) * C; k++) {
            double x = value_of(m, i, k % 2, k / C, k % C / 2);
            if (x < *min) *min = x;
            if (x > *max) *max = x;
        }
}

static void put_label(FILE *to, const maps *m, int row)
{
    if (m->pair == AVERAGE) {
        fputs(dele_category_name[row], to);
        return;
    }
    const dele_grid *g = &fact_of(m, 0)->grid;
    fprintf(to, "%d ", row);
    dele_picture_text(to, fact_of(m, 0)->tokens[row]);
    if (row >= g->begin && row < g->end) fputc('*', to);
}

static void put_title(FILE *to, const maps *m)
{
    const dele_comparison *c = m->c;
    fputs("# title ", to);
    if (m->pair == AVERAGE)
        fprintf(to, "Causal tracing, mean over %zu facts", c->before.n);
    else
        dele_picture_text(to, fact_of(m, 0)->fact->prompt);
    double before = m->pair == AVERAGE ? c->clean.before : fact_of(m, 0)->grid.high[DELE_PROB];
    double after = m->pair == AVERAGE ? c->clean.after : fact_of(m, 1)->grid.high[DELE_PROB];
    fprintf(to, " (clean %.3f before, %.3f after)\n# ylabel %s\n# cblabel indirect effect on ",
            before, after, m->pair == AVERAGE ? "tokens" : "token (* subject)");
    dele_picture_answer(to, m->pair == AVERAGE ? "answer" : fact_of(m, 0)->answer);
    fputc('\n', to);
}

/* plots/compare_..._<chart>.tsv: one heatmap table with twice the columns, those of the trace
 * before and then those of the trace after, so that gnuplot draws both on one scale. */
static dele_status save_chart(const dele_saving *to, const maps *m, int chart)
{
    const dele_chart *own = chart_of(m, chart);
    double min, max;
    dele_writer out = {0};
    char *name = m->pair == AVERAGE
                     ? dele_printf(to->arena, to->err, "plots/compare_average_%s.tsv", own->name)
                     : dele_printf(to->arena, to->err, "plots/compare_%d_%s.tsv",
                                   fact_of(m, 0)->fact->id, own->name);
    if (!name || dele_table_open(&out, to, name)) return to->err->code;
    scale_of(&min, &max, m);
    fprintf(out.stream, "# plot heatmap.gp\n# pair %d\n", own->n_cols);
    put_title(out.stream, m);
    dele_picture_describe(out.stream, &m->c->before, &m->c->after, own,
                          m->pair == AVERAGE ? NULL : fact_of(m, 0));
    fprintf(out.stream, "# min %.9g\n# max %.9g\n#row\ttokens\tlayer, then layers after\teffect\n",
            min, max);
    for (int row = 0; row < rows_of(m); row++)
        for (int k = 0; k < 2 * own->n_cols; k++) {
            fprintf(out.stream, "%d\t", row);
            put_label(out.stream, m, row);
            fprintf(out.stream, "\t%d", k);
            dele_picture_number(out.stream,
                                value_of(m, chart, k / own->n_cols, row, k % own->n_cols));
            fputc('\n', out.stream);
        }
    return dele_writer_commit(&out, to->err);
}

dele_status dele_comparison_save_maps(const dele_comparison *c, size_t pair, const char *dir,
                                      dele_err *err)
{
    dele_arena scratch = {0};
    const dele_saving to = {&c->before, NULL, dir, &scratch, err};
    const maps both[] = {{c, AVERAGE}, {c, (int)pair}};
    bool failed = false;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < c->n_charts && !failed; i++)
            failed = drawn(&both[k], i) && save_chart(&to, &both[k], i);
    dele_arena_release(&scratch);
    return failed ? err->code : DELE_OK;
}
