/* Facts through the screen, and what comes out as tables.
 *
 *   screen.tsv            every fact, kind, token and layer, single layers: estimates of the effect on p and on log p
 *   screen_summary.tsv    means over facts by chart (kind and window), layer and group of tokens
 *   screen_agreement.tsv  a line a fact that was also traced exactly, chart and metric */
#include "trace/screening.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/stat.h"

static const char NOTE[] = "first-order estimate, not exact";
static const lac_metric METRICS[] = {LAC_PROB, LAC_LOGP};
enum { N_METRICS = sizeof METRICS / sizeof *METRICS };

lac_status lac_screening_check(const lac_trace_opts *o, lac_err *err)
{
    lac_corruption noise;
    for (const char *p = o->kinds; *p; p += *p == ',') {
        size_t n = strcspn(p, ",");
        bool known = false;
        for (int kind = 0; kind < LAC_N_SCREENED; kind++)
            known |= strlen(lac_kind_name[kind]) == n && !strncmp(p, lac_kind_name[kind], n);
        if (!known) return lac_fail(err, LAC_ERR_USAGE, "--screen knows hidden, mlp and attn, not \"%.*s\"", (int)n, p);
        p += n;
    }
    if (lac_noise_parse(&noise, o->noise, err)) return err->code;
    if (strcmp(o->corrupt, "noise") || strcmp(o->direction, "denoise") || o->replace || noise.law != LAC_LAW_GAUSS ||
        noise.student > 0)
        return lac_fail(err, LAC_ERR_USAGE, "--screen estimates what putting back does to a run with Gaussian noise "
                        "added: --corrupt noise, --direction denoise, --noise sF or a number, no --replace");
    if (*o->sever || o->until > 0 || o->reference || strcmp(o->tokens, "all") || strcmp(o->edges, "code"))
        return lac_fail(err, LAC_ERR_USAGE, "--screen goes without --sever, --until, --reference, --tokens and "
                        "--edges");
    return LAC_OK;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static const double *estimates(const lac_screen *s, lac_kind kind, lac_metric metric)
{
    return metric == LAC_PROB ? s->p[kind] : s->logp[kind];
}

static lac_status compare(lac_screen_check *out, const lac_screening *all, const lac_screen *s, const lac_grid *g,
                          lac_arena *scratch, lac_err *err)
{
    const lac_chart *chart = &all->plan.charts[out->chart];
    int T = s->n_tokens, L = s->n_layers;
    double *exact = LAC_NEW(scratch, double, (size_t)T * (size_t)L, err);
    double *estimate = LAC_NEW(scratch, double, (size_t)T * (size_t)L, err);
    if (!exact || !estimate) return err->code;
    double low = lac_low_mean(g, out->metric);
    for (int t = 0; t < T; t++)
        for (int l = 0; l < L; l++) exact[t * L + l] = lac_cell_mean(g, chart, out->chart, out->metric, t, l) - low;
    lac_screen_window(estimate, estimates(s, chart->kind, out->metric), T, L, chart->window);
    return lac_screen_agreement(&out->agreement, s, estimate, exact, chart->window, err);
}

static lac_status check_fact(lac_screening *all, const lac_traced *fact, const lac_screen *s, lac_run *run,
                             const lac_model *model, lac_err *err)
{
    lac_arena scratch = {0};
    lac_grid g = {.ids = s->ids, .n_tokens = s->n_tokens, .begin = s->begin, .end = s->end, .answer = &s->answer,
                  .n_answer = 1, .foil = -1, .seed = fact->grid.seed};
    lac_status status = lac_trace_grid(&g, &all->plan, run, model, &scratch, err);
    for (int i = 0; i < all->plan.n_charts * N_METRICS && !status; i++) {
        lac_screen_check *check = &all->checks[all->n_checks++];
        *check = (lac_screen_check){.fact = fact, .chart = i / N_METRICS, .metric = METRICS[i % N_METRICS]};
        status = compare(check, all, s, &g, &scratch, err);
    }
    all->n_checked++;
    lac_arena_release(&scratch);
    return status;
}

static lac_status screen_all(lac_screening *all, const lac_model *model, int check, lac_run *run,
                             lac_progress *progress, lac_arena *arena, lac_err *err)
{
    const lac_trace *trace = all->trace;
    lac_screen_opts opts = {.samples = trace->opts.samples, .sigma = trace->sigma, .memory = trace->opts.memory};
    double done = 0;
    for (size_t i = 0; i < trace->n; i++) {
        const lac_grid *g = &trace->facts[i].grid;
        if (trace->facts[i].left_out) continue;
        lac_screen *s = &all->screens[i];
        *s = (lac_screen){.ids = g->ids, .n_tokens = g->n_tokens, .begin = g->begin, .end = g->end,
                          .answer = g->answer[0]};
        opts.seed = g->seed;
        if (lac_screen_run(s, run, model, &opts, arena, err)) return err->code;
        if (all->n_checked < (size_t)check && check_fact(all, &trace->facts[i], s, run, model, err)) return err->code;
        lac_progress_set(progress, ++done, NULL);
    }
    return LAC_OK;
}

lac_status lac_screening_run(lac_screening *screening, const lac_trace *trace, const lac_model *model, int check,
                             lac_progress *progress, lac_arena *arena, lac_err *err)
{
    *screening = (lac_screening){.trace = trace, .screens = LAC_NEW(arena, lac_screen, trace->n, err)};
    if (!screening->screens || lac_screening_check(&trace->opts, err) ||
        lac_plan_make(&screening->plan, &trace->opts, &model->config, arena, err))
        return err->code;
    screening->plan.corruption.sigma = trace->sigma;
    size_t most = (size_t)check < trace->n ? (size_t)check : trace->n;
    screening->checks = LAC_NEW(arena, lac_screen_check, most * (size_t)screening->plan.n_charts * N_METRICS + 1, err);
    if (!screening->checks) return err->code;
    lac_run run = {0};
    lac_status status = screen_all(screening, model, check, &run, progress, arena, err);
    lac_run_release(&run);
    return status;
}

/* ---- saving ------------------------------------------------------------------------------------------------------ */

static lac_status open_table(lac_writer *out, const char *dir, const char *name, lac_err *err)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return lac_writer_open(out, path, err);
}

