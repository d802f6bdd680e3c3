/* Sets of items that come one a .jsonl file: a path is such a file, or a directory of them. */
#ifndef LAC_SET_FILES_H
#define LAC_SET_FILES_H

#include "base/json.h"

typedef struct {
    const char **path, **name; /* [n] in the order of the names */
    size_t n;
} lac_set_files;

/* json: files named .json count as well. */
lac_status lac_set_files_find(lac_set_files *files, const char *path, bool json, lac_arena *arena, lac_err *err);

/* Reads a file's rows into an array that grows: `read` fills rows of `size` bytes.  limit 0: all. */
typedef lac_status (*lac_row_reader)(void *row, const lac_records *r, const cJSON *json, lac_arena *arena,
                                     lac_err *err);
void *lac_rows_load(size_t *n, size_t size, const char *path, int limit, lac_row_reader read, lac_arena *arena,
                    lac_err *err);

/* "id" as text, a number written out; NULL where there is none. */
lac_status lac_row_id(const char **id, const cJSON *json, lac_arena *arena, lac_err *err);

/* A field's array of strings, none of them empty: *n of them, *text in the arena. */
lac_status lac_row_strings(const char ***text, int *n, const lac_records *r, const cJSON *json, const char *name,
                           lac_arena *arena, lac_err *err);

#endif
