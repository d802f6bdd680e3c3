#include "unlearn/lora.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "adapter/base_hash.h"
#include "base/json_out.h"
#include "base/random.h"
#include "model/form.h"
#include "model/safetensors.h"
#include "tensor/gemm.h"
#include "unlearn/adamw.h"

/* A tensor that has an adapter, with it. */
typedef struct {
    const dele_tensor *t;
    size_t rank, rows, cols;
    float *a, *b;
} adapter;

static adapter adapter_of(const dele_lora *l, size_t k)
{
    const dele_tensor *t = &l->model->tensors[k];
    float *a = l->table.tensors[k].data;
    return (adapter){.t = t,
                     .rank = l->rank,
                     .rows = t->rows,
                     .cols = t->cols,
                     .a = a,
                     .b = a ? a + l->rank * t->cols : NULL};
}

static double scale_of(const dele_lora *l) { return l->alpha / (double)l->rank; }

/* ---- room ------------------------------------------------------------------------------------ */

dele_status dele_lora_check(const dele_lora_options *o, const dele_model *model,
                            const dele_mask *mask, dele_err *err)
{
    if (o->rank < 1 || o->rank > 1 << 20)
        return dele_fail(err, DELE_ERR_USAGE, "--lora %d: give a rank of at least 1", o->rank);
    if (!(o->alpha > 0) || !isfinite(o->alpha))
        return dele_fail(err, DELE_ERR_USAGE, "--lora-alpha %g: give a number above 0", o->alpha);
    for (size_t k = 0; k < model->n_tensors; k++) {
        const dele_tensor *t = &model->tensors[k];
        if (!mask->trains[k] || (!t->vector && t->part != DELE_PART_EMBED)) continue;
        return dele_fail(err, DELE_ERR_USAGE,
                         "--lora: %s is no linear layer, so it can have no adapter; leave it out, "
                         "as --parts mlp,attn does",
                         t->name);
    }
    return DELE_OK;
}

static dele_status lay_adapter(dele_lora *l, size_t k, dele_arena *arena, dele_err *err)
{
    const dele_tensor *t = &l->model->tensors[k];
    dele_tensor *to = &l->table.tensors[k];
    *to = *t;
    to->rows = 1;
    to->cols = l->rank * (t->cols + t->rows);
    l->w0[k] = dele_alloc_raw(arena, t->rows * t->cols, sizeof(float), err);
    to->data = DELE_NEW(arena, float, to->cols, err);
    return l->w0[k] && to->data ? DELE_OK : DELE_ERR_MEMORY;
}

/* The table of adapters and its memory. */
static dele_status lay_out(dele_lora *l, const dele_mask *mask, dele_arena *arena, dele_err *err)
{
    const dele_model *model = l->model;
    size_t most_rows = 1;
    l->table.tensors = DELE_NEW(arena, dele_tensor, model->n_tensors, err);
    l->w0 = DELE_NEW(arena, float *, model->n_tensors, err);
    if (!l->table.tensors || !l->w0) return DELE_ERR_MEMORY;
    for (size_t k = 0; k < model->n_tensors; k++) {
        if (!mask->trains[k]) continue;
        if (lay_adapter(l, k, arena, err)) return DELE_ERR_MEMORY;
        if (model->tensors[k].rows > most_rows) most_rows = model->tensors[k].rows;
    }
    l->scaled = dele_alloc_raw(arena, most_rows * l->rank, sizeof *l->scaled, err);
    return l->scaled ? DELE_OK : DELE_ERR_MEMORY;
}

size_t dele_lora_bytes(const dele_lora *l, const dele_mask *mask)
{
    dele_arena counted = {.counts = true};
    dele_lora own = *l;
    dele_status status = lay_out(&own, mask, &counted, NULL);
    const size_t bytes = counted.used;
    dele_arena_release(&counted);
    return status ? SIZE_MAX : bytes;
}

static void fill_adapter(dele_lora *l, size_t k, dele_rng *rng)
{
    const dele_tensor *t = &l->model->tensors[k];
    const double bound = 1 / sqrt((double)t->cols);
    memcpy(l->w0[k], t->data, t->rows * t->cols * sizeof(float));
    for (size_t i = 0; i < l->rank * t->cols; i++)
        l->table.tensors[k].data[i] = (float)(bound * (2 * dele_rng_uniform(rng) - 1));
}

