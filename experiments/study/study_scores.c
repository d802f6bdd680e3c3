/* The numbers of a study.  A table is made as a database would: every column is a set of results
 * told apart by their coordinates, and rows are where columns have the same ones. */
#include "experiments/study/study_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_out.h"
#include "base/text_out.h"

/* ---- a number in a file ---------------------------------------------------------------------- */

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
        const cJSON *item = dele_json_get(object, name);
        if (cJSON_IsString(item)
                ? strcmp(item->valuestring, value) != 0
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
    const cJSON *item = dele_json_get(json, name), *element = NULL;
    if (!open || !item) return item;
    size_t inside = n - n_name - 2;
    if (n < n_name + 2 || text[n - 1] != ']') return NULL;
    cJSON_ArrayForEach(element, item) if (matches(element, open + 1, inside)) return element;
    return NULL;
}

static double beside(const cJSON *object, const char *name, const char *suffix)
{
    char whole[160];
    snprintf(whole, sizeof whole, "%s%s", name, suffix);
    const cJSON *item = dele_json_get(object, whole);
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
            if (isnan(number.error) && !strcmp(path, "score"))
                number.error = beside(json, "stderr", "");
            number.n = beside(json, "n", "");
            return number;
        }
        json = step(json, path, n);
        path += n + 1;
    }
    return number;
}

/* ---- what the recipe asks for ---------------------------------------------------------------- */

static bool was_left_out(const recipe_plan *plan, const char *base)
{
    for (size_t i = 0; i < plan->n_left_out; i++)
        if (!strcmp(plan->left_out[i], base)) return true;
    return false;
}

/* A reference that has to mean something; *any: whether it does (a stage left out has none, and is
 * no error). */
dele_status study_check_ref(bool *any, recipe_ref *ref, const char *text, const recipe_plan *plan,
                            dele_arena *arena, dele_err *err)
{
    *any = false;
    if (recipe_ref_parse(ref, text, arena, err)) return err->code;
    for (size_t i = 0; i < plan->n_stages; i++) *any |= recipe_ref_fits(ref, &plan->stage[i]);
    if (*any || was_left_out(plan, ref->base)) return DELE_OK;
    return dele_fail(err, DELE_ERR_DATA, "\"%s\" means no stage of the plan", text);
}

/* {"from": "stage:number", "at": {"axis": "name"}}: a stage that was not swept over an axis is in
 * the rows of those that were.  Returns the text, or NULL. */
static const char *read_placed(study_column *column, const cJSON *item, dele_arena *arena,
                               dele_err *err)
{
    static const char *const known[] = {"from", "at"};
    const cJSON *one;
    if (recipe_check_keys(item, known, 2, item->string, arena, err)) return NULL;
    column->at = dele_json_get(item, "at");
    bool good = dele_json_string(item, "from") && (!column->at || cJSON_IsObject(column->at));
    cJSON_ArrayForEach(one, column->at) good = good && cJSON_IsString(one);
    if (!good)
        dele_fail(err, DELE_ERR_DATA,
                  "\"%s\" wants {\"from\": \"stage:number\", \"at\": {\"axis\": \"name\"}}",
                  item->string);
    return good ? dele_json_string(item, "from") : NULL;
}

/* Reads a column of the table: "stage:number", or "stage/file:number" for a number outside
 * eval.json, or an object that places it (read_placed). *any: whether the reference means a stage
 * that is in the plan. */
static dele_status read_column(study_column *column, bool *any, const cJSON *item,
                               const recipe_plan *plan, dele_arena *arena, dele_err *err)
{
    *column = (study_column){.title = item->string, .file = "eval.json"};
    const char *text =
        cJSON_IsObject(item) ? read_placed(column, item, arena, err) : cJSON_GetStringValue(item);
    if (err->code) return err->code;
    if (!text)
        return dele_fail(err, DELE_ERR_DATA, "\"%s\" wants a text, \"stage:number\"", item->string);
    if (study_check_ref(any, &column->stages, text, plan, arena, err)) return err->code;
    const char *rest = column->stages.rest;
    if (*rest == '/') {
        size_t n = strcspn(++rest, ":");
        if (!(column->file = dele_strndup(arena, rest, n, err))) return DELE_ERR_MEMORY;
        rest += n;
    }
    if (*rest != ':' || !rest[1])
        return dele_fail(
            err, DELE_ERR_DATA,
            "\"%s\": the stage must be followed by a colon and where the number is, as in "
            "\"score:forget.prompt.top1\"",
            text);
    column->path = rest + 1;
    return DELE_OK;
}

