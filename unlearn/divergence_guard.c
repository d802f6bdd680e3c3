#include "unlearn/divergence_guard.h"

#include <math.h>

dele_status dele_divergence_guard_init(dele_divergence_guard *h, const dele_trainable *trainable,
                                       const dele_train_options *o, dele_arena *arena,
                                       dele_err *err)
{
    const dele_model *params = dele_trainable_tensors(trainable);
    *h = (dele_divergence_guard){.params = params, .o = o};
    h->last_good = dele_param_buffers_new(params, trainable->mask, false, arena, err);
    return h->last_good ? DELE_OK : err->code;
}

static void store(dele_divergence_guard *h, const dele_train_report *report)
{
    dele_param_buffers_store(h->last_good, h->params);
    h->last_good_at = report->done;
}

static void restore(const dele_divergence_guard *h, dele_train_report *report)
{
    dele_param_buffers_restore(h->params, h->last_good);
    report->done = h->last_good_at;
}

/* Whether norm and losses are finite. With --alpha code an update may lack a side, whose loss is
 * then NaN. */
static bool is_finite(const dele_divergence_guard *h, const dele_train_report *r)
{
    const bool joint = h->o->alpha.mode == DELE_ALPHA_CODE && h->o->objective->needs_forget;
    const bool forget = h->o->objective->needs_forget && !joint,
               retain = r->rows[DELE_RETAIN] && !joint;
    return isfinite(r->last.norm) && (!forget || isfinite(r->last.loss[DELE_FORGET])) &&
           (!retain || isfinite(r->last.loss[DELE_RETAIN]));
}

static double mean_of(const double *x, size_t n)
{
    double mean = 0;
    for (size_t i = 0; i < n; i++) mean += x[i] / (double)n;
    return mean;
}

/* Adds the retain loss to the window and returns the window's mean; NaN before the window is
 * full, and at a layer, where the loss is a distance between states and not in nats. */
static double retain_loss_mean(dele_divergence_guard *h, const dele_train_report *r, size_t update)
{
    if (!isfinite(r->last.loss[DELE_RETAIN])) return (double)NAN;
    h->window[update % DELE_DIVERGENCE_WINDOW] = r->last.loss[DELE_RETAIN];
    if (h->o->objective->at_layer || update + 1 < DELE_DIVERGENCE_WINDOW) return (double)NAN;
    return mean_of(h->window, DELE_DIVERGENCE_WINDOW);
}

/* The weights that are stored are those before the update's step, whose loss has just been seen to
 * be finite.  Before the first update there is nothing to return to, so a loss that is not finite
 * is the model's or the options' fault. */
dele_status dele_divergence_guard_check(dele_divergence_guard *h, dele_train_report *r,
                                        dele_err *err)
{
    const dele_train_options *o = h->o;
    const size_t update = r->done;
    const bool two = o->objective->needs_forget;
    if (update == 0) store(h, r);
    if (!is_finite(h, r) && update == 0)
        return dele_fail(
            err, DELE_ERR_DATA,
            "the loss or its gradient is not finite before any update: the model is "
            "broken (deleatur eval shows on which rows), or a weight of the loss is too large");
    if (!is_finite(h, r)) {
        restore(h, r);
        return dele_fail(
            err, DELE_ERR_DIVERGED,
            "training diverged at update %zu of %zu: loss or gradient is no longer "
            "a finite number; the weights after %zu updates are kept; try a smaller --lr than %g",
            update + 1, r->updates, r->done, o->adamw.lr);
    }
    const double mean = retain_loss_mean(h, r, update), first = r->first.loss[DELE_RETAIN];
    if (o->collapse > 0 && mean > first + o->collapse) {
        restore(h, r);
        return dele_fail(err, DELE_ERR_DIVERGED,
                         "the model collapsed at update %zu of %zu: the %sloss averaged %.2f "
                         "over the last %d updates and was %.2f at the first; the weights after "
                         "%zu updates are kept; try a "
                         "smaller --lr than %g%s, or --collapse 0 to turn the guard off",
                         update + 1, r->updates, two ? "retain " : "", mean, DELE_DIVERGENCE_WINDOW,
                         first, r->done, o->adamw.lr, two ? ", a larger --alpha" : "");
    }
    store(h, r);
    return DELE_OK;
}

void dele_divergence_guard_serialize(dele_divergence_guard *h, size_t updates,
                                     dele_training_state *state)
{
    dele_training_state_size(state, &h->last_good_at, updates);
    DELE_SERIALIZE(state, h->window);
    dele_param_buffers_serialize(h->last_good, h->params, state);
}

dele_status dele_divergence_guard_check_last(dele_divergence_guard *h, dele_train_report *r,
                                             dele_err *err)
{
    for (size_t k = 0; k < h->params->n_tensors; k++) {
        if (!h->last_good[k] ||
            isfinite(dele_sum_squares(h->params->tensors[k].data, dele_n_weights(h->params, k))))
            continue;
        restore(h, r);
        return dele_fail(err, DELE_ERR_DIVERGED,
                         "training diverged in the last update: %s holds numbers that are not "
                         "finite; the weights from before it are kept; try a smaller --lr than %g",
                         h->params->tensors[k].name, h->o->adamw.lr);
    }
    return DELE_OK;
}
