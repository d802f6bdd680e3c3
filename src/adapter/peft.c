#include "adapter/peft.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "adapter/base_hash.h"
#include "base/json.h"
#include "model/form.h"
#include "model/safetensors.h"
#include "tensor/gemm.h"
#include "tensor/ops.h"

#define PREFIX "base_model.model."

/* A module of the model that has an adapter. */
typedef struct {
    dele_file_tensor f; /* of the table, from tensor k on */
    size_t k, rank;
    double scale;
    const dele_stored *a, *b;
    bool embedding; /* A [r, rows] and B [cols, r]: the other way round */
} peft_module;

/* A directory that is read. */
typedef struct {
    dele_peft_config config;
    dele_safetensors st;
    peft_module *module; /* [n] */
    size_t n;
    const char *weights; /* the file's path */
    dele_arena arena;    /* of all of it, and of the merge */
} peft_dir;

/* ---- the file's tensors and the model's modules ---------------------------------------------- */

static dele_stored *find_half(const peft_dir *d, const char *module, const char *half)
{
    char name[300];
    snprintf(name, sizeof name, PREFIX "%s.%s", module, half);
    return dele_stored_find(d->st.tensor, d->st.n, name);
}

static dele_status check_half(const dele_stored *t, size_t rows, size_t cols, dele_err *err)
{
    const dele_matrix_part part = {.data = t->data, .type = t->dtype, .rows = rows};
    if (t->other_type)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: %.120s is stored as %.20s; F32, F16 and BF16 are supported", t->file,
                         t->name, t->other_type);
    if (t->n_dims != 2 || t->dims[0] != rows || t->dims[1] != cols)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s: %.120s has the shape [%zu, %zu], but this model and "
                         "adapter_config.json require [%zu, %zu]",
                         t->file, t->name, t->dims[0], t->dims[1], rows, cols);
    if (!dele_part_finite(&part, cols))
        return dele_fail(err, DELE_ERR_DATA,
                         "%s: %.120s holds a number that is not finite (NaN or infinite)", t->file,
                         t->name);
    return DELE_OK;
}

/* Whether a stored matrix has the items of the module's tensors. */
static dele_status has_weights(bool *has, const dele_stored *t, const dele_file_tensor *f,
                               dele_arena *scratch, dele_err *err)
{
    const dele_matrix_part part = {.data = t->data, .type = t->dtype, .rows = t->dims[0]};
    float *theirs = dele_alloc_raw(scratch, f->dims[1], sizeof *theirs, err),
          *ours = dele_alloc_raw(scratch, f->dims[1], sizeof *ours, err),
          *row = dele_alloc_raw(scratch, f->cols, sizeof *row, err);
    if (!theirs || !ours || !row) return DELE_ERR_MEMORY;
    *has = !t->other_type && t->n_dims == 2 && t->dims[0] == f->dims[0] && t->dims[1] == f->dims[1];
    for (size_t i = 0; *has && i < f->dims[0]; i++) {
        dele_part_rows(theirs, &part, f->dims[1], i, 1);
        dele_file_rows(ours, f, i, 1, row);
        *has = !memcmp(ours, theirs, f->dims[1] * sizeof *ours);
    }
    return DELE_OK;
}

/* PEFT writes the weights of an adapted head or embedding beside the adapter, and replaces the
 * base's by them when it loads it.  That changes nothing where they are the base's. */
static dele_status check_base_layer(const peft_dir *d, const dele_file_tensor *f,
                                    const char *module, dele_err *err)
{
    dele_arena scratch = {0};
    dele_stored *t = find_half(d, module, "base_layer.weight");
    if (!t) t = find_half(d, module, "weight");
    bool has = true;
    if (t && !has_weights(&has, t, f, &scratch, err) && !has)
        dele_fail(err, DELE_ERR_UNSUPPORTED,
                  "%s: %.160s has other weights than the model has there; adapters that replace "
                  "weights are not supported",
                  d->weights, t->name);
    if (t) t->taken = true;
    dele_arena_release(&scratch);
    return err->code;
}

/* Both halves of a module's adapter, which target_modules selects. */
static dele_status take(peft_dir *d, size_t k, const dele_file_tensor *f, const char *module,
                        dele_stored *a, dele_stored *b, bool embedding, dele_err *err)
{
    peft_module m = {.f = *f, .k = k, .a = a, .b = b, .embedding = embedding};
    if (!a || !b)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s: of the adapter of %.120s there is only one half (lora_%s)",
                         d->weights, module, a ? "A" : "B");
    dele_status status = dele_peft_module(&m.rank, &m.scale, &d->config, module, err);
    const size_t in = embedding ? f->rows : f->cols, out = embedding ? f->cols : f->rows;
    if (!status) status = check_half(a, m.rank, in, err);
    if (!status) status = check_half(b, out, m.rank, err);
    if (!status) status = check_base_layer(d, f, module, err);
    if (status) return status;
    a->taken = b->taken = true;
    d->module[d->n++] = m;
    return DELE_OK;
}