dele_status study_read_columns(study_table *table, const recipe_plan *plan, dele_arena *arena,
                               dele_err *err)
{
    static const char *const known[] = {"about", "columns"};
    const cJSON *json = dele_json_get(plan->json, "table"),
                *columns = dele_json_get(json, "columns"), *item;
    *table = (study_table){0};
    if (!json) return DELE_OK;
    if (recipe_check_keys(json, known, 2, "table", arena, err)) return err->code;
    if (!cJSON_IsObject(columns) || !columns->child)
        return dele_fail(err, DELE_ERR_DATA,
                         "table: \"columns\" is an object {\"title\": \"stage:number\"}");
    table->column = DELE_NEW(arena, study_column, (size_t)cJSON_GetArraySize(columns), err);
    if (!table->column) return DELE_ERR_MEMORY;
    cJSON_ArrayForEach(item, columns)
    {
        bool any;
        dele_err inner = {0};
        if (read_column(&table->column[table->n_columns], &any, item, plan, arena, &inner))
            return dele_fail(err, inner.code, "table: %s", inner.msg);
        table->n_columns += any;
    }
    return DELE_OK;
}

/* ---- the table ------------------------------------------------------------------------------- */

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

static void add_axis(study_table *table, const char *axis, size_t most)
{
    if (study_axis_find(table, axis) == table->n_axes && table->n_axes < most)
        table->axis[table->n_axes++] = axis;
}

static dele_status find_axes(study_table *table, const recipe_plan *plan, dele_arena *arena,
                             dele_err *err)
{
    enum { MOST = 64 };
    table->axis = DELE_NEW(arena, const char *, MOST, err);
    if (!table->axis) return DELE_ERR_MEMORY;
    for (size_t c = 0; c < table->n_columns; c++) {
        const cJSON *own;
        for (size_t i = 0; i < plan->n_stages; i++) {
            const recipe_stage *r = &plan->stage[i];
            if (!recipe_ref_fits(&table->column[c].stages, r)) continue;
            for (size_t a = 0; a < r->n_at; a++)
                if (!is_fixed(&table->column[c].stages, r->at[a].axis))
                    add_axis(table, r->at[a].axis, MOST);
        }
        cJSON_ArrayForEach(own, table->column[c].at) add_axis(table, own->string, MOST);
    }
    return DELE_OK;
}

/* The row with a stage's coordinates, and the column's own; made where there is none. */
static study_row *row_of(study_table *table, const study_column *column, const recipe_stage *r,
                         dele_arena *arena, dele_err *err)
{
    const char **at = DELE_NEW(arena, const char *, table->n_axes, err);
    if (!at) return NULL;
    for (size_t a = 0; a < table->n_axes; a++) {
        const char *own = dele_json_string(column->at, table->axis[a]);
        at[a] = own                                         ? own
                : is_fixed(&column->stages, table->axis[a]) ? NULL
                                                            : recipe_coordinate(r, table->axis[a]);
    }
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
    row->number = DELE_NEW(arena, study_number, table->n_columns, err);
    if (!row->number) return NULL;
    for (size_t c = 0; c < table->n_columns; c++)
        row->number[c] = (study_number){(double)NAN, (double)NAN, (double)NAN};
    table->n_rows++;
    return row;
}

static dele_status read_number(study_number *number, const study *s, size_t stage,
                               const study_column *column, dele_err *err)
{
    dele_err inner = {0};
    if (s->stage[stage].state != STUDY_DONE) return DELE_OK;
    const char *path = dele_printf(s->arena, err, "%s/%s", s->stage[stage].result, column->file);
    cJSON *json = path ? dele_json_load_result(path, &inner) : NULL;
    if (!path) return DELE_ERR_MEMORY;
    if (json)
        *number = study_number_at(json, column->path);
    else
        dele_note("no \"%s\" for the table: %s", column->title, inner.msg);
    cJSON_Delete(json);
    return DELE_OK;
}

