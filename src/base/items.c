#include "base/items.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static lac_status keep_old(lac_items *items, const char *line, size_t n, const char *path, lac_err *err)
{
    cJSON *json = cJSON_ParseWithLength(line, n);
    cJSON **more = json ? realloc(items->old, (items->n_old + 1) * sizeof *more) : NULL;
    if (!more) {
        cJSON_Delete(json);
        return lac_fail(err, LAC_ERR_FORMAT, "%s:%zu cannot be read back; remove the unfinished result and begin anew",
                        path, items->n_old + 1);
    }
    items->old = more;
    items->old[items->n_old++] = json;
    return LAC_OK;
}

lac_status lac_items_open(lac_items *items, const char *path, lac_err *err)
{
    lac_arena arena = {0};
    size_t size = 0, whole = 0;
    *items = (lac_items){0};
    char *text = lac_path_exists(path) ? lac_file_read(path, &arena, &size, err) : NULL;
    for (char *end; text && !err->code && (end = memchr(text + whole, '\n', size - whole));) {
        size_t n = (size_t)(end - text) - whole;
        keep_old(items, text + whole, n, path, err);
        whole += n + 1;
    }
    lac_arena_release(&arena);
    if (err->code) return err->code;
    if (whole < size && truncate(path, (off_t)whole))
        return lac_fail(err, LAC_ERR_FILE, "%s could not be cut behind its last whole line", path);
    items->file = fopen(path, "ae");
    return items->file ? LAC_OK : lac_fail(err, LAC_ERR_FILE, "%s could not be opened for writing", path);
}

const cJSON *lac_items_old(const lac_items *items, size_t i)
{
    return items && i < items->n_old ? items->old[i] : NULL;
}

lac_status lac_items_put(lac_items *items, size_t i, cJSON *line, lac_err *err)
{
    bool ok = line != NULL;
    if (ok && items && items->file && i >= items->n_old) {
        char *text = cJSON_PrintUnformatted(line);
        ok = text && fprintf(items->file, "%s\n", text) > 0 && fflush(items->file) == 0;
        cJSON_free(text);
    }
    cJSON_Delete(line);
    return ok ? LAC_OK : lac_fail(err, LAC_ERR_FILE, "items.jsonl could not be written: is the disk full?");
}

lac_status lac_items_close(lac_items *items, lac_err *err)
{
    bool ok = !items->file || fclose(items->file) == 0;
    for (size_t i = 0; i < items->n_old; i++) cJSON_Delete(items->old[i]);
    free(items->old);
    *items = (lac_items){0};
    return ok ? LAC_OK : lac_fail(err, LAC_ERR_FILE, "items.jsonl could not be written: is the disk full?");
}

bool lac_items_stand(const lac_outdir *dir)
{
    char path[1200];
    lac_map map = {0};
    snprintf(path, sizeof path, "%s/items.jsonl", dir->part);
    bool any = *dir->part && lac_path_exists(path) && !lac_map_open(&map, path, NULL) && map.size > 0;
    lac_map_close(&map);
    return any;
}
