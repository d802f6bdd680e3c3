/* The numbers of a study.  A table is made as a database would: every column is a set of results told apart by their
 * coordinates, and rows are where columns have the same ones. */
#include "experiments/study_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const cJSON *field(const cJSON *object, const char *name) { return cJSON_GetObjectItemCaseSensitive(object, name); }
static const char *text_field(const cJSON *object, const char *name) { return cJSON_GetStringValue(field(object, name)); }

/* ---- a number in a file ------------------------------------------------------------------------------------------ */

/* Whether an object has the fields of "type=qa,task=Task2". */
static bool matches(const cJSON *object, const char *wanted, size_t n)
{
    char name[64], value[128];
    while (n) {
        size_t whole = 0;
        while (whole < n && wanted[whole] != ',') whole++;
        const char *equals = memchr(wanted, '=', whole);
        if (!equals) return false;
        snprintf(name, sizeof name, "%.*s", (int)(equals - wanted), wanted);
        snprintf(value, sizeof value, "%.*s", (int)(wanted + whole - equals - 1), equals + 1);
        const cJSON *item = field(object, name);
        if (cJSON_IsString(item) ? strcmp(item->valuestring, value) != 0
                                 : !cJSON_IsNumber(item) || item->valuedouble != strtod(value, NULL))
            return false;
        n -= whole + (whole < n);
        wanted += whole + 1;
    }
    return true;
}

/* One step of a path, "name" or "name[field=value]". */
static const cJSON *step(const cJSON *json, const char *text, size_t n)
{
    char name[128];
    const char *open = memchr(text, '[', n);
    size_t n_name = open ? (size_t)(open - text) : n;
    snprintf(name, sizeof name, "%.*s", (int)n_name, text);
    const cJSON *item = field(json, name), *element = NULL;
    if (!open || !item) return item;
    size_t inside = n - n_name - 2;
    if (n < n_name + 2 || text[n - 1] != ']') return NULL;
    cJSON_ArrayForEach(element, item)
        if (matches(element, open + 1, inside)) return element;
    return NULL;
}

static double beside(const cJSON *object, const char *name, const char *suffix)
{
    char whole[160];
    snprintf(whole, sizeof whole, "%s%s", name, suffix);
    const cJSON *item = field(object, whole);
    return cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
}

study_number study_number_at(const cJSON *json, const char *path)
{
    study_number number = {(double)NAN, (double)NAN, (double)NAN};
    while (json && *path) {
        size_t n = 0;
        for (bool inside = false; path[n] && (inside || path[n] != '.'); n++) {
            if (path[n] == '[') inside = true;
            if (path[n] == ']') inside = false;
        }
        if (!path[n]) { /* the last step names the number */
            number.value = beside(json, path, "");
            number.error = beside(json, path, "_stderr");
            if (isnan(number.error) && !strcmp(path, "score")) number.error = beside(json, "stderr", "");
            number.n = beside(json, "n", "");
            return number;
        }
        json = step(json, path, n);
        path += n + 1;
    }
    return number;
}

/* ---- what the recipe asks for ------------------------------------------------------------------------------------ */

static bool was_left_out(const recipe_plan *plan, const char *base)
{
    for (size_t i = 0; i < plan->n_left_out; i++)
        if (!strcmp(plan->left_out[i], base)) return true;
    return false;
}

/* A reference that has to mean something; *any: whether it does (a stage left out has none, and is no error). */
static lac_status check_ref(bool *any, recipe_ref *ref, const char *text, const recipe_plan *plan, lac_arena *arena, lac_err *err)
{
    *any = false;
    if (recipe_ref_parse(ref, text, arena, err)) return err->code;
    for (size_t i = 0; i < plan->n_stages; i++) *any |= recipe_ref_fits(ref, &plan->stage[i]);
    if (*any || was_left_out(plan, ref->base)) return LAC_OK;
    return lac_fail(err, LAC_ERR_DATA, "\"%s\" means no stage of the plan", text);
}

