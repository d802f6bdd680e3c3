/* Did tracing know it?  The traced effect of windows of layers, ranked against what training them gave. */
#include "experiments/study_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const cJSON *field(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}
static const char *text_field(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(field(object, name));
}

int study_layers(bool *chosen, int n_layers, const char *text)
{
    int n = 0;
    bool all = !strcmp(text, "all");
    for (int l = 0; l < n_layers; l++) chosen[l] = all;
    if (all) return n_layers;
    while (*text) {
        char *end;
        long from = strtol(text, &end, 10), to = from;
        if (end == text || from < 0) return 0;
        if (*end == '-') {
            text = end + 1;
            to = strtol(text, &end, 10);
            if (end == text) return 0;
        }
        if (to < from || to >= n_layers || (*end && *end != ',')) return 0;
        for (long l = from; l <= to; l++) chosen[l] = true;
        text = end + (*end == ',');
    }
    for (int l = 0; l < n_layers; l++) n += chosen[l];
    return n;
}

typedef struct {
    const double *effect, *score;
    const size_t *begin; /* [groups + 1] runs of windows */
    double *x, *y, *work;
} resampled;

/* Of the windows of the runs drawn.  A resample that is constant shows no correlation: it counts as none. */
static double rho_of(const size_t *index, size_t n, const void *data)
{
    const resampled *r = data;
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = r->begin[index[i]]; k < r->begin[index[i] + 1]; k++, m++) {
            r->x[m] = r->effect[k];
            r->y[m] = r->score[k];
        }
    double rho = lac_spearman(r->x, r->y, m, r->work);
    return isnan(rho) ? 0 : rho;
}

lac_status study_rank_correlation(study_correlation *c, const double *effect, const double *score, const int *first,
                                  size_t n, int width, lac_err *err)
{
    enum { RESAMPLES = 2000 };
    lac_arena arena = {0};
    lac_rng rng;
    size_t *begin = LAC_NEW(&arena, size_t, n + 1, err), runs = 0, longest = 0;
    double *work = LAC_NEW(&arena, double, 2 * n, err);
    c->n = n;
    c->rho = (double)NAN;
    c->interval = (lac_interval){(double)NAN, (double)NAN};
    if (begin && work) {
        for (size_t i = 0; i < n; i++)
            if (!runs || first[i] >= first[begin[runs - 1]] + width) begin[runs++] = i;
        begin[runs] = n;
        for (size_t i = 0; i < runs; i++)
            if (begin[i + 1] - begin[i] > longest) longest = begin[i + 1] - begin[i];
        c->rho = lac_spearman(effect, score, n, work);
    }
    c->apart = runs;
    if (runs >= 4 && isfinite(c->rho)) {
        const size_t most = runs * longest;
        resampled r = {.effect = effect, .score = score, .begin = begin, .x = LAC_NEW(&arena, double, most, err),
                       .y = LAC_NEW(&arena, double, most, err), .work = LAC_NEW(&arena, double, 2 * most, err)};
        lac_rng_seed(&rng, 1);
        if (r.x && r.y && r.work) lac_bootstrap(&c->interval, rho_of, &r, runs, 0.95, RESAMPLES, &rng, err);
    }
    lac_arena_release(&arena);
    return err->code;
}

/* effect[layer] of a chart in a trace's layers.tsv; the number of layers, 0 where the chart is not there. */
static int read_effects(double *effect, int most, const char *path, const char *chart, lac_arena *arena, lac_err *err)
{
    int n = 0, column[3] = {-1, -1, -1};
    char *rest = lac_file_read(path, arena, NULL, err);
    for (char *line; rest && (line = strsep(&rest, "\n"));) {
        char *word[32] = {0}, *cursor = line;
        if (!*line || *line == '#') continue;
        for (int k = 0; k < 32 && cursor; k++) word[k] = strsep(&cursor, "\t");
        if (column[0] < 0) { /* the header */
            static const char *const wanted[] = {"chart", "layer", "effect"};
            for (int w = 0; w < 3; w++)
                for (int k = 0; k < 32 && word[k]; k++)
                    if (!strcmp(word[k], wanted[w])) column[w] = k;
            if (column[0] < 0 || column[1] < 0 || column[2] < 0) return 0;
            continue;
        }
        const char *c = word[column[0]], *l = word[column[1]], *e = word[column[2]];
        long layer = c && l && e && !strcmp(c, chart) ? strtol(l, NULL, 10) : -1;
        if (layer < 0 || layer >= most || !*e) continue;
        effect[layer] = strtod(e, NULL);
        if (layer >= n) n = (int)layer + 1;
    }
    return n;
}

