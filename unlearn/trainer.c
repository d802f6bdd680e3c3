#include "unlearn/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 8 }; /* updates over which a collapse is judged */

typedef struct {
    lac_model *model;
    const lac_mask *mask;
    const lac_dataset *set[2]; /* by side; forget may be NULL */
    const lac_train_options *o;
    double settings[LAC_N_SETTINGS];
    lac_train_report *report;
    lac_rng rng;
    lac_alpha alpha;

    size_t *deck[2], drawn;    /* shuffled rows; retain ones drawn so far */
    lac_item *items;           /* of the update (with --alpha code: of the epoch) */
    double *nll_before[2];     /* [forget rows] NLL before training, of the row and of its alternate */

    lac_grads grads, part;     /* the update's; the retain rows' of a group in several pieces, made when needed */
    float **m, **v, **kept;    /* [n_tensors] moments, last good weights */
    size_t kept_at;            /* updates done then */
    double window[WINDOW];     /* losses of the kept side */

    lac_piece piece;
    lac_arena arena;
} trainer;

static size_t n_weights(const trainer *t, size_t tensor)
{
    return t->model->tensors[tensor].rows * t->model->tensors[tensor].cols;
}

/* ---- the plan -------------------------------------------------------------------------------------------- */

static bool is_pool(const lac_train_options *o)
{
    return o->objective->needs_forget && o->alpha.mode == LAC_ALPHA_CODE;
}

static size_t divide_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* Micro-batches an update in a pool. */
static size_t pool_window(const lac_train_options *o)
{
    size_t n = (size_t)o->batch / (size_t)o->micro;
    return n ? n : 1;
}

/* Forget rows an update, and the retain rows that are dealt beside them. */
static size_t forget_share(const lac_train_options *o, size_t n_retain)
{
    return n_retain ? (size_t)o->batch / 2 : (size_t)o->batch;
}

static size_t retain_share(const lac_train_options *o, size_t n_retain)
{
    size_t n = (size_t)o->batch - (size_t)o->batch / 2;
    return n < n_retain ? n : n_retain;
}

static lac_status check_options(const lac_train_options *o, lac_err *err)
{
    if (!(o->adamw.lr > 0) || !isfinite(o->adamw.lr))
        return lac_fail(err, LAC_ERR_USAGE, "--lr %g: give a number above 0", o->adamw.lr);
    if (o->epochs < 1) return lac_fail(err, LAC_ERR_USAGE, "--epochs %d: give at least 1", o->epochs);
    if (o->batch < (o->objective->needs_forget ? 2 : 1))
        return lac_fail(err, LAC_ERR_USAGE, "--batch %d: give at least %d", o->batch,
                        o->objective->needs_forget ? 2 : 1);
    if (o->micro < 1) return lac_fail(err, LAC_ERR_USAGE, "--micro %d: give at least 1", o->micro);
    if (o->batch_tokens < 1) return lac_fail(err, LAC_ERR_USAGE, "--batch-tokens: give at least 1");
    if (o->warmup < 0) return lac_fail(err, LAC_ERR_USAGE, "--warmup %d: give at least 0", o->warmup);
    if (!(o->clip >= 0)) return lac_fail(err, LAC_ERR_USAGE, "--clip %g: give a number of at least 0", o->clip);
    if (!(o->adamw.weight_decay >= 0))
        return lac_fail(err, LAC_ERR_USAGE, "--weight-decay %g: give a number of at least 0", o->adamw.weight_decay);
    return LAC_OK;
}

static bool needs_retain(const lac_train_options *o)
{
    bool weighed = o->objective->alpha && o->alpha.mode == LAC_ALPHA_FIXED && o->alpha.fixed > 0;
    return weighed || !o->objective->retain_optional;
}

