/* Files that are read: opened in one place, which checks what may be read.
 *
 *   a file that a user names    a regular file, also through links; a pipe (a process substitution,
 *                               a FIFO that somebody writes to within TIMEOUT seconds), a terminal;
 *                               never a device or a directory
 *   a file of a model           a regular file itself, or a link as the Hugging Face cache makes
 *                               them (dele_path_is_shipped): what was downloaded must not lead to
 *                               what is beside it
 *
 * If a mapped file is truncated while it is read, an access to the missing pages raises SIGBUS.
 * The handler below has a list of the open maps, and ends the process with a message if the fault
 * is in one of them. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

enum { CHUNK = 1 << 16, TIMEOUT = 10 };
#define STREAM_LIMIT ((size_t)1 << 30) /* the limit for streams, which have no size */

/* ---- opening --------------------------------------------------------------------------------- */

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode)                    ? "a directory"
           : S_ISFIFO(mode)                 ? "a pipe"
           : S_ISSOCK(mode)                 ? "a socket"
           : S_ISCHR(mode) || S_ISBLK(mode) ? "a device"
                                            : "a special file";
}

/* Whether a pipe has a writer or data before the time limit.  Opening a pipe without O_NONBLOCK
 * would block for ever. */
static bool pipe_speaks(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;
    while ((n = poll(&p, 1, TIMEOUT * 1000)) < 0 && errno == EINTR) continue;
    return n > 0;
}

/* Opens a file for reading; st receives its type.  streams: pipes and terminals are allowed too.
 * -1 with err set on failure. */
static int open_input(struct stat *st, const char *path, bool streams, dele_err *err)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), flags;
    if (fd < 0) {
        dele_fail_file(err, "open", path);
        return -1;
    }
    bool ok = !fstat(fd, st);
    if (!ok) dele_fail_file(err, "read", path);
    const bool stream = ok && (S_ISFIFO(st->st_mode) || S_ISSOCK(st->st_mode) ||
                               (S_ISCHR(st->st_mode) && isatty(fd)));
    if (ok && !S_ISREG(st->st_mode) && !(streams && stream)) {
        dele_fail(err, DELE_ERR_FILE, "%s is %s, not a regular file", path, kind_of(st->st_mode));
        ok = false;
    }
    if (ok && S_ISFIFO(st->st_mode) && !pipe_speaks(fd)) {
        dele_fail(err, DELE_ERR_FILE, "%s is a pipe to which nothing was written for %d s", path,
                  TIMEOUT);
        ok = false;
    }
    if (ok && ((flags = fcntl(fd, F_GETFL)) < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)) {
        dele_fail_file(err, "read", path);
        ok = false;
    }
    if (ok) return fd;
    close(fd);
    return -1;
}

static ssize_t read_some(int fd, void *to, size_t n)
{
    ssize_t got;
    while ((got = read(fd, to, n)) < 0 && errno == EINTR) continue;
    return got;
}

/* CACHE/snapshots/REVISION/name -> CACHE/blobs/HASH, a regular file: a file of the Hugging Face
 * cache. */
static bool is_cached(const char *path)
{
    char *dir = realpath(path, NULL),
         *slash = dir ? strrchr(dir, '/') : NULL; /* where the link leads */
    struct stat st;
    bool cached = slash && !lstat(dir, &st) && S_ISREG(st.st_mode);
    char folder[PATH_MAX];
    size_t n = strlen(path);
    while (n && path[n - 1] != '/')
        n--; /* the snapshot's folder, itself perhaps reached through a link of the user's */
    cached = cached &&
             (n ? (size_t)snprintf(folder, sizeof folder, "%.*s.", (int)n, path) < sizeof folder
                : snprintf(folder, sizeof folder, ".") > 0);
    char *snapshot = cached ? realpath(folder, NULL) : NULL;
    char *revision = snapshot ? strrchr(snapshot, '/') : NULL;
    if (revision) *revision = '\0';
    char *snapshots = revision ? strrchr(snapshot, '/') : NULL;
    cached = snapshots && !strcmp(snapshots, "/snapshots");
    if (cached) {
        *slash = *snapshots = '\0';
        char *blobs = strrchr(dir, '/');
        cached = blobs && !strcmp(blobs, "/blobs") && (size_t)(blobs - dir) == strlen(snapshot) &&
                 !strncmp(dir, snapshot, strlen(snapshot));
    }
    free(dir);
    free(snapshot);
    return cached;
}

dele_status dele_path_is_shipped(const char *path, dele_err *err)
{
    struct stat st;
    if (lstat(path, &st)) return dele_fail_file(err, "read", path);
    if (S_ISLNK(st.st_mode) && !is_cached(path))
        return dele_fail(
            err, DELE_ERR_FILE,
            "%s is a link to a file outside the model's directory; replace the link by the file",
            path);
    if (stat(path, &st)) return dele_fail_file(err, "read", path);
    if (!S_ISREG(st.st_mode))
        return dele_fail(err, DELE_ERR_FILE, "%s is %s, not a regular file", path,
                         kind_of(st.st_mode));
    return DELE_OK;
}

/* ---- maps ------------------------------------------------------------------------------------ */

/* The open maps, for the signal handler, which has no arguments of its own.  A slot of size 0 is
 * free; if no slot is free, a map is not watched. */