static int by_first(const void *a, const void *b)
{
    int x = ((const study_window *)a)->first, y = ((const study_window *)b)->first;
    return (x > y) - (x < y);
}

/* What the axis stands for in a row: its value where it says layers, as middle may stand for 12-17. */
static const char *layers_of(const study *s, const char *axis, const char *name)
{
    for (size_t i = 0; i < s->plan.n_stages; i++)
        for (size_t a = 0; a < s->plan.stage[i].n_at; a++) {
            const recipe_at *at = &s->plan.stage[i].at[a];
            if (!strcmp(at->axis, axis) && !strcmp(at->name, name)) return at->value;
        }
    return name;
}

typedef struct {
    const study_table *table;
    const study *s;
    const double *effect; /* [n_layers] */
    int n_layers, width;
    size_t axis, by;      /* places among the table's axes; by may be n_axes: all rows together */
} correlating;

static lac_status correlate_rows(study_correlation *c, const correlating *how, size_t column, lac_err *err)
{
    lac_arena arena = {0};
    const study_table *table = how->table;
    study_window *w = LAC_NEW(how->s->arena, study_window, table->n_rows, err);
    double *effect = LAC_NEW(&arena, double, table->n_rows, err), *score = LAC_NEW(&arena, double, table->n_rows, err);
    int *first = LAC_NEW(&arena, int, table->n_rows, err);
    bool *chosen = LAC_NEW(&arena, bool, (size_t)how->n_layers, err);
    size_t n = 0;
    for (size_t i = 0; i < table->n_rows && w && effect && score && first && chosen; i++) {
        const study_row *row = &table->row[i];
        const char *by = how->by < table->n_axes ? row->at[how->by] : NULL;
        if (!row->at[how->axis] || !isfinite(row->number[column].value) || (c->by && (!by || strcmp(by, c->by))))
            continue;
        int size = study_layers(chosen, how->n_layers, layers_of(how->s, table->axis[how->axis], row->at[how->axis]));
        if (!size || (how->width && size != how->width)) continue;
        w[n] = (study_window){.score = row->number[column].value, .first = -1};
        for (int l = 0; l < how->n_layers; l++) {
            if (!chosen[l]) continue;
            if (w[n].first < 0) w[n].first = l;
            w[n].last = l;
            w[n].effect += how->effect[l] / size;
        }
        n++;
    }
    if (n) qsort(w, n, sizeof *w, by_first);
    for (size_t i = 0; i < n; i++) {
        effect[i] = w[i].effect;
        score[i] = w[i].score;
        first[i] = w[i].first;
    }
    c->window = w;
    if (!err->code) study_rank_correlation(c, effect, score, first, n, how->width ? how->width : 1, err);
    lac_arena_release(&arena);
    return err->code;
}

static const char *trace_of(const study *s, const char *text, lac_err *err)
{
    recipe_ref ref;
    if (recipe_ref_parse(&ref, text, s->arena, err)) return NULL;
    for (size_t i = 0; i < s->plan.n_stages; i++)
        if (recipe_ref_fits(&ref, &s->plan.stage[i]) && s->stage[i].state == STUDY_DONE) return s->stage[i].result;
    return NULL;
}