static lac_status read_column(study_column *column, bool *any, const cJSON *item, const recipe_plan *plan, lac_arena *arena,
                              lac_err *err)
{
    const char *text = cJSON_GetStringValue(item);
    *column = (study_column){.title = item->string, .file = "eval.json"};
    if (!text) return lac_fail(err, LAC_ERR_DATA, "\"%s\" wants a text, \"stage:number\"", item->string);
    if (check_ref(any, &column->stages, text, plan, arena, err)) return err->code;
    const char *rest = column->stages.rest;
    if (*rest == '/') {
        size_t n = strcspn(++rest, ":");
        if (!(column->file = lac_strndup(arena, rest, n, err))) return LAC_ERR_MEMORY;
        rest += n;
    }
    if (*rest != ':' || !rest[1])
        return lac_fail(err, LAC_ERR_DATA, "\"%s\": behind the stage stands a colon and where the number is, as in "
                        "\"score:forget.prompt.top1\"", text);
    column->path = rest + 1;
    return LAC_OK;
}

static lac_status read_columns(study_table *table, const recipe_plan *plan, lac_arena *arena, lac_err *err)
{
    static const char *const known[] = {"about", "columns"};
    const cJSON *json = field(plan->json, "table"), *columns = field(json, "columns"), *item;
    *table = (study_table){0};
    if (!json) return LAC_OK;
    if (recipe_check_keys(json, known, 2, "table", arena, err)) return err->code;
    if (!cJSON_IsObject(columns) || !columns->child)
        return lac_fail(err, LAC_ERR_DATA, "table: \"columns\" is an object {\"title\": \"stage:number\"}");
    table->column = LAC_NEW(arena, study_column, (size_t)cJSON_GetArraySize(columns), err);
    if (!table->column) return LAC_ERR_MEMORY;
    cJSON_ArrayForEach(item, columns)
    {
        bool any;
        lac_err inner = {0};
        if (read_column(&table->column[table->n_columns], &any, item, plan, arena, &inner))
            return lac_fail(err, inner.code, "table: %s", inner.msg);
        table->n_columns += any;
    }
    return LAC_OK;
}

static lac_status is_column(const study_table *table, const recipe_plan *plan, const cJSON *title, const char *where, lac_err *err)
{
    const char *text = cJSON_GetStringValue(title);
    if (text && (study_column_find(table, text) < table->n_columns ||
                 field(field(field(plan->json, "table"), "columns"), text)))
        return LAC_OK;
    return lac_fail(err, LAC_ERR_DATA, "%s: \"%s\" is no column of the table", where, text ? text : "");
}

static lac_status check_pareto(const study_table *table, const cJSON *json, const recipe_plan *plan, lac_arena *arena, lac_err *err)
{
    static const char *const known[] = {"about", "x", "y", "x_better", "y_better", "colour", "label"};
    static const char *const better[] = {"x_better", "y_better"};
    if (recipe_check_keys(json, known, sizeof known / sizeof *known, "pareto", arena, err) ||
        is_column(table, plan, field(json, "x"), "pareto", err) || is_column(table, plan, field(json, "y"), "pareto", err))
        return err->code;
    for (int i = 0; i < 2; i++) {
        const char *text = text_field(json, better[i]);
        if (!text || (strcmp(text, "low") && strcmp(text, "high")))
            return lac_fail(err, LAC_ERR_DATA, "pareto: \"%s\" is \"low\" or \"high\"", better[i]);
    }
    return LAC_OK;
}

static lac_status check_correlate(const study_table *table, const cJSON *json, const recipe_plan *plan, lac_arena *arena,
                                  lac_err *err)
{
    static const char *const known[] = {"about", "trace", "chart", "axis", "width", "by", "scores"};
    const cJSON *scores = field(json, "scores"), *width = field(json, "width"), *item;
    recipe_ref ref;
    bool any;
    if (recipe_check_keys(json, known, sizeof known / sizeof *known, "correlate", arena, err)) return err->code;
    if (!text_field(json, "trace") || !text_field(json, "axis") || !cJSON_IsArray(scores) || !scores->child)
        return lac_fail(err, LAC_ERR_DATA, "correlate: \"trace\" (a stage), \"axis\" (of layers) and \"scores\" (columns) are wanted");
    if (width && (!cJSON_IsNumber(width) || width->valuedouble < 1 || width->valuedouble != width->valueint))
        return lac_fail(err, LAC_ERR_DATA, "correlate: \"width\" is a number of layers");
    cJSON_ArrayForEach(item, scores)
        if (is_column(table, plan, item, "correlate", err)) return err->code;
    return check_ref(&any, &ref, text_field(json, "trace"), plan, arena, err);
}

