#include "option/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <gsl/gsl_version.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/json_memory.h"
#include "base/json_out.h"
#include "base/progress.h"

/* The compiler and the sanitizers of this build: a sanitizer changes the program. */
static cJSON *versions(void)
{
    cJSON *v = cJSON_CreateObject();
    cJSON_AddStringToObject(v, "deleatur", DELE_VERSION);
    cJSON_AddStringToObject(v, "compiler", __VERSION__);
    cJSON_AddStringToObject(v, "gsl", gsl_version);
    cJSON_AddStringToObject(v, "cjson", cJSON_Version());
    return v;
}

/* The processor's name: its vector units determine which kernels run, and so the last bits of sums.
 * null where /proc/cpuinfo does not have it. */
static cJSON *processor(void)
{
    char line[300] = "", *name = NULL;
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f && errno == ENOMEM) dele_json_memory_failed();
    while (f && !name && fgets(line, sizeof line, f))
        if (!strncmp(line, "model name", 10)) name = strchr(line, ':');
    if (f && ferror(f)) dele_json_memory_failed();
    if (f) fclose(f);
    if (!name) return cJSON_CreateNull();
    name += 1 + strspn(name + 1, " \t");
    name[strcspn(name, "\n")] = '\0';
    return cJSON_CreateString(name);
}

void dele_manifest_set(dele_manifest *m, const char *key, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(m->json, key);
    if (!m->json || !cJSON_AddItemToObject(m->json, key, value)) cJSON_Delete(value);
}

void dele_manifest_begin(dele_manifest *m, const dele_usage *usage, int argc, char **argv)
{
    *m = (dele_manifest){.json = cJSON_CreateObject(), .started = dele_now()};
    cJSON *command = cJSON_CreateArray();
    cJSON_AddItemToArray(command, cJSON_CreateString("deleatur"));
    for (int i = 0; i < argc; i++) cJSON_AddItemToArray(command, cJSON_CreateString(argv[i]));
    dele_manifest_set(m, "command", command);
    cJSON *words = cJSON_CreateArray();
    for (int i = 0; i < usage->n_positional; i++)
        cJSON_AddItemToArray(words,
                             cJSON_CreateString(usage->positional[i] ? usage->positional[i] : ""));
    dele_manifest_set(m, "arguments", words);
    dele_manifest_set(m, "options", dele_options_json(usage));
    dele_manifest_set(m, "threads", cJSON_CreateNumber(omp_get_max_threads()));
    dele_manifest_set(m, "cpu", processor());
    dele_manifest_set(m, "versions", versions());
    dele_manifest_set(m, "inputs", cJSON_CreateArray());
    cJSON *when = cJSON_CreateObject();
    cJSON_AddItemToObject(when, "began", dele_json_utc_now());
    dele_manifest_set(m, "when", when);
}

static dele_status add_file(dele_manifest *m, const char *path, double size, dele_err *err)
{
    char hex[65];
    dele_status status = dele_file_sha256(hex, path, err);
    if (status) return status;
    cJSON *item = cJSON_CreateObject(),
          *inputs = cJSON_GetObjectItemCaseSensitive(m->json, "inputs");
    if (item && cJSON_AddStringToObject(item, "path", path) &&
        cJSON_AddNumberToObject(item, "size", size) &&
        cJSON_AddStringToObject(item, "sha256", hex) && cJSON_AddItemToArray(inputs, item))
        return DELE_OK;
    cJSON_Delete(item);
    return dele_fail(err, DELE_ERR_MEMORY, "out of memory while noting the input %s", path);
}

dele_status dele_manifest_input(dele_manifest *m, const char *path, dele_err *err)
{
    struct stat st;
    if (stat(path, &st)) return dele_fail_file(err, "read", path);
    if (!S_ISDIR(st.st_mode))
        return S_ISREG(st.st_mode) ? add_file(m, path, (double)st.st_size, err) : DELE_OK;

    struct dirent **entries = NULL;
    int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0) return dele_fail_file(err, "read", path);
    dele_status status = DELE_OK;
    for (int i = 0; i < n; i++) {
        dele_arena arena = {0};
        char *file = status ? NULL : dele_printf(&arena, err, "%s/%s", path, entries[i]->d_name);
        if (!status && !file) status = DELE_ERR_MEMORY;
        if (file && !stat(file, &st) && S_ISREG(st.st_mode))
            status = add_file(m, file, (double)st.st_size, err);
        dele_arena_release(&arena);
        free(entries[i]);
    }
    free(entries);
    return status;
}

char *dele_manifest_key(const dele_manifest *m, const char *indifferent, dele_arena *arena,
                        dele_err *err)
{
    const cJSON *command = cJSON_GetObjectItemCaseSensitive(m->json, "command");
    const char *name = cJSON_GetStringValue(cJSON_GetArrayItem(command, 1));
    cJSON *options = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(m->json, "options"), true);
    char names[256], *rest = names;
    snprintf(names, sizeof names, "%s", indifferent);
    for (char *one; (one = strsep(&rest, ","));)
        cJSON_DeleteItemFromObjectCaseSensitive(options, one);
    char *inputs = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(m->json, "inputs"));
    char *settings = cJSON_PrintUnformatted(options);
    char *key = NULL;
    if (name && inputs && settings)
        key = dele_printf(arena, err, "deleatur %s %s\n%s\n%s\n", DELE_VERSION, name, inputs,
                          settings);
    if (!key) dele_fail(err, DELE_ERR_MEMORY, "out of memory while noting the settings");
    cJSON_free(inputs);
    cJSON_free(settings);
    cJSON_Delete(options);
    return key;
}

dele_status dele_manifest_save(dele_manifest *m, const char *path, dele_err *err)
{
    cJSON *when = cJSON_GetObjectItemCaseSensitive(m->json, "when");
    if (!when) return dele_fail(err, DELE_ERR_MEMORY, "out of memory while writing %s", path);
    cJSON_DeleteItemFromObjectCaseSensitive(when, "ended");
    cJSON_DeleteItemFromObjectCaseSensitive(when, "seconds");
    cJSON_AddItemToObject(when, "ended", dele_json_utc_now());
    cJSON_AddNumberToObject(when, "seconds",
                            (double)(long)(1000 * (dele_now() - m->started)) / 1000);
    return dele_json_save(path, m->json, err);
}

void dele_manifest_release(dele_manifest *m)
{
    cJSON_Delete(m->json);
    *m = (dele_manifest){0};
}
