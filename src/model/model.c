/* The table of tensors and the layout of their memory.
 *
 *   tensors   [ embed | layer 0: norm q k v o norm gate up down | layer 1: ... | final norm | head
 *             ]
 *
 * Matrices with the same input share an allocation: q, k and v are one, and so are gate and up,
 * without padding between them, so that each group is one matrix product of [rows of all, d_model].
 * A family without norm parameters has no norms in the table.  A tied model has no head in the
 * table: model->head is then the embedding. */
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "model/layout.h"

typedef struct {
    const char *name, *gguf_name;
    dele_part part;
} slot_text;

static const slot_text slot_texts[] = {
#define X(slot, hf, gguf, rows, cols, part) {hf, gguf, DELE_PART_##part},
    DELE_TENSORS(X)
#undef X
};

static void slot_shape(size_t *n_rows, size_t *n_cols, const dele_config *c, dele_slot slot)
{
    size_t vocab = (size_t)c->vocab, d_model = (size_t)c->hidden_size,
           d_ff = (size_t)c->intermediate_size;
    size_t q_dim = dele_q_dim(c), kv_dim = dele_kv_dim(c);
    switch (slot) {
#define X(slot, hf, gguf, rows, cols, part)                                                        \
    case DELE_SLOT_##slot:                                                                         \
        *n_rows = (rows), *n_cols = (cols);                                                        \
        return;
        DELE_TENSORS(X)
#undef X
    case DELE_N_SLOTS:
        break;
    }
    *n_rows = *n_cols = 0;
}

static bool in_layer(dele_slot slot)
{
    return slot >= DELE_SLOT_ATTN_NORM && slot <= DELE_SLOT_DOWN;
}

static bool family_has(const dele_config *c, dele_slot slot)
{
    if (slot == DELE_SLOT_HEAD) return !c->tied;
    return slot_texts[slot].part != DELE_PART_NORM || c->norm == DELE_RMSNORM;
}

static void tensor_describe(dele_tensor *t, const dele_config *c, dele_slot slot, int layer)
{
    *t = (dele_tensor){.slot = slot, .part = slot_texts[slot].part, .layer = layer};
    slot_shape(&t->rows, &t->cols, c, slot);
    const char *forms[2] = {slot_texts[slot].name, slot_texts[slot].gguf_name};
    char *names[2] = {t->name, t->gguf_name};
    size_t sizes[2] = {sizeof t->name, sizeof t->gguf_name};
    for (int i = 0; i < 2; i++) {
        const char *hole = layer >= 0 ? strstr(forms[i], "%d") : NULL;
        if (hole)
            snprintf(names[i], sizes[i], "%.*s%d%s", (int)(hole - forms[i]), forms[i], layer,
                     hole + 2);
        else
            snprintf(names[i], sizes[i], "%s", forms[i]);
    }
}

dele_status dele_model_table(dele_model *model, const dele_config *config, dele_arena *arena,
                             dele_err *err)
{
    if (dele_config_check(config, "config", err)) return err ? err->code : DELE_ERR_DATA;
    *model = (dele_model){.config = *config};
    size_t n_layers = (size_t)config->n_layers, in_each = 0, outside = 0;
    for (int s = 0; s < DELE_N_SLOTS; s++)
        if (family_has(config, (dele_slot)s)) *(in_layer((dele_slot)s) ? &in_each : &outside) += 1;
    model->tensors = DELE_NEW(arena, dele_tensor, outside + in_each * n_layers, err);
    model->layers = DELE_NEW(arena, dele_layer, n_layers, err);
    if (!model->tensors || !model->layers) return DELE_ERR_MEMORY;

    dele_tensor *t = model->tensors;
    tensor_describe(t++, config, DELE_SLOT_EMBED, -1);
    for (int l = 0; l < config->n_layers; l++)
        for (int s = DELE_SLOT_ATTN_NORM; s <= DELE_SLOT_DOWN; s++)
            if (family_has(config, (dele_slot)s)) tensor_describe(t++, config, (dele_slot)s, l);
    if (family_has(config, DELE_SLOT_FINAL_NORM))
        tensor_describe(t++, config, DELE_SLOT_FINAL_NORM, -1);
    if (family_has(config, DELE_SLOT_HEAD)) tensor_describe(t++, config, DELE_SLOT_HEAD, -1);
    model->n_tensors = (size_t)(t - model->tensors);
    return DELE_OK;
}

/* How many tensors from i on share one allocation. */
static size_t group_size(const dele_model *model, size_t i)
{
    return model->tensors[i].slot == DELE_SLOT_Q      ? 3
           : model->tensors[i].slot == DELE_SLOT_GATE ? 2
                                                      : 1;
}

