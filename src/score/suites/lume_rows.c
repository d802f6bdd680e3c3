#include "score/suites/lume_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/texts.h"
#include "score/set_files.h"

const char *dele_lume_kind_name(dele_lume_kind kind) { return kind == DELE_LUME_SC ? "sc" : "qa"; }

typedef struct {
    char **line;
    size_t n;
} id_list;

static dele_status ids_load(id_list *ids, const char *path, dele_arena *arena, dele_err *err)
{
    size_t size = 0;
    char *text = dele_text_read(path, arena, &size, err);
    ids->line = text ? DELE_NEW(arena, char *, size / 2 + 1, err) : NULL;
    if (!ids->line) return err->code;
    for (char *at = strtok_r(text, "\r\n", &text); at; at = strtok_r(NULL, "\r\n", &text))
        ids->line[ids->n++] = at;
    if (ids->n == 0)
        return dele_fail(err, DELE_ERR_DATA, "%s lists no id; it must have one id a line", path);
    qsort(ids->line, ids->n, sizeof *ids->line, dele_by_text);
    return DELE_OK;
}

static bool is_listed(const id_list *ids, const char *id)
{
    return !ids->line || bsearch(&id, ids->line, ids->n, sizeof *ids->line, dele_by_text);
}

bool dele_lume_parse_id(dele_lume_kind *kind, size_t *document, const char *id)
{
    size_t n = strlen(id);
    while (n > 0 && id[n - 1] >= '0' && id[n - 1] <= '9') n--;
    if (n < 2) return false;
    if (memcmp(id + n - 2, "sc", 2) == 0)
        *kind = DELE_LUME_SC;
    else if (memcmp(id + n - 2, "qa", 2) == 0)
        *kind = DELE_LUME_QA;
    else
        return false;
    *document = n - 2;
    return true;
}

static const char *const split_name[] = {"forget", "retain"};

/* The split in a file's name, "forget" or "forget_val"; NULL: none. */
static const char *split_in_name(const char *name)
{
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(split_name[i]);
        if (!strncmp(name, split_name[i], n) && (!name[n] || strchr("_-.", name[n])))
            return split_name[i];
    }
    return NULL;
}

/* A row's own column "split" is used where the file's name has no split, and must not contradict
 * the name. */
static dele_status row_split(const char **split, const dele_records *r, const cJSON *json,
                             dele_err *err)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "split"));
    const char *own = text && (!strcmp(text, split_name[0]) || !strcmp(text, split_name[1]))
                          ? split_in_name(text)
                          : NULL;
    if (!own || own == *split) return DELE_OK;
    if (split_in_name(*split))
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: \"split\" is %s, in a file whose name says %s",
                         r->path, r->line, own, *split);
    *split = own;
    return DELE_OK;
}

/* Reads one row.  Its kind follows from its id, and its split from the file's name or from its own
 * column; a row that contradicts its file is an error, because it would be counted in the wrong
 * term. */
static dele_status row_read(dele_lume_row *row, const dele_records *r, const cJSON *json,
                            const char *split, dele_arena *arena, dele_err *err)
{
    size_t document;
    const char *field[4];
    static const char *const name[4] = {"id", "input", "output", "task"};
    if (row_split(&split, r, json, err)) return err->code;
    for (int f = 0; f < 4; f++) {
        const char *text = dele_record_string(r, json, name[f], err);
        field[f] = text ? dele_strdup(arena, text, err) : NULL;
        if (!field[f]) return err->code;
    }
    *row = (dele_lume_row){field[0], field[1], field[2], field[3], split, DELE_LUME_SC};
    if (!dele_lume_parse_id(&row->kind, &document, row->id))
        return dele_fail(err, DELE_ERR_DATA,
                         "%s:%d: the id \"%.80s\" must end in sc or qa and a number", r->path,
                         r->line, row->id);
    if (!row->input[0])
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: \"input\" is empty", r->path, r->line);
    return DELE_OK;
}