static void put_text(FILE *to, const char *text)
{
    for (; *text; text++) fputc((unsigned char)*text < ' ' ? ' ' : *text, to);
}

static bool wanted(const lac_screening *all, lac_kind kind)
{
    for (int i = 0; i < all->plan.n_charts; i++)
        if (all->plan.charts[i].kind == kind) return true;
    return false;
}

static lac_status save_cells(const lac_screening *all, const char *dir, lac_err *err)
{
    lac_writer out = {0};
    if (open_table(&out, dir, "screen.tsv", err)) return err->code;
    fprintf(out.stream, "# %s, of what putting back one layer's state at one token does; a window's is the sum over "
                        "its layers\nfact\tkind\ttoken\ttext\tlayer\testimate_p\testimate_logp\n", NOTE);
    for (size_t i = 0; i < all->trace->n; i++) {
        const lac_screen *s = &all->screens[i];
        for (int kind = 0; kind < LAC_N_SCREENED && s->n_layers; kind++)
            for (int cell = 0; cell < s->n_tokens * s->n_layers && wanted(all, (lac_kind)kind); cell++) {
                int t = cell / s->n_layers, l = cell % s->n_layers;
                fprintf(out.stream, "%d\t%s\t%d\t", all->trace->facts[i].fact->id, lac_kind_name[kind], t);
                put_text(out.stream, all->trace->facts[i].tokens[t]);
                fprintf(out.stream, "\t%d\t%.6g\t%.6g\n", l, s->p[kind][cell], s->logp[kind][cell]);
            }
    }
    return lac_writer_commit(&out, err);
}

/* Each fact's mean over a category's tokens, of the facts that have such: value [their number]. */
static size_t category_values(double *value, const lac_screening *all, const lac_chart *chart, lac_metric metric,
                              lac_category category, int l)
{
    size_t n = 0;
    for (size_t i = 0; i < all->trace->n; i++) {
        const lac_screen *s = &all->screens[i];
        int from, to, first, past;
        if (!s->n_layers) continue;
        lac_category_range(&from, &to, category, s->n_tokens, s->begin, s->end);
        if (to <= from) continue;
        lac_window(&first, &past, l, chart->window, s->n_layers, false);
        double sum = 0;
        for (int t = from; t < to; t++)
            for (int k = first; k < past; k++) sum += estimates(s, chart->kind, metric)[t * s->n_layers + k];
        value[n++] = sum / (to - from);
    }
    return n;
}

static lac_status save_summary(const lac_screening *all, const char *dir, lac_arena *scratch, lac_err *err)
{
    lac_writer out = {0};
    double *value = LAC_NEW(scratch, double, all->trace->n, err);
    if (!value || open_table(&out, dir, "screen_summary.tsv", err)) return err->code;
    fprintf(out.stream, "# %s: means over facts; se over facts\n"
                        "chart\tmetric\tlayer\ttokens\tfacts\testimate\tse\n", NOTE);
    for (int i = 0; i < all->plan.n_charts; i++)
        for (int m = 0; m < N_METRICS; m++)
            for (int l = 0; l < all->trace->n_layers; l++)
                for (int c = 0; c < LAC_N_CATEGORIES; c++) {
                    const lac_chart *chart = &all->plan.charts[i];
                    size_t n = category_values(value, all, chart, METRICS[m], (lac_category)c, l);
                    lac_stat stat = lac_stat_of(value, n);
                    fprintf(out.stream, "%s\t%s\t%d\t%s\t%zu\t", chart->name, lac_metric_name[METRICS[m]], l,
                            lac_category_name[c], stat.n);
                    if (stat.n) fprintf(out.stream, "%.6g", stat.mean);
                    fputc('\t', out.stream);
                    if (stat.n > 1) fprintf(out.stream, "%.6g", stat.se);
                    fputc('\n', out.stream);
                }
    return lac_writer_commit(&out, err);
}

