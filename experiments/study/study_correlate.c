/* Tracing against unlearning: the traced effect of windows of layers, ranked against what training
 * them gave. */
#include "experiments/study/study_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/file_out.h"
#include "base/text_out.h"

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

/* Of the windows of the runs drawn.  A resample that is constant shows no correlation: it counts as
 * none. */
static double rho_of(const size_t *index, size_t n, const void *data)
{
    const resampled *r = data;
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = r->begin[index[i]]; k < r->begin[index[i] + 1]; k++, m++) {
            r->x[m] = r->effect[k];
            r->y[m] = r->score[k];
        }
    double rho = dele_spearman(r->x, r->y, m, r->work);
    return isnan(rho) ? 0 : rho;
}

dele_status study_rank_correlation(study_correlation *c, const double *effect, const double *score,
                                   const int *first, size_t n, int width, dele_err *err)
{
    enum { RESAMPLES = 2000 };
    dele_arena arena = {0};
    dele_rng rng;
    size_t *begin = DELE_NEW(&arena, size_t, n + 1, err), runs = 0, longest = 0;
    double *work = DELE_NEW(&arena, double, 2 * n, err);
    c->n = n;
    c->rho = (double)NAN;
    c->interval = (dele_interval){(double)NAN, (double)NAN};
    if (begin && work) {
        for (size_t i = 0; i < n; i++)
            if (!runs || first[i] >= first[begin[runs - 1]] + width) begin[runs++] = i;
        begin[runs] = n;
        for (size_t i = 0; i < runs; i++)
            if (begin[i + 1] - begin[i] > longest) longest = begin[i + 1] - begin[i];
        c->rho = dele_spearman(effect, score, n, work);
    }
    c->apart = runs;
    if (runs >= DELE_LEAST_ITEMS && isfinite(c->rho)) {
        const size_t most = runs * longest;
        resampled r = {.effect = effect,
                       .score = score,
                       .begin = begin,
                       .x = DELE_NEW(&arena, double, most, err),
                       .y = DELE_NEW(&arena, double, most, err),
                       .work = DELE_NEW(&arena, double, 2 * most, err)};
        dele_rng_seed(&rng, 1);
        if (r.x && r.y && r.work)
            dele_bootstrap(&c->interval, rho_of, &r, runs, 0.95, RESAMPLES, &rng, err);
    }
    dele_arena_release(&arena);
    return err->code;
}

/* ---- what was traced ------------------------------------------------------------------------- */

enum { MOST_LAYERS = 1024, PLACES = 3 };

/* Where a state was put back, and the column of layers.tsv that has its effect. */
static const struct {
    const char *name, *column;
} places[PLACES] = {
    {"last subject", "effect"}, {"first subject", "first_subject"}, {"last", "last"}};

/* The place that a text as "last subject + last" begins with, and what follows the +; PLACES:
 * none. */
static int place_at(const char *text, const char **rest)
{
    const size_t n = strcspn(text, "+"), skip = strspn(text, " ");
    size_t end = n;
    while (end > skip && text[end - 1] == ' ') end--;
    *rest = text[n] ? text + n + 1 : NULL;
    for (int i = 0; i < PLACES && end > skip; i++)
        if (strlen(places[i].name) == end - skip &&
            !memcmp(places[i].name, text + skip, end - skip))
            return i;
    return PLACES;
}

bool study_tokens_known(const char *text)
{
    while (text)
        if (place_at(text, &text) == PLACES) return false;
    return true;
}

typedef struct {
    double at[PLACES][MOST_LAYERS];
    int n_layers;
} traced;

/* Effects of a chart in a trace's layers.tsv; n_layers stays 0 where the chart is not there. */
static dele_status read_traced(traced *effects, const char *path, const char *chart,
                               dele_arena *arena, dele_err *err)
{
    int column[2 + PLACES] = {-1};
    char *rest = dele_file_read(path, arena, NULL, err);
    for (char *line; rest && (line = strsep(&rest, "\n"));) {
        char *word[32] = {0}, *cursor = line;
        if (!*line || *line == '#') continue;
        for (int k = 0; k < 32 && cursor; k++) word[k] = strsep(&cursor, "\t");
        if (column[0] < 0) { /* the header */
            for (int w = 0; w < 2 + PLACES; w++) {
                const char *wanted = w == 0 ? "chart" : w == 1 ? "layer" : places[w - 2].column;
                column[w] = -1;
                for (int k = 0; k < 32 && word[k]; k++)
                    if (!strcmp(word[k], wanted)) column[w] = k;
                if (column[w] < 0) return DELE_OK;
            }
            continue;
        }
        const char *c = word[column[0]], *l = word[column[1]];
        long layer = c && l && !strcmp(c, chart) ? strtol(l, NULL, 10) : -1;
        if (layer < 0 || layer >= MOST_LAYERS) continue;
        for (int i = 0; i < PLACES; i++)
            effects->at[i][layer] = word[column[2 + i]] ? strtod(word[column[2 + i]], NULL) : 0;
        if (layer >= effects->n_layers) effects->n_layers = (int)layer + 1;
    }
    return err->code;
}

