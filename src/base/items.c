#include "base/items.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_memory.h"
#include "base/json_out.h"

static dele_status keep_old(dele_items *items, const char *line, size_t n, const char *path,
                            dele_err *err)
{
    dele_err why = {0};
    cJSON *json = dele_json_parse_result(path, (int)items->n_old + 1, line, n, &why);
    const size_t room = items->n_old & (items->n_old - 1)
                            ? items->n_old
                            : 2 * items->n_old + 1; /* doubled at powers of 2 */
    cJSON **more =
        json && room > items->n_old ? realloc(items->old, room * sizeof *more) : items->old;
    if (!json || !more) {
        cJSON_Delete(json);
        if (json) return dele_fail(err, DELE_ERR_MEMORY, "out of memory while reading %s", path);
        return dele_fail(err, DELE_ERR_FORMAT, "%s; remove the unfinished result and start again",
                         why.msg);
    }
    items->old = more;
    items->old[items->n_old++] = json;
    return DELE_OK;
}

dele_status dele_items_open(dele_items *items, const char *path, dele_err *err)
{
    dele_arena arena = {0};
    size_t size = 0, whole = 0;
    *items = (dele_items){0};
    if ((size_t)snprintf(items->path, sizeof items->path, "%s", path) >= sizeof items->path)
        return dele_fail(err, DELE_ERR_FILE, "the path %.200s... is too long to write to", path);
    char *text = dele_path_exists(path) ? dele_file_read(path, &arena, &size, err) : NULL;
    for (char *end; text && !err->code && (end = memchr(text + whole, '\n', size - whole));) {
        size_t n = (size_t)(end - text) - whole;
        keep_old(items, text + whole, n, path, err);
        whole += n + 1;
    }
    dele_arena_release(&arena);
    if (err->code) return err->code;
    if (whole < size && truncate(path, (off_t)whole))
        return dele_fail(err, DELE_ERR_FILE,
                         "%s could not be truncated after its last complete line", path);
    items->file = dele_file_append(path, false, err);
    return items->file ? DELE_OK : DELE_ERR_FILE;
}

const cJSON *dele_items_previous(const dele_items *items, size_t i)
{
    return items && i < items->n_old ? items->old[i] : NULL;
}

/* ---- a line's fields ------------------------------------------------------------------------- */

static dele_items_field *add(dele_items_line *line, const char *name, dele_items_type type)
{
    assert(line->n < DELE_ITEMS_MOST_FIELDS);
    dele_items_field *field = &line->field[line->n++];
    *field = (dele_items_field){.name = name, .type = type};
    return field;
}

void dele_key_text(dele_items_line *line, const char *name, const char *text)
{
    if (text) add(line, name, DELE_ITEMS_KEY_TEXT)->of.text = text;
}

void dele_key_number(dele_items_line *line, const char *name, double x)
{
    add(line, name, DELE_ITEMS_KEY_NUMBER)->of.number = x;
}

void dele_key_bool(dele_items_line *line, const char *name, bool x)
{
    add(line, name, DELE_ITEMS_KEY_BOOL)->of.number = x;
}

void dele_line_real(dele_items_line *line, const char *name, double *x, double low, double high)
{
    dele_items_field *field = add(line, name, DELE_ITEMS_REAL);
    field->of.real = x;
    field->low = low;
    field->high = high;
}

void dele_line_real_or_null(dele_items_line *line, const char *name, double *x, double low,
                            double high)
{
    dele_line_real(line, name, x, low, high);
    line->field[line->n - 1].nullable = true;
}

void dele_line_whole(dele_items_line *line, const char *name, int *x, int low, int high)
{
    dele_items_field *field = add(line, name, DELE_ITEMS_WHOLE);
    field->of.whole = x;
    field->low = low;
    field->high = high;
}

void dele_line_bool(dele_items_line *line, const char *name, bool *x)
{
    add(line, name, DELE_ITEMS_BOOL)->of.flag = x;
}

void dele_line_text(dele_items_line *line, const char *name, const char *text)
{
    add(line, name, DELE_ITEMS_TEXT)->of.text = text;
}

void dele_line_numbers(dele_items_line *line, const char *name, const double *x, size_t n)
{
    dele_items_field *field = add(line, name, DELE_ITEMS_NUMBERS);
    field->of.numbers = x;
    field->n = n;
}

static cJSON *numbers_json(const double *x, size_t n)
{
    cJSON *array = cJSON_CreateArray();
    for (size_t i = 0; array && i < n; i++) cJSON_AddItemToArray(array, dele_json_number(x[i]));
    return array;
}

static cJSON *field_json(const dele_items_field *field)
{
    switch (field->type) {
    case DELE_ITEMS_REAL:
        return dele_json_number(*field->of.real);
    case DELE_ITEMS_WHOLE:
        return cJSON_CreateNumber(*field->of.whole);
    case DELE_ITEMS_BOOL:
        return cJSON_CreateBool(*field->of.flag);
    case DELE_ITEMS_NUMBERS:
        return numbers_json(field->of.numbers, field->n);
    case DELE_ITEMS_KEY_NUMBER:
        return cJSON_CreateNumber(field->of.number);
    case DELE_ITEMS_KEY_BOOL:
        return cJSON_CreateBool(field->of.number != 0);
    case DELE_ITEMS_TEXT:
    case DELE_ITEMS_KEY_TEXT:
        break;
    }
    return cJSON_CreateString(field->of.text);
}

