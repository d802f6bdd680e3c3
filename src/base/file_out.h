/* Files and directories that are written: aside, then moved into place. */
#ifndef DELE_FILE_OUT_H
#define DELE_FILE_OUT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

dele_status dele_path_make_dirs(const char *path, dele_err *err); /* mkdir -p */
dele_status
dele_path_remove(const char *path,
                 dele_err *err); /* a file, or a directory with all in it; may be missing */

/* Fails if path exists: commands never overwrite what they did not make. */
dele_status dele_path_free(const char *path, dele_err *err);

/* The same for the n outputs of one command (NULL: not asked for), said before its work begins:
 * each is free, and no two of them name one file. */
dele_status dele_paths_free(const char *const *path, size_t n, dele_err *err);

/* flock(fd), exclusive, without waiting.  False if the lock was not taken; *busy says whether
 * another process holds it. */
bool dele_lock(int fd, bool *busy);

/* This process's claim on path.part (file_out.c): its parent directory, the directory itself,
 * and its locked mark. */
typedef struct {
    int above, part, mark;
    bool held;
} dele_claim;

/* A file written aside (in `path.part`) and renamed into place by commit, so that an incomplete
 * file is never visible.  Write to out.stream with stdio.  open replaces the file at path, for
 * files of deleatur's own; create fails if path exists, for a path that a user gave.  A path.part
 * that another process writes, or that deleatur did not make, is refused.  commit flushes, syncs,
 * checks every error (a full disk, a failed allocation in cJSON) and renames; abandon removes the
 * written file.  Both accept a zeroed writer. */
typedef struct {
    FILE *stream;
    char path[1024], part[1040];
    dele_claim claim;
    bool over; /* may replace */
} dele_writer;

dele_status dele_writer_open(dele_writer *out, const char *path, dele_err *err);
dele_status dele_writer_create(dele_writer *out, const char *path, dele_err *err);
dele_status dele_writer_commit(dele_writer *out, dele_err *err);
void dele_writer_abandon(dele_writer *out);

/* fwrite of bytes in a mapped file (file.h); false if writing fails.  If that file was cut short,
 * the process ends with the sentence that names it. */
bool dele_write_mapped(FILE *out, const void *data, size_t bytes);

/* A stream that appends to a regular file of deleatur's own (created if missing; truncated if
 * `again`), never through a link; the caller closes it.  NULL with err set on failure. */
FILE *dele_file_append(const char *path, bool anew, dele_err *err);

/* An output directory written aside (`path.part`) and renamed into place.  open fails if `path`
 * exists, if another process is writing to path.part, if deleatur did not make path.part, and if
 * path.part holds an unfinished result with a key.  The rest of a killed process without a key is
 * removed.  Write the files under out.part; sub-directories with dele_outdir_sub. */
typedef struct {
    char path[1024], part[1040];
    dele_claim claim;
} dele_outdir;

dele_status dele_outdir_open(dele_outdir *out, const char *path, dele_err *err);

/* As open, but a `path.part` that was begun with the same key is kept, and *resumed is set.  A
 * path.part with another key is an unfinished result of other settings; it is kept, and the call
 * fails.  Files that a killed process left half written (".part" in their names) are removed. */
dele_status dele_outdir_resume(dele_outdir *out, const char *path, const char *key, bool *resumed,
                               dele_err *err);
dele_status dele_outdir_sub(const dele_outdir *out, const char *name,
                            dele_err *err); /* mkdir part/name */
dele_status dele_outdir_commit(dele_outdir *out, dele_err *err);
void dele_outdir_abandon(dele_outdir *out); /* removes the part directory; accepts a zeroed one */
void dele_outdir_leave(
    dele_outdir *out); /* keeps it for the same command to resume from; accepts a zeroed one */

/* Removes path.part and its contents, if deleatur made it and no process is writing to it; it may
 * be missing. */
dele_status dele_part_remove(const char *path, dele_err *err);

/* Copies a file of a model byte for byte (written aside, moved into place); refuses what
 * dele_path_is_shipped does. */
dele_status dele_file_copy(const char *from, const char *to, dele_err *err);

#endif
