#include "unlearn/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/backward.h"
#include "unlearn/divergence_guard.h"
#include "unlearn/evaluations.h"
#include "unlearn/router_projection.h"
#include "unlearn/sampler.h"

typedef struct {
    const dele_trainable *trainable;
    const dele_train_data *data;
    const dele_train_options *o;
    const dele_train_output *output;
    double settings[DELE_N_SETTINGS];
    dele_train_report *report;
    dele_alpha alpha;
    dele_sampler sampler;
    dele_divergence_guard divergence_guard;
    dele_evaluations evaluations;
    dele_router_projection projection; /* n_layers 0: there is none */

    dele_grads grads, part; /* of the update; of the retain rows of a group in several packed
                               batches, allocated when needed */
    dele_model *params;  /* what the optimizer updates: the model, or the table of its adapters */
    float **g, **m, **v; /* its gradient (grads.g, or the adapters') and moments */
    dele_item *room;     /* scratch: the items of a group */
    double next_save;    /* dele_now() then */

    dele_packed_batch packed_batch;
    dele_arena arena;
} trainer;

/* ---- memory ---------------------------------------------------------------------------------- */

/* NLL of the forget rows, and of their alternates, before training. */
static dele_status compute_reference_nll(trainer *t, dele_err *err)
{
    const dele_dataset *sets[2] = {t->data->set[DELE_FORGET], t->data->alternates};
    for (int k = 0; k < 2 && t->o->objective->reference_nll; k++) {
        if (!sets[k]) continue;
        double *nll = DELE_NEW(&t->arena, double, sets[k]->n, err);
        if (!nll || dele_packed_batch_nll(&t->packed_batch, nll, sets[k]->row, sets[k]->n, err))
            return err->code;
        t->sampler.nll_before[k] = nll;
    }
    return DELE_OK;
}

/* RMU's control vector, from the forget rows of the first update. */
static dele_status make_steer(trainer *t, dele_err *err)
{
    const dele_update_batch first = dele_sampler_peek(&t->sampler);
    size_t n_retain = 0;
    while (n_retain < first.n && first.items[n_retain].side == DELE_RETAIN) n_retain++;
    return dele_packed_batch_steer(&t->packed_batch, t->o->seed, first.items + n_retain,
                                   first.n - n_retain, err);
}

/* The second gradient of a group in several packed batches (retain_side). */
static dele_status reserve_part(trainer *t, dele_err *err)
{
    t->part.g =
        dele_param_buffers_new(t->trainable->model, t->trainable->mask, true, &t->arena, err);
    return t->part.g ? DELE_OK : err->code;
}

/* Gradients of the model's tensors; gradients and moments of what the optimizer updates. */
static dele_status reserve_buffers(trainer *t, dele_err *err)
{
    const dele_mask *mask = t->trainable->mask;
    const size_t most = (size_t)(t->o->batch > t->o->micro_batch ? t->o->batch : t->o->micro_batch);
    dele_arena *arena = &t->arena;
    bool ok = (t->grads.g = dele_param_buffers_new(t->trainable->model, mask, true, arena, err)) &&
              (t->g = t->trainable->lora ? dele_param_buffers_new(t->params, mask, true, arena, err)
                                         : t->grads.g) &&
              (t->m = dele_param_buffers_new(t->params, mask, true, arena, err)) &&
              (t->v = dele_param_buffers_new(t->params, mask, true, arena, err)) &&
              (t->room = DELE_NEW(arena, dele_item, most, err));
    return ok ? DELE_OK : err->code;
}

/* All memory that depends on the model, the mask and the options: dele_train_count runs this to
 * count. */
static dele_status reserve_for(trainer *t, size_t batch_tokens, size_t longest, size_t labels,
                               dele_err *err)
{
    const dele_packed_batch_options packed = {.objective = t->o->objective,
                                              .settings = t->settings,
                                              .batch_tokens = batch_tokens,
                                              .longest = longest,
                                              .labels = labels,
                                              .router = &t->o->router};
    dele_arena *arena = &t->arena;
    if (t->o->router_projection &&
        dele_router_projection_init(&t->projection, (size_t)t->o->router_projection,
                                    t->trainable->model, t->trainable->mask, arena, err))
        return err->code;
    bool ok = !reserve_buffers(t, err) &&
              !dele_divergence_guard_init(&t->divergence_guard, t->trainable, t->o, arena, err) &&
              !dele_evaluations_init(&t->evaluations, &t->o->evaluations, &t->data->evaluation,
                                     t->trainable, t->o->batch_tokens, arena, err) &&
              !dele_packed_batch_init(&t->packed_batch, t->trainable->model, t->trainable->mask,
                                      &packed, arena, err);
    return ok ? DELE_OK : err->code;
}

