/* The table of tensors and where their memory lies.
 *
 *   tensors   [ embed | layer 0: norm q k v o norm gate up down | layer 1: ... | final norm | head ]
 *
 * What is multiplied together lies together: q, k and v are one allocation, and so are gate and up, with no padding
 * between, so that each group is one matrix product of [rows of all, dim].  A family without norm parameters has no
 * norm rows in the table, and a tied model no head: then model->head is the embedding. */
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "model/layout.h"

typedef struct {
    const char *name, *gguf_name;
    lac_part part;
} slot_text;

static const slot_text slot_texts[] = {
#define X(slot, hf, gguf, rows, cols, part) {hf, gguf, LAC_PART_##part},
    LAC_TENSORS(X)
#undef X
};

static void slot_shape(size_t *n_rows, size_t *n_cols, const lac_config *c, lac_slot slot)
{
    size_t vocab = (size_t)c->vocab, dim = (size_t)c->dim, hidden = (size_t)c->hidden;
    size_t q_dim = lac_q_dim(c), kv_dim = lac_kv_dim(c);
    switch (slot) {
#define X(slot, hf, gguf, rows, cols, part)                                                            \
    case LAC_SLOT_##slot: *n_rows = (rows), *n_cols = (cols); return;
        LAC_TENSORS(X)
#undef X
    case LAC_N_SLOTS: break;
    }
    *n_rows = *n_cols = 0;
}

static bool in_layer(lac_slot slot) { return slot >= LAC_SLOT_ATTN_NORM && slot <= LAC_SLOT_DOWN; }

static bool family_has(const lac_config *c, lac_slot slot)
{
    if (slot == LAC_SLOT_HEAD) return !c->tied;
    return slot_texts[slot].part != LAC_PART_NORM || c->norm == LAC_RMSNORM;
}

static void tensor_describe(lac_tensor *t, const lac_config *c, lac_slot slot, int layer)
{
    *t = (lac_tensor){.slot = slot, .part = slot_texts[slot].part, .layer = layer};
    slot_shape(&t->rows, &t->cols, c, slot);
    const char *forms[2] = {slot_texts[slot].name, slot_texts[slot].gguf_name};
    char *names[2] = {t->name, t->gguf_name};
    size_t sizes[2] = {sizeof t->name, sizeof t->gguf_name};
    for (int i = 0; i < 2; i++) {
        const char *hole = layer >= 0 ? strstr(forms[i], "%d") : NULL;
        if (hole)
            snprintf(names[i], sizes[i], "%.*s%d%s", (int)(hole - forms[i]), forms[i], layer, hole + 2);
        else
            snprintf(names[i], sizes[i], "%s", forms[i]);
    }
}

lac_status lac_model_table(lac_model *model, const lac_config *config, lac_arena *arena, lac_err *err)
{
    if (lac_config_check(config, "config", err)) return err ? err->code : LAC_ERR_DATA;
    *model = (lac_model){.config = *config};
    size_t n_layers = (size_t)config->n_layers, in_each = 0, outside = 0;
    for (int s = 0; s < LAC_N_SLOTS; s++)
        if (family_has(config, (lac_slot)s)) *(in_layer((lac_slot)s) ? &in_each : &outside) += 1;
    model->tensors = LAC_NEW(arena, lac_tensor, outside + in_each * n_layers, err);
    model->layers = LAC_NEW(arena, lac_layer, n_layers, err);
    if (!model->tensors || !model->layers) return LAC_ERR_MEMORY;

    lac_tensor *t = model->tensors;
    tensor_describe(t++, config, LAC_SLOT_EMBED, -1);
    for (int l = 0; l < config->n_layers; l++)
        for (int s = LAC_SLOT_ATTN_NORM; s <= LAC_SLOT_DOWN; s++)
            if (family_has(config, (lac_slot)s)) tensor_describe(t++, config, (lac_slot)s, l);
    if (family_has(config, LAC_SLOT_FINAL_NORM)) tensor_describe(t++, config, LAC_SLOT_FINAL_NORM, -1);
    if (family_has(config, LAC_SLOT_HEAD)) tensor_describe(t++, config, LAC_SLOT_HEAD, -1);
    model->n_tensors = (size_t)(t - model->tensors);
    return LAC_OK;
}

/* How many tensors from i on share one allocation. */
static size_t group_size(const lac_model *model, size_t i)
{
    return model->tensors[i].slot == LAC_SLOT_Q ? 3 : model->tensors[i].slot == LAC_SLOT_GATE ? 2 : 1;
}