static bool holds(const peft_dir *d, const char *part)
{
    for (size_t i = 0; i < d->st.n; i++)
        if (strstr(d->st.tensor[i].name, part)) return true;
    return false;
}

/* Experts of a layer are one parameter in transformers since version 5, and a router is one too: no
 * modules, so that target_modules selects none of them there ("all-linear" of Qwen2-MoE).  A file
 * has those of all layers that are selected, or none. */
static bool is_no_module(const peft_dir *d, const dele_family *family, dele_slot slot)
{
    if (!family->stacked) return false;
    if (slot == DELE_SLOT_ROUTER) return !holds(d, ".gate.lora_");
    return dele_slot_of_expert(slot) && !holds(d, ".experts.");
}

/* One name of a module of the model: what the file has for it must be what the config selects. */
static dele_status meet(bool *met, peft_dir *d, size_t k, const dele_file_tensor *f,
                        const char *module, const dele_config *config, dele_err *err)
{
    const bool embedding = f->tensor->slot == DELE_SLOT_EMBED;
    dele_stored *a = find_half(d, module, embedding ? "lora_embedding_A" : "lora_A.weight"),
                *b = find_half(d, module, embedding ? "lora_embedding_B" : "lora_B.weight");
    bool selected = false;
    const dele_status status = dele_peft_selects(&selected, &d->config, module, err);
    if (status) return status;
    *met |= selected || a || b;
    if (!a && !b && (!selected || is_no_module(d, config->family, f->tensor->slot))) return DELE_OK;
    if (!selected)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s holds an adapter of %.120s, which target_modules of "
                         "adapter_config.json does not select: PEFT would drop it",
                         d->weights, module);
    if (!a && !b)
        return dele_fail(err, DELE_ERR_DATA,
                         "%s holds no adapter of %.120s, which target_modules of "
                         "adapter_config.json selects",
                         d->weights, module);
    if (embedding && config->tied)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: an adapter of %.120s is not supported where it is the head too: "
                         "PEFT adapts the embedding alone, and the model has one matrix for both",
                         d->weights, module);
    return take(d, k, f, module, a, b, embedding, err);
}

/* "model.layers.0.mlp.up_proj.weight" all but the end; false: it is no module's weight. */
static bool module_name(char *module, size_t size, const char *tensor)
{
    const size_t n = strlen(tensor), k = strlen(".weight");
    if (n <= k || strcmp(tensor + n - k, ".weight")) return false;
    return snprintf(module, size, "%.*s", (int)(n - k), tensor) < (int)size;
}

/* A router may have the name that it has in transformers since version 5 ("mlp.gate" of Mixtral):
 * it is that of files whose experts are stacked. */
static void router_name(char *module, size_t size, const peft_dir *d, const dele_model *model,
                        size_t k)
{
    char name[200];
    if (model->tensors[k].slot != DELE_SLOT_ROUTER) return;
    const dele_file_tensor f = dele_file_tensor_at(model, k, DELE_FILE_STACKED);
    if (module_name(name, sizeof name, f.name) && find_half(d, name, "lora_A.weight"))
        snprintf(module, size, "%s", name);
}

/* The modules of the model by their own names and by those that the family's files may have. */
static dele_status meet_all(peft_dir *d, const dele_model *model, dele_err *err)
{
    const dele_family *family = model->config.family;
    dele_file_tensor f;
    char module[200], name[260];
    if (!(d->module = DELE_NEW(&d->arena, peft_module, model->n_tensors, err))) return err->code;
    for (size_t k = 0; k < model->n_tensors; k = f.next) {
        f = dele_file_tensor_at(model, k, DELE_FILE_HF);
        bool met = false;
        if (f.tensor->vector || !module_name(module, sizeof module, f.name)) continue;
        if (model->config.n_experts) router_name(module, sizeof module, d, model, k);
        if (meet(&met, d, k, &f, module, &model->config, err)) return err->code;
        for (size_t i = 0; i < family->n_prefixes && !met; i++) {
            const dele_prefix *p = &family->prefixes[i];
            if (strncmp(module, p->name, strlen(p->name))) continue;
            snprintf(name, sizeof name, "%s%s", p->other, module + strlen(p->name));
            if (meet(&met, d, k, &f, name, &model->config, err)) return err->code;
        }
    }
    for (size_t i = 0; i < d->st.n; i++)
        if (!d->st.tensor[i].taken)
            return dele_fail(err, DELE_ERR_DATA,
                             "%s: this model has no place for %.160s, and an adapter is loaded "
                             "whole or not at all",
                             d->weights, d->st.tensor[i].name);
    if (!d->n) return dele_fail(err, DELE_ERR_DATA, "%s holds no adapter at all", d->weights);
    return DELE_OK;
}

/* ---- the merge ------------------------------------------------------------------------------- */

static float *read_half(const dele_stored *t, dele_arena *arena, dele_err *err)
{
    const dele_matrix_part part = {.data = t->data, .type = t->dtype, .rows = t->dims[0]};
    float *to = dele_alloc_raw(arena, t->dims[0], t->dims[1] * sizeof *to, err);
    if (to) dele_part_rows(to, &part, t->dims[1], 0, t->dims[0]);
    return to;
}

