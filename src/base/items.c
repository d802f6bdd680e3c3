#include "base/items.h"

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

/* The error of a field of a line, or NULL; stores the field's value. */
static const char *take_field(const dele_items_field *field, const cJSON *line)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, field->name), *e;
    double unused, *const value = field->value ? field->value : &unused;
    *value = NAN;
    if (!item) return "is missing";
    if (field->type == DELE_ITEMS_TEXT) return cJSON_IsString(item) ? NULL : "is no text";
    if (field->type == DELE_ITEMS_NUMBERS) {
        if (!cJSON_IsArray(item)) return "is no list of numbers";
        cJSON_ArrayForEach(e, item) {
            if (!cJSON_IsNumber(e) && !cJSON_IsNull(e)) return "is no list of numbers";
        }
        return NULL;
    }
    if (field->type == DELE_ITEMS_BOOL) {
        *value = cJSON_IsTrue(item);
        return cJSON_IsBool(item) ? NULL : "is neither true nor false";
    }
    if (cJSON_IsNull(item) && field->nullable) return NULL;
    const double x = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    if (!isfinite(x)) return "is not a finite number";
    if (field->type == DELE_ITEMS_WHOLE && (x != floor(x) || fabs(x) > INT_MAX))
        return "is not an integer";
    if ((field->low != 0 || field->high != 0) && !(x >= field->low && x <= field->high))
        return "is out of range";
    *value = x;
    return NULL;
}

bool dele_items_resume(dele_items *items, size_t i, cJSON *key, const dele_items_field *fields,
                       size_t n, dele_err *err)
{
    const cJSON *line = dele_items_previous(items, i);
    const char *what = NULL, *why = NULL;
    if (!key) dele_fail(err, DELE_ERR_MEMORY, "out of memory while reading items.jsonl");
    for (const cJSON *own = line && key ? key->child : NULL; own && !why; own = own->next)
        if (!cJSON_Compare(own, cJSON_GetObjectItemCaseSensitive(line, own->string), true))
            what = own->string, why = "differs";
    for (size_t k = 0; line && key && k < n && !why; k++)
        if ((why = take_field(&fields[k], line))) what = fields[k].name;
    if (why)
        dele_fail(
            err, DELE_ERR_FORMAT,
            "%s: line %zu is not item %zu: \"%s\" %s; remove the unfinished result and start again",
            items->path, i + 1, i, what, why);
    cJSON_Delete(key);
    if (!line || !key || why) return false;
    if (i >= items->n_used) items->n_used = i + 1;
    return true;
}

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
        items->n_old > items->n_used) /* behind an error of the run this one is not heard */
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
