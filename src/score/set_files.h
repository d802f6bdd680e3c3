/* Sets of items, one for each .jsonl file: a path is such a file, or a directory of such files. */
#ifndef DELE_SET_FILES_H
#define DELE_SET_FILES_H

#include "base/json.h"

typedef struct {
    const char **path, **name; /* [n] in the order of the names */
    size_t n;
} dele_set_files;

/* json: files named .json count as well. */
dele_status dele_set_files_find(dele_set_files *files, const char *path, bool json,
                                dele_arena *arena, dele_err *err);

/* Reads a file's rows into a growing array: `read` fills one element of `size` bytes.  limit 0: all
 * rows. */
typedef dele_status (*dele_row_reader)(void *row, const dele_records *r, const cJSON *json,
                                       dele_arena *arena, dele_err *err);
void *dele_rows_load(size_t *n, size_t size, const char *path, int limit, dele_row_reader read,
                     dele_arena *arena, dele_err *err);

/* "id" as text, a number written out; NULL where there is none. */
dele_status dele_row_id(const char **id, const cJSON *json, dele_arena *arena, dele_err *err);

/* A field's array of strings, none of them empty: *n of them, *text in the arena. */
dele_status dele_row_strings(const char ***text, int *n, const dele_records *r, const cJSON *json,
                             const char *name, dele_arena *arena, dele_err *err);

#endif
