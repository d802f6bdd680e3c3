/* A directory of its own for every test, gone afterwards:
 *
 *   cmocka_unit_test_setup_teardown(claim, scratch_open, scratch_close)
 *   static void claim(void **state) { const char *path = scratch_path(*state, "a.txt"); ... } */
#ifndef DELE_TEST_SCRATCH_H
#define DELE_TEST_SCRATCH_H

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    char dir[256];
    char path[4][512]; /* the last four names asked for */
    unsigned turn;
} scratch;

static int scratch_open(void **state)
{
    scratch *s = calloc(1, sizeof *s);
    const char *tmp = getenv("TMPDIR");
    if (!s) return -1;
    snprintf(s->dir, sizeof s->dir, "%s/deleatur-test-XXXXXX",
             tmp && strlen(tmp) < 200 ? tmp : "/tmp");
    *state = s;
    return mkdtemp(s->dir) ? 0 : -1;
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int kind,
                                     struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int scratch_close(void **state)
{
    scratch *s = *state;
    int status = nftw(s->dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(s);
    return status;
}

static inline const char *scratch_path(scratch *s, const char *name)
{
    char *path = s->path[s->turn++ % 4];
    size_t n = strlen(s->dir), m = strlen(name);
    if (n + m + 2 > sizeof s->path[0]) abort();
    memcpy(path, s->dir, n);
    path[n] = '/';
    memcpy(path + n + 1, name, m + 1);
    return path;
}

static inline const char *scratch_write(scratch *s, const char *name, const void *bytes, size_t n)
{
    const char *path = scratch_path(s, name);
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(bytes, 1, n, out) != n || fclose(out)) abort();
    return path;
}

static inline const char *scratch_text(scratch *s, const char *name, const char *text)
{
    return scratch_write(s, name, text, strlen(text));
}

/* How many entries the directory has (without . and ..). */
static inline int scratch_count(const scratch *s)
{
    DIR *dir = opendir(s->dir);
    int n = -2;
    while (dir && readdir(dir)) n++;
    if (dir) closedir(dir);
    return n;
}

#endif
