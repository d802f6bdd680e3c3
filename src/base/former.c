#include "base/former.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

/* Whether this JSON file of a result names the former program: at the top (study.json), or among
 * the versions of a manifest. */
static bool names_former(const char *dir, const char *name)
{
    char path[1200];
    dele_err ignored = {0};
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path ||
        !dele_path_exists(path))
        return false;
    cJSON *json =
        dele_json_load(path, &ignored); /* the file's own reader reports an unreadable file */
    const cJSON *versions = cJSON_GetObjectItemCaseSensitive(json, "versions");
    bool former = cJSON_GetObjectItemCaseSensitive(json, DELE_FORMER_NAME) ||
                  cJSON_GetObjectItemCaseSensitive(versions, DELE_FORMER_NAME);
    cJSON_Delete(json);
    return former;
}

static bool key_of_former(const char *dir)
{
    char path[1200];
    dele_err ignored = {0};
    dele_arena scratch = {0};
    if ((size_t)snprintf(path, sizeof path, "%s/resume.key", dir) >= sizeof path ||
        !dele_path_exists(path))
        return false;
    const char *key = dele_file_read(path, &scratch, NULL, &ignored);
    bool former = key && !strncmp(key, DELE_FORMER_NAME " ", sizeof DELE_FORMER_NAME);
    dele_arena_release(&scratch);
    return former;
}

dele_status dele_former_refuse(const char *path, dele_err *err)
{
    static const char *const records[] = {"manifest.json", "study.json",
                                          DELE_FORMER_NAME "/manifest.json"};
    char dir[1100];
    const char *slash = strrchr(path, '/');
    if (dele_path_is_dir(path))
        snprintf(dir, sizeof dir, "%s", path);
    else if (slash)
        snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    else
        snprintf(dir, sizeof dir, ".");
    bool former = key_of_former(dir);
    for (size_t i = 0; i < sizeof records / sizeof *records && !former; i++)
        former = names_former(dir, records[i]);
    if (!former) return DELE_OK;
    return dele_fail(
        err, DELE_ERR_UNSUPPORTED,
        "%s was written by version 0.1, under its former name %s; that version's results "
        "cannot be used here: make it again",
        path, DELE_FORMER_NAME);
}

bool dele_former_checkpoint(const char *dir)
{
    char path[1200];
    return (size_t)snprintf(path, sizeof path, "%s/" DELE_FORMER_NAME, dir) < sizeof path &&
           dele_path_is_dir(path);
}
