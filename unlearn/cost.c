#include "unlearn/cost.h"

/* Layers of a forward pass: none above the one that is steered. */
static size_t n_layers_run(const dele_config *c, const dele_objective *o, const double *settings)
{
    return (size_t)(o->at_layer ? dele_layer_of(settings[DELE_LAYER], c->n_layers) + 1
                                : c->n_layers);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Labels a token position, of both sets. */
static double label_share(const dele_train_data *data)
{
    double labels = 0, rows = 0;
    for (int side = 0; side < 2; side++) {
        const dele_dataset *set = data->set[side];
        if (!set) continue;
        labels += (double)set->labels;
        rows += (double)(set->tokens - set->n);
    }
    return rows > 0 && labels < rows ? labels / rows : 1;
}

dele_train_size dele_train_size_of(const dele_train_data *data, const dele_train_options *o,
                                   const dele_train_report *plan)
{
    double settings[DELE_N_SETTINGS];
    dele_train_settings(settings, o);
    dele_train_size size = {.longest = dele_longest_item(data),
                            .tokens = plan->tokens_in_all / plan->updates};
    const size_t most = size.tokens < o->batch_tokens ? size.tokens : o->batch_tokens;
    size.rows = most > size.longest ? most : size.longest;
    const double sequences = (double)plan->rows_in_all / (double)plan->tokens_in_all;
    size.sequences = 1 + (size_t)(sequences * (double)size.rows);
    const bool every = settings[DELE_TRAIN_ON_PROMPT] == 1 || settings[DELE_RETAIN_KL] == 2;
    size.labels = every ? size.rows : (size_t)(label_share(data) * (double)size.rows) + 1;
    return size;
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
    return (turn){.layers = rows * dele_layers_flops(c, layers, keys),
                  .rows = rows,
                  .head = dele_head_flops(c, (double)set->labels)};
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
    const bool surveyed =
        dele_router_terms_on(&o->router) && plan->tokens_in_all / plan->updates > o->batch_tokens;
    uint8_t twice =
        o->objective->reference_rows; /* sides that the model before training computes too */
    if (settings[DELE_RETAIN_KL] >= 1) twice |= DELE_ON_RETAIN;
    for (int i = 0; i < 2; i++) {
        const dele_dataset *set = data->set[i];
        turn t = turn_of(c, set, top);
        if (o->objective->at_layer) t.head = 0;
        const double forward = t.layers + t.head;
        const double again =
            c->logit_softcap > 0 ? t.head : 0; /* soft-capped logits, for their slope */
        if (surveyed) epoch += forward;        /* choices are counted before gradients are formed */
        epoch +=
            forward + down * t.layers + t.head + again + 2 * t.rows * (double)mask->n_parameters;
        if (twice & 1u << i) epoch += forward;
        if (i == DELE_FORGET && o->objective->reference_nll) beforehand = forward;
        tokens += set ? (double)set->tokens : 0;
    }
    if (tokens > 0) epoch *= (double)plan->tokens_in_all / tokens;
    return beforehand + epoch + evaluations_flops(c, data, o, plan->updates);
}
