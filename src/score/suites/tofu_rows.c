#include "score/suites/tofu_rows.h"

#include <string.h>

#include "base/file.h"
#include "base/texts.h"
#include "score/set_files.h"

const char *const dele_tofu_set_name[] = {"forget", "retain", "real_authors", "world_facts"};

/* A text, a list of texts, or none: null or "". */
static dele_status read_paraphrase(dele_tofu_row *out, const cJSON *item, const dele_records *r,
                                   const cJSON *json, dele_arena *arena, dele_err *err)
{
    const char *text = cJSON_GetStringValue(item);
    if (!item || cJSON_IsNull(item) || (text && !text[0])) return DELE_OK;
    if (!text)
        return dele_row_strings(&out->paraphrase, &out->n_paraphrases, r, json, item->string, arena,
                                err);
    out->paraphrase = DELE_NEW(arena, const char *, 1, err);
    if (!out->paraphrase || !(out->paraphrase[0] = dele_strdup(arena, text, err)))
        return DELE_ERR_MEMORY;
    out->n_paraphrases = 1;
    return DELE_OK;
}

static dele_status read_tofu_row(void *row, const dele_records *r, const cJSON *json,
                                 dele_arena *arena, dele_err *err)
{
    dele_tofu_row *out = row;
    const char *question = dele_record_string(r, json, "question", err);
    const char *answer = question ? dele_record_string(r, json, "answer", err) : NULL;
    const cJSON *paraphrase = cJSON_GetObjectItemCaseSensitive(json, "paraphrased_answer");
    if (!answer) return err->code;
    if (!question[0] || !answer[0])
        return dele_fail(err, DELE_ERR_DATA, "%s:%d: the question or the answer is empty", r->path,
                         r->line);
    out->question = dele_strdup(arena, question, err);
    out->answer = dele_strdup(arena, answer, err);
    if (err->code || read_paraphrase(out, paraphrase, r, json, arena, err)) return err->code;
    return dele_row_strings(&out->wrong, &out->n_wrong, r, json, "perturbed_answer", arena, err);
}

static int set_of(const char *name)
{
    int set = 0;
    while (set < DELE_TOFU_SETS &&
           strncmp(name, dele_tofu_set_name[set], strlen(dele_tofu_set_name[set])))
        set++;
    return set;
}

/* In a directory only the files with wrong answers are read, at most one for each set: forget01 is
 * a part of forget05, so both together are no valid set. */
static dele_status choose_files(dele_set_files *files, const char *path, dele_err *err)
{
    const char *first[DELE_TOFU_SETS + 1] = {NULL};
    size_t n = 0;
    for (size_t i = 0; i < files->n; i++) {
        if (!dele_ends_with(files->name[i], "_perturbed")) continue;
        int set = set_of(files->name[i]);
        if (first[set] && set < DELE_TOFU_SETS)
            return dele_fail(
                err, DELE_ERR_DATA,
                "%s holds two sets named %s*: %s and %s, which would be counted as one; "
                "put the one to score and the sets of other names into a directory of their own",
                path, dele_tofu_set_name[set], first[set], strrchr(files->path[i], '/') + 1);
        first[set] = strrchr(files->path[i], '/') + 1;
        files->path[n] = files->path[i];
        files->name[n++] = files->name[i];
    }
    files->n = n;
    if (n) return DELE_OK;
    return dele_fail(err, DELE_ERR_FILE,
                     "%s holds no file named *_perturbed.jsonl (with the wrong answers)", path);
}

static dele_status add_file(dele_tofu *data, const char *path, const char *name, int limit,
                            dele_arena *arena, dele_err *err)
{
    int set = set_of(name);
    size_t n;
    if (set == DELE_TOFU_SETS)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s: its name must begin with forget, retain, real_authors or world_facts",
                         path);
    dele_tofu_row *row = dele_rows_load(&n, sizeof *row, path, limit, read_tofu_row, arena, err);
    dele_tofu_row *all = row ? DELE_NEW(arena, dele_tofu_row, data->n + n, err) : NULL;
    if (!all) return err->code;
    for (size_t i = 0; i < n; i++) row[i].set = (dele_tofu_set)set;
    if (data->n) memcpy(all, data->row, data->n * sizeof *all);
    memcpy(all + data->n, row, n * sizeof *row);
    data->row = all;
    data->n += n;
    return DELE_OK;
}

dele_status dele_tofu_load(dele_tofu *data, const char *path, int limit, dele_arena *arena,
                           dele_err *err)
{
    dele_set_files files;
    *data = (dele_tofu){0};
    if (dele_set_files_find(&files, path, true, arena, err)) return err->code;
    if (dele_path_is_dir(path) && choose_files(&files, path, err)) return err->code;
    for (size_t i = 0; i < files.n && !err->code; i++)
        add_file(data, files.path[i], files.name[i], limit, arena, err);
    return err->code;
}
