#include "adapter/perft_files.h"

#include <string.h>

#include "adapter/base_hash.h"
#include "base/json.h"
#include "base/json_out.h"
#include "model/attach.h"
#include "model/safetensors.h"

const char *const dele_perft_forms[3] = {"lora", "parallel", NULL};
const char *const dele_perft_compat[3] = {"", "perft", NULL};

/* ---- writing --------------------------------------------------------------------------------- */

static dele_status save_description(const dele_model *model, const char *path, dele_err *err)
{
    const dele_perft *p = &model->config.perft;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "type", dele_perft_name[p->variant]);
    cJSON_AddStringToObject(json, "form", dele_perft_forms[p->parallel]);
    cJSON_AddNumberToObject(json, "rank", p->rank);
    cJSON_AddNumberToObject(json, "adapters", p->adapters);
    if (p->variant == DELE_PERFT_R) cJSON_AddNumberToObject(json, "top_k", p->top_k);
    if (!p->parallel) cJSON_AddItemToObject(json, "alpha", dele_json_number(p->alpha));
    cJSON_AddItemToObject(json, "dropout", dele_json_number((double)p->dropout));
    cJSON_AddStringToObject(json, "compat", dele_perft_compat[p->compat]);
    dele_status status = dele_base_put(json, model, err);
    if (!status) status = dele_json_save(path, json, err);
    cJSON_Delete(json);
    return status;
}

dele_status dele_perft_save(const dele_model *model, const char *dir, dele_err *err)
{
    dele_arena arena = {0};
    dele_model own = {.tensors = DELE_NEW(&arena, dele_tensor, model->n_tensors, err)};
    const char *file = dele_printf(&arena, err, "%s/" DELE_ADAPTER_FILE, dir),
               *weights = dele_printf(&arena, err, "%s/adapter_model.safetensors", dir);
    dele_status status = own.tensors && file && weights ? DELE_OK : DELE_ERR_MEMORY;
    for (size_t i = 0; !status && i < model->n_tensors; i++)
        if (model->tensors[i].part == DELE_PART_ADAPTER)
            own.tensors[own.n_tensors++] = model->tensors[i];
    if (!status) status = save_description(model, file, err);
    if (!status) status = dele_safetensors_save(&own, weights, DELE_DTYPE_F32, err);
    dele_arena_release(&arena);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int word_of(const char *const *words, const char *word)
{
    for (int i = 0; word && words[i]; i++)
        if (*word && !strcmp(words[i], word)) return i;
    return -1;
}

/* A whole number where the field is; 0 where it is not; false: it is something else. */
static bool read_int(int *x, const cJSON *json, const char *name)
{
    const cJSON *item = dele_json_given(json, name);
    *x = 0;
    return !item || dele_json_int(x, item);
}

static bool read_real(double *x, const cJSON *json, const char *name)
{
    const cJSON *item = dele_json_given(json, name);
    *x = item ? item->valuedouble : 0;
    return !item || cJSON_IsNumber(item);
}

static dele_status read_description(dele_perft *p, const cJSON *json, const char *file,
                                    dele_err *err)
{
    const char *type = dele_json_string(json, "type"), *form = dele_json_string(json, "form"),
               *compat = dele_json_string(json, "compat");
    const int variant = word_of(dele_perft_name, type), which = word_of(dele_perft_forms, form);
    double dropout = 0;
    *p = (dele_perft){.scale = 1};
    if (variant < 0)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: type \"%.40s\" is none of perft-r, perft-e, perft-d, perft-s", file,
                         type ? type : "");
    if (which < 0)
        return dele_fail(err, DELE_ERR_FORMAT, "%s: form is neither lora nor parallel", file);
    if (compat && *compat && word_of(dele_perft_compat, compat) < 0)
        return dele_fail(err, DELE_ERR_UNSUPPORTED, "%s: compat \"%.40s\" is not known", file,
                         compat);
    p->variant = (dele_perft_variant)variant;
    p->parallel = which;
    p->compat = compat && *compat;
    if (!read_int(&p->rank, json, "rank") || !read_int(&p->adapters, json, "adapters") ||
        !read_int(&p->top_k, json, "top_k") || !read_real(&p->alpha, json, "alpha") ||
        !read_real(&dropout, json, "dropout"))
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s: rank, adapters and top_k must be whole numbers, alpha and dropout "
                         "numbers",
                         file);
    p->dropout = (float)dropout;
    return DELE_OK;
}

