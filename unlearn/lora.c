#include "unlearn/lora.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/random.h"
#include "model/safetensors.h"
#include "tensor/gemm.h"
#include "unlearn/adamw.h"

/* A tensor that has an adapter, with it. */
typedef struct {
    const lac_tensor *t;
    size_t rank, rows, cols;
    float *a, *b;
} adapter;

static adapter adapter_of(const lac_lora *l, size_t k)
{
    const lac_tensor *t = &l->model->tensors[k];
    float *a = l->table.tensors[k].data;
    return (adapter){.t = t, .rank = l->rank, .rows = t->rows, .cols = t->cols, .a = a,
                     .b = a ? a + l->rank * t->cols : NULL};
}

static double scale_of(const lac_lora *l)
{
    return l->alpha / (double)l->rank;
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

lac_status lac_lora_check(int rank, double alpha, const lac_model *model, const lac_mask *mask, lac_err *err)
{
    if (rank < 1 || rank > 1 << 20) return lac_fail(err, LAC_ERR_USAGE, "--lora %d: give a rank of at least 1", rank);
    if (!(alpha > 0) || !isfinite(alpha))
        return lac_fail(err, LAC_ERR_USAGE, "--lora-alpha %g: give a number above 0", alpha);
    for (size_t k = 0; k < model->n_tensors; k++) {
        const lac_tensor *t = &model->tensors[k];
        if (!mask->trains[k] || (t->part != LAC_PART_NORM && t->part != LAC_PART_EMBED)) continue;
        return lac_fail(err, LAC_ERR_USAGE, "--lora: %s is no linear layer, so it can have no adapter; leave it out, "
                        "as --parts mlp,attn does", t->name);
    }
    return LAC_OK;
}

static lac_status init_adapter(lac_lora *l, size_t k, lac_rng *rng, lac_arena *arena, lac_err *err)
{
    const lac_tensor *t = &l->model->tensors[k];
    lac_tensor *to = &l->table.tensors[k];
    const double bound = 1 / sqrt((double)t->cols);
    *to = *t;
    to->rows = 1;
    to->cols = l->rank * (t->cols + t->rows);
    if (!(l->w0[k] = lac_alloc_raw(arena, t->rows * t->cols, sizeof(float), err)) ||
        !(to->data = LAC_NEW(arena, float, to->cols, err)))
        return err->code;
    memcpy(l->w0[k], t->data, t->rows * t->cols * sizeof(float));
    for (size_t i = 0; i < l->rank * t->cols; i++) to->data[i] = (float)(bound * (2 * lac_rng_uniform(rng) - 1));
    return LAC_OK;
}

lac_status lac_lora_init(lac_lora *l, lac_model *model, const lac_mask *mask, int rank, double alpha, uint64_t seed,
                         lac_arena *arena, lac_err *err)
{
    lac_rng rng;
    size_t most_rows = 1;
    *l = (lac_lora){.alpha = alpha, .model = model, .table = {.config = model->config, .n_tensors = model->n_tensors}};
    if (lac_lora_check(rank, alpha, model, mask, err)) return err->code;
    l->rank = (size_t)rank;
    lac_rng_seed(&rng, seed ^ 0x6c6f7261); /* a stream of its own */
    if (!(l->table.tensors = LAC_NEW(arena, lac_tensor, model->n_tensors, err)) ||
        !(l->w0 = LAC_NEW(arena, float *, model->n_tensors, err)))
        return err->code;
    for (size_t k = 0; k < model->n_tensors; k++) {
        if (!mask->trains[k]) continue;
        if (init_adapter(l, k, &rng, arena, err)) return err->code;
        if (model->tensors[k].rows > most_rows) most_rows = model->tensors[k].rows;
    }
    l->scaled = lac_alloc_raw(arena, most_rows * l->rank, sizeof *l->scaled, err);
    return l->scaled ? LAC_OK : err->code;
}

size_t lac_lora_parameters(const lac_lora *l)
{
    size_t n = 0;
    for (size_t k = 0; k < l->table.n_tensors; k++) n += l->table.tensors[k].cols;
    return n;
}

/* ---- a step ------------------------------------------------------------------------------------------------------ */

void lac_lora_gradient(float *to, const lac_lora *l, size_t k, const float *g)
{
    const adapter d = adapter_of(l, k);
    float *da = to, *db = to + d.rank * d.cols;
    gemm_tn(da, d.cols, d.b, d.rank, g, d.cols, d.rank, d.cols, d.rows, 0);
    gemm_nt(db, d.rank, g, d.cols, d.a, d.cols, d.rows, d.rank, d.cols, 0);
    lac_scale(to, scale_of(l), l->table.tensors[k].cols);
}

void lac_lora_write(const lac_lora *l)
{
    for (size_t k = 0; k < l->model->n_tensors; k++) {
        const adapter d = adapter_of(l, k);
        if (!d.a) continue;
        memcpy(d.t->data, l->w0[k], d.rows * d.cols * sizeof(float));
        memcpy(l->scaled, d.b, d.rows * d.rank * sizeof(float));
        lac_scale(l->scaled, scale_of(l), d.rows * d.rank);
        gemm_nn(d.t->data, d.cols, l->scaled, d.rank, d.a, d.cols, d.rows, d.cols, d.rank, 1);
    }
}

void lac_lora_scale(const lac_lora *l, double factor)
{
    for (size_t k = 0; k < l->model->n_tensors; k++) {
        const adapter d = adapter_of(l, k);
        if (d.a) lac_scale(d.b, factor, d.rows * d.rank);
    }
    lac_lora_write(l);
}

/* ---- PEFT's files ------------------------------------------------------------------------------------------------ */

/* Of "model.layers.3.mlp.up_proj.weight" all but the end: the module. */
static int module_length(const lac_tensor *t)
{
    const size_t n = strlen(t->name), end = strlen(".weight");
    return (int)(n > end && !strcmp(t->name + n - end, ".weight") ? n - end : n);
}

static lac_status save_config(const lac_lora *l, const char *base, const char *path, lac_err *err)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "peft_type", "LORA");
    cJSON_AddStringToObject(json, "task_type", "CAUSAL_LM");
    cJSON_AddStringToObject(json, "base_model_name_or_path", base);
    cJSON_AddNumberToObject(json, "r", (double)l->rank);
    cJSON_AddItemToObject(json, "lora_alpha", lac_json_number(l->alpha));
    cJSON_AddNumberToObject(json, "lora_dropout", 0);
    cJSON_AddStringToObject(json, "bias", "none");
    cJSON_AddFalseToObject(json, "fan_in_fan_out");
    cJSON_AddTrueToObject(json, "inference_mode");
    cJSON *modules = cJSON_AddArrayToObject(json, "target_modules");
    for (size_t k = 0; k < l->model->n_tensors; k++) {
        const adapter d = adapter_of(l, k);
        char name[sizeof d.t->name];
        if (!d.a) continue;
        snprintf(name, sizeof name, "%.*s", module_length(d.t), d.t->name);
        cJSON_AddItemToArray(modules, cJSON_CreateString(name));
    }
    lac_status status = lac_json_save(path, json, err);
    cJSON_Delete(json);
    return status;
}