cJSON *dele_items_json(const dele_items_line *line)
{
    cJSON *json = cJSON_CreateObject();
    for (size_t k = 0; json && k < line->n; k++)
        cJSON_AddItemToObject(json, line->field[k].name, field_json(&line->field[k]));
    return json;
}

static bool is_key(const dele_items_field *field) { return field->type >= DELE_ITEMS_KEY_TEXT; }

/* Why the line's field is not the item's, or NULL; DELE_ERR_MEMORY is in err. */
static const char *compare_key(const dele_items_field *field, const cJSON *line, dele_err *err)
{
    cJSON *own = field_json(field);
    if (!own) dele_fail(err, DELE_ERR_MEMORY, "out of memory while reading items.jsonl");
    const bool same =
        own && cJSON_Compare(own, cJSON_GetObjectItemCaseSensitive(line, field->name), true);
    cJSON_Delete(own);
    return same ? NULL : "differs";
}

static const char *take_number(const dele_items_field *field, const cJSON *item)
{
    const bool whole = field->type == DELE_ITEMS_WHOLE;
    const double x = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    if (cJSON_IsNull(item) && field->nullable) {
        *field->of.real = NAN;
        return NULL;
    }
    if (!isfinite(x)) return "is not a finite number";
    if (whole && (x != floor(x) || fabs(x) > INT_MAX)) return "is not an integer";
    if ((field->low != 0 || field->high != 0) && !(x >= field->low && x <= field->high))
        return "is out of range";
    if (whole)
        *field->of.whole = (int)x;
    else
        *field->of.real = x;
    return NULL;
}

/* The error of a measured field of a line, or NULL; stores the field's value. */
static const char *take_field(const dele_items_field *field, const cJSON *line)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, field->name), *e;
    if (!item) return "is missing";
    if (field->type == DELE_ITEMS_TEXT) return cJSON_IsString(item) ? NULL : "is no text";
    if (field->type == DELE_ITEMS_BOOL) {
        *field->of.flag = cJSON_IsTrue(item);
        return cJSON_IsBool(item) ? NULL : "is neither true nor false";
    }
    if (field->type != DELE_ITEMS_NUMBERS) return take_number(field, item);
    if (!cJSON_IsArray(item)) return "is no list of numbers";
    cJSON_ArrayForEach(e, item)
    {
        if (!cJSON_IsNumber(e) && !cJSON_IsNull(e)) return "is no list of numbers";
    }
    return NULL;
}

bool dele_items_resume(dele_items *items, size_t i, const dele_items_line *fields, dele_err *err)
{
    const cJSON *line = dele_items_previous(items, i);
    const char *what = NULL, *why = NULL;
    if (!line) return false;
    for (int keys = 1; keys >= 0; keys--) /* another item's line is said to be one, whatever else */
        for (size_t k = 0; k < fields->n && !why && !err->code; k++) {
            const dele_items_field *field = &fields->field[k];
            if (is_key(field) != (keys == 1)) continue;
            what = field->name;
            why = keys ? compare_key(field, line, err) : take_field(field, line);
        }
    if (why)
        dele_fail(
            err, DELE_ERR_FORMAT,
            "%s: line %zu is not item %zu: \"%s\" %s; remove the unfinished result and start again",
            items->path, i + 1, i, what, why);
    if (err->code) return false;
    if (i >= items->n_used) items->n_used = i + 1;
    return true;
}

/* ---- lines ----------------------------------------------------------------------------------- */

dele_status dele_items_put(dele_items *items, size_t i, cJSON *line, dele_err *err)
{
    if (!line || dele_json_memory(err)) {
        cJSON_Delete(line);
        return dele_fail(err, DELE_ERR_MEMORY, "out of memory while an item was written");
    }
    bool ok = true;
    if (items && i >= items->n_used) items->n_used = i + 1;
    if (items && items->file && i >= items->n_old) {
        char *text = dele_json_text(line, false);
        if (!text) dele_json_memory(err);
        ok = text && fprintf(items->file, "%s\n", text) > 0 && fflush(items->file) == 0;
        cJSON_free(text);
    }
    cJSON_Delete(line);
    return ok ? DELE_OK
              : dele_fail(err, DELE_ERR_FILE,
                          "items.jsonl could not be written: is the disk full?");
}

dele_status dele_items_close(dele_items *items, dele_err *err)
{
    bool ok = !items->file || fclose(items->file) == 0;
    if (items->file &&
        items->n_old > items->n_used) /* after an error of the run this one is not heard */
        dele_fail(err, DELE_ERR_FORMAT,
                  "%s has %zu lines, for %zu items; remove the unfinished result and start again",
                  items->path, items->n_old, items->n_used);
    for (size_t i = 0; i < items->n_old; i++) cJSON_Delete(items->old[i]);
    free(items->old);
    *items = (dele_items){0};
    if (!ok)
        return dele_fail(err, DELE_ERR_FILE, "items.jsonl could not be written: is the disk full?");
    return err ? err->code : DELE_OK;
}

bool dele_items_resumable(const dele_outdir *dir)
{
    char path[1200];
    struct stat st;
    snprintf(path, sizeof path, "%s/items.jsonl", dir->part);
    return *dir->part && !stat(path, &st) && st.st_size > 0;
}
