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
#include <string.h>

#include "base/random.h"
#include "model/layout.h"

static size_t dim_of(const dele_config *c, dele_dim dim)
{
    switch (dim) {
    case DELE_DIM_ONE:
        break;
    case DELE_DIM_VOCAB:
        return (size_t)c->vocab;
    case DELE_DIM_MODEL:
        return (size_t)c->hidden_size;
    case DELE_DIM_Q:
        return dele_q_dim(c);
    case DELE_DIM_KV:
        return dele_kv_dim(c);
    case DELE_DIM_FF:
        return (size_t)c->intermediate_size;
    }
    return 1;
}

static bool config_has(const dele_config *c, const dele_tensor_row *row)
{
    switch (row->when) {
    case DELE_ALWAYS:
        break;
    case DELE_IF_UNTIED:
        return !c->tied;
    case DELE_IF_ATTENTION_BIAS:
        return c->attention_bias;
    case DELE_IF_MLP_BIAS:
        return c->mlp_bias;
    }
    return true;
}

static bool in_layer(const dele_tensor_row *row) { return strstr(row->hf, "%d") != NULL; }

static void describe(dele_tensor *t, const dele_config *c, const dele_tensor_row *row, int layer)
{
    *t = (dele_tensor){.row = row,
                       .slot = row->slot,
                       .part = row->part,
                       .layer = layer,
                       .vector = row->rows == DELE_DIM_ONE,
                       .rows = dim_of(c, row->rows),
                       .cols = dim_of(c, row->cols)};
    dele_tensor_name(t->name, sizeof t->name, row->hf, layer);
    dele_tensor_name(t->gguf_name, sizeof t->gguf_name, row->gguf, layer);
}

/* The rows [*from, end) that are in the layers, or outside: the run of the family's table that
 * begins at `from`.  A family lists what is before the layers, the layer, what is after. */
static size_t run_end(const dele_family *f, size_t from)
{
    size_t end = from;
    while (end < f->n_tensors && in_layer(&f->tensors[end]) == in_layer(&f->tensors[from])) end++;
    return end;
}

static size_t count_tensors(const dele_config *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->family->n_tensors; i++) {
        const dele_tensor_row *row = &c->family->tensors[i];
        if (config_has(c, row)) n += in_layer(row) ? (size_t)c->n_layers : 1;
    }
    return n;
}

dele_status dele_model_table(dele_model *model, const dele_config *config, dele_arena *arena,
                             dele_err *err)
{
    if (dele_config_check(config, "config", err)) return err ? err->code : DELE_ERR_DATA;
    const dele_family *f = config->family;
    *model = (dele_model){.config = *config};
    model->tensors = DELE_NEW(arena, dele_tensor, count_tensors(config), err);
    model->layers = DELE_NEW(arena, dele_layer, (size_t)config->n_layers, err);
    if (!model->tensors || !model->layers) return DELE_ERR_MEMORY;

    dele_tensor *t = model->tensors;
    for (size_t from = 0, end; from < f->n_tensors; from = end) {
        end = run_end(f, from);
        const bool layers = in_layer(&f->tensors[from]);
        for (int l = 0; l < (layers ? config->n_layers : 1); l++)
            for (size_t i = from; i < end; i++)
                if (config_has(config, &f->tensors[i]))
                    describe(t++, config, &f->tensors[i], layers ? l : -1);
    }
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
        default:
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
        const dele_init init = t->row->init;
        double spread = init == DELE_INIT_OUTPUT ? std / sqrt(2.0 * model->config.n_layers) : std;
        for (size_t j = 0; j < n; j++)
            t->data[j] = init == DELE_INIT_ONES    ? 1.0f
                         : init == DELE_INIT_ZEROS ? 0.0f
                                                   : (float)(spread * dele_rng_normal(&rng));
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
