/* Files that are written: a file appears under its final name only when it is complete, and
 * nothing that deleatur did not make is overwritten.
 *
 * What becomes `path` is made in a directory `path.part`.  That directory is ours if it holds the
 * file deleatur.unfinished (the mark):
 *
 *   a file        path.part/deleatur.unfinished   the bytes themselves; renamed to path
 *   a directory   path.part/deleatur.unfinished   the key of the result that is being made
 *                 path.part/...                   the result so far; path.part is renamed to path
 *
 * The mark is locked (flock) while its process runs.  So a second process is refused, and the rest
 * of a killed process is distinguished from a result that is being written.  A path.part of any
 * other form (a file, a link, a directory of somebody else) is refused and not changed.  All steps
 * use descriptors of the directories (openat, renameat), so that a link put in their place
 * meanwhile has no effect.
 *
 * stdio reports a full disk late: fprintf succeeds into a buffer, and the error appears in fflush,
 * fsync or fclose.  commit therefore checks all of them (ferror too) before it renames, and syncs
 * the directory afterwards. */
#include "base/file_out.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/former.h"
#include "base/json_memory.h"

#define MARK "deleatur.unfinished"

/* ---- names ----------------------------------------------------------------------------------- */

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* path without trailing slashes, and path.part; fails when they do not fit. */
static dele_status name_part(char *path_out, size_t path_size, char *part, size_t part_size,
                             const char *path, dele_err *err)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    if (n == 0) return dele_fail(err, DELE_ERR_FILE, "cannot write to a file without a name");
    if (n >= path_size)
        return dele_fail(err, DELE_ERR_FILE, "the path %.200s... is too long to write to", path);
    snprintf(path_out, path_size, "%.*s", (int)n, path);
    snprintf(part, part_size, "%.*s.part", (int)n, path);
    const char *name = last_name(path_out);
    if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
        return dele_fail(err, DELE_ERR_FILE,
                         "cannot write %s: it is a directory; give a name in it", path_out);
    return DELE_OK;
}

dele_status dele_path_free(const char *path, dele_err *err)
{
    if (!dele_path_exists(path)) return DELE_OK;
    return dele_fail(err, DELE_ERR_FILE,
                     "%s exists already; remove it, or choose another path for the result", path);
}

/* Whether two paths, of which neither need exist, name one file: its directory is one (by device
 * and inode), and its last name too. */
static bool same_place(const char *a, const char *b)
{
    const char *const path[2] = {a, b};
    const char *name[2];
    struct stat above[2];
    for (int i = 0; i < 2; i++) {
        char dir[1040];
        const char *slash = strrchr(path[i], '/');
        const size_t n = slash ? (size_t)(slash - path[i]) + 1 : 0; /* with it: "/" stays "/" */
        name[i] = path[i] + n;
        if (n >= sizeof dir) return false;
        memcpy(dir, path[i], n);
        memcpy(dir + n, n ? "" : ".", n ? 1 : 2);
        if (stat(dir, &above[i])) return !strcmp(a, b);
    }
    return above[0].st_dev == above[1].st_dev && above[0].st_ino == above[1].st_ino &&
           !strcmp(name[0], name[1]);
}

dele_status dele_paths_free(const char *const *path, size_t n, dele_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (path[i] && dele_path_free(path[i], err)) return err->code;
        for (size_t k = 0; k < i; k++)
            if (path[i] && path[k] && same_place(path[i], path[k]))
                return dele_fail(err, DELE_ERR_USAGE,
                                 "%s is given for two outputs; give each a file of its own",
                                 path[i]);
    }
    return DELE_OK;
}

/* mkdir -p; with_last says whether the last component is made too. */
static dele_status make_dirs(const char *path, bool with_last, dele_err *err)
{
    char step[1200];
    if ((size_t)snprintf(step, sizeof step, "%s", path) >= sizeof step)
        return dele_fail(err, DELE_ERR_FILE, "the path %.200s... is too long to write to", path);
    for (char *c = step + 1; *c; c++) {
        if (*c != '/') continue;
        *c = '\0';
        if (mkdir(step, 0777) && errno != EEXIST)
            return dele_fail_file(err, "make the directory", step);
        *c = '/';
    }
    if (with_last && mkdir(step, 0777) && errno != EEXIST)
        return dele_fail_file(err, "make the directory", step);
    return DELE_OK;
}

dele_status dele_path_make_dirs(const char *path, dele_err *err)
{
    return make_dirs(path, true, err);
}