static void point_layers(lac_model *model)
{
    for (size_t i = 0; i < model->n_tensors; i++) {
        const lac_tensor *t = &model->tensors[i];
        lac_layer *layer = t->layer >= 0 ? &model->layers[t->layer] : NULL;
        switch (t->slot) {
        case LAC_SLOT_EMBED: model->embed = t->data; break;
        case LAC_SLOT_ATTN_NORM: layer->attn_norm = t->data; break;
        case LAC_SLOT_Q: layer->q = t->data; break;
        case LAC_SLOT_K: layer->k = t->data; break;
        case LAC_SLOT_V: layer->v = t->data; break;
        case LAC_SLOT_O: layer->o = t->data; break;
        case LAC_SLOT_MLP_NORM: layer->mlp_norm = t->data; break;
        case LAC_SLOT_GATE: layer->gate = t->data; break;
        case LAC_SLOT_UP: layer->up = t->data; break;
        case LAC_SLOT_DOWN: layer->down = t->data; break;
        case LAC_SLOT_FINAL_NORM: model->final_norm = t->data; break;
        case LAC_SLOT_HEAD: model->head = t->data; break;
        case LAC_N_SLOTS: break;
        }
    }
    if (model->config.tied) model->head = model->embed;
}

lac_status lac_model_memory(lac_model *model, bool zeroed, lac_arena *arena, lac_err *err)
{
    for (size_t i = 0, n; i < model->n_tensors; i += n) {
        size_t floats = 0;
        n = group_size(model, i);
        for (size_t j = i; j < i + n; j++) floats += model->tensors[j].rows * model->tensors[j].cols;
        float *data = zeroed ? lac_alloc(arena, floats, sizeof *data, err)
                             : lac_alloc_raw(arena, floats, sizeof *data, err);
        if (!data) return LAC_ERR_MEMORY;
        for (size_t j = i; j < i + n; j++) {
            model->tensors[j].data = data;
            data += model->tensors[j].rows * model->tensors[j].cols;
        }
    }
    point_layers(model);
    return LAC_OK;
}

lac_status lac_model_layout(lac_model *model, const lac_config *config, lac_arena *arena, lac_err *err)
{
    lac_status status = lac_model_table(model, config, arena, err);
    return status ? status : lac_model_memory(model, true, arena, err);
}

static bool any_of(const bool *trains, size_t i, size_t n)
{
    for (size_t j = i; j < i + n; j++)
        if (trains[j]) return true;
    return false;
}

lac_status lac_model_freeze(lac_model *frozen, const lac_model *model, const bool *trains, lac_arena *arena,
                            lac_err *err)
{
    lac_status status = lac_model_table(frozen, &model->config, arena, err);
    if (status) return status;
    for (size_t i = 0, n; i < model->n_tensors; i += n) {
        size_t floats = 0;
        n = group_size(model, i);
        for (size_t j = i; j < i + n; j++) floats += model->tensors[j].rows * model->tensors[j].cols;
        float *data = model->tensors[i].data;
        if (any_of(trains, i, n)) {
            if (!(data = lac_alloc_raw(arena, floats, sizeof *data, err))) return LAC_ERR_MEMORY;
            memcpy(data, model->tensors[i].data, floats * sizeof *data);
        }
        for (size_t j = i; j < i + n; j++) {
            frozen->tensors[j].data = data;
            data += model->tensors[j].rows * model->tensors[j].cols;
        }
    }
    point_layers(frozen);
    frozen->path = model->path;
    return LAC_OK;
}

void lac_model_randomise(lac_model *model, double std, uint64_t seed)
{
    lac_rng rng;
    lac_rng_seed(&rng, seed);
    for (size_t i = 0; i < model->n_tensors; i++) {
        lac_tensor *t = &model->tensors[i];
        size_t n = t->rows * t->cols;
        bool output = t->slot == LAC_SLOT_O || t->slot == LAC_SLOT_DOWN;
        double spread = output ? std / sqrt(2.0 * model->config.n_layers) : std;
        for (size_t j = 0; j < n; j++)
            t->data[j] = t->part == LAC_PART_NORM ? 1.0f : (float)(spread * lac_rng_normal(&rng));
    }
}

size_t lac_model_parameters(const lac_model *model)
{
    size_t n = 0;
    for (size_t i = 0; i < model->n_tensors; i++) n += model->tensors[i].rows * model->tensors[i].cols;
    return n;
}

lac_tensor *lac_model_tensor(const lac_model *model, lac_slot slot, int layer)
{
    for (size_t i = 0; i < model->n_tensors; i++)
        if (model->tensors[i].slot == slot && model->tensors[i].layer == layer) return &model->tensors[i];
    return NULL;
}

double lac_layer_flops(const lac_config *c, double keys)
{
    const double dim = c->dim, q = (double)lac_q_dim(c), kv = (double)lac_kv_dim(c);
    return 2 * (dim * (2 * q + 2 * kv) + 3 * dim * c->hidden + 2 * q * keys);
}