lac_status lac_train_plan(lac_train_report *plan, const lac_dataset *forget, const lac_dataset *retain,
                          const lac_train_options *o, lac_err *err)
{
    const lac_dataset *set[2] = {forget, retain};
    *plan = (lac_train_report){0};
    lac_status status = check_options(o, err);
    if (status) return status;
    for (int side = LAC_FORGET; side <= LAC_RETAIN; side++) {
        bool needed = side == LAC_RETAIN ? needs_retain(o) : o->objective->needs_forget;
        if (needed && (!set[side] || !set[side]->n))
            return lac_fail(err, LAC_ERR_DATA, "the %s set is empty; there is nothing to train on",
                            side == LAC_FORGET ? "forget" : o->objective->needs_forget ? "retain" : "training");
        if (set[side]) plan->rows[side] = set[side]->n, plan->labels[side] = set[side]->labels;
    }
    if (o->objective->alternates == LAC_ALTERNATES_BESIDE && (!o->alternates || o->alternates->n != forget->n))
        return lac_fail(err, LAC_ERR_DATA, "%zu rows to forget and %zu alternates; --objective %s needs one for each",
                        forget->n, o->alternates ? o->alternates->n : 0, o->objective->name);
    size_t f = plan->rows[LAC_FORGET], r = plan->rows[LAC_RETAIN], an_epoch;
    if (!o->objective->needs_forget) {
        plan->updates_per_epoch = divide_up(r, (size_t)o->batch);
        an_epoch = r;
    } else if (is_pool(o)) {
        plan->updates_per_epoch = divide_up(divide_up(f + r, (size_t)o->micro), pool_window(o));
        an_epoch = f + r;
    } else {
        plan->updates_per_epoch = divide_up(f, forget_share(o, r));
        an_epoch = f + plan->updates_per_epoch * retain_share(o, r);
    }
    plan->updates = plan->updates_per_epoch * (size_t)o->epochs;
    plan->rows_in_all = an_epoch * (size_t)o->epochs;
    return LAC_OK;
}

/* ---- memory ---------------------------------------------------------------------------------------------- */

/* A buffer for each tensor that trains. */
static float **buffers(trainer *t, bool zeroed, lac_err *err)
{
    size_t n = t->model->n_tensors;
    float **b = LAC_NEW(&t->arena, float *, n, err);
    for (size_t k = 0; b && k < n; k++) {
        if (!t->mask->trains[k]) continue;
        b[k] = zeroed ? LAC_NEW(&t->arena, float, n_weights(t, k), err)
                      : lac_alloc_raw(&t->arena, n_weights(t, k), sizeof **b, err);
        if (!b[k]) return NULL;
    }
    return b;
}

static size_t *make_deck(trainer *t, size_t n, lac_err *err)
{
    size_t *deck = LAC_NEW(&t->arena, size_t, n ? n : 1, err);
    for (size_t i = 0; deck && i < n; i++) deck[i] = i;
    return deck;
}

/* NLL of what is to be forgotten, and of its alternates, before training. */
static lac_status look_back(trainer *t, lac_err *err)
{
    const lac_dataset *sets[2] = {t->set[LAC_FORGET], t->o->alternates};
    for (int k = 0; k < 2 && t->o->objective->reference_nll; k++) {
        if (!sets[k]) continue;
        if (!(t->nll_before[k] = LAC_NEW(&t->arena, double, sets[k]->n, err)) ||
            lac_piece_nll(&t->piece, t->nll_before[k], sets[k]->row, sets[k]->n, err))
            return err->code;
    }
    return LAC_OK;
}

/* The vector that states are steered to: uniform in [0, 1)^d, scaled. */
static void make_steer(trainer *t)
{
    lac_rng rng;
    lac_rng_seed(&rng, t->o->seed ^ 0x726d75); /* a stream of its own */
    for (size_t i = 0; i < t->piece.width; i++) t->piece.steer[i] = (float)lac_rng_uniform(&rng);
    lac_scale(t->piece.steer, t->settings[LAC_STEER] / sqrt(lac_sum_squares(t->piece.steer, t->piece.width)),
              t->piece.width);
}

static lac_status make_room(trainer *t, lac_err *err)
{
    size_t longest = 0, n_items = 0;
    for (int side = 0; side < 2; side++) {
        if (!t->set[side]) continue;
        if (t->set[side]->longest > longest) longest = t->set[side]->longest;
        n_items += t->set[side]->n;
        if (!(t->deck[side] = make_deck(t, t->set[side]->n, err))) return err->code;
    }
    if (t->o->alternates) longest += t->o->alternates->longest;
    size_t room = (size_t)(t->o->batch > t->o->micro ? t->o->batch : t->o->micro); /* rows of a group */
    bool ok = (t->grads.g = buffers(t, true, err)) && (t->m = buffers(t, true, err)) &&
              (t->v = buffers(t, true, err)) && (t->kept = buffers(t, false, err)) &&
              (t->items = LAC_NEW(&t->arena, lac_item, n_items + room, err)) &&
              !lac_piece_init(&t->piece, t->model, t->mask, t->o->objective, t->settings, t->o->batch_tokens, longest,
                              &t->arena, err) &&
              !look_back(t, err);
    if (ok && t->o->objective->at_layer) make_steer(t);
    return ok ? LAC_OK : err->code;
}