dele_status dele_lora_init(dele_lora *l, dele_model *model, const dele_mask *mask,
                           const dele_lora_options *o, dele_arena *arena, dele_err *err)
{
    dele_rng rng;
    *l = (dele_lora){.alpha = o->alpha,
                     .model = model,
                     .table = {.config = model->config, .n_tensors = model->n_tensors}};
    if (dele_lora_check(o, model, mask, err) || dele_model_train(model, mask->trains, err))
        return err->code;
    l->rank = (size_t)o->rank;
    dele_rng_seed(&rng, o->seed ^ 0x6c6f7261); /* a stream of its own */
    if (lay_out(l, mask, arena, err)) return DELE_ERR_MEMORY;
    for (size_t k = 0; k < model->n_tensors; k++)
        if (mask->trains[k]) fill_adapter(l, k, &rng);
    return DELE_OK;
}

size_t dele_lora_parameters(const dele_lora *l)
{
    size_t n = 0;
    for (size_t k = 0; k < l->table.n_tensors; k++) n += l->table.tensors[k].cols;
    return n;
}

dele_lora_counts dele_lora_count(const dele_model *model, const dele_mask *mask, int rank)
{
    dele_lora_counts n = {0};
    int experts[DELE_N_SLOTS], layer = -1; /* trained of a slot of the layer so far */
    for (size_t k = 0; k < model->n_tensors; k++) {
        const dele_tensor *t = &model->tensors[k];
        if (!mask->trains[k]) continue;
        if (t->layer != layer) memset(experts, 0, sizeof experts);
        layer = t->layer;
        const size_t one = (size_t)rank * (t->rows + t->cols);
        n.tensors++;
        n.trainable += one;
        if (t->expert < 0 || experts[t->slot]++ < model->config.top_k) n.activated += one;
    }
    return n;
}

/* ---- a step ---------------------------------------------------------------------------------- */

void dele_lora_gradient(float *to, const dele_lora *l, size_t k, const float *g)
{
    const adapter d = adapter_of(l, k);
    float *da = to, *db = to + d.rank * d.cols;
    gemm_tn(da, d.cols, d.b, d.rank, g, d.cols, d.rank, d.cols, d.rows, 0);
    gemm_nt(db, d.rank, g, d.cols, d.a, d.cols, d.rows, d.rank, d.cols, 0);
    dele_scale(to, scale_of(l), l->table.tensors[k].cols);
}

void dele_lora_write(const dele_lora *l)
{
    for (size_t k = 0; k < l->model->n_tensors; k++) {
        const adapter d = adapter_of(l, k);
        if (!d.a) continue;
        memcpy(d.t->data, l->w0[k], d.rows * d.cols * sizeof(float));
        memcpy(l->scaled, d.b, d.rows * d.rank * sizeof(float));
        dele_scale(l->scaled, scale_of(l), d.rows * d.rank);
        gemm_nn(d.t->data, d.cols, l->scaled, d.rank, d.a, d.cols, d.rows, d.cols, d.rank, 1);
    }
}

void dele_lora_scale(const dele_lora *l, double factor)
{
    for (size_t k = 0; k < l->model->n_tensors; k++) {
        const adapter d = adapter_of(l, k);
        if (d.a) dele_scale(d.b, factor, d.rows * d.rank);
    }
    dele_lora_write(l);
}

/* ---- PEFT's files ---------------------------------------------------------------------------- */

/* A linear layer of the model's files.  It is one tensor of the model, or holds several one below
 * the other (form.h), each with an adapter of its own or none: its adapter is then theirs as
 * blocks,
 *
 *   A [m rank, cols]  A of the first, A of the second, ...     B [rows, m rank]  B1  .
 *                                                                               .  B2
 *
 * with the rank m rank and the alpha m alpha, whose quotient is the same. */
typedef struct {
    dele_file_tensor f;
    size_t m;       /* of its tensors have an adapter */
    char name[100]; /* of "model.layers.3.mlp.up_proj.weight" all but the end */
} linear_module;

