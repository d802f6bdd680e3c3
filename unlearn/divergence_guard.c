#include "unlearn/divergence_guard.h"

#include <math.h>

dele_status dele_divergence_guard_init(dele_divergence_guard *h, const dele_model *model,
                                       const dele_mask *mask, const dele_train_options *o,
                                       dele_arena *arena, dele_err *err)
{
    *h = (dele_divergence_guard){
        .model = model, .o = o, .kept = dele_param_buffers_new(model, mask, false, arena, err)};
    return h->kept ? DELE_OK : err->code;
}

static void keep(dele_divergence_guard *h, const dele_train_report *report)
{
    dele_param_buffers_store(h->kept, h->model);
    h->kept_at = report->done;
}

static void go_back(const dele_divergence_guard *h, dele_train_report *report)
{
    dele_param_buffers_restore(h->model, h->kept);
    report->done = h->kept_at;
}

/* A side that an update may lack has a NaN for its loss, honestly. */
static bool is_finite(const dele_divergence_guard *h, const dele_train_report *r)
{
    const bool pool = h->o->alpha.mode == DELE_ALPHA_CODE && h->o->objective->needs_forget;
    const bool forget = h->o->objective->needs_forget && !pool,
               retain = r->rows[DELE_RETAIN] && !pool;
    return isfinite(r->last.norm) && (!forget || isfinite(r->last.loss[DELE_FORGET])) &&
           (!retain || isfinite(r->last.loss[DELE_RETAIN]));
}

static double mean_of(const double *x, size_t n)
{
    double mean = 0;
    for (size_t i = 0; i < n; i++) mean += x[i] / (double)n;
    return mean;
}

/* The kept side's loss joins the window; its mean there, or NaN before the window is full or where
 * it cannot be judged: a distance between states is not in nats. */
static double kept_loss(dele_divergence_guard *h, const dele_train_report *r, size_t update)
{
    if (!isfinite(r->last.loss[DELE_RETAIN])) return (double)NAN;
    h->window[update % DELE_DIVERGENCE_WINDOW] = r->last.loss[DELE_RETAIN];
    if (h->o->objective->at_layer || update + 1 < DELE_DIVERGENCE_WINDOW) return (double)NAN;
    return mean_of(h->window, DELE_DIVERGENCE_WINDOW);
}

dele_status dele_divergence_guard_check(dele_divergence_guard *h, dele_train_report *r,
                                        dele_err *err)
{
    const dele_train_options *o = h->o;
    const size_t update = r->done;
    const bool two = o->objective->needs_forget;
    if (update == 0) keep(h, r);
    if (!is_finite(h, r) && update == 0)
        return dele_fail(
            err, DELE_ERR_DATA,
            "the loss or its gradient is not finite before any update: the model is "
            "broken (deleatur eval shows on which rows), or a weight of the loss is too large");
    if (!is_finite(h, r)) {
        go_back(h, r);
        return dele_fail(
            err, DELE_ERR_DIVERGED,
            "training diverged at update %zu of %zu: loss or gradient is no longer "
            "a finite number; the weights after %zu updates are kept; try a smaller --lr than %g",
            update + 1, r->updates, r->done, o->adamw.lr);
    }
    const double mean = kept_loss(h, r, update), first = r->first.loss[DELE_RETAIN];
    if (o->collapse > 0 && mean > first + o->collapse) {
        go_back(h, r);
        return dele_fail(err, DELE_ERR_DIVERGED,
                         "the model collapsed at update %zu of %zu: the %sloss averaged %.2f "
                         "over the last %d updates and was %.2f at the first; the weights after "
                         "%zu updates are kept; try a "
                         "smaller --lr than %g%s, or --collapse 0 to go on regardless",
                         update + 1, r->updates, two ? "retain " : "", mean, DELE_DIVERGENCE_WINDOW,
                         first, r->done, o->adamw.lr, two ? ", a larger --alpha" : "");
    }
    keep(h, r);
    return DELE_OK;
}

void dele_divergence_guard_serialize(dele_divergence_guard *h, size_t updates,
                                     dele_training_state *state)
{
    dele_tape_size(state, &h->kept_at, updates);
    DELE_SERIALIZE(state, h->window);
    dele_param_buffers_serialize(h->kept, h->model, state);
}

dele_status dele_divergence_guard_check_last(dele_divergence_guard *h, dele_train_report *r,
                                             dele_err *err)
{
    for (size_t k = 0; k < h->model->n_tensors; k++) {
        if (!h->kept[k] ||
            isfinite(dele_sum_squares(h->model->tensors[k].data, dele_n_weights(h->model, k))))
            continue;
        go_back(h, r);
        return dele_fail(err, DELE_ERR_DIVERGED,
                         "training diverged in the last update: %s holds numbers that are not "
                         "finite; the weights from before it are kept; try a smaller --lr than %g",
                         h->model->tensors[k].name, h->o->adamw.lr);
    }
    return DELE_OK;
}
