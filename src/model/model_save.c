/* Writes a model as a Hugging Face directory: config.json with all keys of the source, the weights
 * in safetensors files, the tokenizer's files, and generation_config.json where the source had
 * one. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file_out.h"
#include "base/json_out.h"
#include "model/config/config_text.h"
#include "model/safetensors.h"

static const char *torch_name(dele_dtype dtype)
{
    return dtype == DELE_DTYPE_F32 ? "float32" : dtype == DELE_DTYPE_F16 ? "float16" : "bfloat16";
}

/* ---- config.json ----------------------------------------------------------------------------- */

/* The text that came with the model is copied byte for byte, except for the value of the dtype:
 * parsing and printing it would turn 8.0 into 8, which transformers refuses where it expects a
 * float. */

/* Sets both names of the key where they exist; adds the older name, first in the file, where
 * neither does. */
static char *with_dtype(const char *text, dele_dtype dtype, dele_arena *arena, dele_err *err)
{
    static const char *const keys[] = {"dtype", "torch_dtype"};
    bool found = false;
    char *now = dele_strdup(arena, text, err);
    for (int i = 0; i < 2 && now; i++) {
        size_t begin, end;
        if (!dele_config_find(&begin, &end, now, keys[i])) continue;
        found = true;
        now =
            dele_printf(arena, err, "%.*s\"%s\"%s", (int)begin, now, torch_name(dtype), now + end);
    }
    if (found || !now) return now;
    size_t open = strcspn(now, "{");
    return dele_printf(arena, err, "%.*s{\n  \"torch_dtype\": \"%s\",%s", (int)open, now,
                       torch_name(dtype), now + open + 1);
}

static dele_status write_text(const char *path, const char *text, dele_err *err)
{
    dele_writer out = {0};
    dele_status status = dele_writer_open(&out, path, err);
    if (status) return status;
    size_t n = strlen(text);
    fputs(text, out.stream); /* commit looks at the stream's errors */
    if (n == 0 || text[n - 1] != '\n') fputc('\n', out.stream);
    return dele_writer_commit(&out, err);
}

/* The type that config.json names where every tensor keeps its own: that of the first matrix. */
static dele_dtype type_of_most(const dele_model *model)
{
    const dele_matrix_part *first = &model->tensors[0].stored;
    return first->data && first->type <= DELE_DTYPE_BF16 ? first->type : DELE_DTYPE_F32;
}

/* dtype DELE_N_DTYPES: the text that came with the model stays as it is. */
static dele_status save_config(const dele_model *model, const char *path, dele_dtype dtype,
                               dele_arena *arena, dele_err *err)
{
    char *made = NULL;
    const char *text = model->config_text;
    if (!text) {
        cJSON *json = dele_config_json(&model->config);
        text = made = json ? cJSON_Print(json) : NULL;
        cJSON_Delete(json);
    }
    if (!text)
        return dele_fail(err, DELE_ERR_MEMORY, "%s: out of memory while it was written", path);
    const bool keep = dtype == DELE_N_DTYPES;
    const char *edited =
        keep && !made ? text : with_dtype(text, keep ? type_of_most(model) : dtype, arena, err);
    dele_status status = edited ? write_text(path, edited, err) : DELE_ERR_MEMORY;
    cJSON_free(made);
    return status;
}

/* generation_config.json: the one of the model's directory, byte for byte; or of a model that was
 * not loaded from a directory one that is made, where config.json alone would give other ends of
 * text. */
static dele_status save_generation(const dele_model *model, const char *dir, dele_arena *arena,
                                   dele_err *err)
{
    const char *to = dele_printf(arena, err, "%s/generation_config.json", dir);
    if (!to) return DELE_ERR_MEMORY;
    if (model->path && dele_path_is_dir(model->path)) {
        const char *from = dele_printf(arena, err, "%s/generation_config.json", model->path);
        if (!from) return DELE_ERR_MEMORY;
        return dele_path_exists(from) ? dele_file_copy(from, to, err) : DELE_OK;
    }
    cJSON *json = model->config_text ? NULL : dele_config_generation_json(&model->config);
    if (!json) return DELE_OK;
    dele_status status = dele_json_save(to, json, err);
    cJSON_Delete(json);
    return status;
}

