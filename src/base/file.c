/* Files: nothing half-written is ever seen under its final name.
 *
 *   path.part  --write, flush, fsync, close, each checked-->  rename  -->  path
 *
 * stdio reports a full disk late: fprintf succeeds into a buffer, and the error waits in fflush, fsync or fclose.
 * commit therefore asks all four (ferror too) before it renames, and syncs the directory after. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

#define KEY_FILE "resume.key"

enum { CHUNK = 1 << 16 };

static dele_status fail_file(dele_err *err, const char *doing, const char *path)
{
    int why = errno;
    return dele_fail(err, DELE_ERR_FILE, "cannot %s %s: %s", doing, path, strerror(why));
}

/* ---- reading --------------------------------------------------------------------------------------------- */

dele_status dele_map_open(dele_map *map, const char *path, dele_err *err)
{
    *map = (dele_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_file(err, "open", path);

    dele_status status = DELE_OK;
    struct stat st;
    if (fstat(fd, &st)) {
        status = fail_file(err, "read", path);
    } else if (!S_ISREG(st.st_mode)) {
        status = dele_fail(err, DELE_ERR_FILE, "%s is %s, a file is wanted here", path,
                          S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
    } else if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) status = fail_file(err, "map", path);
        else *map = (dele_map){.data = data, .size = (size_t)st.st_size};
    }
    close(fd);
    return status;
}

void dele_map_close(dele_map *map)
{
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (dele_map){0};
}

/* Reads with stdio rather than a map, so that pipes (/dev/stdin, a process substitution) work as well. */
char *dele_file_read(const char *path, dele_arena *arena, size_t *size, dele_err *err)
{
    FILE *in = fopen(path, "rbe");
    if (!in) {
        fail_file(err, "open", path);
        return NULL;
    }
    struct stat st;
    size_t cap = fstat(fileno(in), &st) == 0 && st.st_size > 0 ? (size_t)st.st_size : CHUNK;
    size_t n = 0;
    char *text = dele_alloc_raw(arena, cap + 1, 1, err);
    while (text) {
        n += fread(text + n, 1, cap - n, in);
        if (n < cap) break;
        int c = fgetc(in); /* full: at the end, or is there more than stat told us? */
        if (c == EOF) break;
        char *larger = dele_alloc_raw(arena, 2 * cap + 1, 1, err);
        if (larger) {
            memcpy(larger, text, n);
            larger[n++] = (char)c;
        }
        text = larger;
        cap *= 2;
    }
    if (text && ferror(in)) {
        fail_file(err, "read", path);
        text = NULL;
    }
    fclose(in);
    if (!text) return NULL;
    text[n] = '\0';
    if (size) *size = n;
    return text;
}

bool dele_path_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

bool dele_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- one file, written aside ----------------------------------------------------------------------------- */

/* path without trailing slashes, and path.part; fails when they do not fit. */
static dele_status name_part(char *path_out, size_t path_size, char *part, size_t part_size, const char *path, dele_err *err)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    if (n == 0) return dele_fail(err, DELE_ERR_FILE, "cannot write to a file without a name");
    if (n >= path_size) return dele_fail(err, DELE_ERR_FILE, "the path %.200s... is too long to write to", path);
    snprintf(path_out, path_size, "%.*s", (int)n, path);
    snprintf(part, part_size, "%.*s.part", (int)n, path);
    return DELE_OK;
}

/* The name now points at the new file; let the directory remember that through a power cut.  Some file systems
 * cannot sync a directory, and nothing is lost but that promise, so its failure is none of ours. */
static void sync_parent(const char *path)
{
    char parent[1024];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == parent) slash[1] = '\0';
    else if (slash) *slash = '\0';
    else snprintf(parent, sizeof parent, ".");
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

dele_status dele_writer_open(dele_writer *out, const char *path, dele_err *err)
{
    *out = (dele_writer){0};
    dele_status status = name_part(out->path, sizeof out->path, out->part, sizeof out->part, path, err);
    if (status) return status;
    if (dele_path_is_dir(out->path))
        return dele_fail(err, DELE_ERR_FILE, "cannot write %s: it is a directory", out->path);
    out->stream = fopen(out->part, "wbe");
    return out->stream ? DELE_OK : fail_file(err, "write", out->part);
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
    if (bad) {
        unlink(out->part);
        return dele_fail(err, DELE_ERR_FILE, "cannot write %s: %s; nothing was left there", out->path,
                        why ? strerror(why) : "an earlier write failed");
    }
    if (rename(out->part, out->path)) {
        fail_file(err, "write", out->path);
        unlink(out->part);
        return DELE_ERR_FILE;
    }
    sync_parent(out->path);
    return DELE_OK;
}

void dele_writer_abandon(dele_writer *out)
{
    if (!out->stream) return;
    fclose(out->stream);
    out->stream = NULL;
    unlink(out->part);
}

/* ---- a directory, written aside -------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int remove_tree(const char *path)
{
    return nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

static int remove_half_written(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    return kind == FTW_F && at->level > 0 && strstr(path + at->base, ".part") ? remove(path) : 0;
}

/* What a killed process had not moved into place: our path.part, and the path.part.XXXXXX of libzip. */
static int remove_half_written_files(const char *dir)
{
    return nftw(dir, remove_half_written, 32, FTW_PHYS);
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
        if (mkdir(step, 0777) && errno != EEXIST) return fail_file(err, "make the directory", step);
        *c = '/';
    }
    if (with_last && mkdir(step, 0777) && errno != EEXIST) return fail_file(err, "make the directory", step);
    return DELE_OK;
}