/* ---- removing -------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

dele_status dele_path_remove(const char *path, dele_err *err)
{
    return dele_path_exists(path) && nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS)
               ? dele_fail_file(err, "remove", path)
               : DELE_OK;
}

typedef enum { ALL, ALL_BUT_MARK, HALF_WRITTEN } which_entries;

/* Whether a name is that of an incomplete file of a killed process: our name.part, and libzip's
 * name.part.XXXXXX. */
static bool is_half_written(const char *name) { return strstr(name, ".part") != NULL; }

/* Removes entries of a directory; links are removed, never followed.  HALF_WRITTEN looks into
 * subdirectories too. */
static bool remove_entries(int dir, which_entries which)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    bool ok = list != NULL;
    if (!list && fd >= 0) close(fd);
    errno = 0;
    for (const struct dirent *e; ok && (e = readdir(list));) {
        const char *name = e->d_name;
        struct stat st;
        if (!strcmp(name, ".") || !strcmp(name, "..") || (which != ALL && !strcmp(name, MARK)))
            continue;
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW)) {
            ok = false;
            break;
        }
        const bool goes = which != HALF_WRITTEN || is_half_written(name);
        if (S_ISDIR(st.st_mode)) {
            int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            ok = sub >= 0 && remove_entries(sub, goes ? ALL : HALF_WRITTEN);
            if (sub >= 0) close(sub);
            if (ok && goes) ok = !unlinkat(dir, name, AT_REMOVEDIR);
        } else if (goes) {
            ok = !unlinkat(dir, name, 0);
        }
        errno = 0;
    }
    int why = errno;
    if (list) closedir(list);
    errno = why;
    return ok && !why;
}

typedef enum { ONLY_MARK, MORE, UNREADABLE } contents;

/* Whether the directory holds anything besides its mark. */
static contents contents_of(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    bool only = list != NULL;
    if (!list && fd >= 0) close(fd);
    for (const struct dirent *e; only && (e = readdir(list));)
        only = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || !strcmp(e->d_name, MARK);
    if (list) closedir(list);
    return !list ? UNREADABLE : only ? ONLY_MARK : MORE;
}

/* ---- a claim on path.part -------------------------------------------------------------------- */

/* Syncs a directory, so that its new names survive a power cut.  Some file systems cannot sync a
 * directory; a failure is ignored, since only this guarantee is lost. */
static void sync_dir(int dir) { (void)fsync(dir); }

static void release(dele_claim *c)
{
    if (c->held) close(c->mark), close(c->part), close(c->above);
    *c = (dele_claim){0};
}

/* Removes path.part with its contents, and releases the claim. */
static void remove_part(dele_claim *c, const char *part)
{
    if (!c->held) return;
    if (remove_entries(c->part, ALL_BUT_MARK) && !unlinkat(c->part, MARK, 0))
        unlinkat(c->above, last_name(part), AT_REMOVEDIR);
    release(c);
}

static int open_above(const char *path)
{
    char parent[1024];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == parent)
        slash[1] = '\0';
    else if (slash)
        *slash = '\0';
    else
        snprintf(parent, sizeof parent, ".");
    return open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Whether the name in dir still refers to the same file as the descriptor. */
static bool is_in_place(int dir, const char *name, int fd)
{
    struct stat there, ours;
    return !fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) && !fstat(fd, &ours) &&
           there.st_ino == ours.st_ino && there.st_dev == ours.st_dev;
}

bool dele_lock(int fd, bool *busy)
{
    bool locked = !flock(fd, LOCK_EX | LOCK_NB);
    *busy = !locked && errno == EWOULDBLOCK;
    return locked;
}

static dele_status fail_foreign(dele_err *err, const char *part)
{
    return dele_fail(
        err, DELE_ERR_FILE,
        "%s exists and is not an unfinished result of deleatur; move it away, or choose another "
        "path for the result",
        part);
}

static dele_status fail_busy(dele_err *err, const char *part)
{
    return dele_fail(
        err, DELE_ERR_FILE,
        "another deleatur is writing to %s; wait for it, or choose another path for the result",
        part);
}

typedef enum { TAKEN, AGAIN, FAILED } attempt;

/* Releases a claim; an empty path.part is removed. */
static attempt fail_new(const dele_claim *c, const char *part, const char *doing, dele_err *err)
{
    dele_fail_file(err, doing, part);
    unlinkat(c->above, last_name(part), AT_REMOVEDIR);
    return FAILED;
}

/* One attempt to claim path.part, c->above being open; *fresh: this process created it.  AGAIN: it
 * changed during the attempt. */
