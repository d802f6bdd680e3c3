#include "base/share.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

/* PREFIX of the running program PREFIX/bin/deleatur; false where the system does not say. */
static bool program_prefix(char *prefix, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", prefix, size - 1);
    if (n <= 0) return false;
    prefix[n] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(prefix, '/');
        if (!slash) return false;
        *slash = '\0';
    }
    return true;
}

char *dele_share_path(const char *name, dele_arena *arena, dele_err *err)
{
    char prefix[1024];
    const char *told = getenv("DELEATUR_SHARE");
    char *path = NULL;
    if (told && told[0]) {
        path = dele_printf(arena, err, "%s/%s", told, name);
        if (!path || dele_path_exists(path)) return path;
    }
    if (program_prefix(prefix, sizeof prefix)) {
        path = dele_printf(arena, err, "%s/share/deleatur/%s", prefix, name);
        if (!path || dele_path_exists(path)) return path;
    }
    path = dele_printf(arena, err, "%s/%s", DELE_SOURCE_DIR, name);
    if (!path || dele_path_exists(path)) return path;
    dele_fail(err, DELE_ERR_FILE, "%s, which comes with deleatur, is missing; install deleatur again, or set DELEATUR_SHARE to its folder",
             name);
    return NULL;
}