static bool is_router(const dele_tensor *t) { return t->slot == DELE_SLOT_ROUTER; }

/* A router is a parameter, not a module, in transformers since version 5, where it has the name of
 * files whose experts are stacked. */
static linear_module module_at(const dele_lora *l, size_t k)
{
    const bool router = is_router(&l->model->tensors[k]);
    linear_module mod = {
        .f = dele_file_tensor_at(l->model, k, router ? DELE_FILE_STACKED : DELE_FILE_HF)};
    const size_t n = strlen(mod.f.name), end = strlen(".weight");
    const bool ends = n > end && !strcmp(mod.f.name + n - end, ".weight");
    snprintf(mod.name, sizeof mod.name, "%.*s", (int)(ends ? n - end : n), mod.f.name);
    for (size_t i = 0; i < mod.f.n; i++) mod.m += l->table.tensors[k + i].data != NULL;
    return mod;
}

/* PEFT's word for a layer whose weight is [in, out] in files. */
static bool is_transposed(const linear_module *mod)
{
    return mod->f.form == DELE_FORM_TRANSPOSED || mod->f.form == DELE_FORM_FUSED_TRANSPOSED;
}

/* adapter_config.json as PEFT reads it.  target_modules lists full module names, because a mask may
 * train a module in some layers only; target_parameters those of routers. */
static dele_status save_config(const dele_lora *l, const char *base, const char *path,
                               dele_err *err)
{
    bool transposed = false;
    cJSON *json = cJSON_CreateObject(), *modules = cJSON_CreateArray(),
          *parameters = cJSON_CreateArray(), *ranks = cJSON_CreateObject(),
          *alphas = cJSON_CreateObject();
    linear_module mod;
    for (size_t k = 0; k < l->model->n_tensors; k += mod.f.n) {
        mod = module_at(l, k);
        if (!mod.m) continue;
        transposed |= is_transposed(&mod);
        char weight[120];
        snprintf(weight, sizeof weight, "%s.weight", mod.name);
        const bool router = is_router(mod.f.tensor);
        cJSON_AddItemToArray(router ? parameters : modules,
                             cJSON_CreateString(router ? weight : mod.name));
        if (mod.m == 1) continue;
        cJSON_AddNumberToObject(ranks, mod.name, (double)(mod.m * l->rank));
        cJSON_AddItemToObject(alphas, mod.name, dele_json_number((double)mod.m * l->alpha));
    }
    cJSON_AddStringToObject(json, "peft_type", "LORA");
    cJSON_AddStringToObject(json, "task_type", "CAUSAL_LM");
    cJSON_AddStringToObject(json, "base_model_name_or_path", base);
    cJSON_AddNumberToObject(json, "r", (double)l->rank);
    cJSON_AddItemToObject(json, "lora_alpha", dele_json_number(l->alpha));
    cJSON_AddItemToObject(json, "rank_pattern", ranks);
    cJSON_AddItemToObject(json, "alpha_pattern", alphas);
    cJSON_AddNumberToObject(json, "lora_dropout", 0);
    cJSON_AddStringToObject(json, "bias", "none");
    cJSON_AddBoolToObject(json, "fan_in_fan_out", transposed);
    cJSON_AddTrueToObject(json, "inference_mode");
    cJSON_AddItemToObject(json, "target_modules", modules);
    if (parameters && parameters->child)
        cJSON_AddItemToObject(json, "target_parameters", parameters);
    else
        cJSON_Delete(parameters);
    dele_status status = dele_json_save(path, json, err);
    cJSON_Delete(json);
    return status;
}

/* The blocks of A [m rank, cols] and B [rows, m rank], which are zero elsewhere. */
static void fill_blocks(float *a, float *b, const dele_lora *l, size_t k, const linear_module *mod)
{
    const size_t width = mod->m * l->rank;
    for (size_t i = 0, block = 0; i < mod->f.n; i++) {
        const adapter d = adapter_of(l, k + i);
        if (!d.a) continue;
        memcpy(a + block * l->rank * d.cols, d.a, l->rank * d.cols * sizeof *a);
        for (size_t r = 0; r < d.rows; r++)
            memcpy(b + dele_file_row(&mod->f, i, r) * width + block * l->rank, d.b + r * l->rank,
                   l->rank * sizeof *b);
        block++;
    }
}

