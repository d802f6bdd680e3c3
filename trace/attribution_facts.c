/* Facts through attribution patching, and what comes out as tables.
 *
 *   attribution.tsv            every fact, kind, token and layer, single layers: estimates of the
 *                              effect on p and on log p
 *   attribution_summary.tsv    means over facts by chart (kind and window), layer and group of
 *                              tokens
 *   attribution_agreement.tsv  a line a fact that was also traced exactly, chart and metric */
#include "trace/attribution_facts.h"

#include <math.h>
#include <string.h>

#include "base/file_out.h"
#include "base/stat.h"
#include "trace/run.h"

static const char NOTE[] = "first-order estimate, not exact";
static const dele_metric METRICS[] = {DELE_PROB, DELE_LOGP};
enum { N_METRICS = sizeof METRICS / sizeof *METRICS };

dele_status dele_attribution_facts_check(const dele_trace_opts *o, dele_err *err)
{
    dele_corruption noise;
    for (const char *p = o->kinds; *p; p += *p == ',') {
        size_t n = strcspn(p, ",");
        bool known = false;
        for (int kind = 0; kind < DELE_N_KINDS; kind++)
            known |= dele_kind_is_attributed((dele_kind)kind) &&
                     strlen(dele_kind_name[kind]) == n && !strncmp(p, dele_kind_name[kind], n);
        if (!known)
            return dele_fail(err, DELE_ERR_USAGE,
                             "--attribution covers hidden, mlp and attn, and of mixtures moe, "
                             "router and expert, not \"%.*s\"",
                             (int)n, p);
        p += n;
    }
    if (dele_noise_parse(&noise, o->noise, err)) return err->code;
    if (o->corrupt != DELE_CORRUPT_NOISE || o->direction != DELE_DENOISE || o->replace ||
        noise.distribution != DELE_NOISE_GAUSSIAN || noise.student > 0)
        return dele_fail(
            err, DELE_ERR_USAGE,
            "--attribution estimates denoising of a run with added Gaussian noise: --corrupt "
            "noise, --direction denoise, --noise sF or a number, no --replace");
    if (*o->sever || o->until > 0 || o->reference || o->tokens != DELE_TOKENS_ALL ||
        o->edges != DELE_EDGES_CODE)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--attribution excludes --sever, --until, --reference, --tokens and "
                         "--edges");
    return DELE_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

static const double *estimates(const dele_attribution *s, dele_kind kind, dele_metric metric)
{
    return metric == DELE_PROB ? s->p[kind] : s->logp[kind];
}

static dele_status compare(dele_attribution_check *out, const dele_attribution_facts *all,
                           const dele_attribution *s, const dele_grid *g, dele_arena *scratch,
                           dele_err *err)
{
    const dele_chart *chart = &all->plan.charts[out->chart];
    const int T = s->n_tokens, L = s->n_layers, C = chart->n_cols, units = C / L;
    double *exact = DELE_NEW(scratch, double, (size_t)T *(size_t)C, err);
    double *windowed = DELE_NEW(scratch, double, (size_t)T *(size_t)L, err);
    if (!exact || !windowed) return err->code;
    const double *estimate = estimates(s, chart->kind, out->metric);
    double low = dele_low_mean(g, out->metric);
    for (int t = 0; t < T; t++)
        for (int col = 0; col < C; col++)
            exact[t * C + col] = dele_cell_mean(g, chart, out->chart, out->metric, t, col) - low;
    if (units == 1) {
        dele_attribution_window(windowed, estimate, T, L, chart->window);
        estimate = windowed;
    }
    return dele_attribution_agreement(&out->agreement, s, estimate, exact, chart->window, units,
                                      dele_kind_is_of_experts(chart->kind) ? all->sparse : NULL,
                                      err);
}

static dele_status compare_with_patching(dele_attribution_facts *all, const dele_traced *fact,
                                         const dele_attribution *s, dele_run *run,
                                         const dele_model *model, dele_err *err)
{
    dele_arena scratch = {0};
    dele_grid g = {.ids = s->ids,
                   .n_tokens = s->n_tokens,
                   .begin = s->begin,
                   .end = s->end,
                   .answer = &s->answer,
                   .n_answer = 1,
                   .foil = -1,
                   .seed = fact->grid.seed};
    dele_status status = dele_trace_grid(&g, &all->plan, run, model, &scratch, err);
    for (int i = 0; i < all->plan.n_charts * N_METRICS && !status; i++) {
        dele_attribution_check *check = &all->checks[all->n_checks++];
        *check = (dele_attribution_check){
            .fact = fact, .chart = i / N_METRICS, .metric = METRICS[i % N_METRICS]};
        status = compare(check, all, s, &g, &scratch, err);
    }
    all->n_checked++;
    dele_arena_release(&scratch);
    return status;
}