static void transpose(float *to, const float *from, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) to[j * rows + i] = from[i * cols + j];
}

static dele_status check_sum(const dele_tensor *t, const char *weights, dele_err *err)
{
    for (size_t i = 0; i < t->rows * t->cols; i++)
        if (!isfinite(t->data[i]))
            return dele_fail(err, DELE_ERR_DATA,
                             "%s: with this adapter %s has a weight that is not finite; is the "
                             "scale too large?",
                             weights, t->name);
    return DELE_OK;
}

/* W += factor s B A for the tensors of a module: rows of B by where the file has them. */
static dele_status merge_module(dele_model *model, const peft_module *m, double factor,
                                const char *weights, dele_arena *arena, dele_err *err)
{
    dele_arena_reset(arena);
    const size_t r = m->rank, rows = m->f.rows, cols = m->f.cols;
    float *a = read_half(m->a, arena, err), *b = read_half(m->b, arena, err);
    float *own = dele_alloc_raw(arena, rows, r * sizeof *own, err);
    float *turned = m->embedding ? dele_alloc_raw(arena, r, (rows + cols) * sizeof *b, err) : NULL;
    if (!a || !b || !own || (m->embedding && !turned)) return DELE_ERR_MEMORY;
    if (m->embedding) { /* W += Aᵀ Bᵀ */
        transpose(turned, a, r, rows);
        transpose(turned + r * rows, b, cols, r);
        a = turned + r * rows, b = turned;
    }
    for (size_t i = 0; i < rows * r; i++) b[i] = (float)(factor * m->scale * b[i]);
    for (size_t i = 0; i < m->f.n; i++) {
        const dele_tensor *t = &model->tensors[m->k + i];
        for (size_t row = 0; row < t->rows; row++)
            memcpy(own + row * r, b + dele_file_row(&m->f, i, row) * r, r * sizeof *own);
        gemm_nn(t->data, cols, own, r, a, cols, t->rows, cols, r, 1);
        if (check_sum(t, weights, err)) return err->code;
    }
    return DELE_OK;
}

static dele_status merge(dele_model *model, peft_dir *d, double factor, dele_err *err)
{
    dele_arena scratch = {0};
    bool *trains = DELE_NEW(&d->arena, bool, model->n_tensors, err);
    if (!trains) return err->code;
    for (size_t j = 0; j < d->n; j++)
        for (size_t i = 0; i < d->module[j].f.n; i++) trains[d->module[j].k + i] = true;
    dele_status status = dele_model_train(model, trains, err);
    for (size_t j = 0; j < d->n && !status; j++)
        status = merge_module(model, &d->module[j], factor, d->weights, &scratch, err);
    dele_arena_release(&scratch);
    return status;
}

/* ---- the directory --------------------------------------------------------------------------- */

static dele_status open_weights(peft_dir *d, const char *dir, dele_err *err)
{
    const char *pickled = dele_printf(&d->arena, err, "%s/adapter_model.bin", dir);
    d->weights = dele_printf(&d->arena, err, "%s/adapter_model.safetensors", dir);
    if (!pickled || !d->weights) return DELE_ERR_MEMORY;
    if (!dele_path_exists(d->weights))
        return dele_fail(err, DELE_ERR_FILE, "%s: there is no adapter_model.safetensors%s", dir,
                         dele_path_exists(pickled)
                             ? "; adapter_model.bin is not read: PEFT's "
                               "save_pretrained(OUT, safe_serialization=True) makes one of it"
                             : "");
    if (dele_path_is_shipped(d->weights, err)) return err->code;
    return dele_safetensors_open_file(&d->st, d->weights, &d->arena, err);
}

static dele_status check_base(const peft_dir *d, const char *dir, const dele_model *model,
                              dele_err *err)
{
    const char *file = dele_printf((dele_arena *)&d->arena, err, "%s/" DELE_ADAPTER_FILE, dir);
    if (!file) return DELE_ERR_MEMORY;
    cJSON *json = dele_path_exists(file) ? dele_json_load_result(file, err) : NULL;
    if (json || !dele_path_exists(file)) dele_base_check(json, dir, model, err);
    cJSON_Delete(json);
    return err->code;
}

dele_status dele_peft_merge(dele_model *model, const char *dir, double factor, dele_err *err)
{
    peft_dir d = {0};
    const char *file = dele_printf(&d.arena, err, "%s/adapter_config.json", dir);
    if (file && !dele_path_is_shipped(file, err) && !dele_peft_config_read(&d.config, file, err) &&
        !open_weights(&d, dir, err) && !meet_all(&d, model, err) &&
        !check_base(&d, dir, model, err) && factor != 0)
        merge(model, &d, factor, err);
    dele_safetensors_close(&d.st);
    dele_peft_config_release(&d.config);
    dele_arena_release(&d.arena);
    return err->code;
}
