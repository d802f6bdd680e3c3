#include "trace/report/compare.h"

#include <math.h>
#include <string.h>

#include "base/text_out.h"
#include "trace/report/fact_tables.h"
#include "trace/report/picture.h"
#include "trace/report/table_parts.h"

const dele_metric dele_compared_metric[DELE_N_COMPARED] = {DELE_PROB, DELE_LOGP};

/* ---- the same experiment --------------------------------------------------------------------- */

/* What the noise is drawn from: its distribution's first letter, as --noise spells it; "" is a
 * sigma given verbatim. */
static char distribution_of(const dele_trace *trace)
{
    const char *noise = trace->opts.noise;
    return noise && *noise && strchr("umt", *noise) ? *noise : 'g';
}

static const char *distribution_name(char distribution)
{
    switch (distribution) {
    case 'u':
        return "uniform noise";
    case 'm':
        return "noise of a text's covariance";
    case 't':
        return "Student's noise";
    default:
        return "Gaussian noise";
    }
}

static dele_status refuse(const char *option, const char *before, const char *after, dele_err *err)
{
    return dele_fail(
        err, DELE_ERR_DATA,
        "the traces are different experiments: %s before, %s after; trace both with the "
        "same %s",
        before, after, option);
}

/* A window of odd width covers the same layers with either kind of edges. */
static bool edges_matter(const dele_comparison *c)
{
    bool matter = false;
    for (int i = 0; i < c->n_charts; i++)
        matter |= c->before.charts[c->charts[i][0]].window % 2 == 0;
    return matter;
}

/* Two traces can be compared only if their effects mean the same; what differs is named by its
 * option. */
static dele_status same_experiment(const dele_comparison *c, dele_err *err)
{
    const dele_trace *a = &c->before, *b = &c->after;
    bool noise = a->opts.corrupt == DELE_CORRUPT_NOISE;
    if (a->opts.corrupt != b->opts.corrupt)
        return refuse("--corrupt", dele_corrupt_name[a->opts.corrupt],
                      dele_corrupt_name[b->opts.corrupt], err);
    if (a->noising != b->noising)
        return refuse("--direction", a->noising ? "noising" : "denoising",
                      b->noising ? "noising" : "denoising", err);
    if (a->paper_edges != b->paper_edges && edges_matter(c))
        return refuse("--edges", a->paper_edges ? "the paper's windows" : "the code's windows",
                      b->paper_edges ? "the paper's" : "the code's", err);
    if (noise && distribution_of(a) != distribution_of(b))
        return refuse("--noise", distribution_name(distribution_of(a)),
                      distribution_name(distribution_of(b)), err);
    if (noise && a->opts.replace != b->opts.replace)
        return refuse("--replace",
                      a->opts.replace ? "noise instead of the embeddings"
                                      : "noise added to the embeddings",
                      b->opts.replace ? "instead of them" : "added to them", err);
    return DELE_OK;
}

/* Noise that is measured on a model's own embeddings is a little stronger or weaker once these have
 * changed. */
static dele_status warn(dele_comparison *c, dele_arena *arena, dele_err *err)
{
    const dele_trace *a = &c->before, *b = &c->after;
    const char *x = a->opts.noise ? a->opts.noise : "", *y = b->opts.noise ? b->opts.noise : "";
    if (a->opts.corrupt != DELE_CORRUPT_NOISE) return DELE_OK;
    const char **next = c->warnings;
    if (a->sigma != b->sigma)
        *next++ = dele_printf(arena, err,
                              "the noise levels differ: sigma %.6g before, %.6g after (--noise, "
                              "--noise-sigma)",
                              a->sigma, b->sigma);
    else if (distribution_of(a) == 't' && strcmp(x, y))
        *next++ =
            dele_printf(arena, err, "the noise levels differ: --noise %s before, %s after", x, y);
    if (dele_shares_noise(&a->opts) != dele_shares_noise(&b->opts))
        *next++ = dele_printf(
            arena, err, "the noise was %s before, %s after (--noise-seed)",
            dele_shares_noise(&a->opts) ? "shared by all facts" : "drawn for each fact",
            dele_shares_noise(&b->opts) ? "shared by all facts" : "drawn for each fact");
    c->n_warnings = (int)(next - c->warnings);
    return err->code;
}