/* ---- a group: rows that share one loss ------------------------------------------------------------------- */

static lac_status forward(trainer *t, double loss[2], const lac_item *items, size_t n, const lac_group *group,
                          lac_err *err)
{
    lac_status status = lac_piece_forward(&t->piece, loss, items, n, group, err);
    t->report->last.tokens += t->piece.n_rows;
    t->report->last.labels += t->piece.n_labels;
    return status;
}

static void weigh(trainer *t, double weight[2], double share, double retain_loss, const lac_group *group)
{
    lac_weigh(weight, t->o->objective, t->settings, &t->alpha, retain_loss, group);
    if (group->sequences[LAC_RETAIN]) t->report->last.alpha += weight[LAC_RETAIN];
    weight[LAC_FORGET] *= share;
    weight[LAC_RETAIN] *= share;
}

/* Pieces of items that are all of one side, each with its weight. */
static lac_status one_side(trainer *t, double loss[2], const lac_item *items, size_t n, const double weight[2],
                           const lac_grads *into, const lac_group *group, lac_err *err)
{
    for (size_t i = 0, k; i < n; i += k) {
        k = lac_piece_length(&t->piece, items + i, n - i);
        if (forward(t, loss, items + i, k, group, err) || lac_piece_backward(&t->piece, weight, into->g, err))
            return err->code;
    }
    return LAC_OK;
}

/* The retain rows of a group into a buffer of their own, their loss into α, the buffer times α into the sum. */
static lac_status retain_side(trainer *t, double loss[2], double weight[2], double share, const lac_item *items,
                              size_t n, const lac_group *group, lac_err *err)
{
    const double one[2] = {1, 1};
    if (!t->part.g && !(t->part.g = buffers(t, true, err))) return err->code;
    if (one_side(t, loss, items, n, one, &t->part, group, err)) return err->code;
    weigh(t, weight, share, loss[LAC_RETAIN], group);
    for (size_t k = 0; k < t->model->n_tensors; k++) {
        if (!t->part.g[k]) continue;
        lac_add_scaled(t->grads.g[k], t->part.g[k], weight[LAC_RETAIN], n_weights(t, k));
        memset(t->part.g[k], 0, n_weights(t, k) * sizeof(float));
    }
    return LAC_OK;
}

/* items: retain rows first.  Adds share times the group's gradient into the update's. */
static lac_status train_group(trainer *t, double loss[2], const lac_item *items, size_t n, size_t n_retain,
                              double share, const lac_group *group, lac_err *err)
{
    bool wait = lac_weights_wait(t->o->objective, &t->alpha);
    double weight[2];
    if (!wait) weigh(t, weight, share, 0, group);
    if (lac_piece_length(&t->piece, items, n) == n) {
        if (forward(t, loss, items, n, group, err)) return err->code;
        if (wait) weigh(t, weight, share, loss[LAC_RETAIN], group);
        return lac_piece_backward(&t->piece, weight, t->grads.g, err);
    }
    if (wait ? retain_side(t, loss, weight, share, items, n_retain, group, err)
             : one_side(t, loss, items, n_retain, weight, &t->grads, group, err))
        return err->code;
    return one_side(t, loss, items + n_retain, n - n_retain, weight, &t->grads, group, err);
}

/* ---- an update ------------------------------------------------------------------------------------------- */

/* Retain rows to the front, order kept within a side (room: as many items behind). */
static size_t retain_first(lac_item *items, size_t n, lac_item *room)
{
    size_t n_retain = 0, n_forget = 0;
    for (size_t i = 0; i < n; i++) {
        if (items[i].side == LAC_RETAIN) items[n_retain++] = items[i];
        else room[n_forget++] = items[i];
    }
    memcpy(items + n_retain, room, n_forget * sizeof *items);
    return n_retain;
}

static void shuffle(trainer *t, lac_side side)
{
    lac_rng_shuffle(&t->rng, t->deck[side], t->set[side]->n);
}

