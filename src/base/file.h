/* Files: mapped for reading, written aside and moved into place, hashed. */
#ifndef LAC_FILE_H
#define LAC_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"

/* A whole file, mapped read-only.  data is NULL for an empty file. */
typedef struct {
    const uint8_t *data;
    size_t size;
} lac_map;

lac_status lac_map_open(lac_map *map, const char *path, lac_err *err);
void lac_map_close(lac_map *map); /* accepts a zeroed map */

/* The whole file as a NUL-terminated string in the arena; *size (may be NULL) without the NUL. */
char *lac_file_read(const char *path, lac_arena *arena, size_t *size, lac_err *err);

bool lac_path_exists(const char *path);
bool lac_path_is_dir(const char *path);

lac_status lac_path_make_dirs(const char *path, lac_err *err); /* mkdir -p */
lac_status lac_path_remove(const char *path, lac_err *err);    /* a file, or a directory with all in it; may be missing */

/* A file written aside (`path.part`) and renamed into place by commit, so that nobody ever sees half of it.
 * Write to out.stream with stdio.  commit flushes, syncs, checks every error (a full disk among them) and
 * renames; abandon removes what was written.  Both accept a zeroed writer. */
typedef struct {
    FILE *stream;
    char path[1024], part[1040];
} lac_writer;

lac_status lac_writer_open(lac_writer *out, const char *path, lac_err *err);
lac_status lac_writer_commit(lac_writer *out, lac_err *err);
void lac_writer_abandon(lac_writer *out);

/* An output directory written aside (`path.part`) and renamed into place.  open fails when `path` exists, and
 * clears away a stale `path.part`.  Write the files under out.part; sub-directories with lac_outdir_sub. */
typedef struct {
    char path[1024], part[1040];
} lac_outdir;

lac_status lac_outdir_open(lac_outdir *out, const char *path, lac_err *err);

/* As open, but a `path.part` whose file `resume.key` holds this very key is kept, and *resumed says so.  One with
 * another key is an unfinished result of other settings: an error that says so, for nothing is to be lost.  Files that
 * a killed process left half written (".part" in their names) are removed.  commit
 * removes the key file. */
lac_status lac_outdir_resume(lac_outdir *out, const char *path, const char *key, bool *resumed, lac_err *err);
lac_status lac_outdir_sub(const lac_outdir *out, const char *name, lac_err *err); /* mkdir part/name */
lac_status lac_outdir_commit(lac_outdir *out, lac_err *err);
void lac_outdir_abandon(lac_outdir *out); /* removes the part directory; accepts a zeroed one */

/* sha256 of a file as 64 hex digits and a NUL. */
lac_status lac_file_sha256(char hex[65], const char *path, lac_err *err);
void lac_text_sha256(char hex[65], const char *text);

/* Copies a file byte for byte (written aside, moved into place). */
lac_status lac_file_copy(const char *from, const char *to, lac_err *err);

#endif