/* ---- what belongs together ------------------------------------------------------------------- */

/* Whether the chart has the same layers in both traces. */
static bool same_layers(const dele_trace *before, const dele_trace *after, const dele_chart *chart)
{
    for (int col = 0; col < chart->n_cols; col++)
        if (dele_column_is_absent(before, chart, col) != dele_column_is_absent(after, chart, col))
            return false;
    return true;
}

/* Pairs the charts of both traces by name.  Charts of one trace only are left out; charts of one
 * name that patch different things are an error. */
static dele_status match_charts(dele_comparison *c, dele_arena *arena, dele_err *err)
{
    c->charts = dele_alloc(arena, (size_t)c->before.n_charts, sizeof *c->charts, err);
    if (!c->charts) return err->code;
    for (int i = 0; i < c->before.n_charts; i++)
        for (int k = 0; k < c->after.n_charts; k++) {
            const dele_chart *a = &c->before.charts[i], *b = &c->after.charts[k];
            if (strcmp(a->name, b->name)) continue;
            if (a->kind != b->kind || a->sever != b->sever || a->window != b->window ||
                a->n_cols != b->n_cols || !same_layers(&c->before, &c->after, a))
                return dele_fail(
                    err, DELE_ERR_DATA,
                    "%s has %d columns and windows of %d before, %d and %d after; trace "
                    "both with the same options",
                    a->name, a->n_cols, a->window, b->n_cols, b->window);
            c->charts[c->n_charts][0] = i;
            c->charts[c->n_charts++][1] = k;
        }
    if (!c->n_charts)
        return dele_fail(err, DELE_ERR_DATA,
                         "the two traces have no patched activation in common (%s ..., %s ...); "
                         "trace both with the "
                         "same --kinds and --window",
                         c->before.charts[0].name, c->after.charts[0].name);
    return DELE_OK;
}

static bool same_ids(const int *a, int n_a, const int *b, int n_b)
{
    return n_a == n_b && !memcmp(a, b, (size_t)n_a * sizeof *a);
}

static const dele_traced *find_fact(const dele_trace *trace, int id)
{
    for (size_t i = 0; i < trace->n; i++)
        if (trace->facts[i].fact->id == id && !trace->facts[i].left_out) return &trace->facts[i];
    return NULL;
}

/* Leaves in both traces the facts that can be compared, in the same order. */
static dele_status match_facts(dele_comparison *c, dele_arena *arena, dele_err *err)
{
    size_t most = c->before.n ? c->before.n : 1, n = 0;
    dele_traced *before = DELE_NEW(arena, dele_traced, most, err),
                *after = DELE_NEW(arena, dele_traced, most, err);
    if (!before || !after) return err->code;
    for (size_t i = 0; i < c->before.n; i++) {
        const dele_traced *a = &c->before.facts[i],
                          *b = a->left_out ? NULL : find_fact(&c->after, a->fact->id);
        if (!b) continue;
        const dele_grid *g = &a->grid, *h = &b->grid;
        if (!same_ids(g->ids, g->n_tokens, h->ids, h->n_tokens) || g->begin != h->begin ||
            g->end != h->end)
            return dele_fail(err, DELE_ERR_DATA,
                             "fact %d has another prompt before than after; compare traces of the "
                             "same facts and tokenizer",
                             a->fact->id);
        if (!same_ids(g->answer, g->n_answer, h->answer, h->n_answer)) {
            c->n_other_answer++;
            continue;
        }
        before[n] = *a;
        after[n++] = *b;
    }
    if (!n)
        return dele_fail(
            err, DELE_ERR_DATA,
            "no fact was traced in both for the same answer (%zu before, %zu after, %zu "
            "with other answers); trace both models with --answer attribute",
            c->n_before, c->n_after, c->n_other_answer);
    c->before.facts = before;
    c->after.facts = after;
    c->before.n = c->after.n = c->before.n_traced = c->after.n_traced = n;
    return DELE_OK;
}

