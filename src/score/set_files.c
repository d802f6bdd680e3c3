#include "score/set_files.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/texts.h"

/* The length of the name without its ending; 0 for another ending. */
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

static const char *set_name(const char *path, bool json, dele_arena *arena, dele_err *err)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t stem = stem_of(base, json);
    return dele_strndup(arena, base, stem ? stem : strlen(base), err);
}

/* The files of the directory with a known ending, sorted by path, so that sets have the same order
 * on every file system. */
static dele_status list(dele_set_files *files, const char *path, bool json, dele_arena *arena,
                        dele_err *err)
{
    size_t capacity = 0;
    DIR *dir = opendir(path);
    if (!dir) return dele_fail(err, DELE_ERR_FILE, "%s cannot be read", path);
    for (const struct dirent *e; !err->code && (e = readdir(dir));) {
        if (!stem_of(e->d_name, json)) continue;
        if (files->n == capacity) {
            const char **more =
                DELE_NEW(arena, const char *, capacity = capacity ? 2 * capacity : 32, err);
            if (!more) break;
            if (files->n) memcpy(more, files->path, files->n * sizeof *more);
            files->path = more;
        }
        files->path[files->n++] = dele_printf(arena, err, "%s/%s", path, e->d_name);
    }
    closedir(dir);
    if (err->code) return err->code;
    if (!files->n)
        return dele_fail(err, DELE_ERR_FILE, "%s holds no .jsonl%s file", path,
                         json ? " or .json" : "");
    qsort(files->path, files->n, sizeof *files->path, dele_by_text);
    return DELE_OK;
}

dele_status dele_set_files_find(dele_set_files *files, const char *path, bool json,
                                dele_arena *arena, dele_err *err)
{
    *files = (dele_set_files){0};
    if (dele_path_is_dir(path)) {
        if (list(files, path, json, arena, err)) return err->code;
    } else {
        files->path = DELE_NEW(arena, const char *, 1, err);
        if (!files->path) return DELE_ERR_MEMORY;
        files->path[files->n++] = path;
    }
    files->name = DELE_NEW(arena, const char *, files->n, err);
    for (size_t i = 0; files->name && i < files->n; i++)
        files->name[i] = set_name(files->path[i], json, arena, err);
    return err->code;
}

void *dele_rows_load(size_t *n, size_t size, const char *path, int limit, dele_row_reader read,
                     dele_arena *arena, dele_err *err)
{
    char *rows = NULL;
    size_t capacity = 0;
    dele_records r = {0};
    const cJSON *json;
    *n = 0;
    dele_status status = dele_records_open(&r, path, err);
    while (!status && (!limit || *n < (size_t)limit) && (json = dele_records_next(&r, err))) {
        if (*n == capacity) {
            char *more = dele_alloc(arena, capacity = capacity ? 2 * capacity : 64, size, err);
            if (!more) break;
            if (*n) memcpy(more, rows, *n * size);
            rows = more;
        }
        status = read(rows + *n * size, &r, json, arena, err);
        ++*n;
    }
    dele_records_close(&r);
    if (!err->code && !*n) dele_fail(err, DELE_ERR_DATA, "%s holds no row", path);
    return err->code ? NULL : rows;
}

dele_status dele_row_id(const char **id, const cJSON *json, dele_arena *arena, dele_err *err)
{
    const cJSON *field = cJSON_GetObjectItemCaseSensitive(json, "id");
    *id = dele_json_id(field, arena, err);
    return err->code;
}

dele_status dele_row_strings(const char ***text, int *n, const dele_records *r, const cJSON *json,
                             const char *name, dele_arena *arena, dele_err *err)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(json, name), *element;
    *n = 0;
    *text = DELE_NEW(arena, const char *, (size_t)cJSON_GetArraySize(array) + 1, err);
    if (!*text) return DELE_ERR_MEMORY;
    cJSON_ArrayForEach(element, array)
    {
        if (!cJSON_IsString(element) || !element->valuestring[0])
            return dele_fail(err, DELE_ERR_DATA,
                             "%s:%d: \"%s\" must be an array of texts, none of them empty", r->path,
                             r->line, name);
        (*text)[*n] = dele_strdup(arena, element->valuestring, err);
        if (!(*text)[(*n)++]) return DELE_ERR_MEMORY;
    }
    if (!cJSON_IsArray(array) || !*n)
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: no array of texts \"%s\"", r->path, r->line,
                         name);
    return DELE_OK;
}