static lac_status save_agreement(const lac_screening *all, const char *dir, lac_err *err)
{
    lac_writer out = {0};
    if (!all->n_checks) return LAC_OK;
    if (open_table(&out, dir, "screen_agreement.tsv", err)) return err->code;
    fprintf(out.stream, "# %s, against exact cells; top: share of the top 5 %% exact effects among the top 5 %% "
                        "estimates; scale: least squares exact = scale estimate\n"
                        "fact\tchart\tmetric\tcells\tpearson\tspearman\ttop\tscale\n", NOTE);
    for (size_t i = 0; i < all->n_checks; i++) {
        const lac_screen_check *check = &all->checks[i];
        const lac_agreement *a = &check->agreement;
        const double value[] = {a->pearson, a->spearman, a->overlap, a->scale};
        fprintf(out.stream, "%d\t%s\t%s\t%zu", check->fact->fact->id, all->plan.charts[check->chart].name,
                lac_metric_name[check->metric], a->n);
        for (size_t k = 0; k < sizeof value / sizeof *value; k++)
            if (isfinite(value[k])) fprintf(out.stream, "\t%.4f", value[k]);
            else fputc('\t', out.stream);
        fputc('\n', out.stream);
    }
    return lac_writer_commit(&out, err);
}

lac_status lac_screening_save(const lac_screening *screening, const char *dir, lac_err *err)
{
    lac_arena scratch = {0};
    bool failed = save_cells(screening, dir, err) || save_summary(screening, dir, &scratch, err) ||
                  save_agreement(screening, dir, err);
    lac_arena_release(&scratch);
    return failed ? err->code : LAC_OK;
}

/* ---- for the terminal -------------------------------------------------------------------------------------------- */

/* The group of tokens and the layer whose mean estimate is largest. */
static void peak(double *most, int *category, int *layer, const lac_screening *all, int chart, double *value)
{
    *most = -INFINITY;
    for (int c = 0; c < LAC_N_CATEGORIES; c++)
        for (int l = 0; l < all->trace->n_layers; l++) {
            size_t n = category_values(value, all, &all->plan.charts[chart], LAC_LOGP, (lac_category)c, l);
            double mean = lac_stat_of(value, n).mean;
            if (n && mean > *most) *most = mean, *category = c, *layer = l;
        }
}

static void report_agreement(FILE *to, const lac_screening *all, int chart, lac_metric metric)
{
    double pearson = 0, spearman = 0, overlap = 0;
    int n = 0;
    for (size_t i = 0; i < all->n_checks; i++) {
        const lac_screen_check *check = &all->checks[i];
        if (check->chart != chart || check->metric != metric || !isfinite(check->agreement.pearson)) continue;
        pearson += check->agreement.pearson;
        spearman += check->agreement.spearman;
        overlap += check->agreement.overlap;
        n++;
    }
    if (n)
        fprintf(to, "  %-10s %-5s against exact cells of %d facts: Pearson %.2f, Spearman %.2f, top 5 %% in common "
                "%.0f %%\n", all->plan.charts[chart].name, lac_metric_name[metric], n, pearson / n, spearman / n,
                100 * overlap / n);
}

void lac_screening_report(FILE *to, const lac_screening *screening)
{
    const lac_trace *trace = screening->trace;
    fprintf(to, "screened %zu of %zu facts (%s)\n", trace->n_traced, trace->n, NOTE);
    lac_arena scratch = {0};
    double *value = trace->n_traced ? LAC_NEW(&scratch, double, trace->n, NULL) : NULL;
    for (int i = 0; value && i < screening->plan.n_charts; i++) {
        int category = 0, layer = 0;
        double most;
        peak(&most, &category, &layer, screening, i, value);
        fprintf(to, "  %-10s largest mean estimate: %+.3g on log p, layer %d, %s\n", screening->plan.charts[i].name,
                most, layer, lac_category_name[category]);
    }
    for (int i = 0; i < screening->plan.n_charts; i++)
        for (int m = 0; m < N_METRICS; m++) report_agreement(to, screening, i, METRICS[m]);
    lac_arena_release(&scratch);
}