/* ---- changes --------------------------------------------------------------------------------- */

/* The rows of both as [n, C + 1], the last column their mean over columns; the difference of the
 * facts in both. */
static dele_status pair_rows(dele_fact_rows *minus, double *before, double *after,
                             const dele_fact_rows *a, const dele_fact_rows *b, dele_arena *arena,
                             dele_err *err)
{
    size_t C = a->cols;
    double n_columns = 0;
    for (size_t col = 0; col < C && a->n; col++) n_columns += !isnan(a->effect[col]);
    *minus = (dele_fact_rows){.cols = C + 1,
                              .fact = DELE_NEW(arena, size_t, a->n + 1, err),
                              .effect = DELE_NEW(arena, double, (a->n + 1) * (C + 1), err)};
    if (!minus->fact || !minus->effect) return err->code;
    for (size_t i = 0, k = 0; i < a->n; i++) {
        while (k < b->n && b->fact[k] < a->fact[i]) k++;
        if (k == b->n || b->fact[k] != a->fact[i]) continue;
        double *out = minus->effect + minus->n * (C + 1), mean[2] = {0, 0};
        for (size_t col = 0; col <= C; col++) {
            double x = col < C ? a->effect[i * C + col] : mean[0],
                   y = col < C ? b->effect[k * C + col] : mean[1];
            before[col] += x;
            after[col] += y;
            out[col] = y - x;
            if (isnan(x)) continue; /* no fact has the column */
            mean[0] += x / n_columns;
            mean[1] += y / n_columns;
        }
        minus->fact[minus->n++] = a->fact[i];
    }
    return DELE_OK;
}

/* The changes of one chart, metric and group of tokens, for each column and for the mean over
 * columns (the last one).  before and after are means over the same facts, those in both traces. */
static dele_status change(dele_change *out, const dele_comparison *c, const dele_draws draws[2],
                          int chart, dele_metric metric, dele_category category,
                          dele_arena *scratch, dele_err *err)
{
    static const dele_draws no_noise = {
        0}; /* before and after may have different samples: only facts are drawn */
    const int *which = c->charts[chart];
    size_t C = (size_t)c->before.charts[which[0]].n_cols + 1;
    dele_fact_rows a, b, minus;
    double *before = DELE_NEW(scratch, double, C, err), *after = DELE_NEW(scratch, double, C, err);
    dele_row_stat *stat = DELE_NEW(scratch, dele_row_stat, C, err);
    if (!before || !after || !stat ||
        dele_fact_rows_category(&a, &c->before, &draws[0], which[0], metric, category, scratch,
                                err) ||
        dele_fact_rows_category(&b, &c->after, &draws[1], which[1], metric, category, scratch,
                                err) ||
        pair_rows(&minus, before, after, &a, &b, scratch, err) ||
        dele_fact_rows_stats(stat, &minus, &no_noise, err))
        return err->code;
    for (size_t col = 0; col < C; col++) {
        double n = (double)minus.n;
        out[col] = (dele_change){.n = minus.n,
                                 .before = before[col] / n,
                                 .after = after[col] / n,
                                 .difference = stat[col].mean,
                                 .se = stat[col].se,
                                 .ci = stat[col].facts};
    }
    return DELE_OK;
}

static dele_status changes(dele_comparison *c, dele_arena *arena, dele_arena *scratch,
                           dele_err *err)
{
    dele_draws draws[2];
    if (dele_draws_make(&draws[0], &c->before, arena, err) ||
        dele_draws_make(&draws[1], &c->after, arena, err))
        return err->code;
    for (int i = 0; i < c->n_charts; i++) {
        size_t C = (size_t)c->before.charts[c->charts[i][0]].n_cols + 1;
        c->changes[i] = DELE_NEW(arena, dele_change, DELE_N_COMPARED * DELE_N_CATEGORIES * C, err);
        if (!c->changes[i]) return err->code;
        for (int k = 0; k < DELE_N_COMPARED * DELE_N_CATEGORIES; k++) {
            dele_arena_reset(scratch);
            if (change(c->changes[i] + (size_t)k * C, c, draws, i,
                       dele_compared_metric[k / DELE_N_CATEGORIES],
                       (dele_category)(k % DELE_N_CATEGORIES), scratch, err))
                return err->code;
        }
    }
    return DELE_OK;
}

