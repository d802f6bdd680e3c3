#include "score/set_files.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* How long the name is without its ending; 0 where it has none of ours. */
static size_t stem_of(const char *name, bool json)
{
    static const char *const ending[] = {".jsonl", ".json"};
    size_t n = strlen(name);
    for (int i = 0; i < (json ? 2 : 1); i++) {
        size_t own = strlen(ending[i]);
        if (n > own && !strcmp(name + n - own, ending[i])) return n - own;
    }
    return 0;
}

static const char *set_name(const char *path, bool json, lac_arena *arena, lac_err *err)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t stem = stem_of(base, json);
    return lac_strndup(arena, base, stem ? stem : strlen(base), err);
}

static lac_status list(lac_set_files *files, const char *path, bool json, lac_arena *arena, lac_err *err)
{
    size_t capacity = 0;
    DIR *dir = opendir(path);
    if (!dir) return lac_fail(err, LAC_ERR_FILE, "%s cannot be read", path);
    for (const struct dirent *e; !err->code && (e = readdir(dir));) {
        if (!stem_of(e->d_name, json)) continue;
        if (files->n == capacity) {
            const char **more = LAC_NEW(arena, const char *, capacity = capacity ? 2 * capacity : 32, err);
            if (!more) break;
            if (files->n) memcpy(more, files->path, files->n * sizeof *more);
            files->path = more;
        }
        files->path[files->n++] = lac_printf(arena, err, "%s/%s", path, e->d_name);
    }
    closedir(dir);
    if (err->code) return err->code;
    if (!files->n) return lac_fail(err, LAC_ERR_FILE, "%s holds no .jsonl%s file", path, json ? " or .json" : "");
    qsort(files->path, files->n, sizeof *files->path, by_text);
    return LAC_OK;
}

lac_status lac_set_files_find(lac_set_files *files, const char *path, bool json, lac_arena *arena, lac_err *err)
{
    *files = (lac_set_files){0};
    if (lac_path_is_dir(path)) {
        if (list(files, path, json, arena, err)) return err->code;
    } else {
        files->path = LAC_NEW(arena, const char *, 1, err);
        if (!files->path) return LAC_ERR_MEMORY;
        files->path[files->n++] = path;
    }
    files->name = LAC_NEW(arena, const char *, files->n, err);
    for (size_t i = 0; files->name && i < files->n; i++) files->name[i] = set_name(files->path[i], json, arena, err);
    return err->code;
}

void *lac_rows_load(size_t *n, size_t size, const char *path, int limit, lac_row_reader read, lac_arena *arena,
                    lac_err *err)
{
    char *rows = NULL;
    size_t capacity = 0;
    lac_records r = {0};
    const cJSON *json;
    *n = 0;
    lac_status status = lac_records_open(&r, path, err);
    while (!status && (!limit || *n < (size_t)limit) && (json = lac_records_next(&r, err))) {
        if (*n == capacity) {
            char *more = lac_alloc(arena, capacity = capacity ? 2 * capacity : 64, size, err);
            if (!more) break;
            if (*n) memcpy(more, rows, *n * size);
            rows = more;
        }
        status = read(rows + *n * size, &r, json, arena, err);
        ++*n;
    }
    lac_records_close(&r);
    if (!err->code && !*n) lac_fail(err, LAC_ERR_DATA, "%s holds no row", path);
    return err->code ? NULL : rows;
}

lac_status lac_row_id(const char **id, const cJSON *json, lac_arena *arena, lac_err *err)
{
    const cJSON *field = cJSON_GetObjectItemCaseSensitive(json, "id");
    *id = NULL;
    if (cJSON_IsString(field)) *id = lac_strdup(arena, field->valuestring, err);
    else if (cJSON_IsNumber(field)) *id = lac_printf(arena, err, "%.17g", field->valuedouble);
    return err->code;
}

lac_status lac_row_strings(const char ***text, int *n, const lac_records *r, const cJSON *json, const char *name,
                           lac_arena *arena, lac_err *err)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(json, name), *element;
    *n = 0;
    *text = LAC_NEW(arena, const char *, (size_t)cJSON_GetArraySize(array) + 1, err);
    if (!*text) return LAC_ERR_MEMORY;
    cJSON_ArrayForEach(element, array) {
        if (!cJSON_IsString(element) || !element->valuestring[0])
            return lac_fail(err, LAC_ERR_DATA, "%s:%d: \"%s\" must be an array of texts, none of them empty", r->path,
                            r->line, name);
        (*text)[*n] = lac_strdup(arena, element->valuestring, err);
        if (!(*text)[(*n)++]) return LAC_ERR_MEMORY;
    }
    if (!cJSON_IsArray(array) || !*n)
        return lac_fail(err, LAC_ERR_DATA, "%s:%d: no array of texts \"%s\"", r->path, r->line, name);
    return LAC_OK;
}