static void point_layers(dele_model *model)
{
    for (size_t i = 0; i < model->n_tensors; i++) {
        const dele_tensor *t = &model->tensors[i];
        dele_layer *layer = t->layer >= 0 ? &model->layers[t->layer] : NULL;
        switch (t->slot) {
        case DELE_SLOT_EMBED:
            model->embed = t->data;
            break;
        case DELE_SLOT_ATTN_NORM:
            layer->attn_norm = t->data;
            break;
        case DELE_SLOT_Q:
            layer->q = t->data;
            break;
        case DELE_SLOT_K:
            layer->k = t->data;
            break;
        case DELE_SLOT_V:
            layer->v = t->data;
            break;
        case DELE_SLOT_O:
            layer->o = t->data;
            break;
        case DELE_SLOT_MLP_NORM:
            layer->mlp_norm = t->data;
            break;
        case DELE_SLOT_GATE:
            layer->gate = t->data;
            break;
        case DELE_SLOT_UP:
            layer->up = t->data;
            break;
        case DELE_SLOT_DOWN:
            layer->down = t->data;
            break;
        case DELE_SLOT_FINAL_NORM:
            model->final_norm = t->data;
            break;
        case DELE_SLOT_HEAD:
            model->head = t->data;
            break;
        case DELE_N_SLOTS:
            break;
        }
    }
    if (model->config.tied) model->head = model->embed;
}

dele_status dele_model_memory(dele_model *model, bool zeroed, dele_arena *arena, dele_err *err)
{
    for (size_t i = 0, n; i < model->n_tensors; i += n) {
        size_t floats = 0;
        n = group_size(model, i);
        for (size_t j = i; j < i + n; j++)
            floats += model->tensors[j].rows * model->tensors[j].cols;
        float *data = zeroed ? dele_alloc(arena, floats, sizeof *data, err)
                             : dele_alloc_raw(arena, floats, sizeof *data, err);
        if (!data) return DELE_ERR_MEMORY;
        for (size_t j = i; j < i + n; j++) {
            model->tensors[j].data = data;
            data += model->tensors[j].rows * model->tensors[j].cols;
        }
    }
    point_layers(model);
    return DELE_OK;
}

dele_status dele_model_layout(dele_model *model, const dele_config *config, dele_arena *arena,
                              dele_err *err)
{
    dele_status status = dele_model_table(model, config, arena, err);
    return status ? status : dele_model_memory(model, true, arena, err);
}

static bool any_of(const bool *trains, size_t i, size_t n)
{
    for (size_t j = i; j < i + n; j++)
        if (trains[j]) return true;
    return false;
}

dele_status dele_model_freeze(dele_model *frozen, const dele_model *model, const bool *trains,
                              dele_arena *arena, dele_err *err)
{
    dele_status status = dele_model_table(frozen, &model->config, arena, err);
    if (status) return status;
    for (size_t i = 0, n; i < model->n_tensors; i += n) {
        size_t floats = 0;
        n = group_size(model, i);
        for (size_t j = i; j < i + n; j++)
            floats += model->tensors[j].rows * model->tensors[j].cols;
        float *data = model->tensors[i].data;
        if (any_of(trains, i, n)) {
            if (!(data = dele_alloc_raw(arena, floats, sizeof *data, err))) return DELE_ERR_MEMORY;
            memcpy(data, model->tensors[i].data, floats * sizeof *data);
        }
        for (size_t j = i; j < i + n; j++) {
            frozen->tensors[j].data = data;
            data += model->tensors[j].rows * model->tensors[j].cols;
        }
    }
    point_layers(frozen);
    frozen->path = model->path;
    return DELE_OK;
}

void dele_model_randomise(dele_model *model, double std, uint64_t seed)
{
    dele_rng rng;
    dele_rng_seed(&rng, seed);
    for (size_t i = 0; i < model->n_tensors; i++) {
        dele_tensor *t = &model->tensors[i];
        size_t n = t->rows * t->cols;
        bool output = t->slot == DELE_SLOT_O || t->slot == DELE_SLOT_DOWN;
        double spread = output ? std / sqrt(2.0 * model->config.n_layers) : std;
        for (size_t j = 0; j < n; j++)
            t->data[j] = t->part == DELE_PART_NORM ? 1.0f : (float)(spread * dele_rng_normal(&rng));
    }
}

size_t dele_model_parameters(const dele_model *model)
{
    size_t n = 0;
    for (size_t i = 0; i < model->n_tensors; i++)
        n += model->tensors[i].rows * model->tensors[i].cols;
    return n;
}

dele_tensor *dele_model_tensor(const dele_model *model, dele_slot slot, int layer)
{
    for (size_t i = 0; i < model->n_tensors; i++)
        if (model->tensors[i].slot == slot && model->tensors[i].layer == layer)
            return &model->tensors[i];
    return NULL;
}

double dele_layer_flops(const dele_config *c, double keys)
{
    const double d_model = c->hidden_size, q = (double)dele_q_dim(c), kv = (double)dele_kv_dim(c);
    return 2 * (d_model * (2 * q + 2 * kv) + 3 * d_model * c->intermediate_size + 2 * q * keys);
}