/* Estimates for every traced fact, with the noise of its trace; the first `check` facts are traced
 * exactly too, so that the estimates can be compared. */
static dele_status attribute_facts(dele_attribution_facts *all, const dele_model *model, int check,
                                   dele_run *run, dele_progress *progress, dele_arena *arena,
                                   dele_err *err)
{
    const dele_trace *trace = all->trace;
    dele_attribution_opts opts = {
        .samples = trace->opts.samples, .sigma = trace->sigma, .memory = trace->opts.memory};
    for (int i = 0; i < all->plan.n_charts; i++)
        opts.experts |= dele_kind_is_of_experts(all->plan.charts[i].kind);
    double done = 0;
    for (size_t i = 0; i < trace->n; i++) {
        const dele_grid *g = &trace->facts[i].grid;
        if (trace->facts[i].left_out) continue;
        dele_attribution *s = &all->estimates[i];
        *s = (dele_attribution){.ids = g->ids,
                                .n_tokens = g->n_tokens,
                                .begin = g->begin,
                                .end = g->end,
                                .answer = g->answer[0]};
        opts.seed = g->seed;
        if (dele_attribution_run(s, run, model, &opts, arena, err)) return err->code;
        if (all->n_checked < (size_t)check &&
            compare_with_patching(all, &trace->facts[i], s, run, model, err))
            return err->code;
        dele_progress_set(progress, ++done, NULL);
    }
    return DELE_OK;
}

dele_status dele_attribution_facts_run(dele_attribution_facts *attribution, const dele_trace *trace,
                                       const dele_model *model, int check, dele_progress *progress,
                                       dele_arena *arena, dele_err *err)
{
    *attribution = (dele_attribution_facts){
        .trace = trace, .estimates = DELE_NEW(arena, dele_attribution, trace->n, err)};
    if (!attribution->estimates || dele_attribution_facts_check(&trace->opts, err) ||
        dele_plan_make(&attribution->plan, &trace->opts, &model->config, arena, err))
        return err->code;
    attribution->plan.corruption.sigma = trace->sigma;
    for (int l = 0; l < model->config.n_layers; l++)
        attribution->sparse[l] = dele_layer_is_sparse(&model->config, l);
    size_t most = (size_t)check < trace->n ? (size_t)check : trace->n;
    attribution->checks = DELE_NEW(arena, dele_attribution_check,
                                   most * (size_t)attribution->plan.n_charts * N_METRICS + 1, err);
    if (!attribution->checks) return err->code;
    dele_run run = {0};
    dele_status status = attribute_facts(attribution, model, check, &run, progress, arena, err);
    dele_run_release(&run);
    return status;
}

/* ---- saving ---------------------------------------------------------------------------------- */

static dele_status open_table(dele_writer *out, const char *dir, const char *name, dele_err *err)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return dele_writer_open(out, path, err);
}

static void put_text(FILE *to, const char *text)
{
    for (; *text; text++) fputc((unsigned char)*text < ' ' ? ' ' : *text, to);
}

/* The layer, or layer.expert, as in the tables of a trace. */
static void put_column(FILE *to, int col, int units)
{
    if (units > 1)
        fprintf(to, "%d.%d", col / units, col % units);
    else
        fprintf(to, "%d", col);
}

/* A chart of the kind; NULL: none asks for it. */
static const dele_chart *chart_of(const dele_attribution_facts *all, dele_kind kind)
{
    for (int i = 0; i < all->plan.n_charts; i++)
        if (all->plan.charts[i].kind == kind) return &all->plan.charts[i];
    return NULL;
}

/* The cells of a fact and a kind.  Of expert those of experts that some run chooses: all others are
 * 0. */