enum { WATCHED = 256, WATCHED_NAME = 200 };
static struct {
    atomic_uintptr_t at;
    atomic_size_t size;
    char path[WATCHED_NAME];
} watched[WATCHED];

/* Async-signal-safe.  A file was truncated and its last pages are missing.  Any other fault has its
 * default effect. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    (void)context;
    const uintptr_t at = (uintptr_t)info->si_addr;
    for (int i = 0; i < WATCHED; i++) {
        const uintptr_t begin = atomic_load(&watched[i].at);
        if (at < begin || at - begin >= atomic_load(&watched[i].size)) continue;
        static const char before[] = "deleatur: ",
                          end[] =
                              " became shorter while it was read; do not write to it meanwhile\n";
        if (write(2, before, sizeof before - 1) < 0 ||
            write(2, watched[i].path, strlen(watched[i].path)) < 0 ||
            write(2, end, sizeof end - 1) < 0)
            _exit(1);
        _exit(1);
    }
    signal(number, SIG_DFL); /* returning, the same access faults again */
}

static void watch(const dele_map *map, const char *path)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, NULL);
    for (int i = 0; i < WATCHED; i++) {
        uintptr_t none = 0;
        if (!atomic_compare_exchange_strong(&watched[i].at, &none, (uintptr_t)map->data)) continue;
        snprintf(watched[i].path, sizeof watched[i].path, "%s", path);
        for (char *c = watched[i].path; *c; c++)
            if ((unsigned char)*c < ' ' || *c == 127) *c = '?';
        atomic_store(&watched[i].size, map->size);
        return;
    }
}

static void unwatch(const dele_map *map)
{
    for (int i = 0; i < WATCHED; i++) {
        if (atomic_load(&watched[i].at) != (uintptr_t)map->data) continue;
        atomic_store(&watched[i].size, 0);
        atomic_store(&watched[i].at, 0);
        return;
    }
}

dele_status dele_map_open(dele_map *map, const char *path, dele_err *err)
{
    *map = (dele_map){0};
    struct stat st;
    int fd = open_input(&st, path, false, err);
    if (fd < 0) return DELE_ERR_FILE;
    dele_status status = DELE_OK;
    if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            status = dele_fail_file(err, "map", path);
        else
            *map = (dele_map){.data = data, .size = (size_t)st.st_size};
    }
    close(fd);
    if (map->data) watch(map, path);
    return status;
}

void dele_map_drop(const dele_map *map, const void *data, size_t bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)data,
                    map_from = (uintptr_t)map->data;
    if (!map->data || from < map_from || from - map_from > map->size ||
        bytes > map->size - (from - map_from))
        return;
    const uintptr_t first = (from + page - 1) / page * page, end = (from + bytes) / page * page;
    if (first < end) (void)madvise((void *)first, end - first, MADV_DONTNEED);
}

void dele_map_close(dele_map *map)
{
    if (map->data) unwatch(map);
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (dele_map){0};
}

/* ---- whole files into memory ----------------------------------------------------------------- */

/* The size from stat is only a first estimate: a pipe has none, and a file may grow meanwhile. */
static char *read_all(int fd, const struct stat *st, const char *path, dele_arena *arena,
                      size_t *size, dele_err *err)
{
    const bool regular = S_ISREG(st->st_mode);
    size_t cap = regular && st->st_size > 0 ? (size_t)st->st_size : CHUNK, n = 0;
    char *text = dele_alloc_raw(arena, cap + 1, 1, err);
    while (text) {
        ssize_t got = read_some(
            fd, text + n, cap + 1 - n); /* one byte more: is the file longer than stat said? */
        if (got < 0) {
            dele_fail_file(err, "read", path);
            return NULL;
        }
        n += (size_t)got;
        if (got == 0) break;
        if (n <= cap) continue;
        if (!regular && cap >= STREAM_LIMIT) {
            dele_fail(err, DELE_ERR_FILE,
                      "%s gives more than %zu MiB; write it to a file and give that file", path,
                      STREAM_LIMIT >> 20);
            return NULL;
        }
        char *larger = dele_alloc_raw(arena, 2 * cap + 1, 1, err);
        if (larger) memcpy(larger, text, n);
        text = larger;
        cap *= 2;
    }
    if (!text) return NULL;
    text[n] = '\0';
    if (size) *size = n;
    return text;
}

char *dele_file_read(const char *path, dele_arena *arena, size_t *size, dele_err *err)
{
    struct stat st;
    int fd = open_input(&st, path, true, err);
    if (fd < 0) return NULL;
    char *text = read_all(fd, &st, path, arena, size, err);
    close(fd);
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

/* ---- whole files ----------------------------------------------------------------------------- */

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
    struct stat st;
    hex[0] = '\0';
    int fd = open_input(&st, path, false, err);
    if (fd < 0) return DELE_ERR_FILE;
    dele_hash hash;
    dele_hash_begin(&hash);
    uint8_t chunk[CHUNK];
    ssize_t n;
    while ((n = read_some(fd, chunk, sizeof chunk)) > 0) dele_hash_add(&hash, chunk, (size_t)n);
    dele_status status = n < 0 ? dele_fail_file(err, "read", path) : DELE_OK;
    close(fd);
    if (!status) end_hash(hex, &hash);
    return status;
}
