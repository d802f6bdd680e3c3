/* A model's tensors: their rows, random weights, counts. */
#include "model/model.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "tensor/ops.h"

void dele_embed_tokens(float *out, const dele_model *model, const int *ids, size_t n)
{
    const size_t d_model = model->embed.cols;
    const float scale = model->config.embed_scale;
    for (size_t i = 0; i < n; i++) matrix_rows(out + i * d_model, &model->embed, (size_t)ids[i], 1);
    for (size_t i = 0; scale != 0 && i < n * d_model; i++) out[i] *= scale;
}

void dele_add_positions(float *x, const dele_model *model, int first_pos, size_t n)
{
    const size_t d_model = model->embed.cols;
    if (model->positions) add(x, model->positions + (size_t)first_pos * d_model, n * d_model);
}

void dele_embed(float *out, const dele_model *model, const int *ids, size_t n, int first_pos)
{
    dele_embed_tokens(out, model, ids, n);
    dele_add_positions(out, model, first_pos, n);
}

static void add_noise(float *out, const dele_tensor *t, size_t from, size_t n)
{
    for (size_t r = 0; r < n; r++, out += t->cols) {
        dele_rng rng, row;
        dele_rng_seed(&rng, t->noise.seed);
        dele_rng_seed(&row, dele_rng_next(&rng) + from + r);
        for (size_t i = 0; i < t->cols; i++)
            out[i] *= (float)(1 + (double)t->noise.relative * dele_rng_normal(&row));
    }
}

void dele_tensor_rows(float *out, const dele_tensor *t, size_t from, size_t n)
{
    if (t->data)
        memcpy(out, t->data + from * t->cols, n * t->cols * sizeof *out);
    else
        dele_part_rows(out, &t->stored, t->cols, from, n);
    if (t->noise.relative != 0) add_noise(out, t, from, n);
}

size_t dele_tensor_piece(const dele_tensor *t)
{
    enum { PIECE = 1 << 18 }; /* items */
    return t->cols < PIECE ? PIECE / t->cols : 1;
}

dele_status dele_tensor_finite(const dele_model *model, const dele_tensor *t, dele_err *err)
{
    if (dele_part_finite(&t->stored, t->vector ? 1 : t->cols)) return DELE_OK;
    return dele_fail(err, DELE_ERR_DATA,
                     "%s: %.100s holds a weight that is not finite (NaN or infinite): the model is "
                     "broken",
                     model->path, model->config_text ? t->name : t->gguf_name);
}

dele_status dele_tensor_equal(bool *equal, const dele_tensor *a, const dele_tensor *b,
                              dele_arena *scratch, dele_err *err)
{
    const size_t some = dele_tensor_piece(a);
    dele_arena_reset(scratch);
    float *x = dele_alloc_raw(scratch, some, a->cols * sizeof *x, err);
    float *y = x ? dele_alloc_raw(scratch, some, a->cols * sizeof *y, err) : NULL;
    if (!y) return DELE_ERR_MEMORY;
    *equal = true;
    for (size_t from = 0, n; from < a->rows && *equal; from += n) {
        n = a->rows - from < some ? a->rows - from : some;
        dele_tensor_rows(x, a, from, n);
        dele_tensor_rows(y, b, from, n);
        *equal = !memcmp(x, y, n * a->cols * sizeof *x);
    }
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

size_t dele_model_active(const dele_model *model)
{
    size_t n = 0;
    for (size_t i = 0; i < model->n_tensors; i++) {
        const dele_tensor *t = &model->tensors[i];
        const bool used = t->part != DELE_PART_ADAPTER && t->expert < model->config.top_k;
        if (used) n += t->rows * t->cols;
    }
    return n + dele_perft_count(&model->config).activated;
}

/* The first tensor of the slot in [from, end) of the table; end: there is none. */
static size_t first_of_slot(const dele_model *model, dele_slot slot, size_t from, size_t end)
{
    while (from < end && model->tensors[from].slot != slot) from++;
    return from;
}

/* Those outside the layers stand before and after them; the experts of a layer one after the
 * other, each with the same slots. */
dele_tensor *dele_expert_tensor(const dele_model *model, dele_slot slot, int layer, int expert)
{
    const int n_layers = model->config.n_layers;
    const size_t *at = model->layer_at;
    if (layer >= n_layers) return NULL;
    const size_t from = layer < 0 ? 0 : at[layer], end = layer < 0 ? at[0] : at[layer + 1];
    size_t found = first_of_slot(model, slot, from, end), last = end;
    if (found == end && layer < 0)
        last = model->n_tensors, found = first_of_slot(model, slot, at[n_layers], last);
    if (found == last) return NULL;
    const bool adapter = slot == DELE_SLOT_PERFT_DOWN || slot == DELE_SLOT_PERFT_UP;
    if (!dele_slot_of_expert(slot) && !adapter) return &model->tensors[found];
    if (expert < 0 || expert >= (adapter ? model->config.perft.adapters : model->config.n_experts))
        return NULL;
    const size_t step = first_of_slot(model, slot, found + 1, last) - found;
    return &model->tensors[found + (size_t)expert * step];
}

dele_tensor *dele_model_tensor(const dele_model *model, dele_slot slot, int layer)
{
    return dele_expert_tensor(model, slot, layer, -1);
}

double dele_layer_mlp_flops(const dele_config *c, int layer, double n)
{
    if (!dele_layer_is_sparse(c, layer)) return dele_mlp_flops(c, n);
    return dele_moe_flops(c, n) + (c->perft.variant ? dele_perft_flops(c, n) : 0);
}

double dele_layers_flops(const dele_config *c, size_t n, double keys)
{
    double flops = (double)n * dele_attention_flops(c, 1, 1);
    for (size_t layer = 0; layer < n; layer++)
        flops += dele_heads_flops(c, (int)layer, 1, keys) + dele_layer_mlp_flops(c, (int)layer, 1);
    return flops;
}