/* The tokenizer's files.  A model's directory may have such files for other programs and no
 * tokenizer that is read here. */
static dele_status save_tokenizer(const dele_model *model, const char *dir, dele_err *err)
{
    if (model->tokenizer) return dele_tokenizer_save(model->tokenizer, dir, err);
    const bool from_dir = model->path && dele_path_is_dir(model->path);
    return from_dir ? dele_tokenizer_copy_files(model->path, dir, err) : DELE_OK;
}

/* ---- options --------------------------------------------------------------------------------- */

dele_status dele_saved_dtype(dele_dtype *type, const char *word, dele_err *err)
{
    const bool keep = !strcmp(word, "keep");
    *type = keep ? DELE_N_DTYPES : dele_dtype_by_name(word);
    if (keep || *type <= DELE_DTYPE_BF16) return DELE_OK;
    return dele_fail(err, DELE_ERR_USAGE,
                     "--dtype %.20s is not one of: keep (the type that each tensor has), f32, "
                     "bf16, f16",
                     word);
}

/* Digits, a dot and digits where it has some, and one of the units or none. */
static bool parse_bytes(double *bytes, const char *word)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"", 1}};
    const size_t n = strspn(word, "0123456789.");
    char *end;
    *bytes = strtod(word, &end);
    if (!n || end != word + n) return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcasecmp(end, units[i].name)) {
            *bytes *= units[i].bytes;
            return true;
        }
    return false;
}

dele_status dele_saved_shard_size(size_t *bytes, const char *word, dele_err *err)
{
    double size;
    if (!parse_bytes(&size, word) || !(size >= 1) || !(size < 0x1p63))
        return dele_fail(err, DELE_ERR_USAGE,
                         "--shard-size %.20s is no size: give bytes, or a number with KB, MB, GB "
                         "or TB",
                         word);
    *bytes = (size_t)size;
    return DELE_OK;
}

dele_status dele_save_options_check(const dele_save_options *o, dele_err *err)
{
    dele_dtype dtype;
    size_t bytes;
    dele_status status = dele_saved_dtype(&dtype, o->dtype, err);
    return status ? status : dele_saved_shard_size(&bytes, o->shard_size, err);
}

/* ---- the directory --------------------------------------------------------------------------- */

dele_status dele_model_save_as(const dele_model *model, const char *dir, const dele_save_options *o,
                               dele_err *err)
{
    if (model->config.perft.variant)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: adapters beside or within experts cannot be merged into weights, so "
                         "a model with them is no plain checkpoint; load them with --adapter",
                         dir);
    dele_dtype dtype;
    size_t limit;
    if (dele_saved_dtype(&dtype, o->dtype, err) ||
        dele_saved_shard_size(&limit, o->shard_size, err))
        return DELE_ERR_USAGE;
    if (!dele_path_is_dir(dir))
        return dele_fail(err, DELE_ERR_FILE, "%s: not a directory; make it first", dir);
    dele_arena arena = {0};
    const char *config = dele_printf(&arena, err, "%s/config.json", dir);
    dele_status status = config ? DELE_OK : DELE_ERR_MEMORY;
    if (!status) status = save_config(model, config, dtype, &arena, err);
    if (!status) status = dele_safetensors_save_dir(model, dir, dtype, limit, err);
    if (!status && !o->no_tokenizer) status = save_tokenizer(model, dir, err);
    if (!status) status = save_generation(model, dir, &arena, err);
    dele_arena_release(&arena);
    return status;
}

dele_status dele_model_save(const dele_model *model, const char *dir, const char *dtype,
                            dele_err *err)
{
    dele_save_options o = {DELE_SAVE_DEFAULTS};
    o.dtype = dtype;
    return dele_model_save_as(model, dir, &o, err);
}