static lac_status check_compare(const cJSON *json, const recipe_plan *plan, lac_arena *arena, lac_err *err)
{
    static const char *const known[] = {"about", "before", "after", "items"};
    static const char *const sides[] = {"before", "after"};
    for (; json; json = json->next) {
        const cJSON *items = field(json, "items");
        if (recipe_check_keys(json, known, sizeof known / sizeof *known, "compare", arena, err)) return err->code;
        if (items && (!cJSON_IsNumber(items) || items->valuedouble < 0))
            return lac_fail(err, LAC_ERR_DATA, "compare: \"items\" is a number");
        for (int i = 0; i < 2; i++) {
            recipe_ref ref;
            bool any;
            lac_err inner = {0};
            const char *text = text_field(json, sides[i]);
            if (!text) return lac_fail(err, LAC_ERR_DATA, "compare: \"%s\" names a stage of eval", sides[i]);
            if (check_ref(&any, &ref, text, plan, arena, &inner)) return lac_fail(err, inner.code, "compare: %s", inner.msg);
        }
    }
    return LAC_OK;
}

lac_status study_check_scores(const recipe_plan *plan, lac_arena *arena, lac_err *err)
{
    study_table table;
    lac_err inner = {0};
    const cJSON *pareto = field(plan->json, "pareto"), *correlate = field(plan->json, "correlate");
    const cJSON *compare = field(plan->json, "compare");
    if (!read_columns(&table, plan, arena, &inner) && pareto) check_pareto(&table, pareto, plan, arena, &inner);
    if (!inner.code && correlate) check_correlate(&table, correlate, plan, arena, &inner);
    if (!inner.code && compare && !cJSON_IsArray(compare))
        lac_fail(&inner, LAC_ERR_DATA, "\"compare\" is a list of {\"before\": stage, \"after\": stage}");
    if (!inner.code && compare) check_compare(compare->child, plan, arena, &inner);
    return inner.code ? lac_fail(err, inner.code, "%s: %s", plan->path, inner.msg) : LAC_OK;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

size_t study_column_find(const study_table *table, const char *title)
{
    size_t i = 0;
    while (i < table->n_columns && (!title || strcmp(table->column[i].title, title))) i++;
    return i;
}

size_t study_axis_find(const study_table *table, const char *axis)
{
    size_t i = 0;
    while (i < table->n_axes && (!axis || strcmp(table->axis[i], axis))) i++;
    return i;
}

static bool is_fixed(const recipe_ref *ref, const char *axis)
{
    for (size_t i = 0; i < ref->n_fixed; i++)
        if (!strcmp(ref->fixed[i].axis, axis)) return true;
    return false;
}

static lac_status find_axes(study_table *table, const recipe_plan *plan, lac_arena *arena, lac_err *err)
{
    enum { MOST = 64 };
    table->axis = LAC_NEW(arena, const char *, MOST, err);
    if (!table->axis) return LAC_ERR_MEMORY;
    for (size_t c = 0; c < table->n_columns; c++)
        for (size_t i = 0; i < plan->n_stages; i++) {
            const recipe_stage *r = &plan->stage[i];
            if (!recipe_ref_fits(&table->column[c].stages, r)) continue;
            for (size_t a = 0; a < r->n_at && table->n_axes < MOST; a++)
                if (!is_fixed(&table->column[c].stages, r->at[a].axis) &&
                    study_axis_find(table, r->at[a].axis) == table->n_axes)
                    table->axis[table->n_axes++] = r->at[a].axis;
        }
    return LAC_OK;
}

/* The row with a stage's coordinates, made where there is none. */
static study_row *row_of(study_table *table, const recipe_ref *ref, const recipe_stage *r, lac_arena *arena, lac_err *err)
{
    const char **at = LAC_NEW(arena, const char *, table->n_axes, err);
    if (!at) return NULL;
    for (size_t a = 0; a < table->n_axes; a++)
        at[a] = is_fixed(ref, table->axis[a]) ? NULL : recipe_coordinate(r, table->axis[a]);
    for (size_t i = 0; i < table->n_rows; i++) {
        bool same = true;
        for (size_t a = 0; a < table->n_axes && same; a++) {
            const char *theirs = table->row[i].at[a];
            same = at[a] && theirs ? !strcmp(at[a], theirs) : at[a] == theirs;
        }
        if (same) return &table->row[i];
    }
    study_row *row = &table->row[table->n_rows];
    row->at = at;
    row->number = LAC_NEW(arena, study_number, table->n_columns, err);
    if (!row->number) return NULL;
    for (size_t c = 0; c < table->n_columns; c++) row->number[c] = (study_number){(double)NAN, (double)NAN, (double)NAN};
    table->n_rows++;
    return row;
}

static lac_status read_number(study_number *number, const study *s, size_t stage, const study_column *column, lac_err *err)
{
    lac_err inner = {0};
    if (s->stage[stage].state != STUDY_DONE) return LAC_OK;
    const char *path = lac_printf(s->arena, err, "%s/%s", s->stage[stage].result, column->file);
    cJSON *json = path ? lac_json_load(path, &inner) : NULL;
    if (!path) return LAC_ERR_MEMORY;
    if (json) *number = study_number_at(json, column->path);
    else fprintf(stderr, "lacuna: no \"%s\" for the table: %s\n", column->title, inner.msg);
    cJSON_Delete(json);
    return LAC_OK;
}

/* Rows without a number go. */
static void leave_out_empty(study_table *table)
{
    size_t n = 0;
    for (size_t i = 0; i < table->n_rows; i++) {
        bool any = false;
        for (size_t c = 0; c < table->n_columns; c++) any |= isfinite(table->row[i].number[c].value);
        if (any) table->row[n++] = table->row[i];
    }
    table->n_empty = table->n_rows - n;
    table->n_rows = n;
}

/* Rows in the order of the plan: points follow each other as they were made. */
lac_status study_table_read(study_table *table, const study *s, lac_err *err)
{
    const recipe_plan *plan = &s->plan;
    if (read_columns(table, plan, s->arena, err) || find_axes(table, plan, s->arena, err)) return err->code;
    table->row = LAC_NEW(s->arena, study_row, plan->n_stages, err);
    if (!table->row) return LAC_ERR_MEMORY;
    for (size_t i = 0; i < plan->n_stages; i++)
        for (size_t c = 0; c < table->n_columns; c++) {
            const study_column *column = &table->column[c];
            if (!recipe_ref_fits(&column->stages, &plan->stage[i])) continue;
            study_row *row = row_of(table, &column->stages, &plan->stage[i], s->arena, err);
            if (!row || read_number(&row->number[c], s, i, column, err)) return err->code;
        }
    leave_out_empty(table);
    return LAC_OK;
}

/* ---- the front --------------------------------------------------------------------------------------------------- */

void study_front(bool *front, const double *x, const double *y, size_t n, bool x_low, bool y_low)
{
    const double sx = x_low ? -1 : 1, sy = y_low ? -1 : 1; /* now more is better */
    for (size_t i = 0; i < n; i++) {
        front[i] = isfinite(x[i]) && isfinite(y[i]);
        for (size_t k = 0; k < n && front[i]; k++) {
            if (!isfinite(x[k]) || !isfinite(y[k])) continue;
            const double dx = sx * (x[k] - x[i]), dy = sy * (y[k] - y[i]);
            if (dx >= 0 && dy >= 0 && (dx > 0 || dy > 0)) front[i] = false;
        }
    }
}

/* ---- what tracing ranked, and what worked ------------------------------------------------------------------------ */

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

lac_status study_rank_correlation(study_correlation *c, const double *effect, const double *score, const int *first, size_t n,
                                  int width, lac_err *err)
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

typedef struct {
    double effect, score;
    int first;
} window;

static int by_first(const void *a, const void *b)
{
    int x = ((const window *)a)->first, y = ((const window *)b)->first;
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
    window *w = LAC_NEW(&arena, window, table->n_rows, err);
    double *effect = LAC_NEW(&arena, double, table->n_rows, err), *score = LAC_NEW(&arena, double, table->n_rows, err);
    int *first = LAC_NEW(&arena, int, table->n_rows, err);
    bool *chosen = LAC_NEW(&arena, bool, (size_t)how->n_layers, err);
    size_t n = 0;
    for (size_t i = 0; i < table->n_rows && w && effect && score && first && chosen; i++) {
        const study_row *row = &table->row[i];
        const char *by = how->by < table->n_axes ? row->at[how->by] : NULL;
        if (!row->at[how->axis] || !isfinite(row->number[column].value) || (c->by && (!by || strcmp(by, c->by)))) continue;
        int size = study_layers(chosen, how->n_layers, layers_of(how->s, table->axis[how->axis], row->at[how->axis]));
        if (!size || (how->width && size != how->width)) continue;
        w[n] = (window){.score = row->number[column].value, .first = -1};
        for (int l = 0; l < how->n_layers; l++) {
            if (!chosen[l]) continue;
            if (w[n].first < 0) w[n].first = l;
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
    if (!err->code) study_rank_correlation(c, effect, score, first, n, how->width ? how->width : 1, err);
    lac_arena_release(&arena);
    return err->code;
}

/* The values that rows have on an axis, each once. */
static size_t values_on(const char **value, const study_table *table, size_t axis)
{
    size_t n = 0;
    for (size_t i = 0; i < table->n_rows && axis < table->n_axes; i++) {
        size_t k = 0;
        if (!table->row[i].at[axis]) continue;
        while (k < n && strcmp(value[k], table->row[i].at[axis])) k++;
        if (k == n) value[n++] = table->row[i].at[axis];
    }
    return n;
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
    size_t n_by = values_on(by, table, how.by), lines = n_by ? n_by : 1;
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

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void put_number(FILE *to, double x)
{
    if (isfinite(x)) fprintf(to, "\t%.6g", x);
    else fputc('\t', to);
}

static lac_status save_table(const study *s, const study_table *table, const char *dir, lac_err *err)
{
    lac_writer out = {0};
    const char *path = lac_printf(s->arena, err, "%s/table.tsv", dir);
    if (!path || lac_writer_open(&out, path, err)) return err->code;
    for (size_t a = 0; a < table->n_axes; a++) fprintf(out.stream, "%s%s", a ? "\t" : "", table->axis[a]);
    for (size_t c = 0; c < table->n_columns; c++) {
        const char *title = table->column[c].title;
        fprintf(out.stream, "%s%s\t%s stderr\t%s n", c || table->n_axes ? "\t" : "", title, title, title);
    }
    fputc('\n', out.stream);
    for (size_t i = 0; i < table->n_rows; i++) {
        const study_row *row = &table->row[i];
        for (size_t a = 0; a < table->n_axes; a++) fprintf(out.stream, "%s%s", a ? "\t" : "", row->at[a] ? row->at[a] : "");
        for (size_t c = 0; c < table->n_columns; c++) {
            put_number(out.stream, row->number[c].value);
            put_number(out.stream, row->number[c].error);
            put_number(out.stream, row->number[c].n);
        }
        fputc('\n', out.stream);
    }
    return lac_writer_commit(&out, err);
}

static lac_status save_correlations(const study *s, const study_correlations *c, const char *dir, lac_err *err)
{
    lac_writer out = {0};
    const char *path = lac_printf(s->arena, err, "%s/correlation.tsv", dir);
    if (!path || lac_writer_open(&out, path, err)) return err->code;
    fprintf(out.stream, "# Spearman's rho between the mean traced effect of a window's layers (chart %s of %s, last subject "
                        "token) and a score; interval: 95 %%, bootstrap over runs of windows that share layers\n"
                        "score\tby\twindows\tapart\trho\tlow\thigh\n", c->chart, c->trace);
    for (size_t i = 0; i < c->n; i++) {
        const study_correlation *line = &c->line[i];
        fprintf(out.stream, "%s\t%s\t%zu\t%zu", line->score, line->by ? line->by : "", line->n, line->apart);
        put_number(out.stream, line->rho);
        put_number(out.stream, line->interval.low);
        put_number(out.stream, line->interval.high);
        fputc('\n', out.stream);
    }
    return lac_writer_commit(&out, err);
}

/* A point's name in the picture: its coordinate on the axis asked for, or all of them. */
static void put_label(FILE *to, const study_table *table, const study_row *row, size_t label, size_t colour)
{
    bool any = false;
    if (label < table->n_axes && row->at[label]) {
        fputs(row->at[label], to);
        return;
    }
    for (size_t a = 0; a < table->n_axes; a++) {
        if (!row->at[a] || a == colour) continue;
        fprintf(to, "%s%s", any ? " " : "", row->at[a]);
        any = true;
    }
}

enum { FEW = 24 };

typedef struct {
    const study_table *table;
    size_t x, y, colour, label, n; /* places in the table; n points in all */
    const bool *front;
} picture;

static void put_points(FILE *to, const picture *p, const char *colour)
{
    const study_table *table = p->table;
    bool any = false;
    for (size_t i = 0; i < table->n_rows; i++) {
        const study_row *row = &table->row[i];
        const char *own = p->colour < table->n_axes ? row->at[p->colour] : NULL;
        const study_number *x = &row->number[p->x], *y = &row->number[p->y];
        if (!isfinite(x->value) || !isfinite(y->value) || (own ? !colour || strcmp(own, colour) : colour != NULL)) continue;
        if (!any) fprintf(to, "\"%s\"\n", colour ? colour : "other");
        any = true;
        fprintf(to, "%.6g\t%.6g\t%.6g\t%.6g\t%d\t", x->value, y->value, isfinite(x->error) ? x->error : 0,
                isfinite(y->error) ? y->error : 0, p->front[i]);
        if (p->front[i] || p->n <= FEW) put_label(to, table, row, p->label, p->colour); /* else they would cover each other */
        fputc('\n', to);
    }
    if (any) fputs("\n\n", to);
}

typedef struct {
    double x, y;
} spot;

static int by_x(const void *a, const void *b)
{
    const spot *p = a, *q = b;
    if (p->x != q->x) return p->x < q->x ? -1 : 1;
    return (p->y > q->y) - (p->y < q->y);
}

static void put_front(FILE *to, const picture *p, spot *room)
{
    size_t n = 0;
    for (size_t i = 0; i < p->table->n_rows; i++)
        if (p->front[i]) room[n++] = (spot){p->table->row[i].number[p->x].value, p->table->row[i].number[p->y].value};
    if (n) qsort(room, n, sizeof *room, by_x);
    fputs("\"front\"\n", to);
    for (size_t i = 0; i < n; i++) fprintf(to, "%.6g\t%.6g\n", room[i].x, room[i].y);
}

/* The table that plots/pareto.gp draws: a block of points a colour, and the front as the last one. */
static lac_status save_pareto(const study *s, const study_table *table, const char *dir, lac_err *err)
{
    const cJSON *json = field(s->plan.json, "pareto");
    picture p = {.table = table, .x = study_column_find(table, text_field(json, "x")),
                 .y = study_column_find(table, text_field(json, "y")), .colour = study_axis_find(table, text_field(json, "colour")),
                 .label = study_axis_find(table, text_field(json, "label"))};
    const size_t n = table->n_rows;
    double *x = LAC_NEW(s->arena, double, n, err), *y = LAC_NEW(s->arena, double, n, err);
    bool *front = LAC_NEW(s->arena, bool, n, err);
    spot *room = LAC_NEW(s->arena, spot, n, err);
    const char **colour = LAC_NEW(s->arena, const char *, n, err);
    const char *path = lac_printf(s->arena, err, "%s/pareto.tsv", dir);
    lac_writer out = {0};
    if (!x || !y || !front || !room || !colour || !path) return LAC_ERR_MEMORY;
    if (p.x == table->n_columns || p.y == table->n_columns) return LAC_OK;
    for (size_t i = 0; i < n; i++) {
        x[i] = table->row[i].number[p.x].value;
        y[i] = table->row[i].number[p.y].value;
        p.n += isfinite(x[i]) && isfinite(y[i]);
    }
    if (!p.n || lac_writer_open(&out, path, err)) return err->code;
    const char *xb = text_field(json, "x_better"), *yb = text_field(json, "y_better");
    study_front(front, x, y, n, !strcmp(xb, "low"), !strcmp(yb, "low"));
    p.front = front;
    fprintf(out.stream, "# plot pareto.gp\n# xlabel %s (%s is better)\n# ylabel %s (%s is better)\n", table->column[p.x].title, xb,
            table->column[p.y].title, yb);
    size_t n_colours = values_on(colour, table, p.colour);
    for (size_t i = 0; i < n_colours; i++) put_points(out.stream, &p, colour[i]);
    put_points(out.stream, &p, NULL);
    put_front(out.stream, &p, room);
    return lac_writer_commit(&out, err);
}

lac_status study_save_scores(const study *s, const study_table *table, const study_correlations *c, const char *dir, lac_err *err)
{
    if (table->n_columns && save_table(s, table, dir, err)) return err->code;
    if (field(s->plan.json, "pareto") && save_pareto(s, table, dir, err)) return err->code;
    return c->n ? save_correlations(s, c, dir, err) : LAC_OK;
}