/* p(answer) of the runs that nothing was patched in. */
static dele_status base_runs(dele_comparison *c, dele_arena *scratch, dele_err *err)
{
    static const dele_draws no_noise = {0};
    size_t n = c->before.n;
    dele_fact_rows rows = {.n = n, .cols = 2, .effect = DELE_NEW(scratch, double, 2 * n, err)};
    dele_row_stat stat[2];
    if (!rows.effect) return err->code;
    double mean[2][2] = {{0}};
    for (size_t i = 0; i < n; i++) {
        const dele_grid *a = &c->before.facts[i].grid, *b = &c->after.facts[i].grid;
        const double p[2][2] = {{a->high[DELE_PROB], b->high[DELE_PROB]},
                                {dele_low_mean(a, DELE_PROB), dele_low_mean(b, DELE_PROB)}};
        for (int k = 0; k < 2; k++) {
            rows.effect[2 * i + (size_t)k] = p[k][1] - p[k][0];
            for (int side = 0; side < 2; side++) mean[k][side] += p[k][side] / (double)n;
        }
    }
    if (dele_fact_rows_stats(stat, &rows, &no_noise, err)) return err->code;
    dele_change *out[2] = {&c->clean, &c->corrupted};
    for (int k = 0; k < 2; k++)
        *out[k] = (dele_change){.n = n,
                                .before = mean[k][0],
                                .after = mean[k][1],
                                .difference = stat[k].mean,
                                .se = stat[k].se,
                                .ci = stat[k].facts};
    return DELE_OK;
}