static attempt try_claim(dele_claim *c, const char *part, bool *fresh, dele_err *err)
{
    const char *name = last_name(part);
    struct stat st;
    bool busy;
    *fresh = false;
    if (mkdirat(c->above, name, 0777) && errno != EEXIST)
        return dele_fail_file(err, "make the directory", part), FAILED;
    c->part = openat(c->above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (c->part < 0 && errno == ENOENT) return AGAIN;
    if (c->part < 0 && (errno == ENOTDIR || errno == ELOOP)) return fail_foreign(err, part), FAILED;
    if (c->part < 0) return dele_fail_file(err, "open", part), FAILED;
    c->mark = openat(c->part, MARK, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (c->mark < 0 && errno == ENOENT) {
        const contents there = contents_of(c->part);
        if (there == UNREADABLE) return fail_new(c, part, "read", err);
        if (there == MORE)
            return is_in_place(c->above, name, c->part) ? fail_foreign(err, part), FAILED : AGAIN;
        c->mark = openat(c->part, MARK, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        *fresh = c->mark >= 0;
        if (c->mark < 0 && (errno == EEXIST || errno == ENOENT)) return AGAIN;
        if (c->mark < 0) return fail_new(c, part, "write", err);
    }
    if (c->mark < 0 || fstat(c->mark, &st) || !S_ISREG(st.st_mode))
        return fail_foreign(err, part), FAILED;
    if (!dele_lock(c->mark, &busy) &&
        (busy || !*fresh)) { /* a file system without locks: only a new directory is ours */
        if (busy)
            fail_busy(err, part);
        else
            dele_fail_file(err, "lock", part);
        return FAILED;
    }
    if (!is_in_place(c->part, MARK, c->mark) || !is_in_place(c->above, name, c->part)) return AGAIN;
    return st.st_nlink == 1 ? TAKEN : (fail_foreign(err, part), FAILED);
}

/* Claims path.part for this process; fails without a change if another process has it. */
static dele_status claim(dele_claim *c, const char *path, const char *part, bool *fresh,
                         dele_err *err)
{
    attempt result = AGAIN;
    *c = (dele_claim){.above = open_above(path)};
    if (c->above < 0) return dele_fail_file(err, "write", path);
    for (int i = 0; i < 100 && result == AGAIN; i++) {
        c->part = c->mark = -1;
        result = try_claim(c, part, fresh, err);
        if (result == TAKEN) break;
        if (c->mark >= 0) close(c->mark);
        if (c->part >= 0) close(c->part);
    }
    c->held = result == TAKEN;
    if (c->held) return DELE_OK;
    close(c->above);
    if (result == AGAIN) fail_busy(err, part);
    return err ? err->code : DELE_ERR_FILE;
}

/* Moves from[name] to above[path]; without `over` it never replaces a file. */
static dele_status move_into_place(int from, const char *name, int above, const char *path,
                                   bool over, dele_err *err)
{
    const char *to = last_name(path);
#ifdef RENAME_NOREPLACE
    if (!over && !renameat2(from, name, above, to, RENAME_NOREPLACE)) return DELE_OK;
    if (!over && errno != EINVAL && errno != ENOSYS)
        return dele_fail_file(err, "move the result to", path);
#endif
    if (!over && dele_path_free(path, err)) return DELE_ERR_FILE;
    return renameat(from, name, above, to) ? dele_fail_file(err, "write", path) : DELE_OK;
}

/* ---- one file, written aside ----------------------------------------------------------------- */

/* Claims PATH.part and opens its mark for writing.  A part that holds more than its mark is another
 * command's unfinished result, and is not touched. */
static dele_status open_writer(dele_writer *out, const char *path, bool over, dele_err *err)
{
    bool fresh;
    *out = (dele_writer){.over = over};
    dele_status status =
        name_part(out->path, sizeof out->path, out->part, sizeof out->part, path, err);
    if (!status && dele_path_is_dir(out->path) && over)
        status = dele_fail(err, DELE_ERR_FILE, "cannot write %s: it is a directory", out->path);
    if (!status && !over) status = dele_path_free(out->path, err);
    if (!status) status = claim(&out->claim, out->path, out->part, &fresh, err);
    if (status) return status;
    if (!fresh && contents_of(out->claim.part) != ONLY_MARK) {
        release(&out->claim);
        return dele_fail(
            err, DELE_ERR_FILE,
            "%s holds an unfinished result; finish it with its own command, or remove it",
            out->part);
    }
    int fd = ftruncate(out->claim.mark, 0) ? -1 : fcntl(out->claim.mark, F_DUPFD_CLOEXEC, 3);
    out->stream = fd < 0 ? NULL : fdopen(fd, "wb");
    if (out->stream) return DELE_OK;
    dele_fail_file(err, "write", out->path);
    if (fd >= 0) close(fd);
    remove_part(&out->claim, out->part);
    return DELE_ERR_FILE;
}

dele_status dele_writer_open(dele_writer *out, const char *path, dele_err *err)
{
    return open_writer(out, path, true, err);
}

dele_status dele_writer_create(dele_writer *out, const char *path, dele_err *err)
{
    return open_writer(out, path, false, err);
}

dele_status dele_writer_commit(dele_writer *out, dele_err *err)
{
    if (!out->stream) return DELE_OK;
    errno = 0;
    bool bad = ferror(out->stream) != 0;
    if (fflush(out->stream)) bad = true;
    if (!bad && fsync(fileno(out->stream))) bad = true;
    int why = errno;
    if (fclose(out->stream) && !bad) {
        bad = true;
        why = errno;
    }
    out->stream = NULL;
    dele_status status = dele_json_memory(err);
    if (!status && bad)
        status = dele_fail(err, DELE_ERR_FILE, "cannot write %s: %s; nothing was left there",
                           out->path, why ? strerror(why) : "an earlier write failed");
    if (!status)
        status =
            move_into_place(out->claim.part, MARK, out->claim.above, out->path, out->over, err);
    if (status) {
        remove_part(&out->claim, out->part);
        return status;
    }
    unlinkat(out->claim.above, last_name(out->part), AT_REMOVEDIR);
    sync_dir(out->claim.above);
    release(&out->claim);
    return DELE_OK;
}

void dele_writer_abandon(dele_writer *out)
{
    if (!out->stream) return;
    fclose(out->stream);
    out->stream = NULL;
    remove_part(&out->claim, out->part);
}

FILE *dele_file_append(const char *path, bool anew, dele_err *err)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
        close(fd);
        dele_fail(err, DELE_ERR_FILE, "cannot write %s: it is not a regular file", path);
        return NULL;
    }
    FILE *stream = fd < 0 || (anew && ftruncate(fd, 0)) ? NULL : fdopen(fd, "a");
    if (stream) return stream;
    dele_fail_file(err, "write", path);
    if (fd >= 0) close(fd);
    return NULL;
}

/* ---- a directory, written aside -------------------------------------------------------------- */

/* The key that an earlier process left in the mark, in the arena. */
static char *read_key(int mark, dele_arena *arena, dele_err *err)
{
    struct stat st;
    char *key = fstat(mark, &st) ? NULL : dele_alloc(arena, (size_t)st.st_size + 1, 1, err);
    for (size_t at = 0; key && at < (size_t)st.st_size;) {
        ssize_t n = pread(mark, key + at, (size_t)st.st_size - at, (off_t)at);
        if (n <= 0) break; /* shorter than it said: another key than ours */
        at += (size_t)n;
    }
    if (!key) dele_fail(err, DELE_ERR_FILE, "the key of an unfinished result cannot be read");
    return key;
}

static bool write_key(int mark, const char *key)
{
    size_t size = strlen(key), at = 0;
    if (ftruncate(mark, 0)) return false;
    while (at < size) {
        ssize_t n = pwrite(mark, key + at, size - at, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += (size_t)n;
    }
    return !fsync(mark);
}

/* The rest of an earlier process in path.part is kept (*resumed) if its key is equal, removed if it
 * has no key, and otherwise refused. */
static dele_status take_over(dele_outdir *out, const char *key, bool *resumed, dele_err *err)
{
    dele_arena scratch = {0};
    const char *theirs = read_key(out->claim.mark, &scratch, err);
    dele_status status = theirs ? DELE_OK : DELE_ERR_FILE;
    *resumed = theirs && *key && !strcmp(theirs, key);
    if (theirs && *theirs && !*resumed)
        status = dele_fail(
            err, DELE_ERR_FILE,
            "%s holds an unfinished result of another model, other data or other settings; "
            "finish that one with its own command, or remove it",
            out->part);
    dele_arena_release(&scratch);
    if (!status && !remove_entries(out->claim.part, *resumed ? HALF_WRITTEN : ALL_BUT_MARK))
        status = dele_fail_file(err, "remove", out->part);
    return status;
}

dele_status dele_outdir_resume(dele_outdir *out, const char *path, const char *key, bool *resumed,
                               dele_err *err)
{
    dele_outdir new = {0};
    bool fresh;
    *resumed = false;
    *out = new;
    dele_status status = name_part(new.path, sizeof new.path, new.part, sizeof new.part, path, err);
    if (!status) status = dele_path_free(new.path, err);
    if (!status && dele_path_is_dir(new.part)) status = dele_former_refuse(new.part, err);
    if (!status) status = make_dirs(new.part, false, err);
    if (!status) status = claim(&new.claim, new.path, new.part, &fresh, err);
    if (status) return status;
    status = dele_path_free(new.path, err); /* another process may have finished meanwhile */
    if (!status && !fresh) status = take_over(&new, key, resumed, err);
    if (!status && !*resumed && *key && !write_key(new.claim.mark, key))
        status = dele_fail_file(err, "write", new.part);
    if (!status)
        *out = new;
    else if (fresh)
        remove_part(&new.claim, new.part);
    else
        release(&new.claim);
    return status;
}

dele_status dele_outdir_open(dele_outdir *out, const char *path, dele_err *err)
{
    bool resumed;
    return dele_outdir_resume(out, path, "", &resumed, err);
}

dele_status dele_outdir_sub(const dele_outdir *out, const char *name, dele_err *err)
{
    char path[1200];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", out->part, name) >= sizeof path)
        return dele_fail(err, DELE_ERR_FILE, "the path %.200s.../%.200s is too long to write to",
                         out->part, name);
    return make_dirs(path, true, err);
}

/* The mark is removed last: a process that is killed before leaves a complete result with one small
 * file more. */
dele_status dele_outdir_commit(dele_outdir *out, dele_err *err)
{
    if (!out->part[0]) return DELE_OK;
    dele_claim *c = &out->claim;
    dele_status status = dele_json_memory(err);
    if (status) return status;
    if (dele_path_exists(out->path) || !is_in_place(c->above, last_name(out->part), c->part)) {
        status = dele_path_exists(out->path)
                     ? dele_fail(err, DELE_ERR_FILE,
                                 "%s was created by another program meanwhile; the result is in %s",
                                 out->path, out->part)
                     : dele_fail(err, DELE_ERR_FILE, "%s was moved away while it was written",
                                 out->part);
        release(c);
        *out = (dele_outdir){0};
        return status;
    }
    status = move_into_place(c->above, last_name(out->part), c->above, out->path, false, err);
    if (status) return status;
    unlinkat(c->part, MARK, 0);
    sync_dir(c->part);
    sync_dir(c->above);
    release(c);
    *out = (dele_outdir){0};
    return DELE_OK;
}

void dele_outdir_abandon(dele_outdir *out)
{
    if (out->part[0]) remove_part(&out->claim, out->part);
    *out = (dele_outdir){0};
}

void dele_outdir_leave(dele_outdir *out)
{
    release(&out->claim);
    *out = (dele_outdir){0};
}

dele_status dele_part_remove(const char *path, dele_err *err)
{
    dele_outdir part = {0};
    bool fresh;
    dele_status status =
        name_part(part.path, sizeof part.path, part.part, sizeof part.part, path, err);
    if (status || !dele_path_exists(part.part)) return status;
    status = claim(&part.claim, part.path, part.part, &fresh, err);
    if (!status) remove_part(&part.claim, part.part);
    return status;
}

/* The bytes are copied before they are written: write(2) of a missing page is an error of the file
 * that is written, "Bad address", while a read of it raises the signal that file.c handles. */
bool dele_write_mapped(FILE *out, const void *data, size_t bytes)
{
    uint8_t piece[1 << 14];
    const uint8_t *next = data;
    for (size_t n; bytes; next += n, bytes -= n) {
        n = bytes < sizeof piece ? bytes : sizeof piece;
        memcpy(piece, next, n);
        if (fwrite(piece, 1, n, out) != n) return false;
    }
    return true;
}

dele_status dele_file_copy(const char *from, const char *to, dele_err *err)
{
    dele_map map = {0};
    dele_writer out = {0};
    dele_status status = dele_path_is_shipped(from, err);
    if (!status) status = dele_map_open(&map, from, err);
    if (!status) status = dele_writer_open(&out, to, err);
    if (!status && !dele_write_mapped(out.stream, map.data, map.size))
        status = dele_fail_file(err, "write", to);
    if (!status) status = dele_writer_commit(&out, err);
    dele_writer_abandon(&out);
    dele_map_close(&map);
    return status;
}