/* Of all the places that the text names. */
static void add_up(double *effect, const traced *effects, const char *tokens)
{
    memset(effect, 0, MOST_LAYERS * sizeof *effect);
    while (tokens) {
        const int place = place_at(tokens, &tokens);
        for (int l = 0; l < effects->n_layers && place < PLACES; l++)
            effect[l] += effects->at[place][l];
    }
}

/* ---- windows of layers ----------------------------------------------------------------------- */

static int by_first(const void *a, const void *b)
{
    int x = ((const study_window *)a)->first, y = ((const study_window *)b)->first;
    return (x > y) - (x < y);
}

/* What the axis stands for in a row: its value where it says layers, as middle may stand for
 * 12-17. */
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
    size_t axis, by;     /* places among the table's axes; by may be n_axes: all rows together */
    const char **values; /* [n_values] that rows have on by */
    size_t n_values;
} correlating;

/* The rank correlation between the traced effect of a window of layers and the score of the row
 * that trained this window.  A row counts if it has the score, belongs to the curve c->by (if there
 * is one), and its window has the demanded width; the effect of a window is the mean over its
 * layers.  Windows are sorted by their first layer, which the intervals need, since neighbouring
 * windows share layers. */
static dele_status correlate_rows(study_correlation *c, const correlating *how, size_t column,
                                  dele_err *err)
{
    dele_arena arena = {0};
    const study_table *table = how->table;
    study_window *w = DELE_NEW(how->s->arena, study_window, table->n_rows, err);
    double *effect = DELE_NEW(&arena, double, table->n_rows, err),
           *score = DELE_NEW(&arena, double, table->n_rows, err);
    int *first = DELE_NEW(&arena, int, table->n_rows, err);
    bool *chosen = DELE_NEW(&arena, bool, (size_t)how->n_layers, err);
    size_t n = 0;
    for (size_t i = 0; i < table->n_rows && w && effect && score && first && chosen; i++) {
        const study_row *row = &table->row[i];
        const char *by = how->by < table->n_axes ? row->at[how->by] : NULL;
        if (!row->at[how->axis] || !isfinite(row->number[column].value) ||
            (c->by && (!by || strcmp(by, c->by))))
            continue;
        int size = study_layers(chosen, how->n_layers,
                                layers_of(how->s, table->axis[how->axis], row->at[how->axis]));
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
    if (!err->code)
        study_rank_correlation(c, effect, score, first, n, how->width ? how->width : 1, err);
    dele_arena_release(&arena);
    return err->code;
}

static const char *trace_of(const study *s, const char *text, dele_err *err)
{
    recipe_ref ref;
    if (recipe_ref_parse(&ref, text, s->arena, err)) return NULL;
    for (size_t i = 0; i < s->plan.n_stages; i++)
        if (recipe_ref_fits(&ref, &s->plan.stage[i]) && s->stage[i].state == STUDY_DONE)
            return s->stage[i].result;
    return NULL;
}

/* One score against the effects at some tokens: a line for each value of "by". */
static dele_status correlate_lines(study_correlations *c, const correlating *how, const char *score,
                                   const char *tokens, dele_err *err)
{
    const size_t column = study_column_find(how->table, score),
                 lines = how->n_values ? how->n_values : 1;
    for (size_t i = 0; i < lines && column < how->table->n_columns; i++) {
        study_correlation *line = &c->line[c->n];
        *line = (study_correlation){
            .score = score, .tokens = tokens, .by = how->n_values ? how->values[i] : NULL};
        if (correlate_rows(line, how, column, err)) return err->code;
        c->n += line->n > 0;
    }
    return DELE_OK;
}

dele_status study_correlate(study_correlations *c, const study_table *table, const study *s,
                            dele_err *err)
{
    const cJSON *json = dele_json_get(s->plan.json, "correlate"),
                *scores = dele_json_get(json, "scores"), *title;
    const cJSON *tokens = dele_json_get(json, "tokens");
    *c = (study_correlations){
        .chart = dele_json_string(json, "chart") ? dele_json_string(json, "chart") : "mlp",
        .axis = dele_json_string(json, "axis")};
    if (!json || !(c->trace = trace_of(s, dele_json_string(json, "trace"), err))) return err->code;
    traced *effects = DELE_NEW(s->arena, traced, 1, err);
    double *effect = DELE_NEW(s->arena, double, MOST_LAYERS, err);
    const char **values = DELE_NEW(s->arena, const char *, table->n_rows + 1, err);
    const char *path = dele_printf(s->arena, err, "%s/layers.tsv", c->trace);
    if (!effects || !effect || !values || !path ||
        read_traced(effects, path, c->chart, s->arena, err))
        return err->code;
    if (!effects->n_layers)
        return dele_fail(err, DELE_ERR_DATA, "%s has no chart \"%s\" for \"correlate\"", path,
                         c->chart);
    correlating how = {
        .table = table,
        .s = s,
        .effect = effect,
        .n_layers = effects->n_layers,
        .width = dele_json_get(json, "width") ? dele_json_get(json, "width")->valueint : 0,
        .axis = study_axis_find(table, c->axis),
        .by = study_axis_find(table, dele_json_string(json, "by")),
        .values = values};
    if (how.axis == table->n_axes) return DELE_OK;
    how.n_values = study_values_on(values, table, how.by);
    const size_t n_tokens = tokens ? (size_t)cJSON_GetArraySize(tokens) : 1;
    const size_t most =
        (how.n_values ? how.n_values : 1) * n_tokens * (size_t)cJSON_GetArraySize(scores);
    if (!(c->line = DELE_NEW(s->arena, study_correlation, most, err))) return err->code;
    cJSON_ArrayForEach(title, scores) for (size_t t = 0; t < n_tokens; t++)
    {
        const char *text =
            tokens ? cJSON_GetArrayItem(tokens, (int)t)->valuestring : places[0].name;
        add_up(effect, effects, text);
        if (correlate_lines(c, &how, title->valuestring, text, err)) return err->code;
    }
    return DELE_OK;
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool is_new_score(const study_correlations *c, size_t i)
{
    return !i || strcmp(c->line[i].score, c->line[i - 1].score);
}
static bool is_new_tokens(const study_correlations *c, size_t i)
{
    return is_new_score(c, i) || strcmp(c->line[i].tokens, c->line[i - 1].tokens);
}

/* Lines above 0 show the score, the others what was traced. */
static void put_windows(FILE *to, const study_correlation *c, const char *name, int panel, int line)
{
    fputs("\n\n", to);
    dele_text_put(to, name, DELE_TEXT_LINE);
    fputc('\n', to);
    for (size_t i = 0; i < c->n; i++) {
        const study_window *w = &c->window[i];
        fprintf(to, "%.6g\t%.6g\t%d\t%d\n", 0.5 * (w->first + w->last),
                line > 0 ? w->score : w->effect, panel, line);
    }
}

/* The table that plots/windows.gp draws: a panel a score, in it what was traced at each of the
 * tokens, lines 0, -1, ..., and a line for each value of "by", 1, 2, ... */
static dele_status save_windows(const study *s, const study_correlations *c, const char *dir,
                                dele_err *err)
{
    dele_writer out = {0};
    const char *path = dele_printf(s->arena, err, "%s/windows.tsv", dir);
    if (!path || dele_writer_open(&out, path, err)) return err->code;
    fputs("# plot windows.gp\n# title Causal tracing of windows of layers, and scores after "
          "training them\n# chart ",
          out.stream);
    dele_text_put(out.stream, c->chart, DELE_TEXT_LINE);
    fputc('\n', out.stream);
    const char *by = dele_json_string(dele_json_get(s->plan.json, "correlate"), "by");
    int panel = 0, traced_line = 0;
    for (size_t i = 0; i < c->n; i++)
        if (is_new_score(c, i)) {
            fprintf(out.stream, "# panel_%c ", 'a' + panel++ % 26);
            dele_text_put(out.stream, c->line[i].score, DELE_TEXT_LINE);
            fputc('\n', out.stream);
        }
    panel = -1;
    for (size_t i = 0; i < c->n; i++) {
        const study_correlation *at = &c->line[i];
        if (is_new_score(c, i)) panel++, traced_line = 0;
        if (is_new_tokens(c, i)) put_windows(out.stream, at, at->tokens, panel, traced_line--);
        const int line = 1 + (by && at->by ? (int)study_place_on(s, by, at->by) : 0);
        if (traced_line == -1)
            put_windows(out.stream, at, at->by ? at->by : "trained", panel, line);
    }
    return dele_writer_commit(&out, err);
}

dele_status study_save_correlations(const study *s, const study_correlations *c, const char *dir,
                                    dele_err *err)
{
    if (!c->n || save_windows(s, c, dir, err)) return err->code;
    dele_writer out = {0};
    const char *path = dele_printf(s->arena, err, "%s/correlation.tsv", dir);
    if (!path || dele_writer_open(&out, path, err)) return err->code;
    fprintf(out.stream,
            "# Spearman's rho between the mean traced effect of a window's layers (chart %s of %s, "
            "at these tokens) "
            "and a score; interval: 95 %%, bootstrap over runs of windows that share layers, none "
            "where "
            "fewer than five lie apart\n"
            "score\ttokens\tby\twindows\tnon_overlapping\trho\trho_low\trho_high\n",
            c->chart, c->trace);
    for (size_t i = 0; i < c->n; i++) {
        const study_correlation *line = &c->line[i];
        dele_text_put(out.stream, line->score, DELE_TEXT_CELL);
        fputc('\t', out.stream);
        dele_text_put(out.stream, line->tokens, DELE_TEXT_CELL);
        fputc('\t', out.stream);
        dele_text_put(out.stream, line->by, DELE_TEXT_CELL);
        fprintf(out.stream, "\t%zu\t%zu", line->n, line->apart);
        study_put_number(out.stream, line->rho);
        study_put_number(out.stream, line->interval.low);
        study_put_number(out.stream, line->interval.high);
        fputc('\n', out.stream);
    }
    return dele_writer_commit(&out, err);
}