static lac_item item_of(const trainer *t, lac_side side, size_t row)
{
    lac_item it = {.row = &t->set[side]->row[row], .side = side};
    if (side == LAC_RETAIN) return it;
    if (t->o->objective->alternates == LAC_ALTERNATES_BESIDE) it.better = &t->o->alternates->row[row];
    for (int k = 0; k < 2; k++)
        if (t->nll_before[k]) it.reference[k] = t->nll_before[k][row];
    return it;
}

/* The rows of update u of an epoch, dealt side by side.  Returns their number. */
static size_t deal(trainer *t, size_t u)
{
    const lac_train_report *plan = t->report;
    const lac_side main_side = t->o->objective->needs_forget ? LAC_FORGET : LAC_RETAIN;
    const size_t rows = plan->rows[main_side], n_updates = plan->updates_per_epoch;
    size_t n = 0;
    if (u == 0) shuffle(t, main_side);
    if (main_side == LAC_FORGET)
        for (size_t i = 0, share = retain_share(t->o, plan->rows[LAC_RETAIN]); i < share; i++) {
            size_t at = t->drawn++ % plan->rows[LAC_RETAIN];
            if (at == 0) shuffle(t, LAC_RETAIN);
            t->items[n++] = item_of(t, LAC_RETAIN, t->deck[LAC_RETAIN][at]);
        }
    for (size_t i = u * rows / n_updates; i < (u + 1) * rows / n_updates; i++)
        t->items[n++] = item_of(t, main_side, t->deck[main_side][i]);
    return n;
}

/* One pool of both sets, shuffled. */
static lac_status fill_pool(trainer *t, lac_err *err)
{
    size_t f = t->set[LAC_FORGET]->n, n = f + t->set[LAC_RETAIN]->n;
    lac_arena scratch = {0};
    size_t *order = LAC_NEW(&scratch, size_t, n, err);
    for (size_t i = 0; order && i < n; i++) order[i] = i;
    if (order) lac_rng_shuffle(&t->rng, order, n);
    for (size_t i = 0; order && i < n; i++)
        t->items[i] = order[i] < f ? item_of(t, LAC_FORGET, order[i]) : item_of(t, LAC_RETAIN, order[i] - f);
    lac_arena_release(&scratch);
    return order ? LAC_OK : err->code;
}

/* The gradient of one group and its losses, counted in. */
static lac_status group_gradient(trainer *t, lac_item *items, size_t n, double share, int epoch, size_t groups_with[2],
                                 lac_err *err)
{
    lac_group group = {.epoch = epoch};
    double loss[2] = {0};
    size_t total = t->report->rows[LAC_RETAIN] + t->report->rows[LAC_FORGET];
    size_t n_retain = retain_first(items, n, t->items + total);
    for (size_t i = 0; i < n; i++) {
        group.sequences[items[i].side]++;
        group.tokens[items[i].side] += lac_piece_labels(&t->piece, &items[i]);
    }
    if (train_group(t, loss, items, n, n_retain, share, &group, err)) return err->code;
    for (int side = 0; side < 2; side++) {
        if (!group.sequences[side]) continue;
        t->report->last.loss[side] += loss[side];
        groups_with[side]++;
    }
    t->report->last.rows += n;
    return LAC_OK;
}

static lac_status update_gradient(trainer *t, size_t u, int epoch, lac_err *err)
{
    size_t groups_with[2] = {0};
    lac_step *step = &t->report->last;
    step->loss[0] = step->loss[1] = step->alpha = 0;
    if (is_pool(t->o)) {
        size_t n = t->set[LAC_FORGET]->n + t->set[LAC_RETAIN]->n, micro = (size_t)t->o->micro;
        size_t window = pool_window(t->o), begin = u * window * micro, end = begin + window * micro;
        if (u == 0 && fill_pool(t, err)) return err->code;
        for (size_t i = begin; i < end && i < n; i += micro)
            if (group_gradient(t, t->items + i, n - i < micro ? n - i : micro, 1.0 / (double)window, epoch,
                               groups_with, err))
                return err->code;
    } else {
        size_t n = deal(t, u);
        if (group_gradient(t, t->items, n, 1, epoch, groups_with, err)) return err->code;
    }
    for (int side = 0; side < 2; side++)
        step->loss[side] = groups_with[side] ? step->loss[side] / (double)groups_with[side] : (double)NAN;
    step->alpha = groups_with[LAC_RETAIN] ? step->alpha / (double)groups_with[LAC_RETAIN] : (double)NAN;
    return LAC_OK;
}

/* ---- divergence ------------------------------------------------------------------------------------------ */

