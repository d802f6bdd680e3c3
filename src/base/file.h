/* Files: mapped for reading, written aside and moved into place, hashed. */
#ifndef DELE_FILE_H
#define DELE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"

/* A whole file, mapped read-only.  data is NULL for an empty file. */
typedef struct {
    const uint8_t *data;
    size_t size;
} dele_map;

dele_status dele_map_open(dele_map *map, const char *path, dele_err *err);
void dele_map_close(dele_map *map); /* accepts a zeroed map */

/* The whole file as a NUL-terminated string in the arena; *size (may be NULL) without the NUL. */
char *dele_file_read(const char *path, dele_arena *arena, size_t *size, dele_err *err);

bool dele_path_exists(const char *path);
bool dele_path_is_dir(const char *path);

dele_status dele_path_make_dirs(const char *path, dele_err *err); /* mkdir -p */
dele_status dele_path_remove(const char *path, dele_err *err);    /* a file, or a directory with all in it; may be missing */

/* A file written aside (`path.part`) and renamed into place by commit, so that nobody ever sees half of it.
 * Write to out.stream with stdio.  commit flushes, syncs, checks every error (a full disk among them) and
 * renames; abandon removes what was written.  Both accept a zeroed writer. */
typedef struct {
    FILE *stream;
    char path[1024], part[1040];
} dele_writer;

dele_status dele_writer_open(dele_writer *out, const char *path, dele_err *err);
dele_status dele_writer_commit(dele_writer *out, dele_err *err);
void dele_writer_abandon(dele_writer *out);

/* An output directory written aside (`path.part`) and renamed into place.  open fails when `path` exists, and
 * clears away a stale `path.part`.  Write the files under out.part; sub-directories with dele_outdir_sub. */
typedef struct {
    char path[1024], part[1040];
} dele_outdir;

dele_status dele_outdir_open(dele_outdir *out, const char *path, dele_err *err);

/* As open, but a `path.part` whose file `resume.key` holds this very key is kept, and *resumed says so.  One with
 * another key is an unfinished result of other settings: an error that says so, for nothing is to be lost.  Files that
 * a killed process left half written (".part" in their names) are removed.  commit
 * removes the key file. */
dele_status dele_outdir_resume(dele_outdir *out, const char *path, const char *key, bool *resumed, dele_err *err);
dele_status dele_outdir_sub(const dele_outdir *out, const char *name, dele_err *err); /* mkdir part/name */
dele_status dele_outdir_commit(dele_outdir *out, dele_err *err);
void dele_outdir_abandon(dele_outdir *out); /* removes the part directory; accepts a zeroed one */

/* sha256 of a file as 64 hex digits and a NUL. */
dele_status dele_file_sha256(char hex[65], const char *path, dele_err *err);
void dele_text_sha256(char hex[65], const char *text);

/* Copies a file byte for byte (written aside, moved into place). */
dele_status dele_file_copy(const char *from, const char *to, dele_err *err);

#endif
