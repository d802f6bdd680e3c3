#include "unlearn/cost.h"

/* ---- memory ---------------------------------------------------------------------------------- */

/* Layers of a forward pass: none above the one that is steered. */
static size_t n_layers_run(const dele_config *c, const dele_objective *o, const double *settings)
{
    return (size_t)(o->at_layer ? dele_layer_of(settings[DELE_LAYER], c->n_layers) + 1
                                : c->n_layers);
}

/* Floats a row: see lay_out in forward.c and backward.c. */
static size_t floats_a_row(const dele_config *c, size_t layers, bool at_layer)
{
    const size_t d_model = (size_t)c->hidden_size, d_ff = (size_t)c->intermediate_size,
                 q = dele_q_dim(c), qkv = q + 2 * dele_kv_dim(c);
    const size_t pass = 5 * d_model + 3 * d_ff + q + qkv + 4,
                 kept = 2 * d_model + 2 * d_ff + q + qkv + 4;
    const size_t back = 6 * d_model + 4 * d_ff + q + qkv + 2;
    return pass + back + layers * kept + (at_layer ? d_model : (size_t)c->vocab);
}

/* Follows the allocations of trainer.c: what it keeps per trained tensor is one of n_copies, and
 * what a packed batch keeps per row is a number of floats. */
dele_train_memory dele_train_memory_of(const dele_trainable *trainable, const dele_train_options *o,
                                       size_t longest, size_t tokens)
{
    const dele_model *model = trainable->model;
    const dele_mask *mask = trainable->mask;
    const dele_lora *lora = trainable->lora;
    double settings[DELE_N_SETTINGS];
    dele_train_settings(settings, o);
    const bool at_layer = o->objective->at_layer,
               looks = o->objective->reference_rows || settings[DELE_RETAIN_KL] >= 1;
    const size_t most = tokens < o->batch_tokens ? tokens : o->batch_tokens,
                 rows = most > longest ? most : longest;
    const size_t top = n_layers_run(&model->config, o->objective, settings);
    const size_t lowest = (size_t)mask->lowest, layers = top > lowest ? top - lowest : 0;
    const size_t width = at_layer ? (size_t)model->config.hidden_size : (size_t)model->config.vocab;
    dele_train_memory m = {.weights = 4 * dele_model_parameters(model), .n_copies = lora ? 2 : 4};
    m.n_copies += dele_side_weights_wait(o->objective, &o->alpha) && tokens > o->batch_tokens;
    m.n_copies += looks || o->objective->negates;
    const bool best = o->evaluations.eval_every && o->evaluations.select == DELE_SELECT_BEST;
    m.n_copies += best && !lora;
    m.copies = (size_t)m.n_copies * 4 * mask->n_parameters;
    if (lora) m.copies += (best ? 6 : 5) * 4 * dele_lora_parameters(lora);
    m.activations = 4 * rows * floats_a_row(&model->config, layers, at_layer);
    if (looks) m.activations += 4 * rows * (width + floats_a_row(&model->config, 0, true));
    m.total = m.weights + m.copies + m.activations;
    return m;
}

/* ---- operations ------------------------------------------------------------------------------ */

typedef struct {
    double layers, head; /* of once through a set, forward */
    double rows;         /* a sequence's last token is none: nothing is predicted from it */
} turn;

static turn turn_of(const dele_config *c, const dele_dataset *set, size_t layers)
{
    if (!set || !set->n) return (turn){0};
    const double rows = (double)(set->tokens - set->n), keys = rows / (double)set->n / 2;
    return (turn){.layers = rows * (double)layers * dele_layer_flops(c, keys),
                  .rows = rows,
                  .head = 2 * (double)set->labels * c->hidden_size * c->vocab};
}

static double evaluations_flops(const dele_config *c, const dele_train_data *data,
                                const dele_train_options *o, size_t updates)
{
    const size_t every = (size_t)o->evaluations.eval_every;
    double each = 0;
    if (!every) return 0;
    for (int i = 0; i < DELE_EVALUATED_SETS; i++) {
        const turn t = turn_of(c, data->evaluation.set[i], (size_t)c->n_layers);
        each += t.layers + t.head;
    }
    return each * (double)(1 + (updates + every - 1) / every);
}

/* One epoch over both sets, scaled to the tokens of the plan: what a retain set costs depends on
 * how often its rows are used, which the plan knows. */
double dele_train_flops(const dele_trainable *trainable, const dele_train_data *data,
                        const dele_train_options *o, const dele_train_report *plan)
{
    const dele_mask *mask = trainable->mask;
    double settings[DELE_N_SETTINGS], epoch = 0, tokens = 0, beforehand = 0;
    dele_train_settings(settings, o);
    const dele_config *c = &trainable->model->config;
    const size_t top = n_layers_run(c, o->objective, settings);
    const double below = mask->lowest > 0 ? (double)mask->lowest : 0,
                 down = 1 - below / (double)top;
    uint8_t twice =
        o->objective->reference_rows; /* sides that the model before training computes too */
    if (settings[DELE_RETAIN_KL] >= 1) twice |= DELE_ON_RETAIN;
    for (int i = 0; i < 2; i++) {
        const dele_dataset *set = data->set[i];
        turn t = turn_of(c, set, top);
        if (o->objective->at_layer) t.head = 0;
        const double forward = t.layers + t.head;
        epoch += forward + down * t.layers + t.head + 2 * t.rows * (double)mask->n_parameters;
        if (twice & 1u << i) epoch += forward;
        if (i == DELE_FORGET && o->objective->reference_nll) beforehand = forward;
        tokens += set ? (double)set->tokens : 0;
    }
    if (tokens > 0) epoch *= (double)plan->tokens_in_all / tokens;
    return beforehand + epoch + evaluations_flops(c, data, o, plan->updates);
}
