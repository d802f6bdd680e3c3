#include "adapter/adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/base_hash.h"
#include "adapter/peft.h"
#include "adapter/perft_files.h"
#include "base/path_list.h"

/* The = of DIR=WEIGHT, or NULL: a directory that exists may have one in its name. */
static char *sign_of_weight(char *entry)
{
    return dele_path_exists(entry) ? NULL : strrchr(entry, '=');
}

static bool is_entry(char *entry)
{
    char *sign = sign_of_weight(entry);
    if (sign) *sign = '\0';
    const bool there = dele_path_exists(entry);
    if (sign) *sign = '=';
    return there;
}

/* "DIR" or "DIR=WEIGHT": what is after the last = is a weight if it is a number, since the name of
 * a directory that is missing may have one too. */
static dele_status parse_entry(dele_adapter_entry *e, char *text, dele_err *err)
{
    char *sign = sign_of_weight(text), *end = NULL;
    *e = (dele_adapter_entry){.dir = text, .weight = 1};
    if (sign && sign[1]) {
        const double weight = strtod(sign + 1, &end);
        if (!*end) {
            e->weight = weight;
            *sign = 0;
        }
    }
    if (!*e->dir)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--adapter: a directory is missing; give DIR[=WEIGHT],DIR[=WEIGHT]...");
    if (!isfinite(e->weight))
        return dele_fail(err, DELE_ERR_USAGE,
                         "--adapter %.200s: the weight must be a finite number", e->dir);
    return DELE_OK;
}

static dele_status find_file(bool *there, const char *dir, const char *name, dele_err *err)
{
    dele_arena arena = {0};
    const char *file = dele_printf(&arena, err, "%s/%s", dir, name);
    *there = file && dele_path_exists(file);
    dele_arena_release(&arena);
    return file ? DELE_OK : DELE_ERR_MEMORY;
}

/* Which kind the directory holds: PEFT's, or else PERFT's (perft_files.h). */
static dele_status find_kind(dele_adapter_entry *e, dele_err *err)
{
    bool ours = false;
    if (find_file(&e->peft, e->dir, "adapter_config.json", err) ||
        find_file(&ours, e->dir, DELE_ADAPTER_FILE, err))
        return err->code;
    if (e->peft || ours) return DELE_OK;
    return dele_fail(err, DELE_ERR_FILE,
                     "%s: %s; --adapter takes a directory of PEFT's or of deleatur's", e->dir,
                     dele_path_is_dir(e->dir)
                         ? "there is neither adapter_config.json nor " DELE_ADAPTER_FILE
                         : "no such directory");
}

dele_status dele_adapters_parse(dele_adapter_entry **entry, size_t *n,
                                const dele_adapter_options *o, dele_arena *arena, dele_err *err)
{
    size_t most = 1;
    *n = 0;
    *entry = NULL;
    if (!isfinite(o->scale))
        return dele_fail(err, DELE_ERR_USAGE, "--adapter-scale: give a finite number");
    if (!o->list && o->scale != 1)
        return dele_fail(err, DELE_ERR_USAGE, "--adapter-scale: there is no --adapter to scale");
    if (!o->list) return DELE_OK;
    for (const char *at = o->list; *at; at++) most += *at == ',';
    char *text = dele_strdup(arena, o->list, err);
    *entry = text ? DELE_NEW(arena, dele_adapter_entry, most, err) : NULL;
    if (!*entry) return DELE_ERR_MEMORY;
    for (char *item; (item = dele_path_list_next(&text, is_entry));) {
        dele_adapter_entry *e = &(*entry)[*n];
        if (parse_entry(e, item, err) || find_kind(e, err)) return err->code;
        for (size_t i = 0; i < *n; i++)
            if (!strcmp((*entry)[i].dir, e->dir))
                return dele_fail(err, DELE_ERR_USAGE, "--adapter: %.200s is given twice", e->dir);
        ++*n;
    }
    return DELE_OK;
}

dele_status dele_adapters_apply(dele_model *model, const dele_adapter_options *o, dele_arena *arena,
                                dele_err *err)
{
    dele_adapter_entry *entry;
    size_t n;
    if (dele_adapters_parse(&entry, &n, o, arena, err)) return err->code;
    for (size_t i = 0; i < n && !err->code; i++)
        if (entry[i].peft) dele_peft_merge(model, entry[i].dir, o->scale * entry[i].weight, err);
    for (size_t i = 0; i < n && !err->code; i++)
        if (!entry[i].peft)
            dele_perft_load(model, entry[i].dir, o->scale * entry[i].weight, arena, err);
    return err->code;
}

dele_status dele_adapters_load(dele_model *model, const char *path, const dele_adapter_options *o,
                               int memory, size_t passes, dele_arena *arena, dele_err *err)
{
    dele_adapter_entry *entry;
    size_t n;
    if (dele_memory_check(memory, err) || dele_adapters_parse(&entry, &n, o, arena, err) ||
        dele_model_map(model, path, arena, err))
        return err->code; /* a wrong list is told before the model is read */
    if (!dele_adapters_apply(model, o, arena, err) && !dele_model_ready(model, memory, passes, err))
        return DELE_OK;
    dele_model_release(model);
    *model = (dele_model){0};
    return err->code;
}

dele_status dele_adapters_note(dele_manifest *m, const dele_adapter_options *o, dele_err *err)
{
    dele_arena arena = {0};
    dele_adapter_entry *entry;
    size_t n;
    if (!dele_adapters_parse(&entry, &n, o, &arena, err))
        for (size_t i = 0; i < n && !err->code; i++) dele_manifest_input(m, entry[i].dir, err);
    dele_arena_release(&arena);
    return err->code;
}