/* From the model before training: a resumed run has not read its weights yet. */
static dele_status fit_projection(trainer *t, dele_err *err)
{
    const dele_router_projection *p = &t->projection;
    double *kept = t->report->kept;
    if (dele_router_projection_fit(&t->projection, t->trainable->model, t->data->set[DELE_RETAIN],
                                   t->o->batch_tokens, err))
        return err->code;
    kept[0] = kept[1] = p->kept[0];
    for (size_t i = 0; i < p->n_layers; i++) {
        kept[0] = fmin(kept[0], p->kept[i]);
        kept[1] = fmax(kept[1], p->kept[i]);
    }
    return DELE_OK;
}

static dele_status reserve_training(trainer *t, dele_err *err)
{
    if (reserve_for(t, t->o->batch_tokens, dele_longest_item(t->data), 0, err)) return err->code;
    t->report->buffers = t->arena.used;
    if (dele_sampler_init(&t->sampler, t->data, t->o, &t->arena, err) ||
        compute_reference_nll(t, err) || (t->projection.n_layers && fit_projection(t, err)))
        return err->code;
    t->evaluations.table = t->output->evaluations;
    return t->o->objective->at_layer ? make_steer(t, err) : DELE_OK;
}

/* ---- a group: rows that share one loss ------------------------------------------------------- */

typedef struct {
    dele_item *items; /* [n] retain rows first */
    size_t n, n_retain;
    double update_weight;   /* of the group's gradient in the update */
    dele_loss_group counts; /* of all its rows, whatever packed batch they are in */
    double loss[2];         /* out: by side */
    double weight[2];       /* of each side's gradient in the update, once alpha is known */
} loss_group;

/* Of a pass: it follows from the seed and the tokens of the run before it, so that a resumed run
 * has the same masks. */
static uint64_t dropout_seed(const trainer *t)
{
    return (t->o->seed + 1) * 0x9e3779b97f4a7c15u + 2 * (uint64_t)t->report->last.tokens + 1;
}

static dele_status forward(trainer *t, loss_group *g, size_t from, size_t n, dele_err *err)
{
    t->packed_batch.dropout = dropout_seed(t);
    dele_status status =
        dele_packed_batch_forward(&t->packed_batch, g->loss, g->items + from, n, &g->counts, err);
    t->report->last.tokens += t->packed_batch.n_rows;
    t->report->last.labels += t->packed_batch.n_labels;
    return status;
}

/* The weights of both sides; where alpha depends on the group's retain loss, that must be known. */
static void set_weights(trainer *t, loss_group *g)
{
    dele_side_weights(g->weight, t->o->objective, t->settings, &t->alpha, g->loss[DELE_RETAIN],
                      &g->counts);
    if (g->counts.sequences[DELE_RETAIN]) t->report->last.alpha += g->weight[DELE_RETAIN];
    g->weight[DELE_FORGET] *= g->update_weight;
    g->weight[DELE_RETAIN] *= g->update_weight;
}

/* Items [from, to) of one side in packed batches: forward, loss, and the backward pass of their
 * gradient times the side's weight, and of that of the terms on routers, added to `into`. */
static dele_status one_side(trainer *t, loss_group *g, size_t from, size_t to,
                            const double weight[2], const dele_grads *into, dele_err *err)
{
    for (size_t i = from, k; i < to; i += k) {
        k = dele_packed_batch_length(&t->packed_batch, g->items + i, to - i);
        if (forward(t, g, i, k, err) ||
            dele_packed_batch_backward(&t->packed_batch, weight, g->update_weight, into->g, err))
            return err->code;
    }
    return DELE_OK;
}