lac_status study_correlate(study_correlations *c, const study_table *table, const study *s, lac_err *err)
{
    enum { MOST_LAYERS = 1024 };
    const cJSON *json = field(s->plan.json, "correlate"), *scores = field(json, "scores"), *title;
    *c = (study_correlations){.chart = text_field(json, "chart") ? text_field(json, "chart") : "mlp",
                              .axis = text_field(json, "axis")};
    if (!json || !(c->trace = trace_of(s, text_field(json, "trace"), err))) return err->code;
    double *effect = LAC_NEW(s->arena, double, MOST_LAYERS, err);
    const char **by = LAC_NEW(s->arena, const char *, table->n_rows + 1, err);
    const char *path = lac_printf(s->arena, err, "%s/layers.tsv", c->trace);
    if (!effect || !by || !path) return LAC_ERR_MEMORY;
    correlating how = {.table = table, .s = s, .effect = effect, .axis = study_axis_find(table, c->axis),
                       .by = study_axis_find(table, text_field(json, "by")),
                       .width = field(json, "width") ? field(json, "width")->valueint : 0};
    how.n_layers = read_effects(effect, MOST_LAYERS, path, c->chart, s->arena, err);
    if (err->code) return err->code;
    if (!how.n_layers) return lac_fail(err, LAC_ERR_DATA, "%s has no chart \"%s\" for \"correlate\"", path, c->chart);
    if (how.axis == table->n_axes) return LAC_OK;
    size_t n_by = study_values_on(by, table, how.by), lines = n_by ? n_by : 1;
    c->line = LAC_NEW(s->arena, study_correlation, lines * (size_t)cJSON_GetArraySize(scores), err);
    if (!c->line) return LAC_ERR_MEMORY;
    cJSON_ArrayForEach(title, scores)
        for (size_t i = 0; i < lines; i++) {
            size_t column = study_column_find(table, title->valuestring);
            if (column == table->n_columns) continue;
            study_correlation *line = &c->line[c->n];
            *line = (study_correlation){.score = title->valuestring, .by = n_by ? by[i] : NULL};
            if (correlate_rows(line, &how, column, err)) return err->code;
            c->n += line->n > 0;
        }
    return LAC_OK;
}

/* A line of a panel: of the traced effects (by NULL, line 0), or of a score. */
static void put_windows(FILE *to, const study_correlation *c, const char *by, int panel, int line)
{
    fprintf(to, "%s\"%s\"\n", panel || line ? "\n\n" : "", by ? by : "traced effect");
    for (size_t i = 0; i < c->n; i++) {
        const study_window *w = &c->window[i];
        fprintf(to, "%.6g\t%.6g\t%d\t%d\n", 0.5 * (w->first + w->last), by ? w->score : w->effect, panel, line);
    }
}

/* The table that plots/windows.gp draws: a panel a score, a line for each value of "by". */
static lac_status save_windows(const study *s, const study_correlations *c, const char *dir, lac_err *err)
{
    lac_writer out = {0};
    const char *path = lac_printf(s->arena, err, "%s/windows.tsv", dir);
    if (!path || lac_writer_open(&out, path, err)) return err->code;
    fprintf(out.stream, "# plot windows.gp\n# chart %s\n", c->chart);
    int panel = -1, line = 0;
    for (size_t i = 0; i < c->n; i++)
        if (!i || strcmp(c->line[i].score, c->line[i - 1].score))
            fprintf(out.stream, "# panel_%c %s\n", 'a' + ++panel % 26, c->line[i].score);
    panel = -1;
    for (size_t i = 0; i < c->n; i++) {
        if (!i || strcmp(c->line[i].score, c->line[i - 1].score)) put_windows(out.stream, &c->line[i], NULL, ++panel, line = 0);
        put_windows(out.stream, &c->line[i], c->line[i].by ? c->line[i].by : "trained", panel, ++line);
    }
    return lac_writer_commit(&out, err);
}

lac_status study_save_correlations(const study *s, const study_correlations *c, const char *dir, lac_err *err)
{
    if (!c->n || save_windows(s, c, dir, err)) return err->code;
    lac_writer out = {0};
    const char *path = lac_printf(s->arena, err, "%s/correlation.tsv", dir);
    if (!path || lac_writer_open(&out, path, err)) return err->code;
    fprintf(out.stream,
            "# Spearman's rho between the mean traced effect of a window's layers (chart %s of %s, last subject "
            "token) and a score; interval: 95 %%, bootstrap over runs of windows that share layers\n"
            "score\tby\twindows\tapart\trho\tlow\thigh\n",
            c->chart, c->trace);
    for (size_t i = 0; i < c->n; i++) {
        const study_correlation *line = &c->line[i];
        fprintf(out.stream, "%s\t%s\t%zu\t%zu", line->score, line->by ? line->by : "", line->n, line->apart);
        study_put_number(out.stream, line->rho);
        study_put_number(out.stream, line->interval.low);
        study_put_number(out.stream, line->interval.high);
        fputc('\n', out.stream);
    }
    return lac_writer_commit(&out, err);
}