dele_status dele_trace_compare(dele_comparison *c, const dele_trace *before,
                               const dele_trace *after, dele_arena *arena, dele_err *err)
{
    *c = (dele_comparison){.before = *before,
                           .after = *after,
                           .n_before = before->n_traced,
                           .n_after = after->n_traced};
    if (match_charts(c, arena, err) || same_experiment(c, err) || warn(c, arena, err) ||
        match_facts(c, arena, err))
        return err->code;
    c->changes = DELE_NEW(arena, dele_change *, (size_t)c->n_charts, err);
    if (!c->changes) return err->code;
    dele_arena scratch = {0};
    dele_status status = base_runs(c, &scratch, err);
    if (!status) status = changes(c, arena, &scratch, err);
    dele_arena_release(&scratch);
    return status;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void put_change(FILE *out, const dele_change *x)
{
    fprintf(out, "\t%zu", x->n);
    const double value[] = {x->before, x->after, x->difference, x->se, x->ci.low, x->ci.high};
    for (size_t k = 0; k < sizeof value / sizeof *value; k++) dele_table_number(out, value[k]);
    fputc('\n', out);
}

/* compare.tsv: a line for each chart, metric, group of tokens and column, and one with layer "all"
 * for each fact's mean over columns. */
static dele_status save_changes(const dele_saving *to, const dele_comparison *c)
{
    dele_writer out = {0};
    if (dele_table_open(&out, to, "compare.tsv")) return to->err->code;
    fputs("# mean effects before and after over the facts in both that have such tokens; "
          "difference: after - before, "
          "paired; ci: 95 %, bootstrap over facts, none of fewer than five; layer all: each fact's "
          "mean over layers\n"
          "chart\tmetric\ttokens\tlayer\tfacts\tbefore\tafter\tdifference\tse\tci_low\tci_high\n",
          out.stream);
    for (int i = 0; i < c->n_charts; i++)
        for (int m = 0; m < DELE_N_COMPARED; m++)
            for (int g = 0; g < DELE_N_CATEGORIES; g++) {
                const dele_chart *chart = &c->before.charts[c->charts[i][0]];
                for (int col = 0; col <= chart->n_cols; col++) {
                    fprintf(out.stream, "%s\t%s\t%s\t", chart->name,
                            dele_metric_name[dele_compared_metric[m]], dele_category_name[g]);
                    if (col < chart->n_cols)
                        dele_table_column(out.stream, to->trace, chart, col);
                    else
                        fputs("all", out.stream);
                    put_change(out.stream, dele_change_at(c, i, m, (dele_category)g, col));
                }
            }
    return dele_writer_commit(&out, to->err);
}

static void put_peak_cells(FILE *out, const dele_saving *to, const dele_chart *chart,
                           const dele_peak *peak)
{
    fputc('\t', out);
    if (peak->col >= 0) dele_table_column(out, to->trace, chart, peak->col);
    dele_table_number(out, peak->effect);
}

/* compare_facts.tsv: for each pair and chart p(answer) before and after, and the layers with the
 * largest effect. */
static dele_status save_facts(const dele_saving *to, const dele_comparison *c)
{
    dele_writer out = {0};
    if (dele_table_open(&out, to, "compare_facts.tsv")) return to->err->code;
    fputs("# per fact: p(answer) clean and corrupted; the layer with the largest effect on p at "
          "the last subject token\n"
          "id\tchart\tclean_before\tclean_after\tcorrupted_before\tcorrupted_after\tlayer_"
          "before\teffect_before\t"
          "layer_after\teffect_after\n",
          out.stream);
    for (size_t i = 0; i < c->before.n; i++)
        for (int k = 0; k < c->n_charts; k++) {
            const dele_traced *a = &c->before.facts[i], *b = &c->after.facts[i];
            const dele_chart *chart = &c->before.charts[c->charts[k][0]];
            dele_peak before = dele_peak_of(&c->before, a, c->charts[k][0]);
            dele_peak after = dele_peak_of(&c->after, b, c->charts[k][1]);
            fprintf(out.stream, "%d\t%s", a->fact->id, chart->name);
            dele_table_number(out.stream, a->grid.high[DELE_PROB]);
            dele_table_number(out.stream, b->grid.high[DELE_PROB]);
            dele_table_number(out.stream, dele_low_mean(&a->grid, DELE_PROB));
            dele_table_number(out.stream, dele_low_mean(&b->grid, DELE_PROB));
            put_peak_cells(out.stream, to, chart, &before);
            put_peak_cells(out.stream, to, chart, &after);
            fputc('\n', out.stream);
        }
    return dele_writer_commit(&out, to->err);
}

/* The effect at the last subject token before and after, as two lines; their intervals are those of
 * each mean alone. */
static dele_status save_lines(const dele_saving *to, const dele_comparison *c, int i,
                              const dele_draws draws[2])
{
    const dele_chart *chart = &c->before.charts[c->charts[i][0]];
    const dele_trace *trace[2] = {&c->before, &c->after};
    dele_writer out = {0};
    dele_row_stat *stat = DELE_NEW(to->arena, dele_row_stat, (size_t)chart->n_cols, to->err);
    char *name = dele_printf(to->arena, to->err, "plots/compare_%s.tsv", chart->name);
    if (!stat || !name || dele_table_open(&out, to, name)) return to->err->code;
    fprintf(out.stream,
            "# plot layers.gp\n# title Causal tracing of %s before and after, last subject token\n",
            chart->name);
    dele_picture_describe(out.stream, trace[0], trace[1], chart, NULL);
    for (int k = 0; k < 2; k++) {
        dele_fact_rows rows;
        if (dele_fact_rows_category(&rows, trace[k], &draws[k], c->charts[i][k], DELE_PROB,
                                    DELE_LAST_SUBJECT, to->arena, to->err) ||
            dele_fact_rows_stats(stat, &rows, &draws[k], to->err)) {
            dele_writer_abandon(&out);
            return to->err->code;
        }
        fputs(k ? "\n\nafter\n" : "before\n", out.stream);
        dele_picture_layers(out.stream, stat, chart->n_cols);
    }
    return dele_writer_commit(&out, to->err);
}

dele_status dele_comparison_save(const dele_comparison *c, const char *dir, dele_err *err)
{
    dele_arena scratch = {0};
    const dele_saving to = {&c->before, NULL, dir, &scratch, err};
    dele_draws draws[2];
    bool failed = save_changes(&to, c) || save_facts(&to, c) ||
                  dele_draws_make(&draws[0], &c->before, &scratch, err) ||
                  dele_draws_make(&draws[1], &c->after, &scratch, err);
    for (int i = 0; i < c->n_charts && !failed; i++)
        if (dele_over_layers(&c->before.charts[c->charts[i][0]]) &&
            dele_change_at(c, i, 0, DELE_LAST_SUBJECT, 0)->n)
            failed = save_lines(&to, c, i, draws);
    dele_arena_release(&scratch);
    return failed ? err->code : DELE_OK;
}

/* ---- for reading ----------------------------------------------------------------------------- */

static void print_change(FILE *to, const char *what, const char *of, const dele_change *x)
{
    if (!x->n || !isfinite(x->before)) return;
    fprintf(to, "%-18s %-15s %5zu  %7.4f  %7.4f  %+8.4f  ", what, of, x->n, x->before, x->after,
            x->difference);
    if (dele_interval_known(x->ci))
        fprintf(to, "[%+.4f, %+.4f]\n", x->ci.low, x->ci.high);
    else
        fprintf(to, "no interval: fewer than %d facts\n", DELE_LEAST_ITEMS);
}

static void print_changes(FILE *to, const dele_comparison *c)
{
    fputs("\n                                   facts   before    after   after - before, 95 %\n",
          to);
    print_change(to, "p(answer)", "clean", &c->clean);
    print_change(to, "p(answer)", "corrupted", &c->corrupted);
    fputs("mean effect on p, over layers\n", to);
    for (int i = 0; i < c->n_charts; i++)
        for (int g = 0; g < DELE_N_CATEGORIES; g++) {
            const dele_chart *chart = &c->before.charts[c->charts[i][0]];
            print_change(to, chart->name, dele_category_name[g],
                         dele_change_at(c, i, 0, (dele_category)g, chart->n_cols));
        }
}

static void print_peak(FILE *to, const dele_trace *trace, const dele_traced *fact, int chart)
{
    dele_peak peak = dele_peak_of(trace, fact, chart);
    if (peak.col < 0)
        fputc('-', to);
    else
        dele_table_column(to, trace, &trace->charts[chart], peak.col);
}

/* The first facts for the terminal; compare_facts.tsv has all of them. */
static void print_facts(FILE *to, const dele_comparison *c)
{
    enum { MOST = 20 };
    fputs("\nfact      p clean          p corrupted      peak layer at the last subject token\n",
          to);
    for (size_t i = 0; i < c->before.n && i < MOST; i++) {
        const dele_traced *a = &c->before.facts[i], *b = &c->after.facts[i];
        fprintf(to, "%-8d  %.3f -> %.3f", a->fact->id, a->grid.high[DELE_PROB],
                b->grid.high[DELE_PROB]);
        if (isfinite(dele_low_mean(&a->grid, DELE_PROB)))
            fprintf(to, "   %.3f -> %.3f ", dele_low_mean(&a->grid, DELE_PROB),
                    dele_low_mean(&b->grid, DELE_PROB));
        for (int k = 0; k < c->n_charts; k++) {
            fprintf(to, "  %s ", c->before.charts[c->charts[k][0]].name);
            print_peak(to, &c->before, a, c->charts[k][0]);
            fputs(" -> ", to);
            print_peak(to, &c->after, b, c->charts[k][1]);
        }
        fputc('\n', to);
    }
    if (c->before.n > MOST)
        fprintf(to, "%zu more: compare_facts.tsv of --out has them all\n", c->before.n - MOST);
}

void dele_comparison_print(FILE *to, const dele_comparison *c)
{
    fprintf(to, "%zu facts in both (%zu before, %zu after", c->before.n, c->n_before, c->n_after);
    if (c->n_other_answer)
        fprintf(to, "; %zu left out, traced for other answers", c->n_other_answer);
    fputs(")\n", to);
    for (int i = 0; i < c->n_warnings; i++) dele_text_line(to, "warning: %s", c->warnings[i]);
    print_changes(to, c);
    print_facts(to, c);
}