dele_status dele_path_make_dirs(const char *path, dele_err *err) { return make_dirs(path, true, err); }

dele_status dele_path_remove(const char *path, dele_err *err)
{
    return dele_path_exists(path) && remove_tree(path) ? fail_file(err, "remove", path) : DELE_OK;
}

dele_status dele_outdir_open(dele_outdir *out, const char *path, dele_err *err)
{
    dele_outdir new = {0};
    *out = new;
    dele_status status = name_part(new.path, sizeof new.path, new.part, sizeof new.part, path, err);
    if (status) return status;
    if (dele_path_exists(new.path))
        return dele_fail(err, DELE_ERR_FILE, "%s exists already; remove it, or choose another place for the result",
                        new.path);
    if (dele_path_exists(new.part) && remove_tree(new.part)) return fail_file(err, "clear away", new.part);
    if ((status = make_dirs(new.part, false, err))) return status;
    if (mkdir(new.part, 0777)) return fail_file(err, "make the directory", new.part);
    *out = new;
    return DELE_OK;
}

static dele_status write_key(const char *file, const char *key, dele_err *err)
{
    dele_writer out = {0};
    if (dele_writer_open(&out, file, err)) return DELE_ERR_FILE;
    fputs(key, out.stream);
    return dele_writer_commit(&out, err);
}

dele_status dele_outdir_resume(dele_outdir *out, const char *path, const char *key, bool *resumed, dele_err *err)
{
    dele_outdir old = {0};
    char file[1200];
    *resumed = false;
    *out = old;
    dele_status status = name_part(old.path, sizeof old.path, old.part, sizeof old.part, path, err);
    if (status) return status;
    snprintf(file, sizeof file, "%s/%s", old.part, KEY_FILE);
    if (!dele_path_exists(old.path) && dele_path_exists(file)) {
        dele_arena scratch = {0};
        char *theirs = dele_file_read(file, &scratch, NULL, err);
        bool same = theirs && !strcmp(theirs, key);
        dele_arena_release(&scratch);
        if (!theirs) return DELE_ERR_FILE;
        if (!same)
            return dele_fail(err, DELE_ERR_FILE, "%s holds an unfinished result of another model, other data or other settings; "
                            "finish that one with its own command, or remove it", old.part);
        if (remove_half_written_files(old.part)) return fail_file(err, "tidy", old.part);
        *out = old;
        *resumed = true;
        return DELE_OK;
    }
    status = dele_outdir_open(out, path, err);
    return status ? status : write_key(file, key, err);
}

dele_status dele_outdir_sub(const dele_outdir *out, const char *name, dele_err *err)
{
    char path[1200];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", out->part, name) >= sizeof path)
        return dele_fail(err, DELE_ERR_FILE, "the path %.200s.../%.200s is too long to write to", out->part, name);
    return make_dirs(path, true, err);
}

dele_status dele_outdir_commit(dele_outdir *out, dele_err *err)
{
    if (!out->part[0]) return DELE_OK;
    if (dele_path_exists(out->path))
        return dele_fail(err, DELE_ERR_FILE, "%s came into being meanwhile; the result stands in %s", out->path, out->part);
    char key[1200];
    snprintf(key, sizeof key, "%s/%s", out->part, KEY_FILE);
    unlink(key);
    if (rename(out->part, out->path)) return fail_file(err, "move the result to", out->path);
    sync_parent(out->path);
    *out = (dele_outdir){0};
    return DELE_OK;
}

void dele_outdir_abandon(dele_outdir *out)
{
    if (out->part[0]) remove_tree(out->part);
    *out = (dele_outdir){0};
}

/* ---- whole files ----------------------------------------------------------------------------------------- */

static void end_hash(char hex[65], dele_hash *hash)
{
    uint8_t digest[DELE_HASH_SIZE];
    dele_hash_end(hash, digest);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void dele_text_sha256(char hex[65], const char *text)
{
    dele_hash hash;
    dele_hash_begin(&hash);
    dele_hash_add(&hash, text, strlen(text));
    end_hash(hex, &hash);
}

dele_status dele_file_sha256(char hex[65], const char *path, dele_err *err)
{
    hex[0] = '\0';
    FILE *in = fopen(path, "rbe");
    if (!in) return fail_file(err, "open", path);
    dele_hash hash;
    dele_hash_begin(&hash);
    uint8_t chunk[CHUNK];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, in)) > 0) dele_hash_add(&hash, chunk, n);
    dele_status status = ferror(in) ? fail_file(err, "read", path) : DELE_OK;
    fclose(in);
    if (!status) end_hash(hex, &hash);
    return status;
}

dele_status dele_file_copy(const char *from, const char *to, dele_err *err)
{
    FILE *in = fopen(from, "rbe");
    if (!in) return fail_file(err, "open", from);
    dele_writer out = {0};
    dele_status status = dele_writer_open(&out, to, err);
    char chunk[CHUNK];
    size_t n;
    while (!status && (n = fread(chunk, 1, sizeof chunk, in)) > 0)
        if (fwrite(chunk, 1, n, out.stream) != n) status = fail_file(err, "write", to);
    if (!status && ferror(in)) status = fail_file(err, "read", from);
    if (!status) status = dele_writer_commit(&out, err);
    dele_writer_abandon(&out);
    fclose(in);
    return status;
}
