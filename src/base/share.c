#include "base/share.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

/* PREFIX of the running program PREFIX/bin/lacuna; false where the system does not say. */
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

char *lac_share_path(const char *name, lac_arena *arena, lac_err *err)
{
    char prefix[1024];
    const char *told = getenv("LACUNA_SHARE");
    char *path = NULL;
    if (told && told[0]) {
        path = lac_printf(arena, err, "%s/%s", told, name);
        if (!path || lac_path_exists(path)) return path;
    }
    if (program_prefix(prefix, sizeof prefix)) {
        path = lac_printf(arena, err, "%s/share/lacuna/%s", prefix, name);
        if (!path || lac_path_exists(path)) return path;
    }
    path = lac_printf(arena, err, "%s/%s", LAC_SOURCE_DIR, name);
    if (!path || lac_path_exists(path)) return path;
    lac_fail(err, LAC_ERR_FILE, "%s, which comes with lacuna, is missing; install lacuna again, or set LACUNA_SHARE to its folder",
             name);
    return NULL;
}