/* The retain rows of a group: their gradient goes into a second buffer, their loss gives α, and
 * the buffer times α is added to the gradient of the update. */
static dele_status retain_side(trainer *t, loss_group *g, dele_err *err)
{
    const dele_model *model = t->trainable->model;
    const double one[2] = {1, 1};
    if (!t->part.g && reserve_part(t, err)) return err->code;
    if (one_side(t, g, 0, g->n_retain, one, &t->part, err)) return err->code;
    set_weights(t, g);
    for (size_t k = 0; k < model->n_tensors; k++)
        if (t->part.g[k])
            dele_add_scaled(t->grads.g[k], t->part.g[k], g->weight[DELE_RETAIN],
                            dele_n_weights(model, k));
    dele_param_buffers_zero(t->part.g, model);
    return DELE_OK;
}

/* A forward pass over a group in several packed batches, whose terms on routers depend on the
 * choices of all its rows: counts them, and with the losses the weights of both sides are known. */
static dele_status survey_group(trainer *t, loss_group *g, dele_err *err)
{
    double loss[2] = {0};
    for (size_t i = 0, k; i < g->n; i += k) {
        const size_t end = i < g->n_retain ? g->n_retain : g->n; /* the batches of the backward */
        k = dele_packed_batch_length(&t->packed_batch, g->items + i, end - i);
        if (dele_packed_batch_survey(&t->packed_batch, loss, g->items + i, k, &g->counts, err))
            return err->code;
    }
    t->packed_batch.router.counted = true;
    memcpy(g->loss, loss, sizeof loss);
    set_weights(t, g);
    g->loss[DELE_FORGET] = g->loss[DELE_RETAIN] = 0; /* the pass with gradients adds them again */
    return DELE_OK;
}

/* Adds the group's gradient to the gradient of the update.  A group that is one packed batch runs
 * once: its rows' gradients wait in the packed batch until α is known. */
static dele_status train_group(trainer *t, loss_group *g, dele_err *err)
{
    bool wait = dele_side_weights_wait(t->o->objective, &t->alpha);
    const bool one = dele_packed_batch_length(&t->packed_batch, g->items, g->n) == g->n,
               survey = !one && t->packed_batch.router.n_layers;
    if (survey && survey_group(t, g, err)) return err->code;
    if (survey)
        wait = false;
    else if (!wait)
        set_weights(t, g);
    if (one) {
        if (forward(t, g, 0, g->n, err)) return err->code;
        if (wait) set_weights(t, g);
        return dele_packed_batch_backward(&t->packed_batch, g->weight, g->update_weight, t->grads.g,
                                          err);
    }
    if (wait ? retain_side(t, g, err) : one_side(t, g, 0, g->n_retain, g->weight, &t->grads, err))
        return err->code;
    return one_side(t, g, g->n_retain, g->n, g->weight, &t->grads, err);
}

/* ---- an update ------------------------------------------------------------------------------- */

/* Moves retain rows to the front; the order within a side is unchanged (room: scratch for n
 * items). Returns the number of retain rows. */
static size_t retain_first(dele_item *items, size_t n, dele_item *room)
{
    size_t n_retain = 0, n_forget = 0;
    for (size_t i = 0; i < n; i++) {
        if (items[i].side == DELE_RETAIN)
            items[n_retain++] = items[i];
        else
            room[n_forget++] = items[i];
    }
    memcpy(items + n_retain, room, n_forget * sizeof *items);
    return n_retain;
}

static void begin_router_terms(trainer *t, const loss_group *g)
{
    size_t rows[2] = {0};
    for (size_t i = 0; i < g->n; i++)
        rows[g->items[i].side] += dele_packed_batch_rows(&t->packed_batch, &g->items[i]);
    dele_router_terms_begin(&t->packed_batch.router, rows);
}