static cJSON *open_description(dele_perft *p, const dele_config *c, const char *dir,
                               dele_arena *arena, dele_err *err)
{
    const char *file = dele_printf(arena, err, "%s/" DELE_ADAPTER_FILE, dir);
    cJSON *json =
        !file || dele_path_is_shipped(file, err) ? NULL : dele_json_load_result(file, err);
    if (!json) return NULL;
    const int adapters = read_description(p, json, file, err) ? 0 : p->adapters;
    if (!err->code && !dele_perft_settle(p, c, file, err) && p->adapters != adapters)
        dele_fail(err, DELE_ERR_DATA, "%s: there are %d adapters, but %s has %d with this model",
                  file, adapters, dele_perft_name[p->variant], p->adapters);
    if (err->code == DELE_ERR_USAGE) err->code = DELE_ERR_DATA; /* of a file, not of a command */
    if (!err->code) return json;
    cJSON_Delete(json);
    return NULL;
}

dele_status dele_perft_describe(dele_perft *p, const dele_config *c, const char *dir, dele_err *err)
{
    dele_arena arena = {0};
    cJSON *json = open_description(p, c, dir, &arena, err);
    cJSON_Delete(json);
    dele_arena_release(&arena);
    return err->code;
}

static dele_status read_adapter(const dele_tensor *t, const dele_safetensors *st,
                                const char *weights, dele_err *err)
{
    dele_stored *s = dele_stored_find(st->tensor, st->n, t->hf_name);
    if (!s)
        return dele_fail(err, DELE_ERR_DATA, "%s: the tensor %s is missing", weights, t->hf_name);
    s->taken = true;
    if (s->other_type || s->n_dims != 2 || s->dims[0] != t->rows || s->dims[1] != t->cols)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s: %s has the shape [%zu, %zu], but this model and " DELE_ADAPTER_FILE
                         " require [%zu, %zu]",
                         weights, t->hf_name, s->dims[0], s->dims[1], t->rows, t->cols);
    const dele_matrix_part part = {.data = s->data, .type = s->dtype, .rows = t->rows};
    if (dele_part_rows(t->data, &part, t->cols, 0, t->rows)) return DELE_OK;
    return dele_fail(err, DELE_ERR_DATA,
                     "%s: %s holds a number that is not finite (NaN or infinite)", weights,
                     t->hf_name);
}

static dele_status read_weights(const dele_model *model, const char *weights, dele_arena *arena,
                                dele_err *err)
{
    dele_safetensors st = {0};
    dele_status status = dele_path_is_shipped(weights, err);
    if (!status) status = dele_safetensors_open_file(&st, weights, arena, err);
    for (size_t i = 0; !status && i < model->n_tensors; i++)
        if (model->tensors[i].part == DELE_PART_ADAPTER)
            status = read_adapter(&model->tensors[i], &st, weights, err);
    for (size_t i = 0; !status && i < st.n; i++)
        if (!st.tensor[i].taken)
            status = dele_fail(err, DELE_ERR_DATA,
                               "%s: this model has no place for %.160s, and an adapter is loaded "
                               "whole or not at all",
                               weights, st.tensor[i].name);
    dele_safetensors_close(&st);
    return status;
}

dele_status dele_perft_load(dele_model *model, const char *dir, double scale, dele_arena *arena,
                            dele_err *err)
{
    dele_perft p;
    dele_arena scratch = {0};
    cJSON *json = open_description(&p, &model->config, dir, &scratch, err);
    p.scale = scale;
    if (json && !dele_base_check(json, dir, model, err) &&
        !dele_model_attach(model, &p, arena, err)) {
        const char *weights = dele_printf(&scratch, err, "%s/adapter_model.safetensors", dir);
        if (weights) read_weights(model, weights, &scratch, err);
    }
    cJSON_Delete(json);
    dele_arena_release(&scratch);
    return err->code;
}
