/* LD_PRELOAD for deleatur alone: the Nth allocation, or the Nth step of writing, fails.
 *
 *   FAULT_ALLOC=N     the Nth malloc, calloc, realloc, aligned_alloc or posix_memalign that the
 *                     program, or a library that works for it on data (cJSON, PCRE2, utf8proc,
 *                     libzip, zlib, libcsv, libc itself), asks for gives NULL
 *   FAULT_WRITE=N     the Nth of fwrite, fflush, fclose, fdopen, write, pwrite, fsync, rename,
 *                     mkdir, truncate and opening to write fails with ENOSPC
 *   FAULT_COUNT=FILE  at the end, how many there were of each: "ALLOCATIONS WRITES\n"
 *
 * Libraries that end the process when memory ends (OpenBLAS, oneDNN, libgomp) are left out: that is
 * their policy. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t align, size_t size);

enum { RANGES = 100 };
static struct {
    unsigned long from, to;
} range[RANGES];
static int n_ranges;
static atomic_long n_allocations, n_writes;
static long bad_allocation = -1, bad_write = -1;
static int armed;

static int is_watched(const char *line, const char *program)
{
    static const char *const libraries[] = {"/libcjson", "/libpcre2", "/libutf8proc", "/libzip",
                                            "/libz.so",  "/libcsv",   "/libc.so"};
    if (strstr(line, program)) return 1;
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        if (strstr(line, libraries[i])) return 1;
    return 0;
}

__attribute__((constructor)) static void arm(void)
{
    char program[500], line[600];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = '\0';
    const char *name = strrchr(program, '/');
    FILE *maps = name && !strcmp(name, "/deleatur") ? fopen("/proc/self/maps", "r") : NULL;
    while (maps && n_ranges < RANGES && fgets(line, sizeof line, maps))
        if (is_watched(line, program) &&
            sscanf(line, "%lx-%lx", &range[n_ranges].from, &range[n_ranges].to) == 2)
            n_ranges++;
    if (!maps) return;
    fclose(maps);
    if (getenv("FAULT_ALLOC")) bad_allocation = atol(getenv("FAULT_ALLOC"));
    if (getenv("FAULT_WRITE")) bad_write = atol(getenv("FAULT_WRITE"));
    armed = 1;
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("FAULT_COUNT");
    FILE *out = armed && path ? fopen(path, "w") : NULL;
    armed = 0;
    if (!out) return;
    fprintf(out, "%ld %ld\n", (long)n_allocations, (long)n_writes);
    fclose(out);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int refuses(const void *caller)
{
    const unsigned long at = (unsigned long)caller;
    int ours = 0;
    for (int i = 0; armed && i < n_ranges && !ours; i++)
        ours = at >= range[i].from && at < range[i].to;
    if (!ours || atomic_fetch_add(&n_allocations, 1) + 1 != bad_allocation) return 0;
    errno = ENOMEM;
    return 1;
}

#define HERE __builtin_return_address(0)
void *malloc(size_t size) { return refuses(HERE) ? NULL : __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return refuses(HERE) ? NULL : __libc_calloc(n, size); }
void *realloc(void *old, size_t size) { return refuses(HERE) ? NULL : __libc_realloc(old, size); }
void *aligned_alloc(size_t align, size_t size)
{
    return refuses(HERE) ? NULL : __libc_memalign(align, size);
}
int posix_memalign(void **to, size_t align, size_t size)
{
    *to = refuses(HERE) ? NULL : __libc_memalign(align, size);
    return *to ? 0 : ENOMEM;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int fails(void)
{
    if (!armed || atomic_fetch_add(&n_writes, 1) + 1 != bad_write) return 0;
    errno = ENOSPC;
    return 1;
}

static int fails_stream(FILE *f)
{
    if (!armed || !f || fileno(f) <= 2 || (fcntl(fileno(f), F_GETFL) & O_ACCMODE) == O_RDONLY ||
        !fails())
        return 0;
    f->_flags |= 0x20; /* glibc's own mark of an error, what ferror asks */
    return 1;
}

/* The function that this one is in place of. */
#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name)

size_t fwrite(const void *from, size_t size, size_t n, FILE *f)
{
    REAL(fwrite);
    return fails_stream(f) ? 0 : real(from, size, n, f);
}

int fflush(FILE *f)
{
    REAL(fflush);
    return fails_stream(f) ? EOF : real(f);
}

int fclose(FILE *f)
{
    REAL(fclose);
    if (!fails_stream(f)) return real(f);
    real(f);
    errno = ENOSPC;
    return EOF;
}

FILE *fdopen(int fd, const char *mode)
{
    REAL(fdopen);
    return *mode != 'r' && fails() ? NULL : real(fd, mode);
}

FILE *fopen(const char *path, const char *mode)
{
    REAL(fopen);
    return *mode != 'r' && fails() ? NULL : real(path, mode);
}

ssize_t write(int fd, const void *from, size_t n)
{
    REAL(write);
    return fd > 2 && fails() ? -1 : real(fd, from, n);
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at)
{
    REAL(pwrite);
    return fails() ? -1 : real(fd, from, n, at);
}

int openat(int dir, const char *path, int flags, ...)
{
    REAL(openat);
    va_list args;
    va_start(args, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return flags & O_CREAT && fails() ? -1 : real(dir, path, flags, mode);
}

int fsync(int fd)
{
    REAL(fsync);
    return fails() ? -1 : real(fd);
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    return fails() ? -1 : real(from, to);
}

int renameat(int d, const char *from, int e, const char *to)
{
    REAL(renameat);
    return fails() ? -1 : real(d, from, e, to);
}

int renameat2(int d, const char *from, int e, const char *to, unsigned flags)
{
    REAL(renameat2);
    return fails() ? -1 : real(d, from, e, to, flags);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    return fails() ? -1 : real(path, mode);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    REAL(mkdirat);
    return fails() ? -1 : real(dir, path, mode);
}

int truncate(const char *path, off_t size)
{
    REAL(truncate);
    return fails() ? -1 : real(path, size);
}

int ftruncate(int fd, off_t size)
{
    REAL(ftruncate);
    return fails() ? -1 : real(fd, size);
}
