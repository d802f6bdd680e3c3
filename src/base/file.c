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

static lac_status fail_file(lac_err *err, const char *doing, const char *path)
{
    int why = errno;
    return lac_fail(err, LAC_ERR_FILE, "cannot %s %s: %s", doing, path, strerror(why));
}

/* ---- reading --------------------------------------------------------------------------------------------- */

lac_status lac_map_open(lac_map *map, const char *path, lac_err *err)
{
    *map = (lac_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_file(err, "open", path);

    lac_status status = LAC_OK;
    struct stat st;
    if (fstat(fd, &st)) {
        status = fail_file(err, "read", path);
    } else if (!S_ISREG(st.st_mode)) {
        status = lac_fail(err, LAC_ERR_FILE, "%s is %s, a file is wanted here", path,
                          S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
    } else if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) status = fail_file(err, "map", path);
        else *map = (lac_map){.data = data, .size = (size_t)st.st_size};
    }
    close(fd);
    return status;
}

void lac_map_close(lac_map *map)
{
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (lac_map){0};
}

/* Reads with stdio rather than a map, so that pipes (/dev/stdin, a process substitution) work as well. */
char *lac_file_read(const char *path, lac_arena *arena, size_t *size, lac_err *err)
{
    FILE *in = fopen(path, "rbe");
    if (!in) {
        fail_file(err, "open", path);
        return NULL;
    }
    struct stat st;
    size_t cap = fstat(fileno(in), &st) == 0 && st.st_size > 0 ? (size_t)st.st_size : CHUNK;
    size_t n = 0;
    char *text = lac_alloc_raw(arena, cap + 1, 1, err);
    while (text) {
        n += fread(text + n, 1, cap - n, in);
        if (n < cap) break;
        int c = fgetc(in); /* full: at the end, or is there more than stat told us? */
        if (c == EOF) break;
        char *larger = lac_alloc_raw(arena, 2 * cap + 1, 1, err);
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

bool lac_path_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

bool lac_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- one file, written aside ----------------------------------------------------------------------------- */

/* path without trailing slashes, and path.part; fails when they do not fit. */
static lac_status name_part(char *path_out, size_t path_size, char *part, size_t part_size, const char *path, lac_err *err)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    if (n == 0) return lac_fail(err, LAC_ERR_FILE, "cannot write to a file without a name");
    if (n >= path_size) return lac_fail(err, LAC_ERR_FILE, "the path %.200s... is too long to write to", path);
    snprintf(path_out, path_size, "%.*s", (int)n, path);
    snprintf(part, part_size, "%.*s.part", (int)n, path);
    return LAC_OK;
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

lac_status lac_writer_open(lac_writer *out, const char *path, lac_err *err)
{
    *out = (lac_writer){0};
    lac_status status = name_part(out->path, sizeof out->path, out->part, sizeof out->part, path, err);
    if (status) return status;
    if (lac_path_is_dir(out->path))
        return lac_fail(err, LAC_ERR_FILE, "cannot write %s: it is a directory", out->path);
    out->stream = fopen(out->part, "wbe");
    return out->stream ? LAC_OK : fail_file(err, "write", out->part);
}

lac_status lac_writer_commit(lac_writer *out, lac_err *err)
{
    if (!out->stream) return LAC_OK;
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
        return lac_fail(err, LAC_ERR_FILE, "cannot write %s: %s; nothing was left there", out->path,
                        why ? strerror(why) : "an earlier write failed");
    }
    if (rename(out->part, out->path)) {
        fail_file(err, "write", out->path);
        unlink(out->part);
        return LAC_ERR_FILE;
    }
    sync_parent(out->path);
    return LAC_OK;
}

void lac_writer_abandon(lac_writer *out)
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
static lac_status make_dirs(const char *path, bool with_last, lac_err *err)
{
    char step[1200];
    if ((size_t)snprintf(step, sizeof step, "%s", path) >= sizeof step)
        return lac_fail(err, LAC_ERR_FILE, "the path %.200s... is too long to write to", path);
    for (char *c = step + 1; *c; c++) {
        if (*c != '/') continue;
        *c = '\0';
        if (mkdir(step, 0777) && errno != EEXIST) return fail_file(err, "make the directory", step);
        *c = '/';
    }
    if (with_last && mkdir(step, 0777) && errno != EEXIST) return fail_file(err, "make the directory", step);
    return LAC_OK;
}

lac_status lac_path_make_dirs(const char *path, lac_err *err) { return make_dirs(path, true, err); }

lac_status lac_path_remove(const char *path, lac_err *err)
{
    return lac_path_exists(path) && remove_tree(path) ? fail_file(err, "remove", path) : LAC_OK;
}

lac_status lac_outdir_open(lac_outdir *out, const char *path, lac_err *err)
{
    lac_outdir new = {0};
    *out = new;
    lac_status status = name_part(new.path, sizeof new.path, new.part, sizeof new.part, path, err);
    if (status) return status;
    if (lac_path_exists(new.path))
        return lac_fail(err, LAC_ERR_FILE, "%s exists already; remove it, or choose another place for the result",
                        new.path);
    if (lac_path_exists(new.part) && remove_tree(new.part)) return fail_file(err, "clear away", new.part);
    if ((status = make_dirs(new.part, false, err))) return status;
    if (mkdir(new.part, 0777)) return fail_file(err, "make the directory", new.part);
    *out = new;
    return LAC_OK;
}

static lac_status write_key(const char *file, const char *key, lac_err *err)
{
    lac_writer out = {0};
    if (lac_writer_open(&out, file, err)) return LAC_ERR_FILE;
    fputs(key, out.stream);
    return lac_writer_commit(&out, err);
}

lac_status lac_outdir_resume(lac_outdir *out, const char *path, const char *key, bool *resumed, lac_err *err)
{
    lac_outdir old = {0};
    char file[1200];
    *resumed = false;
    *out = old;
    lac_status status = name_part(old.path, sizeof old.path, old.part, sizeof old.part, path, err);
    if (status) return status;
    snprintf(file, sizeof file, "%s/%s", old.part, KEY_FILE);
    if (!lac_path_exists(old.path) && lac_path_exists(file)) {
        lac_arena scratch = {0};
        char *theirs = lac_file_read(file, &scratch, NULL, err);
        bool same = theirs && !strcmp(theirs, key);
        lac_arena_release(&scratch);
        if (!theirs) return LAC_ERR_FILE;
        if (!same)
            return lac_fail(err, LAC_ERR_FILE, "%s holds an unfinished result of another model, other data or other settings; "
                            "finish that one with its own command, or remove it", old.part);
        if (remove_half_written_files(old.part)) return fail_file(err, "tidy", old.part);
        *out = old;
        *resumed = true;
        return LAC_OK;
    }
    status = lac_outdir_open(out, path, err);
    return status ? status : write_key(file, key, err);
}

lac_status lac_outdir_sub(const lac_outdir *out, const char *name, lac_err *err)
{
    char path[1200];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", out->part, name) >= sizeof path)
        return lac_fail(err, LAC_ERR_FILE, "the path %.200s.../%.200s is too long to write to", out->part, name);
    return make_dirs(path, true, err);
}

lac_status lac_outdir_commit(lac_outdir *out, lac_err *err)
{
    if (!out->part[0]) return LAC_OK;
    if (lac_path_exists(out->path))
        return lac_fail(err, LAC_ERR_FILE, "%s came into being meanwhile; the result stands in %s", out->path, out->part);
    char key[1200];
    snprintf(key, sizeof key, "%s/%s", out->part, KEY_FILE);
    unlink(key);
    if (rename(out->part, out->path)) return fail_file(err, "move the result to", out->path);
    sync_parent(out->path);
    *out = (lac_outdir){0};
    return LAC_OK;
}

void lac_outdir_abandon(lac_outdir *out)
{
    if (out->part[0]) remove_tree(out->part);
    *out = (lac_outdir){0};
}

/* ---- whole files ----------------------------------------------------------------------------------------- */

static void end_hash(char hex[65], lac_hash *hash)
{
    uint8_t digest[LAC_HASH_SIZE];
    lac_hash_end(hash, digest);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void lac_text_sha256(char hex[65], const char *text)
{
    lac_hash hash;
    lac_hash_begin(&hash);
    lac_hash_add(&hash, text, strlen(text));
    end_hash(hex, &hash);
}

lac_status lac_file_sha256(char hex[65], const char *path, lac_err *err)
{
    hex[0] = '\0';
    FILE *in = fopen(path, "rbe");
    if (!in) return fail_file(err, "open", path);
    lac_hash hash;
    lac_hash_begin(&hash);
    uint8_t chunk[CHUNK];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, in)) > 0) lac_hash_add(&hash, chunk, n);
    lac_status status = ferror(in) ? fail_file(err, "read", path) : LAC_OK;
    fclose(in);
    if (!status) end_hash(hex, &hash);
    return status;
}

lac_status lac_file_copy(const char *from, const char *to, lac_err *err)
{
    FILE *in = fopen(from, "rbe");
    if (!in) return fail_file(err, "open", from);
    lac_writer out = {0};
    lac_status status = lac_writer_open(&out, to, err);
    char chunk[CHUNK];
    size_t n;
    while (!status && (n = fread(chunk, 1, sizeof chunk, in)) > 0)
        if (fwrite(chunk, 1, n, out.stream) != n) status = fail_file(err, "write", to);
    if (!status && ferror(in)) status = fail_file(err, "read", from);
    if (!status) status = lac_writer_commit(&out, err);
    lac_writer_abandon(&out);
    fclose(in);
    return status;
}