static dele_status rows_reserve(dele_lume *data, size_t *capacity, dele_arena *arena, dele_err *err)
{
    if (data->n < *capacity) return DELE_OK;
    size_t more = *capacity ? 2 * *capacity : 256;
    dele_lume_row *row = DELE_NEW(arena, dele_lume_row, more, err);
    if (!row) return DELE_ERR_MEMORY;
    if (data->n) memcpy(row, data->row, data->n * sizeof *row);
    data->row = row;
    *capacity = more;
    return DELE_OK;
}

/* Appends a file's rows, at most `limit` of those whose ids are asked for.  A file whose name has
 * no split is a split of its own, named after the file. */
static dele_status file_load(dele_lume *data, size_t *capacity, const char *path, int limit,
                             const id_list *ids, dele_arena *arena, dele_err *err)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    const char *split = split_in_name(base);
    if (!split) split = dele_strndup(arena, base, strcspn(base, "."), err);
    if (!split) return DELE_ERR_MEMORY;
    dele_records r = {0};
    dele_status status = dele_records_open(&r, path, err);
    size_t n = 0;
    const cJSON *json;
    while (!status && (!limit || n < (size_t)limit) && (json = dele_records_next(&r, err))) {
        status = rows_reserve(data, capacity, arena, err);
        if (!status) status = row_read(&data->row[data->n], &r, json, split, arena, err);
        if (status || !is_listed(ids, data->row[data->n].id)) continue;
        data->n++;
        n++;
    }
    dele_records_close(&r);
    return status ? status : err->code;
}

/* forget.jsonl, or else the only file whose name begins so; NULL: there is none, or err is set. */
static const char *find_split(const dele_set_files *files, const char *dir, const char *split,
                              dele_err *err)
{
    const char *found = NULL;
    for (size_t i = 0; i < files->n; i++)
        if (!strcmp(files->name[i], split)) return files->path[i];
    for (size_t i = 0; i < files->n; i++) {
        if (split_in_name(files->name[i]) != split) continue;
        if (found) {
            dele_fail(err, DELE_ERR_DATA,
                      "%s holds %s and %s; put the one to score into a directory of its own, or "
                      "name it %s.jsonl",
                      dir, strrchr(found, '/') + 1, strrchr(files->path[i], '/') + 1, split);
            return NULL;
        }
        found = files->path[i];
    }
    return found;
}

/* Loads the forget and retain files of a directory; one of them may be missing.  A directory that
 * cannot be listed is treated as one without files: the error then says which files are needed. */
static dele_status dir_load(dele_lume *data, const char *dir, int limit, const id_list *ids,
                            dele_arena *arena, dele_err *err)
{
    dele_set_files files;
    size_t capacity = 0;
    bool any = false;
    dele_err none = {0};
    if (dele_set_files_find(&files, dir, false, arena, &none)) files.n = 0;
    for (int i = 0; i < 2 && !err->code; i++) {
        const char *file = find_split(&files, dir, split_name[i], err);
        if (!file || file_load(data, &capacity, file, limit, ids, arena, err)) continue;
        any = true;
    }
    if (err->code || any) return err->code;
    return dele_fail(
        err, DELE_ERR_FILE,
        "%s holds neither forget.jsonl nor retain.jsonl (forget_val.jsonl and the like do "
        "as well); experiments/parquet_rows.py makes .jsonl of .parquet",
        dir);
}

dele_status dele_lume_load(dele_lume *data, const char *path, int limit, const char *ids,
                           dele_arena *arena, dele_err *err)
{
    id_list list = {0};
    size_t capacity = 0;
    *data = (dele_lume){0};
    dele_status status = ids ? ids_load(&list, ids, arena, err) : DELE_OK;
    if (status) return status;
    status = dele_path_is_dir(path) ? dir_load(data, path, limit, &list, arena, err)
                                    : file_load(data, &capacity, path, limit, &list, arena, err);
    if (!status && data->n == 0)
        return dele_fail(err, DELE_ERR_DATA, "%s: no row %s", path,
                         ids ? "has one of the ids asked for" : "to score");
    return status;
}