static void save_kind(FILE *to, const dele_attribution_facts *all, size_t i,
                      const dele_chart *chart)
{
    const dele_attribution *s = &all->estimates[i];
    const int units = dele_attribution_units(s, chart->kind), n_cols = s->n_layers * units;
    const double *p = s->p[chart->kind], *logp = s->logp[chart->kind];
    for (int cell = 0; cell < s->n_tokens * n_cols; cell++) {
        const int t = cell / n_cols, col = cell % n_cols;
        if (!dele_plan_has_cells(&all->plan, chart, col)) continue;
        if (units > 1 && p[cell] == 0 && logp[cell] == 0) continue;
        fprintf(to, "%d\t%s\t%d\t", all->trace->facts[i].fact->id, dele_kind_name[chart->kind], t);
        put_text(to, all->trace->facts[i].tokens[t]);
        fputc('\t', to);
        put_column(to, col, units);
        fprintf(to, "\t%.6g\t%.6g\n", p[cell], logp[cell]);
    }
}

/* attribution.tsv: a line for each fact, kind, token and layer, of kind expert each expert.  Kinds
 * that no chart asks for are left out. */
static dele_status save_cells(const dele_attribution_facts *all, const char *dir, dele_err *err)
{
    dele_writer out = {0};
    if (open_table(&out, dir, "attribution.tsv", err)) return err->code;
    fprintf(out.stream,
            "# %s, of what putting back one layer's state at one token does; a window's is the sum "
            "over "
            "its layers\nfact\tkind\ttoken\ttext\tlayer\testimate_p\testimate_logp\n",
            NOTE);
    for (size_t i = 0; i < all->trace->n; i++)
        for (int kind = 0; kind < DELE_N_KINDS && all->estimates[i].n_layers; kind++)
            if (chart_of(all, (dele_kind)kind))
                save_kind(out.stream, all, i, chart_of(all, (dele_kind)kind));
    return dele_writer_commit(&out, err);
}

/* Each fact's mean over a category's tokens, of the facts that have such: value [their number].
 * With units there are no windows. */
static size_t category_values(double *value, const dele_attribution_facts *all,
                              const dele_chart *chart, dele_metric metric, dele_category category,
                              int col)
{
    size_t n = 0;
    for (size_t i = 0; i < all->trace->n; i++) {
        const dele_attribution *s = &all->estimates[i];
        int from, to, first, past;
        if (!s->n_layers) continue;
        dele_category_range(&from, &to, category, s->n_tokens, s->begin, s->end);
        if (to <= from) continue;
        if (chart->n_cols > s->n_layers)
            first = col, past = col + 1;
        else
            dele_window(&first, &past, col, chart->window, s->n_layers, false);
        double sum = 0;
        for (int t = from; t < to; t++)
            for (int k = first; k < past; k++)
                sum += estimates(s, chart->kind, metric)[t * chart->n_cols + k];
        value[n++] = sum / (to - from);
    }
    return n;
}

/* attribution_summary.tsv: for each chart, metric, layer and group of tokens the mean over facts.
 * A mean of no fact, and a standard error of one, are empty. */
static dele_status save_summary(const dele_attribution_facts *all, const char *dir,
                                dele_arena *scratch, dele_err *err)
{
    dele_writer out = {0};
    double *value = DELE_NEW(scratch, double, all->trace->n, err);
    if (!value || open_table(&out, dir, "attribution_summary.tsv", err)) return err->code;
    fprintf(out.stream,
            "# %s: means over facts; se over facts\n"
            "chart\tmetric\tlayer\ttokens\tfacts\testimate\tse\n",
            NOTE);
    for (int i = 0; i < all->plan.n_charts; i++)
        for (int m = 0; m < N_METRICS; m++)
            for (int col = 0; col < all->plan.charts[i].n_cols; col++)
                for (int c = 0; c < DELE_N_CATEGORIES; c++) {
                    const dele_chart *chart = &all->plan.charts[i];
                    const int units = chart->n_cols / all->trace->n_layers;
                    if (!dele_plan_has_cells(&all->plan, chart, col)) continue;
                    size_t n =
                        category_values(value, all, chart, METRICS[m], (dele_category)c, col);
                    dele_stat stat = dele_stat_of(value, n);
                    fprintf(out.stream, "%s\t%s\t", chart->name, dele_metric_name[METRICS[m]]);
                    put_column(out.stream, col, units);
                    fprintf(out.stream, "\t%s\t%zu\t", dele_category_name[c], stat.n);
                    if (stat.n) fprintf(out.stream, "%.6g", stat.mean);
                    fputc('\t', out.stream);
                    if (stat.n > 1) fprintf(out.stream, "%.6g", stat.se);
                    fputc('\n', out.stream);
                }
    return dele_writer_commit(&out, err);
}

/* attribution_agreement.tsv: the estimates of the facts that were traced exactly too, against their
 * exact effects.  A number that is not defined is empty. */