/* Rows without a number go. */
static void leave_out_empty(study_table *table)
{
    size_t n = 0;
    for (size_t i = 0; i < table->n_rows; i++) {
        bool any = false;
        for (size_t c = 0; c < table->n_columns; c++)
            any |= isfinite(table->row[i].number[c].value);
        if (any) table->row[n++] = table->row[i];
    }
    table->n_empty = table->n_rows - n;
    table->n_rows = n;
}

/* Rows in the order in which the recipe names their stages. */
dele_status study_table_read(study_table *table, const study *s, dele_err *err)
{
    const recipe_plan *plan = &s->plan;
    size_t *written = DELE_NEW(s->arena, size_t, plan->n_stages, err);
    if (!written || study_read_columns(table, plan, s->arena, err) ||
        find_axes(table, plan, s->arena, err))
        return err->code;
    table->row = DELE_NEW(s->arena, study_row, plan->n_stages, err);
    if (!table->row) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < plan->n_stages; i++) written[plan->stage[i].written] = i;
    for (size_t k = 0; k < plan->n_stages; k++)
        for (size_t c = 0; c < table->n_columns; c++) {
            const study_column *column = &table->column[c];
            const size_t i = written[k];
            if (!recipe_ref_fits(&column->stages, &plan->stage[i])) continue;
            study_row *row = row_of(table, column, &plan->stage[i], s->arena, err);
            if (!row || read_number(&row->number[c], s, i, column, err)) return err->code;
        }
    leave_out_empty(table);
    return DELE_OK;
}

size_t study_values_on(const char **value, const study_table *table, size_t axis)
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

size_t study_place_on(const study *s, const char *axis, const char *name)
{
    size_t place = 0;
    for (size_t i = 0; i < s->plan.n_stages; i++) {
        const char *at = recipe_coordinate(&s->plan.stage[i], axis);
        bool is_new = at != NULL;
        if (at && !strcmp(at, name)) return place;
        for (size_t k = 0; k < i && is_new; k++) {
            const char *before = recipe_coordinate(&s->plan.stage[k], axis);
            is_new = !before || strcmp(before, at);
        }
        place += is_new;
    }
    return place;
}

/* ---- files ----------------------------------------------------------------------------------- */

void study_put_number(FILE *to, double x)
{
    if (isfinite(x))
        fprintf(to, "\t%.6g", x);
    else
        fputc('\t', to);
}

static void put_cell(FILE *to, bool tab, const char *text)
{
    if (tab) fputc('\t', to);
    dele_text_put(to, text, DELE_TEXT_CELL);
}

dele_status study_save_table(const study *s, const study_table *table, const char *dir,
                             dele_err *err)
{
    if (!table->n_columns) return DELE_OK;
    dele_writer out = {0};
    const char *path = dele_printf(s->arena, err, "%s/table.tsv", dir);
    if (!path || dele_writer_open(&out, path, err)) return err->code;
    if (!table->n_axes) fputs("row", out.stream); /* nothing is swept: the rows are numbered */
    for (size_t a = 0; a < table->n_axes; a++) put_cell(out.stream, a > 0, table->axis[a]);
    for (size_t c = 0; c < table->n_columns; c++) {
        const char *title = table->column[c].title;
        fprintf(out.stream, "\t%s\t%s stderr\t%s n", title, title, title);
    }
    fputc('\n', out.stream);
    for (size_t i = 0; i < table->n_rows; i++) {
        const study_row *row = &table->row[i];
        if (!table->n_axes) fprintf(out.stream, "%zu", i + 1);
        for (size_t a = 0; a < table->n_axes; a++) put_cell(out.stream, a > 0, row->at[a]);
        for (size_t c = 0; c < table->n_columns; c++) {
            study_put_number(out.stream, row->number[c].value);
            study_put_number(out.stream, row->number[c].error);
            study_put_number(out.stream, row->number[c].n);
        }
        fputc('\n', out.stream);
    }
    return dele_writer_commit(&out, err);
}
