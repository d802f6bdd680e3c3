#include "unlearn/memory.h"

/* Floats a row: see lay_out in forward.c and backward.c. */
static size_t floats_a_row(const lac_config *c, size_t layers, bool at_layer)
{
    const size_t dim = (size_t)c->dim, hidden = (size_t)c->hidden, q = lac_q_dim(c), qkv = q + 2 * lac_kv_dim(c);
    const size_t pass = 5 * dim + 3 * hidden + q + qkv + 4, kept = 2 * dim + 2 * hidden + q + qkv + 4;
    const size_t back = 6 * dim + 4 * hidden + q + qkv + 2;
    return pass + back + layers * kept + (at_layer ? dim : (size_t)c->vocab);
}

lac_train_memory lac_train_memory_of(const lac_model *model, const lac_mask *mask, const lac_train_options *o,
                                     size_t longest, size_t tokens)
{
    double own[LAC_N_SETTINGS];
    if (!o->settings) lac_objective_defaults(own, o->objective);
    const double *settings = o->settings ? o->settings : own;
    const bool at_layer = o->objective->at_layer, looks = o->objective->reference_rows || settings[LAC_RETAIN_KL] == 1;
    const size_t most = tokens < o->batch_tokens ? tokens : o->batch_tokens, rows = most > longest ? most : longest;
    const size_t top = at_layer ? (size_t)settings[LAC_LAYER] + 1 : (size_t)model->config.n_layers;
    const size_t lowest = (size_t)mask->lowest, layers = top > lowest ? top - lowest : 0;
    const size_t width = at_layer ? (size_t)model->config.dim : (size_t)model->config.vocab;
    lac_train_memory m = {.weights = 4 * lac_model_parameters(model), .n_copies = o->lora ? 2 : 4};
    m.n_copies += lac_weights_wait(o->objective, &o->alpha) && tokens > o->batch_tokens;
    m.n_copies += looks || o->objective->negates;
    const bool best = o->checks.every && o->checks.best;
    m.n_copies += best && !o->lora;
    m.copies = (size_t)m.n_copies * 4 * mask->n_parameters;
    if (o->lora) m.copies += (best ? 6 : 5) * 4 * lac_lora_parameters(o->lora);
    m.activations = 4 * rows * floats_a_row(&model->config, layers, at_layer);
    if (looks) m.activations += 4 * rows * (width + floats_a_row(&model->config, 0, true));
    m.total = m.weights + m.copies + m.activations;
    return m;
}