static void copy_weights(trainer *t, bool keep)
{
    if (keep) t->kept_at = t->report->done;
    else t->report->done = t->kept_at;
    for (size_t k = 0; k < t->model->n_tensors; k++) {
        float *w = t->model->tensors[k].data, *kept = t->kept[k];
        if (kept) memcpy(keep ? kept : w, keep ? w : kept, n_weights(t, k) * sizeof *w);
    }
}

static bool side_is_finite(double loss, bool present)
{
    return isfinite(loss) || !present;
}

/* Judges the update just computed, before its step. */
static lac_status check_health(trainer *t, size_t update, lac_err *err)
{
    lac_train_report *r = t->report;
    const lac_step *s = &r->last;
    const char *name = t->o->objective->needs_forget ? "retain " : "";
    const bool pool = is_pool(t->o); /* there an update may lack a side, and its loss is NaN honestly */
    bool finite = isfinite(s->norm) && side_is_finite(s->loss[LAC_RETAIN], t->set[LAC_RETAIN] && !pool) &&
                  side_is_finite(s->loss[LAC_FORGET], t->o->objective->needs_forget && !pool);
    if (!finite) {
        copy_weights(t, false);
        return lac_fail(err, LAC_ERR_DIVERGED, "training diverged at update %zu of %zu: loss or gradient is no longer "
                        "a finite number; the weights after %zu updates are kept; try a smaller --lr than %g",
                        update + 1, r->updates, r->done, t->o->adamw.lr);
    }
    if (!isfinite(s->loss[LAC_RETAIN])) return LAC_OK;
    t->window[update % WINDOW] = s->loss[LAC_RETAIN];
    size_t n = update + 1 < WINDOW ? update + 1 : WINDOW;
    double mean = 0;
    for (size_t i = 0; i < n; i++) mean += t->window[i] / (double)n;
    const bool nats = !t->o->objective->at_layer; /* a distance between states is none */
    if (nats && t->o->collapse > 0 && update + 1 >= WINDOW && mean > r->first.loss[LAC_RETAIN] + t->o->collapse) {
        copy_weights(t, false);
        return lac_fail(err, LAC_ERR_DIVERGED, "the model collapsed at update %zu of %zu: the %sloss averaged %.2f "
                        "over the last %d updates and was %.2f at the first; the weights after %zu updates are kept; try a "
                        "smaller --lr than %g%s, or --collapse 0 to go on regardless",
                        update + 1, r->updates, name, mean, WINDOW, r->first.loss[LAC_RETAIN], r->done,
                        t->o->adamw.lr, *name ? ", a larger --alpha" : "");
    }
    return LAC_OK;
}

/* θ' = θ − γ (θ_learnt − θ) in what trained. */
static void negate(trainer *t)
{
    const double gamma = t->settings[LAC_GAMMA];
    for (size_t k = 0; k < t->model->n_tensors; k++) {
        float *w = t->model->tensors[k].data;
        const float *before = t->piece.before.tensors[k].data;
        if (!t->mask->trains[k]) continue;
        for (size_t i = 0; i < n_weights(t, k); i++) w[i] = (float)(before[i] - gamma * ((double)w[i] - before[i]));
    }
}

static lac_status check_last_weights(trainer *t, lac_err *err)
{
    for (size_t k = 0; k < t->model->n_tensors; k++) {
        if (!t->mask->trains[k] || isfinite(lac_sum_squares(t->model->tensors[k].data, n_weights(t, k)))) continue;
        copy_weights(t, false);
        return lac_fail(err, LAC_ERR_DIVERGED, "training diverged in the last update: %s holds numbers that are not "
                        "finite; the weights from before it are kept; try a smaller --lr than %g",
                        t->model->tensors[k].name, t->o->adamw.lr);
    }
    return LAC_OK;
}

/* ---- the loop -------------------------------------------------------------------------------------------- */

static double lr_at(const lac_train_options *o, size_t update, size_t updates)
{
    size_t warmup = (size_t)o->warmup;
    if (update < warmup) return o->adamw.lr * (double)(update + 1) / (double)warmup;
    if (o->constant_lr || updates <= warmup) return o->adamw.lr;
    return o->adamw.lr * (double)(updates - update) / (double)(updates - warmup);
}

