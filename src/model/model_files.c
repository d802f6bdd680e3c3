/* The files of a model's directory that may be read. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "model/layout.h"

#define TEXT_LIMIT                                                                                 \
    ((off_t)1 << 30) /* of a config or a vocabulary: the largest known is some 30 MB */

static bool ends_with(const char *name, const char *ending)
{
    size_t n = strlen(name), k = strlen(ending);
    return n >= k && !strcmp(name + n - k, ending);
}

/* Files that deleatur or other programs read, recognised by their endings, so that no list of names
 * has to be maintained. */
static dele_status check_file(const char *dir, const char *name, dele_arena *arena, dele_err *err)
{
    static const char *const text[] = {".json", ".txt", ".jinja"}, *const binary[] = {
                                                                       ".safetensors", ".model"};
    bool is_text = false, is_ours = false;
    struct stat st;
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) is_text |= ends_with(name, text[i]);
    for (size_t i = 0; i < sizeof binary / sizeof *binary; i++)
        is_ours |= ends_with(name, binary[i]);
    if (!is_text && !is_ours) return DELE_OK;
    const char *path = dele_printf(arena, err, "%s/%s", dir, name);
    if (!path || dele_path_is_shipped(path, err)) return err->code;
    if (is_text && !stat(path, &st) && st.st_size > TEXT_LIMIT)
        return dele_fail(err, DELE_ERR_FORMAT, "%s has %lld MiB, which no model's text has", path,
                         (long long)(st.st_size >> 20));
    return DELE_OK;
}

dele_status dele_model_check_files(const char *dir, dele_err *err)
{
    dele_arena arena = {0};
    DIR *list = opendir(dir);
    if (!list) return dele_fail(err, DELE_ERR_FILE, "cannot read %s: %s", dir, strerror(errno));
    for (const struct dirent *e; !err->code && (e = readdir(list));)
        check_file(dir, e->d_name, &arena, err);
    closedir(list);
    dele_arena_release(&arena);
    return err->code;
}
