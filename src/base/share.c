#include "base/share.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

/* The running program's directory, `up` levels higher; false where the system does not say. */
static bool program_directory(char *dir, size_t size, int up)
{
    ssize_t n = readlink("/proc/self/exe", dir, size - 1);
    if (n <= 0) return false;
    dir[n] = '\0';
    for (; up >= 0; up--) {
        char *slash = strrchr(dir, '/');
        if (!slash) return false;
        *slash = '\0';
    }
    return true;
}

char *dele_share_path(const char *name, dele_arena *arena, dele_err *err)
{
    char dir[1024];
    const char *told = getenv("DELEATUR_SHARE");
    char *path = NULL;
    if (told && told[0]) {
        path = dele_printf(arena, err, "%s/%s", told, name);
        if (!path || dele_path_exists(path)) return path;
    }
    for (int up = 1; up >= 0; up--) { /* PREFIX/bin/deleatur, build/deleatur */
        if (!program_directory(dir, sizeof dir, up)) continue;
        path = dele_printf(arena, err, "%s/share/deleatur/%s", dir, name);
        if (!path || dele_path_exists(path)) return path;
    }
    dele_fail(err, DELE_ERR_FILE,
              "%s, a file of deleatur's installation, is missing; install deleatur again, or set "
              "DELEATUR_SHARE to its folder",
              name);
    return NULL;
}