static void step_weights(trainer *t, size_t update)
{
    double factor = lac_clip_factor(t->report->last.norm, t->o->clip);
    lac_adamw_rule rule = t->o->adamw;
    rule.lr = t->report->last.lr;
    for (size_t k = 0; k < t->model->n_tensors; k++) {
        float *g = t->grads.g[k];
        size_t n = n_weights(t, k);
        if (!g) continue;
        if (factor != 1) lac_scale(g, factor, n);
        lac_adamw_step(t->model->tensors[k].data, t->m[k], t->v[k], g, n, &rule, (long)update + 1);
        memset(g, 0, n * sizeof *g);
    }
}

static double gradient_norm(const trainer *t)
{
    double sum = 0;
    for (size_t k = 0; k < t->model->n_tensors; k++)
        if (t->grads.g[k]) sum += lac_sum_squares(t->grads.g[k], n_weights(t, k));
    return sqrt(sum);
}

static void say_step(const trainer *t, FILE *steps, lac_progress *progress, size_t update, int epoch)
{
    const lac_step *s = &t->report->last;
    const bool two = t->o->objective->needs_forget;
    if (steps) {
        fprintf(steps, "%zu\t%d\t%zu\t%zu\t%zu\t%.9g\t", update + 1, epoch, s->rows, s->tokens, s->labels, s->lr);
        if (two) fprintf(steps, "%.9g\t%.9g\t%.9g\t", s->loss[LAC_FORGET], s->loss[LAC_RETAIN], s->alpha);
        else fprintf(steps, "%.9g\t", s->loss[LAC_RETAIN]);
        fprintf(steps, "%.9g\n", s->norm);
        fflush(steps);
    }
    if (progress) {
        char note[160];
        double rate = (double)s->tokens / (lac_now() - progress->started + 1e-9);
        if (two)
            snprintf(note, sizeof note, "forget %.2f  retain %.2f  alpha %.2f  %.0f tokens/s", s->loss[LAC_FORGET],
                     s->loss[LAC_RETAIN], s->alpha, rate);
        else
            snprintf(note, sizeof note, "loss %.3f  %.0f tokens/s", s->loss[LAC_RETAIN], rate);
        lac_progress_set(progress, (double)s->rows, note);
    }
}

static lac_status train(trainer *t, FILE *steps, lac_progress *progress, lac_err *err)
{
    lac_train_report *r = t->report;
    for (size_t update = 0; update < r->updates; update++) {
        const int epoch = (int)(update / r->updates_per_epoch);
        if (update_gradient(t, update % r->updates_per_epoch, epoch, err)) return err->code;
        r->last.lr = lr_at(t->o, update, r->updates);
        r->last.norm = gradient_norm(t);
        if (update == 0) {
            r->first = r->last;
            copy_weights(t, true);
        }
        if (check_health(t, update, err)) return err->code;
        copy_weights(t, true);
        step_weights(t, update);
        r->done = update + 1;
        say_step(t, steps, progress, update, epoch);
    }
    return check_last_weights(t, err);
}

lac_status lac_train(lac_train_report *report, lac_model *model, const lac_mask *mask, const lac_dataset *forget,
                     const lac_dataset *retain, const lac_train_options *o, FILE *steps, lac_progress *progress,
                     lac_err *err)
{
    lac_err own = {0};
    lac_err *e = err ? err : &own;
    if (lac_train_plan(report, forget, retain, o, e)) return e->code;
    double own_settings[LAC_N_SETTINGS];
    const double *settings = o->settings ? o->settings : own_settings;
    if (!o->settings) lac_objective_defaults(own_settings, o->objective);
    if (!mask->n_trained) return lac_fail(e, LAC_ERR_DATA, "the mask holds no tensor, so nothing would change");
    trainer t = {.model = model, .mask = mask, .set = {forget, retain}, .o = o, .report = report, .alpha = o->alpha};
    memcpy(t.settings, settings, sizeof t.settings);
    lac_rng_seed(&t.rng, o->seed);
    if (steps)
        fprintf(steps, "update\tepoch\trows\ttokens\tlabels\tlr\t%s\tgradient\n",
                o->objective->needs_forget ? "forget\tretain\talpha" : "loss");
    double started = lac_now();
    if (!make_room(&t, e) && (!train(&t, steps, progress, e) || e->code == LAC_ERR_DIVERGED) && o->objective->negates)
        negate(&t);
    report->seconds = lac_now() - started;
    lac_piece_release(&t.piece);
    lac_arena_release(&t.arena);
    return e->code;
}
