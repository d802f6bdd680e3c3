/* A Hugging Face directory out of a model: config.json with every key that it came with, the weights in one
 * safetensors file, the tokenizer's files, and generation_config.json where the source had one. */
#include <string.h>

#include "base/json.h"
#include "model/safetensors.h"

static const char *torch_name(lac_dtype dtype)
{
    return dtype == LAC_DTYPE_F32 ? "float32" : dtype == LAC_DTYPE_F16 ? "float16" : "bfloat16";
}

/* Both generations of the key, where they stand; the older one where neither does. */
static lac_status set_dtype(cJSON *json, lac_dtype dtype, lac_err *err)
{
    static const char *const keys[] = {"dtype", "torch_dtype"};
    bool found = false;
    for (int i = 0; i < 2; i++) {
        if (!cJSON_GetObjectItemCaseSensitive(json, keys[i])) continue;
        cJSON *value = cJSON_CreateString(torch_name(dtype));
        if (!value || !cJSON_ReplaceItemInObjectCaseSensitive(json, keys[i], value))
            return lac_fail(err, LAC_ERR_MEMORY, "out of memory while config.json was written");
        found = true;
    }
    if (!found && !cJSON_AddStringToObject(json, "torch_dtype", torch_name(dtype)))
        return lac_fail(err, LAC_ERR_MEMORY, "out of memory while config.json was written");
    return LAC_OK;
}

static lac_status save_config(const lac_model *model, const char *path, lac_dtype dtype, lac_err *err)
{
    cJSON *json = model->config_text ? cJSON_Parse(model->config_text) : lac_config_json(&model->config);
    if (!json) return lac_fail(err, LAC_ERR_MEMORY, "%s: out of memory while it was written", path);
    lac_status status = set_dtype(json, dtype, err);
    if (!status) status = lac_json_save(path, json, err);
    cJSON_Delete(json);
    return status;
}

/* A file that has no meaning for us but has one for others travels with the model. */
static lac_status copy_if_there(const lac_model *model, const char *name, const char *dir, lac_arena *arena, lac_err *err)
{
    if (!model->path || !lac_path_is_dir(model->path)) return LAC_OK;
    const char *from = lac_printf(arena, err, "%s/%s", model->path, name);
    const char *to = lac_printf(arena, err, "%s/%s", dir, name);
    if (!from || !to) return LAC_ERR_MEMORY;
    return lac_path_exists(from) ? lac_file_copy(from, to, err) : LAC_OK;
}

lac_status lac_model_save(const lac_model *model, const char *dir, const char *dtype_name, lac_err *err)
{
    lac_dtype dtype = lac_dtype_by_name(dtype_name);
    if (dtype > LAC_DTYPE_BF16)
        return lac_fail(err, LAC_ERR_USAGE, "weights cannot be saved as \"%.20s\"; f32, bf16 and f16 are possible",
                        dtype_name);
    if (!lac_path_is_dir(dir)) return lac_fail(err, LAC_ERR_FILE, "%s: not a directory; make it first", dir);
    lac_arena arena = {0};
    const char *config = lac_printf(&arena, err, "%s/config.json", dir);
    const char *weights = lac_printf(&arena, err, "%s/model.safetensors", dir);
    lac_status status = config && weights ? LAC_OK : LAC_ERR_MEMORY;
    if (!status) status = save_config(model, config, dtype, err);
    if (!status) status = lac_safetensors_save(model, weights, dtype, err);
    if (!status && model->tokenizer) status = lac_tokenizer_save(model->tokenizer, dir, err);
    if (!status) status = copy_if_there(model, "generation_config.json", dir, &arena, err);
    lac_arena_release(&arena);
    return status;
}