static dele_status save_agreement(const dele_attribution_facts *all, const char *dir, dele_err *err)
{
    dele_writer out = {0};
    if (!all->n_checks) return DELE_OK;
    if (open_table(&out, dir, "attribution_agreement.tsv", err)) return err->code;
    fprintf(
        out.stream,
        "# %s, against exact cells; top: share of the top 5 %% exact effects among the top 5 %% "
        "estimates; scale: least squares exact = scale estimate\n"
        "fact\tchart\tmetric\tcells\tpearson\tspearman\ttop\tscale\n",
        NOTE);
    for (size_t i = 0; i < all->n_checks; i++) {
        const dele_attribution_check *check = &all->checks[i];
        const dele_agreement *a = &check->agreement;
        const double value[] = {a->pearson, a->spearman, a->overlap, a->scale};
        fprintf(out.stream, "%d\t%s\t%s\t%zu", check->fact->fact->id,
                all->plan.charts[check->chart].name, dele_metric_name[check->metric], a->n);
        for (size_t k = 0; k < sizeof value / sizeof *value; k++)
            if (isfinite(value[k]))
                fprintf(out.stream, "\t%.4f", value[k]);
            else
                fputc('\t', out.stream);
        fputc('\n', out.stream);
    }
    return dele_writer_commit(&out, err);
}

dele_status dele_attribution_facts_save(const dele_attribution_facts *attribution, const char *dir,
                                        dele_err *err)
{
    dele_arena scratch = {0};
    bool failed = save_cells(attribution, dir, err) ||
                  save_summary(attribution, dir, &scratch, err) ||
                  save_agreement(attribution, dir, err);
    dele_arena_release(&scratch);
    return failed ? err->code : DELE_OK;
}

/* ---- for the terminal ------------------------------------------------------------------------ */

/* The group of tokens and the column whose mean estimate is largest. */
static void peak(double *most, int *category, int *column, const dele_attribution_facts *all,
                 int chart, double *value)
{
    *most = -INFINITY;
    for (int c = 0; c < DELE_N_CATEGORIES; c++)
        for (int col = 0; col < all->plan.charts[chart].n_cols; col++) {
            if (!dele_plan_has_cells(&all->plan, &all->plan.charts[chart], col)) continue;
            size_t n = category_values(value, all, &all->plan.charts[chart], DELE_LOGP,
                                       (dele_category)c, col);
            double mean = dele_stat_of(value, n).mean;
            if (n && mean > *most) *most = mean, *category = c, *column = col;
        }
}

static void report_agreement(FILE *to, const dele_attribution_facts *all, int chart,
                             dele_metric metric)
{
    double pearson = 0, spearman = 0, overlap = 0;
    int n = 0;
    for (size_t i = 0; i < all->n_checks; i++) {
        const dele_attribution_check *check = &all->checks[i];
        if (check->chart != chart || check->metric != metric || !isfinite(check->agreement.pearson))
            continue;
        pearson += check->agreement.pearson;
        spearman += check->agreement.spearman;
        overlap += check->agreement.overlap;
        n++;
    }
    if (n)
        fprintf(to,
                "  %-10s %-5s against exact cells of %d facts: Pearson %.2f, Spearman %.2f, top 5 "
                "%% in common "
                "%.0f %%\n",
                all->plan.charts[chart].name, dele_metric_name[metric], n, pearson / n,
                spearman / n, 100 * overlap / n);
}

void dele_attribution_facts_report(FILE *to, const dele_attribution_facts *attribution)
{
    const dele_trace *trace = attribution->trace;
    fprintf(to, "attribution patching: %zu of %zu facts (%s)\n", trace->n_traced, trace->n, NOTE);
    dele_arena scratch = {0};
    double *value = trace->n_traced ? DELE_NEW(&scratch, double, trace->n, NULL) : NULL;
    for (int i = 0; value && i < attribution->plan.n_charts; i++) {
        const dele_chart *chart = &attribution->plan.charts[i];
        const int units = chart->n_cols / trace->n_layers;
        int category = 0, column = 0;
        double most;
        peak(&most, &category, &column, attribution, i, value);
        fprintf(to, "  %-10s largest mean estimate: %+.3g on log p, layer ", chart->name, most);
        put_column(to, column, units);
        fprintf(to, ", %s\n", dele_category_name[category]);
    }
    for (int i = 0; i < attribution->plan.n_charts; i++)
        for (int m = 0; m < N_METRICS; m++) report_agreement(to, attribution, i, METRICS[m]);
    dele_arena_release(&scratch);
}
