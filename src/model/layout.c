/* The table of tensors and the layout of their memory.
 *
 *   [ embed | layer 0: norm q k v o norm gate up down | layer 1: ... | final norm | head ]
 *
 * Matrices with the same input are one product: q, k and v, and gate and up.  In float32 memory
 * they lie one below the other.  In the place of the MLP a sparse layer has the router, then gate,
 * up and down of each expert, then the shared expert.  A family without norm parameters has no
 * norms in the table.  A tied model has no head in the table: model->head is then the embedding. */
#include "model/layout.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

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
    case DELE_DIM_EXPERTS:
        return (size_t)c->n_experts;
    case DELE_DIM_EXPERT_FF:
        return dele_expert_size(c);
    case DELE_DIM_SHARED_FF:
        return (size_t)c->shared_size;
    case DELE_DIM_HEAD:
        return (size_t)c->head_dim;
    case DELE_DIM_CONTEXT:
        return (size_t)c->context;
    }
    return 1;
}

/* Whether the model has the tensor, in this layer. */
static bool config_has(const dele_config *c, const dele_tensor_row *row, int layer)
{
    switch (row->when) {
    case DELE_ALWAYS:
        break;
    case DELE_IF_DENSE:
        return !dele_layer_is_sparse(c, layer);
    case DELE_IF_SPARSE:
        return dele_layer_is_sparse(c, layer);
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

/* The part of a larger tensor that a row of the family's table is, as a suffix of its name; "" for
 * a row that has a tensor of its own. */
static const char *part_suffix(const dele_family *f, const dele_tensor_row *row)
{
    static const char *const suffix[DELE_N_SLOTS] = {
        [DELE_SLOT_Q] = ":q",       [DELE_SLOT_K] = ":k",      [DELE_SLOT_V] = ":v",
        [DELE_SLOT_Q_BIAS] = ":q",  [DELE_SLOT_K_BIAS] = ":k", [DELE_SLOT_V_BIAS] = ":v",
        [DELE_SLOT_GATE] = ":gate", [DELE_SLOT_UP] = ":up",    [DELE_SLOT_GATE_BIAS] = ":gate",
        [DELE_SLOT_UP_BIAS] = ":up"};
    for (size_t i = 0; i < f->n_tensors; i++) {
        const dele_tensor_row *other = &f->tensors[i];
        if (other == row || strcmp(other->hf, row->hf)) continue;
        assert(suffix[row->slot]); /* a slot that no file has within a larger tensor yet */
        return suffix[row->slot];
    }
    return "";
}

static void describe(dele_tensor *t, const dele_config *c, const dele_tensor_row *row, int layer,
                     int expert)
{
    *t = (dele_tensor){.row = row,
                       .slot = row->slot,
                       .part = row->part,
                       .layer = layer,
                       .expert = expert,
                       .vector = row->rows == DELE_DIM_ONE,
                       .rows = dim_of(c, row->rows),
                       .cols = dim_of(c, row->cols)};
    dele_tensor_name(t->hf_name, sizeof t->hf_name, row->hf, layer, expert);
    snprintf(t->name, sizeof t->name, "%s%s", t->hf_name, part_suffix(c->family, row));
    if (row->gguf) dele_tensor_name(t->gguf_name, sizeof t->gguf_name, row->gguf, layer, expert);
}

/* The rows [from, end) that are in the layers, or outside: the run of the family's table that
 * begins at `from`.  A family lists what is before the layers, the layer, what is after. */
static size_t run_end(const dele_family *f, size_t from)
{
    size_t end = from;
    while (end < f->n_tensors && in_layer(&f->tensors[end]) == in_layer(&f->tensors[from])) end++;
    return end;
}

/* The same for the rows of experts within a layer, which are repeated for each expert. */
static size_t experts_end(const dele_family *f, size_t from)
{
    size_t end = from;
    while (end < f->n_tensors && dele_slot_of_expert(f->tensors[end].slot)) end++;
    return end;
}

/* Describes the tensors of a layer, or those outside (layer -1), in the rows [from, end), and moves
 * *to after them; to NULL: counts them.  Returns their number. */
static size_t describe_rows(dele_tensor **to, const dele_config *c, size_t from, size_t end,
                            int layer)
{
    const dele_tensor_row *rows = c->family->tensors;
    size_t count = 0;
    for (size_t i = from, n; i < end; i += n) {
        n = experts_end(c->family, i) - i;
        const int repeats = n ? c->n_experts : 1;
        if (!n) n = 1;
        for (int e = 0; e < repeats; e++)
            for (size_t j = i; j < i + n; j++) {
                if (!config_has(c, &rows[j], layer)) continue;
                if (to)
                    describe((*to)++, c, &rows[j], layer,
                             dele_slot_of_expert(rows[j].slot) ? e : -1);
                count++;
            }
    }
    return count;
}

/* The same for the whole table. */
static size_t describe_all(dele_tensor *to, const dele_config *c)
{
    const dele_family *f = c->family;
    size_t count = 0;
    for (size_t from = 0, end; from < f->n_tensors; from = end) {
        end = run_end(f, from);
        const bool layers = in_layer(&f->tensors[from]);
        for (int l = 0; l < (layers ? c->n_layers : 1); l++)
            count += describe_rows(to ? &to : NULL, c, from, end, layers ? l : -1) +
                     dele_describe_perft(to ? &to : NULL, c, layers ? l : -1);
    }
    return count;
}

/* Memory for the experts of the sparse layers, and for their adapters. */
static dele_status lay_experts(dele_model *model, dele_arena *arena, dele_err *err)
{
    const dele_config *c = &model->config;
    for (int l = 0; l < c->n_layers; l++) {
        if (!dele_layer_is_sparse(c, l)) continue;
        dele_moe_weights *moe = &model->layers[l].moe;
        moe->expert = DELE_NEW(arena, dele_expert_weights, (size_t)c->n_experts, err);
        if (!moe->expert) return DELE_ERR_MEMORY;
        if (c->perft.variant == DELE_PERFT_NONE) continue;
        dele_perft_weights *perft = &model->layers[l].perft;
        perft->adapter = DELE_NEW(arena, dele_perft_adapter, (size_t)c->perft.adapters, err);
        if (!perft->adapter) return DELE_ERR_MEMORY;
    }
    return DELE_OK;
}

dele_status dele_model_table(dele_model *model, const dele_config *config, dele_arena *arena,
                             dele_err *err)
{
    if (dele_config_check(config, "config", err)) return err ? err->code : DELE_ERR_DATA;
    const size_t n_tensors = describe_all(NULL, config);
    *model = (dele_model){.config = *config};
    model->tensors = DELE_NEW(arena, dele_tensor, n_tensors, err);
    model->layer_at = DELE_NEW(arena, size_t, (size_t)config->n_layers + 1, err);
    model->layers = DELE_NEW(arena, dele_layer, (size_t)config->n_layers, err);
    if (!model->tensors || !model->layer_at || !model->layers || lay_experts(model, arena, err))
        return DELE_ERR_MEMORY;
    describe_all(model->tensors, config);
    model->n_tensors = n_tensors; /* until here there is nothing that dele_model_release visits */
    for (size_t i = 0; i < model->n_tensors; i++) /* layers follow one another */
        if (model->tensors[i].layer >= 0) model->layer_at[model->tensors[i].layer + 1] = i + 1;
    while (model->tensors[model->layer_at[0]].layer < 0) model->layer_at[0]++;
    return DELE_OK;
}

/* ---- memory ---------------------------------------------------------------------------------- */

size_t dele_model_group(const dele_model *model, size_t i)
{
    switch (model->tensors[i].slot) {
    case DELE_SLOT_Q:
    case DELE_SLOT_Q_BIAS:
        return 3;
    case DELE_SLOT_GATE:
    case DELE_SLOT_GATE_BIAS:
    case DELE_SLOT_EXPERT_GATE:
    case DELE_SLOT_SHARED_GATE:
        return 2;
    default:
        return 1;
    }
}

size_t dele_group_bytes(const dele_tensor *group, size_t n)
{
    size_t bytes = 0;
    for (size_t j = 0; j < n; j++) {
        const dele_dtype type = group[j].data ? DELE_DTYPE_F32 : group[j].stored.type;
        const dele_dtype_info *info = dele_dtype_of(type);
        bytes += group[j].rows * group[j].cols / info->items * info->bytes;
    }
    return bytes;
}

size_t dele_group_floats(const dele_tensor *group, size_t n)
{
    size_t floats = 0;
    for (size_t j = 0; j < n; j++) floats += group[j].rows * group[j].cols;
    return floats;
}

dele_status dele_group_memory(dele_tensor *group, size_t n, bool zeroed, dele_arena *arena,
                              dele_err *err)
{
    const size_t floats = dele_group_floats(group, n);
    float *data = zeroed ? dele_alloc(arena, floats, sizeof *data, err)
                         : dele_alloc_raw(arena, floats, sizeof *data, err);
    if (!data) return DELE_ERR_MEMORY;
    for (size_t j = 0; j < n; j++) {
        group[j].data = data;
        data += group[j].rows * group[j].cols;
    }
    return DELE_OK;
}

/* The part of a matrix that a tensor is: its float32 memory where it has some. */
static dele_matrix_part part_of(const dele_tensor *t)
{
    if (!t->data) return t->stored;
    return (dele_matrix_part){.data = t->data, .type = DELE_DTYPE_F32, .rows = t->rows};
}

/* Writes the matrix that n tensors make, one below the other; its packed copy stays. */
static void point_matrix(dele_matrix *w, const dele_tensor *group, size_t n)
{
    gemm_packed *packed = w->packed;
    *w = (dele_matrix){.cols = group[0].cols, .n_parts = n, .packed = packed};
    for (size_t j = 0; j < n; j++) {
        w->part[j] = part_of(&group[j]);
        w->rows += group[j].rows;
    }
    w->wide = dele_matrix_plain(w);
}

bool dele_group_is_plain(const dele_tensor *group, size_t n)
{
    dele_matrix w = {0};
    point_matrix(&w, group, n);
    return w.wide != NULL;
}

dele_matrix *dele_layer_matrix(dele_layer *layer, dele_slot first, int expert)
{
    switch (first) {
    case DELE_SLOT_Q:
        return &layer->attn.qkv;
    case DELE_SLOT_O:
        return &layer->attn.o;
    case DELE_SLOT_GATE:
    case DELE_SLOT_UP: /* without a gate */
        return &layer->mlp.gate_up;
    case DELE_SLOT_DOWN:
        return &layer->mlp.down;
    case DELE_SLOT_ROUTER:
        return &layer->moe.router;
    case DELE_SLOT_EXPERT_GATE:
        return &layer->moe.expert[expert].gate_up;
    case DELE_SLOT_EXPERT_DOWN:
        return &layer->moe.expert[expert].down;
    case DELE_SLOT_SHARED_GATE:
        return &layer->moe.shared.gate_up;
    case DELE_SLOT_SHARED_DOWN:
        return &layer->moe.shared.down;
    case DELE_SLOT_PERFT_GATE:
        return &layer->perft.gate;
    case DELE_SLOT_PERFT_DOWN:
        return &layer->perft.adapter[expert].down;
    case DELE_SLOT_PERFT_UP:
        return &layer->perft.adapter[expert].up;
    default:
        return NULL;
    }
}

/* The same for what is read whole, in float32. */
static const float **layer_vector(dele_layer *layer, dele_slot first)
{
    const bool sparse = layer->moe.expert != NULL;
    dele_norm_weights *norm = sparse ? &layer->moe.norm : &layer->mlp.norm,
                      *post = sparse ? &layer->moe.post_norm : &layer->mlp.post_norm;
    switch (first) {
    case DELE_SLOT_ATTN_NORM:
        return &layer->attn.norm.weight;
    case DELE_SLOT_ATTN_NORM_BIAS:
        return &layer->attn.norm.bias;
    case DELE_SLOT_Q_BIAS:
        return &layer->attn.qkv_bias;
    case DELE_SLOT_Q_NORM:
        return &layer->attn.q_norm.weight;
    case DELE_SLOT_K_NORM:
        return &layer->attn.k_norm.weight;
    case DELE_SLOT_O_BIAS:
        return &layer->attn.o_bias;
    case DELE_SLOT_ATTN_POST_NORM:
        return &layer->attn.post_norm.weight;
    case DELE_SLOT_MLP_NORM:
        return &norm->weight;
    case DELE_SLOT_MLP_NORM_BIAS:
        return &norm->bias;
    case DELE_SLOT_GATE_BIAS:
    case DELE_SLOT_UP_BIAS:
        return &layer->mlp.gate_up_bias;
    case DELE_SLOT_DOWN_BIAS:
        return &layer->mlp.down_bias;
    case DELE_SLOT_SHARED_SCALE:
        return &layer->moe.shared_scale;
    case DELE_SLOT_MLP_POST_NORM:
        return &post->weight;
    default:
        return NULL;
    }
}

dele_matrix *dele_group_matrix(dele_model *model, const dele_tensor *group)
{
    if (group->layer >= 0)
        return dele_layer_matrix(&model->layers[group->layer], group->slot, group->expert);
    const bool head =
        group->slot == DELE_SLOT_HEAD || (group->slot == DELE_SLOT_EMBED && model->config.tied);
    return head ? &model->head : NULL;
}

static void point_group(dele_model *model, const dele_tensor *group, size_t n)
{
    dele_matrix *w =
        group->slot == DELE_SLOT_EMBED ? &model->embed : dele_group_matrix(model, group);
    const float **vector = NULL;
    if (group->slot == DELE_SLOT_POSITIONS) vector = &model->positions;
    if (group->slot == DELE_SLOT_FINAL_NORM) vector = &model->final_norm.weight;
    if (group->slot == DELE_SLOT_FINAL_NORM_BIAS) vector = &model->final_norm.bias;
    if (group->layer >= 0) vector = layer_vector(&model->layers[group->layer], group->slot);
    assert(w || vector); /* a slot that no sublayer reads */
    if (w)
        point_matrix(w, group, n);
    else
        *vector = group->data;
}

void dele_model_point(dele_model *model)
{
    gemm_packed *packed_head = model->head.packed;
    for (size_t i = 0, n; i < model->n_tensors; i += n) {
        n = dele_model_group(model, i);
        point_group(model, &model->tensors[i], n);
    }
    if (!model->config.tied) return;
    model->head = model->embed;
    model->head.packed = packed_head;
}

dele_status dele_model_layout(dele_model *model, const dele_config *config, dele_arena *arena,
                              dele_err *err)
{
    dele_status status = dele_model_table(model, config, arena, err);
    for (size_t i = 0, n; !status && i < model->n_tensors; i += n) {
        n = dele_model_group(model, i);
        status = dele_group_memory(&model->tensors[i], n, true, arena, err);
    }
    if (!status) dele_model_point(model);
    return status;
}

void dele_model_drop(const dele_model *model, const dele_matrix_part *stored, size_t cols)
{
    const dele_dtype_info *info = dele_dtype_of(stored->type);
    for (size_t i = 0; i < model->n_maps; i++)
        dele_map_drop(&model->map[i], stored->data,
                      stored->rows * cols / info->items * info->bytes);
}