static lac_status name_half(lac_tensor *half, const lac_tensor *t, char letter, lac_err *err)
{
    const int n = snprintf(half->name, sizeof half->name, "base_model.model.%.*s.lora_%c.weight", module_length(t),
                           t->name, letter);
    if (n < (int)sizeof half->name) return LAC_OK;
    return lac_fail(err, LAC_ERR_DATA, "%s: its name is too long to name an adapter after it", t->name);
}

/* A and B each by itself, as tensors of a model, which the writer of safetensors takes. */
static lac_status halves_of(lac_model *halves, const lac_lora *l, lac_arena *arena, lac_err *err)
{
    *halves = (lac_model){.tensors = LAC_NEW(arena, lac_tensor, 2 * l->model->n_tensors, err)};
    if (!halves->tensors) return err->code;
    for (size_t k = 0; k < l->model->n_tensors; k++) {
        const adapter d = adapter_of(l, k);
        lac_tensor *to = &halves->tensors[halves->n_tensors];
        if (!d.a) continue;
        to[0] = (lac_tensor){.part = d.t->part, .rows = d.rank, .cols = d.cols, .data = d.a};
        to[1] = (lac_tensor){.part = d.t->part, .rows = d.rows, .cols = d.rank, .data = d.b};
        if (name_half(&to[0], d.t, 'A', err) || name_half(&to[1], d.t, 'B', err)) return err->code;
        halves->n_tensors += 2;
    }
    return LAC_OK;
}

lac_status lac_lora_save(const lac_lora *l, const char *base, const char *dir, lac_err *err)
{
    lac_arena arena = {0};
    lac_model halves;
    lac_err own = {0};
    lac_err *e = err ? err : &own;
    const char *config = lac_printf(&arena, e, "%s/adapter_config.json", dir);
    const char *weights = lac_printf(&arena, e, "%s/adapter_model.safetensors", dir);
    if (config && weights && !save_config(l, base, config, e) && !halves_of(&halves, l, &arena, e))
        lac_safetensors_save(&halves, weights, LAC_DTYPE_F32, e);
    lac_arena_release(&arena);
    return e->code;
}