/* The gradient of one group; adds its losses and rows to the report. */
static dele_status group_gradient(trainer *t, loss_group *g, size_t groups_with[2], dele_err *err)
{
    g->n_retain = retain_first(g->items, g->n, t->room);
    for (size_t i = 0; i < g->n; i++) {
        const dele_side side = g->items[i].side;
        const size_t labels = dele_packed_batch_labels(&t->packed_batch, &g->items[i]);
        g->counts.sequences[side]++;
        g->counts.tokens[side] += labels;
        if (labels) g->counts.inverse_lengths[side] += 1 / (double)labels;
    }
    if (t->packed_batch.router.n_layers) begin_router_terms(t, g);
    if (train_group(t, g, err)) return err->code;
    for (int i = 0; i < DELE_N_ROUTER_TERMS; i++)
        t->report->last.router[i] += t->packed_batch.router.loss[i];
    for (int side = 0; side < 2; side++) {
        if (!g->counts.sequences[side]) continue;
        t->report->last.loss[side] += g->loss[side];
        groups_with[side]++;
    }
    t->report->last.rows += g->n;
    return DELE_OK;
}

/* The gradient of an update is the sum of its groups'; the reported losses and alpha are means over
 * the groups that have the side. */
static dele_status update_gradient(trainer *t, const dele_update_batch *update_batch, dele_err *err)
{
    size_t groups_with[2] = {0};
    dele_step *step = &t->report->last;
    step->loss[0] = step->loss[1] = step->alpha = 0;
    memset(step->router, 0, sizeof step->router);
    for (size_t k = 0, i = 0; k < update_batch->n_groups; i = update_batch->end[k++]) {
        loss_group g = {.items = update_batch->items + i,
                        .n = update_batch->end[k] - i,
                        .update_weight = update_batch->loss_weight,
                        .counts = {.epoch = update_batch->epoch,
                                   .by_sequence = t->o->loss_weights == DELE_LOSS_BY_SEQUENCES}};
        if (group_gradient(t, &g, groups_with, err)) return err->code;
    }
    for (int i = 0; i < DELE_N_ROUTER_TERMS; i++) step->router[i] /= (double)update_batch->n_groups;
    for (int side = 0; side < 2; side++)
        step->loss[side] =
            groups_with[side] ? step->loss[side] / (double)groups_with[side] : (double)NAN;
    step->alpha =
        groups_with[DELE_RETAIN] ? step->alpha / (double)groups_with[DELE_RETAIN] : (double)NAN;
    return DELE_OK;
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* Whether the output is linear in a trained tensor with what else was learnt as it is: of adapters
 * of PERFT that is so of Up, through which they add to the block's output. */
static bool is_negated(const trainer *t, size_t k)
{
    const dele_tensor *of = &t->trainable->model->tensors[k];
    if (!t->trainable->mask->trains[k] || t->trainable->lora) return false;
    return of->part != DELE_PART_ADAPTER || of->slot == DELE_SLOT_PERFT_UP;
}

/* Task vector: θ' = θ − γ (θ_learnt − θ) for the trained tensors; of adapters their output is
 * subtracted. */
static void negate(trainer *t)
{
    const double gamma = t->settings[DELE_GAMMA];
    if (t->trainable->lora) dele_lora_scale(t->trainable->lora, -gamma);
    for (size_t k = 0; k < t->trainable->model->n_tensors; k++) {
        float *w = t->trainable->model->tensors[k].data;
        const float *before = t->packed_batch.before.model.tensors[k].data;
        if (!is_negated(t, k)) continue;
        for (size_t i = 0; i < dele_n_weights(t->trainable->model, k); i++)
            w[i] = (float)(before[i] - gamma * ((double)w[i] - before[i]));
    }
}

/* Computes the tensors from their adapters. */
static void follow(const trainer *t)
{
    if (t->trainable->lora) dele_lora_write(t->trainable->lora);
}

/* Whether weight decay applies to tensor k: norms and biases are excluded, as in
 * transformers.Trainer.  The gate of a shared expert is a matrix of one row. */
static bool decays(const trainer *t, size_t k)
{
    const dele_tensor *tensor = &t->params->tensors[k];
    return t->o->decay_all || !tensor->vector || tensor->slot == DELE_SLOT_SHARED_SCALE;
}

/* Clips the gradient and applies AdamW. step: index of the update in its chunk, from 0; each
 * chunk begins with zero moments. */
static void step_weights(trainer *t, size_t step)
{
    if (step == 0)
        dele_param_buffers_zero(t->m, t->params), dele_param_buffers_zero(t->v, t->params);
    double factor = dele_clip_factor(t->report->last.norm, t->o->clip);
    dele_adamw_rule rule = t->o->adamw;
    rule.lr = t->report->last.lr;
    dele_router_projection_before(&t->projection, t->params);
    for (size_t k = 0; k < t->params->n_tensors; k++) {
        const size_t n = dele_n_weights(t->params, k);
        if (!t->g[k]) continue;
        if (factor != 1) dele_scale(t->g[k], factor, n);
        rule.weight_decay = decays(t, k) ? t->o->adamw.weight_decay : 0;
        dele_adamw_step(t->params->tensors[k].data, t->m[k], t->v[k], t->g[k], n, &rule,
                        (long)step + 1);
    }
    dele_router_projection_after(&t->projection, t->params);
    dele_param_buffers_zero(t->grads.g, t->trainable->model);
    follow(t);
}

/* The gradient of what the optimizer updates (with LoRA computed from that of the tensors);
 * returns its global norm. */
static double gradient_norm(const trainer *t)
{
    double sum = 0;
    dele_router_projection_gradient(&t->projection, t->params, t->g);
    for (size_t k = 0; k < t->params->n_tensors; k++) {
        if (!t->g[k]) continue;
        if (t->trainable->lora) dele_lora_gradient(t->g[k], t->trainable->lora, k, t->grads.g[k]);
        sum += dele_sum_squares(t->g[k], dele_n_weights(t->params, k));
    }
    return sqrt(sum);
}

/* The names of the columns; false: they could not be written. */
static bool write_head(const trainer *t)
{
    FILE *steps = t->output->steps;
    fprintf(steps, "update\tepoch\trows\ttokens\tlabels\tlr\t%s\tgradient",
            t->o->objective->needs_forget ? "forget\tretain\talpha" : "loss");
    for (int i = 0; i < DELE_N_ROUTER_TERMS; i++)
        if (t->o->router.coefficient[i] != 0) fprintf(steps, "\t%s", dele_term_name[i]);
    return putc('\n', steps) != EOF;
}

static void write_step(const trainer *t, size_t update, int epoch)
{
    const dele_step *s = &t->report->last;
    FILE *steps = t->output->steps;
    if (!steps) return;
    fprintf(steps, "%zu\t%d\t%zu\t%zu\t%zu\t%.9g\t", update + 1, epoch, s->rows, s->tokens,
            s->labels, s->lr);
    if (t->o->objective->needs_forget)
        fprintf(steps, "%.9g\t%.9g\t%.9g\t", s->loss[DELE_FORGET], s->loss[DELE_RETAIN], s->alpha);
    else
        fprintf(steps, "%.9g\t", s->loss[DELE_RETAIN]);
    fprintf(steps, "%.9g", s->norm);
    for (int i = 0; i < DELE_N_ROUTER_TERMS; i++)
        if (t->o->router.coefficient[i] != 0) fprintf(steps, "\t%.9g", s->router[i]);
    putc('\n', steps);
    fflush(steps);
}

static void show_step(const trainer *t)
{
    const dele_step *s = &t->report->last;
    dele_progress *progress = t->output->progress;
    char note[240];
    if (!progress) return;
    double rate =
        (double)(s->tokens - t->report->before.tokens) / (dele_now() - progress->started + 1e-9);
    if (t->o->objective->needs_forget)
        snprintf(note, sizeof note, "forget %.2f  retain %.2f  alpha %.2f  %.0f tokens/s",
                 s->loss[DELE_FORGET], s->loss[DELE_RETAIN], s->alpha, rate);
    else
        snprintf(note, sizeof note, "loss %.3f  %.0f tokens/s", s->loss[DELE_RETAIN], rate);
    for (int i = 0; i < DELE_N_ROUTER_TERMS; i++) {
        const size_t at = strlen(note);
        if (t->o->router.coefficient[i] != 0)
            snprintf(note + at, sizeof note - at, "  %s %.3f", dele_term_name[i], s->router[i]);
    }
    dele_progress_set(progress, (double)s->rows, note);
}

/* ---- resuming an interrupted run ------------------------------------------------------------- */

/* Everything that the next update depends on, and the length of the tables written so far. */
static void serialize(trainer *t, dele_training_state *state)
{
    dele_train_report *r = t->report;
    dele_training_state_table(state, t->output->steps);
    dele_training_state_size(state, &r->done, r->updates);
    DELE_SERIALIZE(state, r->first);
    DELE_SERIALIZE(state, r->last);
    const dele_alpha_mode mode = t->alpha.mode;
    DELE_SERIALIZE(state, t->alpha);
    dele_training_state_check(state, t->alpha.mode == mode);
    dele_sampler_serialize(&t->sampler, r->updates, state);
    dele_training_state_check(state, t->sampler.update == r->done);
    dele_divergence_guard_serialize(&t->divergence_guard, r->updates, state);
    dele_evaluations_serialize(&t->evaluations, r->updates, state);
    dele_param_buffers_serialize(t->m, t->params, state);
    dele_param_buffers_serialize(t->v, t->params, state);
    for (size_t k = 0; k < t->params->n_tensors; k++)
        if (t->trainable->mask->trains[k])
            dele_training_state_bytes(state, t->params->tensors[k].data,
                                      dele_n_weights(t->params, k) * sizeof(float));
}

/* Saves the state when it is due; saving takes at most a tenth of the run time. */
static dele_status save_state(trainer *t, dele_err *err)
{
    dele_training_state state;
    const double now = dele_now();
    if (!t->output->state || !(t->o->save_every > 0) || now < t->next_save) return DELE_OK;
    if (dele_training_state_save(&state, t->output->state, err)) return err->code;
    serialize(t, &state);
    dele_status status = dele_training_state_end(&state, err);
    t->next_save = dele_now() + fmax(t->o->save_every, 9 * (dele_now() - now));
    return status;
}

/* Loads the saved training state if there is one; otherwise writes the table header and runs the
 * first evaluation. */
static dele_status begin(trainer *t, dele_err *err)
{
    dele_training_state state;
    t->next_save = dele_now() + t->o->save_every;
    if (t->output->state && dele_path_exists(t->output->state)) {
        if (dele_training_state_load(&state, t->output->state, err)) return err->code;
        serialize(t, &state);
        if (dele_training_state_end(&state, err)) return err->code;
        follow(t);
        t->report->before = t->report->last;
        dele_progress_from(t->output->progress, (double)t->report->last.rows);
        return DELE_OK;
    }
    if (t->output->steps && !write_head(t))
        return dele_fail(err, DELE_ERR_FILE,
                         "the table of updates could not be written: is the disk full?");
    return dele_evaluations_run(&t->evaluations, 0, t->report->updates, err);
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* Updates until the last one, or until an evaluation stops training.  The divergence guard sees an
 * update before its step, so that the weights it keeps are ones whose loss was finite. */
static dele_status run_updates(trainer *t, dele_err *err)
{
    dele_train_report *r = t->report;
    for (size_t update = r->done; update < r->updates && !t->evaluations.stop; update++) {
        const dele_update_batch update_batch = dele_sampler_next(&t->sampler);
        if (update_gradient(t, &update_batch, err)) return err->code;
        r->last.lr = dele_lr_at(t->o->schedule, t->o->adamw.lr, (size_t)t->o->warmup,
                                t->o->warmup_from_zero, update_batch.step, update_batch.steps);
        r->last.norm = gradient_norm(t);
        if (update == 0) r->first = r->last;
        if (dele_divergence_guard_check(&t->divergence_guard, r, err)) return err->code;
        step_weights(t, update_batch.step);
        r->done = update + 1;
        write_step(t, update, update_batch.epoch);
        show_step(t);
        if (dele_evaluations_run(&t->evaluations, r->done, r->updates, err) || save_state(t, err))
            return err->code;
    }
    return dele_divergence_guard_check_last(&t->divergence_guard, r, err);
}

/* Checkpoint selection: restores the selected weights and copies the evaluations into the
 * report. */
static void select_checkpoint(trainer *t)
{
    dele_train_report *r = t->report;
    r->start = t->evaluations.start;
    r->selected = *dele_evaluations_select(&t->evaluations);
    r->nearest = t->evaluations.nearest;
    r->stopped = t->evaluations.stop;
    r->enough = t->evaluations.enough;
    if (t->evaluations.best_weights) r->done = r->selected.update;
}

/* What is left to do when the loop has ended: the selected weights, and the tensors that follow
 * from them. */
static void finish(trainer *t)
{
    if (t->o->evaluations.eval_every) select_checkpoint(t);
    follow(t); /* the tensors of the selected or restored adapters */
    if (t->o->objective->negates) negate(t);
}

/* Everything that training allocates is the trainer's own and is released here, whatever happened.
 * After divergence the run is finished as after success: the guard has restored the last good
 * weights. */
dele_status dele_train(dele_train_report *report, const dele_trainable *trainable,
                       const dele_train_data *data, const dele_train_options *o,
                       const dele_train_output *output, dele_err *err)
{
    static const dele_train_output nowhere = {0};
    const double started = dele_now();
    dele_err own = {0};
    dele_err *e = err ? err : &own;
    if (dele_train_plan(report, data, o, e)) return e->code;
    if (!trainable->mask->n_trained)
        return dele_fail(e, DELE_ERR_DATA,
                         "the mask selects no tensor, so nothing would be trained");
    trainer t = {.trainable = trainable,
                 .data = data,
                 .o = o,
                 .output = output ? output : &nowhere,
                 .report = report,
                 .alpha = o->alpha,
                 .params = dele_trainable_tensors(trainable)};
    dele_train_settings(t.settings, o);
    if (!dele_model_train(trainable->model, trainable->mask->trains, e) &&
        !reserve_training(&t, e) && !begin(&t, e))
        run_updates(&t, e);
    if (!e->code || e->code == DELE_ERR_DIVERGED) finish(&t);
    report->seconds = dele_now() - started;
    dele_packed_batch_release(&t.packed_batch);
    dele_arena_release(&t.arena);
    return e->code;
}

/* ---- counting -------------------------------------------------------------------------------- */

/* A trainer whose arena and whose model's copies only count lays out what dele_train would. */
static dele_status count(dele_train_memory *m, trainer *t, const dele_train_size *size,
                         dele_err *err)
{
    const dele_train_options *o = t->o;
    const dele_pass_size pass = {.n_rows = size->rows,
                                 .n_segments = size->sequences,
                                 .n_spans = size->sequences,
                                 .n_output_rows = size->labels,
                                 .longest = size->longest};
    const bool twice = size->tokens > size->rows && dele_side_weights_wait(o->objective, &o->alpha);
    dele_train_settings(t->settings, o);
    if (dele_model_train(t->trainable->model, t->trainable->mask->trains, err) ||
        reserve_for(t, size->rows, size->longest, size->labels, err) ||
        (twice && reserve_part(t, err)))
        return err->code;
    m->weights = dele_model_bytes(t->trainable->model);
    const dele_lora *lora = t->trainable->lora;
    m->buffers = DELE_BYTES(t->arena.used, lora ? dele_lora_bytes(lora, t->trainable->mask) : 0);
    m->activations =
        DELE_BYTES(dele_packed_batch_bytes(&t->packed_batch, pass),
                   o->evaluations.eval_every ? dele_evaluate_bytes(t->trainable->model, &pass) : 0);
    m->total = DELE_BYTES(m->weights, m->buffers, m->activations);
    if (m->total < SIZE_MAX) return DELE_OK;
    return dele_fail(err, DELE_ERR_MEMORY, "out of memory to count what training takes");
}

dele_status dele_train_count(dele_train_memory *memory, const dele_trainable *trainable,
                             const dele_train_options *o, const dele_train_size *size,
                             dele_err *err)
{
    static const dele_train_data none = {0};
    dele_arena scratch = {0};
    dele_model model = {0};
    dele_err own = {0};
    dele_err *e = err ? err : &own;
    dele_trainable counted = *trainable;
    counted.model = &model;
    trainer t = {
        .trainable = &counted, .data = &none, .o = o, .alpha = o->alpha, .arena = {.counts = true}};
    *memory = (dele_train_memory){0};
    if (!dele_model_counted(&model, trainable->model, &scratch, e)) {
        t.params = dele_trainable_tensors(&counted);
        count(memory, &t, size, e);
    }
    dele_packed_batch_release(&t.packed_batch);
    dele_arena_release(&t.arena);
    dele_model_release(&model);
    dele_arena_release(&scratch);
    return e->code;
}