/* A and B of a module as tensors of a model, which the writer of safetensors takes. */
static dele_status put_halves(dele_tensor to[2], const dele_lora *l, size_t k,
                              const linear_module *mod, dele_arena *arena, dele_err *err)
{
    static const dele_tensor_row plain = {.hf_form = DELE_FORM_PLAIN}; /* no family's */
    const size_t width = mod->m * l->rank;
    const adapter only = adapter_of(l, k);
    float *a = only.a, *b = only.b;
    if (mod->f.n > 1) {
        a = DELE_NEW(arena, float, width * mod->f.cols, err);
        b = DELE_NEW(arena, float, mod->f.rows *width, err);
        if (!a || !b) return DELE_ERR_MEMORY;
        fill_blocks(a, b, l, k, mod);
    }
    to[0] = (dele_tensor){.row = &plain, .rows = width, .cols = mod->f.cols, .data = a};
    to[1] = (dele_tensor){.row = &plain, .rows = mod->f.rows, .cols = width, .data = b};
    for (int i = 0; i < 2; i++) {
        const int n = snprintf(to[i].hf_name, sizeof to[i].hf_name,
                               "base_model.model.%s.lora_%c.weight", mod->name, "AB"[i]);
        if (n >= (int)sizeof to[i].hf_name)
            return dele_fail(err, DELE_ERR_DATA,
                             "%s: its name is too long to name an adapter after it", mod->f.name);
        memcpy(to[i].name, to[i].hf_name, sizeof to[i].name);
    }
    return DELE_OK;
}

static dele_status halves_of(dele_model *halves, const dele_lora *l, dele_arena *arena,
                             dele_err *err)
{
    *halves = (dele_model){.tensors = DELE_NEW(arena, dele_tensor, 2 * l->model->n_tensors, err)};
    if (!halves->tensors) return err->code;
    linear_module mod;
    for (size_t k = 0; k < l->model->n_tensors; k += mod.f.n) {
        mod = module_at(l, k);
        if (!mod.m) continue;
        if (put_halves(&halves->tensors[halves->n_tensors], l, k, &mod, arena, err))
            return err->code;
        halves->n_tensors += 2;
    }
    return DELE_OK;
}

/* The base's hash, which PEFT's files have no place for. */
static dele_status save_base(const dele_lora *l, const char *path, dele_err *err)
{
    if (!dele_base_is_stored(l->model)) return DELE_OK;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "type", "lora");
    if (!dele_base_put(json, l->model, err)) dele_json_save(path, json, err);
    cJSON_Delete(json);
    return err->code;
}

bool dele_lora_is_lost_in_peft(const dele_lora *l)
{
    bool experts = false, dense = false;
    for (size_t i = 0; i < l->model->n_tensors; i++) {
        const dele_slot slot = l->model->tensors[i].slot;
        experts |= dele_slot_of_expert(slot) && l->table.tensors[i].data;
        dense |= slot == DELE_SLOT_DOWN || slot == DELE_SLOT_SHARED_DOWN;
    }
    return experts && dense;
}

dele_status dele_lora_save(const dele_lora *l, const char *base, const char *dir, dele_err *err)
{
    dele_arena arena = {0};
    dele_model halves;
    dele_err own = {0};
    dele_err *e = err ? err : &own;
    const char *config = dele_printf(&arena, e, "%s/adapter_config.json", dir);
    const char *weights = dele_printf(&arena, e, "%s/adapter_model.safetensors", dir);
    const char *ours = dele_printf(&arena, e, "%s/" DELE_ADAPTER_FILE, dir);
    if (config && weights && ours && !save_config(l, base, config, e) &&
        !halves_of(&halves, l, &arena, e) &&
        !dele_safetensors_save(&halves, weights, DELE_DTYPE_F32, e))
        save_base(l, ours, e);
    dele_arena_release(&arena);
    return e->code;
}
