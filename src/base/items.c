#include "base/items.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static dele_status keep_old(dele_items *items, const char *line, size_t n, const char *path, dele_err *err)
{
    cJSON *json = cJSON_ParseWithLength(line, n);
    cJSON **more = json ? realloc(items->old, (items->n_old + 1) * sizeof *more) : NULL;
    if (!more) {
        cJSON_Delete(json);
        if (json || dele_json_memory(err)) return dele_fail(err, DELE_ERR_MEMORY, "out of memory while reading %s", path);
        return dele_fail(err, DELE_ERR_FORMAT, "%s:%zu cannot be read back; remove the unfinished result and begin anew",
                        path, items->n_old + 1);
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
    char *text = dele_path_exists(path) ? dele_file_read(path, &arena, &size, err) : NULL;
    for (char *end; text && !err->code && (end = memchr(text + whole, '\n', size - whole));) {
        size_t n = (size_t)(end - text) - whole;
        keep_old(items, text + whole, n, path, err);
        whole += n + 1;
    }
    dele_arena_release(&arena);
    if (err->code) return err->code;
    if (whole < size && truncate(path, (off_t)whole))
        return dele_fail(err, DELE_ERR_FILE, "%s could not be cut behind its last whole line", path);
    items->file = dele_file_append(path, false, err);
    return items->file ? DELE_OK : DELE_ERR_FILE;
}

const cJSON *dele_items_old(const dele_items *items, size_t i)
{
    return items && i < items->n_old ? items->old[i] : NULL;
}

dele_status dele_items_put(dele_items *items, size_t i, cJSON *line, dele_err *err)
{
    if (!line || dele_json_memory(err)) {
        cJSON_Delete(line);
        return dele_fail(err, DELE_ERR_MEMORY, "out of memory while an item was written");
    }
    bool ok = true;
    if (items && items->file && i >= items->n_old) {
        char *text = cJSON_PrintUnformatted(line);
        if (!text) dele_json_memory(err);
        ok = text && fprintf(items->file, "%s\n", text) > 0 && fflush(items->file) == 0;
        cJSON_free(text);
    }
    cJSON_Delete(line);
    return ok ? DELE_OK : dele_fail(err, DELE_ERR_FILE, "items.jsonl could not be written: is the disk full?");
}

dele_status dele_items_close(dele_items *items, dele_err *err)
{
    bool ok = !items->file || fclose(items->file) == 0;
    for (size_t i = 0; i < items->n_old; i++) cJSON_Delete(items->old[i]);
    free(items->old);
    *items = (dele_items){0};
    return ok ? DELE_OK : dele_fail(err, DELE_ERR_FILE, "items.jsonl could not be written: is the disk full?");
}

bool dele_items_stand(const dele_outdir *dir)
{
    char path[1200];
    dele_map map = {0};
    snprintf(path, sizeof path, "%s/items.jsonl", dir->part);
    bool any = *dir->part && dele_path_exists(path) && !dele_map_open(&map, path, NULL) && map.size > 0;
    dele_map_close(&map);
    return any;
}
