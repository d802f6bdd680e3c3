/* A tokenizer of vocab.json and merges.txt, where no tokenizer.json is there: GPT-2's first form.
 *
 *   vocab.json    {"token": id}, in ByteLevel's alphabet
 *   merges.txt    "#version: 0.2", then "left right" a line, by rank
 *
 * The two files do not say how a text is split, so the class in tokenizer_config.json (or the
 * model type in config.json) must be GPT-2's; others are refused by name.  The document made of
 * them is that of transformers 5.23: ByteLevel, and "<|endoftext|>" for each of BOS, EOS and the
 * unknown token that the files beside do not name. */
#include "text/tokenizer_vocab.h"

#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/json.h"
#include "base/texts.h"

static const char class_name[] = "GPT2Tokenizer";

static char *file_beside(const char *path, const char *name, dele_arena *arena, dele_err *err)
{
    const char *slash = strrchr(path, '/');
    return dele_printf(arena, err, "%.*s%s", slash ? (int)(slash - path) + 1 : 0, path, name);
}

bool dele_tokenizer_is_vocab(const char *path) { return dele_ends_with(path, "vocab.json"); }

/* ---- the class ------------------------------------------------------------------------------- */

/* A text of a JSON file beside the vocabulary; *text NULL: there is no such file or key. */
static dele_status text_in(const char **text, const char *path, const char *name, const char *key,
                           dele_arena *arena, dele_err *err)
{
    const char *file = file_beside(path, name, arena, err);
    *text = NULL;
    if (!file) return DELE_ERR_MEMORY;
    if (!dele_path_exists(file)) return DELE_OK;
    dele_err own = {0};
    cJSON *json = dele_json_load(file, &own);
    if (!json) return dele_fail(err, own.code, "%s", own.msg);
    const char *found = cJSON_GetStringValue(dele_json_given(json, key));
    dele_status status = DELE_OK;
    if (found && !(*text = dele_strdup(arena, found, err))) status = DELE_ERR_MEMORY;
    cJSON_Delete(json);
    return status;
}

/* The class that transformers would take: the one that tokenizer_config.json names, else that of
 * the model. */
static dele_status check_class(const char *path, dele_arena *arena, dele_err *err)
{
    const char *class = NULL, *model = NULL;
    dele_status status =
        text_in(&class, path, "tokenizer_config.json", "tokenizer_class", arena, err);
    if (!status && !class) status = text_in(&model, path, "config.json", "model_type", arena, err);
    if (status) return status;
    const size_t n = strlen(class_name), n_model = n - strlen("Tokenizer");
    const bool known = class ? !strncmp(class, class_name, n)
                       : model
                           ? strlen(model) == n_model && !strncasecmp(model, class_name, n_model)
                           : true;
    if (known) return DELE_OK;
    return dele_fail(
        err, DELE_ERR_UNSUPPORTED,
        "%s: vocab.json and merges.txt are read for a %s, and this is \"%s\"; save its "
        "tokenizer.json with transformers",
        path, class_name, class ? class : model);
}

const char *dele_tokenizer_find(const char *dir, dele_arena *arena, dele_err *err)
{
    const char *file = dele_printf(arena, err, "%s/tokenizer.json", dir);
    if (!file || dele_path_exists(file)) return file;
    const char *vocab = dele_printf(arena, err, "%s/vocab.json", dir),
               *merges = dele_printf(arena, err, "%s/merges.txt", dir);
    dele_err own = {0}; /* files of another class are no tokenizer */
    const bool there = vocab && merges && dele_path_exists(vocab) && dele_path_exists(merges);
    return there && !check_class(vocab, arena, &own) ? vocab : NULL;
}

/* ---- the document ---------------------------------------------------------------------------- */

/* The lines of merges.txt as a list. */
static cJSON *read_merge_lines(const char *path, dele_arena *arena, dele_err *err)
{
    const char *file = file_beside(path, "merges.txt", arena, err);
    char *text = file ? dele_text_read(file, arena, NULL, err) : NULL;
    cJSON *list = text ? cJSON_CreateArray() : NULL;
    bool good = list;
    for (char *line = text, *next; good && line && *line; line = next) {
        next = line + strcspn(line, "\n");
        if (*next) *next++ = 0;
        line[strcspn(line, "\r")] = 0;
        if (!*line || !strncmp(line, "#version", 8)) continue;
        cJSON *item = cJSON_CreateString(line);
        good = item && cJSON_AddItemToArray(list, item);
        if (item && !good) cJSON_Delete(item);
    }
    if (text && !good) dele_fail(err, DELE_ERR_MEMORY, "%s: out of memory for its merges", file);
    if (good) return list;
    cJSON_Delete(list);
    return NULL;
}

static bool put_byte_level_step(cJSON *root, const char *part)
{
    cJSON *step = cJSON_AddObjectToObject(root, part);
    return step && cJSON_AddStringToObject(step, "type", "ByteLevel") &&
           cJSON_AddBoolToObject(step, "add_prefix_space", false) &&
           cJSON_AddBoolToObject(step, "use_regex", true);
}

cJSON *dele_tokenizer_from_vocab(const char *path, dele_arena *arena, dele_err *err)
{
    cJSON *vocab = check_class(path, arena, err) ? NULL : dele_json_load(path, err);
    cJSON *merges = vocab ? read_merge_lines(path, arena, err) : NULL;
    cJSON *root = merges ? cJSON_CreateObject() : NULL,
          *model = root ? cJSON_AddObjectToObject(root, "model") : NULL;
    bool good = model && cJSON_AddStringToObject(model, "type", "BPE");
    if (good && (good = cJSON_AddItemToObject(model, "vocab", vocab))) vocab = NULL;
    if (good && (good = cJSON_AddItemToObject(model, "merges", merges))) merges = NULL;
    good = good && put_byte_level_step(root, "pre_tokenizer") &&
           put_byte_level_step(root, "decoder") && cJSON_AddArrayToObject(root, "added_tokens");
    if (root && !good) dele_fail(err, DELE_ERR_MEMORY, "%s: out of memory for it", path);
    cJSON_Delete(vocab);
    cJSON_Delete(merges);
    if (good) return root;
    cJSON_Delete(root);
    return NULL;
}
