/* Files that are read: opened, mapped, hashed. */
#ifndef DELE_FILE_H
#define DELE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"

/* A whole regular file, mapped read-only.  data is NULL for an empty file. */
typedef struct {
    const uint8_t *data;
    size_t size;
} dele_map;

dele_status dele_map_open(dele_map *map, const char *path, dele_err *err);
void dele_map_close(dele_map *map); /* accepts a zeroed map */

/* The pages inside of [data, data + bytes) are read from the file again when they are touched;
 * until then the process does not hold them.  Nothing happens to what is not in the map. */
void dele_map_drop(const dele_map *map, const void *data, size_t bytes);

/* Whether a file of a model may be read: it is a regular file, or a link as the Hugging Face cache
 * has them (snapshots/REVISION/name -> ../../blobs/HASH in the same model's cache folder).
 * Anything else is an error. */
dele_status dele_path_is_shipped(const char *path, dele_err *err);

/* The whole file (or pipe) as a NUL-terminated string in the arena; *size (may be NULL) without the
 * NUL. */
char *dele_file_read(const char *path, dele_arena *arena, size_t *size, dele_err *err);

bool dele_path_exists(const char *path);
bool dele_path_is_dir(const char *path);

/* sha256 of a file as 64 hex digits and a NUL. */
dele_status dele_file_sha256(char hex[65], const char *path, dele_err *err);
void dele_text_sha256(char hex[65], const char *text);

#endif
