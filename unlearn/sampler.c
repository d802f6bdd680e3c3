#include "unlearn/sampler.h"

#include <math.h>

const char *const dele_pairing_name[] = {"permutation", "random", NULL};
const char *const dele_loss_weights_name[] = {"tokens", "sequences", NULL};

/* ---- the plan -------------------------------------------------------------------------------- */

static bool is_joint(const dele_train_options *o)
{
    return o->objective->needs_forget && o->alpha.mode == DELE_ALPHA_CODE;
}

static size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

/* Micro-batches an update in a pool. */
static size_t micro_batches_per_update(const dele_train_options *o)
{
    size_t n = (size_t)o->batch / (size_t)o->micro_batch;
    return n ? n : 1;
}

/* An epoch of a pool of so many rows in micro-batches, and an update. */
static size_t joint_micros(const dele_train_options *o, size_t rows)
{
    return divide_up(rows, (size_t)o->micro_batch);
}

static size_t joint_groups(const dele_train_options *o, size_t rows)
{
    const size_t micros = joint_micros(o, rows), window = micro_batches_per_update(o);
    return window < micros ? window : micros;
}

static size_t joint_rows_in_all(const dele_train_options *o, size_t rows, size_t updates)
{
    const size_t sampled = updates * joint_groups(o, rows), micros = joint_micros(o, rows);
    return sampled / micros * rows + sampled % micros * (size_t)o->micro_batch;
}

/* Rows of the side that leads an update, and the retain rows that are sampled beside forget
 * rows. */
static size_t main_rows(const dele_train_options *o, size_t n_retain)
{
    return o->objective->needs_forget && n_retain ? (size_t)o->batch / (1 + (size_t)o->retain_ratio)
                                                  : (size_t)o->batch;
}

static size_t retain_rows_of(const dele_train_options *o, size_t n_retain)
{
    const size_t n = (size_t)o->batch - main_rows(o, n_retain);
    return n < n_retain || o->pairing == DELE_PAIRING_RANDOM ? n : n_retain;
}

/* The place of an update: rows [begin, begin + rows) are its chunk's, with per_epoch updates in an
 * epoch of it. */
typedef struct {
    size_t chunk, begin, rows, per_epoch, step;
} place;

static place place_of(const dele_train_options *o, size_t rows, size_t n_retain, size_t update)
{
    const size_t chunks = (size_t)o->chunks;
    for (size_t c = 0;; c++) {
        const size_t begin = c * rows / chunks, end = (c + 1) * rows / chunks;
        const size_t per_epoch = divide_up(end - begin, main_rows(o, n_retain)),
                     steps = per_epoch * (size_t)o->epochs;
        if (update < steps || c + 1 == chunks)
            return (place){c, begin, end - begin, per_epoch, update};
        update -= steps;
    }
}

/* All of a run's updates: those before the last chunk, and its own. */
static size_t updates_in_all(const dele_train_options *o, size_t rows, size_t n_retain)
{
    size_t n = 0;
    for (place p = place_of(o, rows, n_retain, 0);; p = place_of(o, rows, n_retain, n)) {
        n += p.per_epoch * (size_t)o->epochs;
        if (p.chunk + 1 == (size_t)o->chunks) return n;
    }
}

static dele_status check_pairing(const dele_train_options *o, size_t n_main, size_t n_retain,
                                 dele_err *err)
{
    const bool two = o->objective->needs_forget && n_retain;
    if (o->retain_ratio < 1)
        return dele_fail(err, DELE_ERR_USAGE, "--retain-ratio %d: give at least 1",
                         o->retain_ratio);
    if (two && !main_rows(o, n_retain))
        return dele_fail(err, DELE_ERR_USAGE,
                         "--batch %d has no place for a forget example beside %d retain examples "
                         "(--retain-ratio); give at least %d",
                         o->batch, o->retain_ratio, 1 + o->retain_ratio);
    if (o->chunks < 1 || (size_t)o->chunks > n_main)
        return dele_fail(err, DELE_ERR_USAGE, "--chunks %d of %zu rows: give 1 to %zu", o->chunks,
                         n_main, n_main);
    if (is_joint(o) && (o->chunks > 1 || o->retain_ratio > 1 || o->pairing == DELE_PAIRING_RANDOM))
        return dele_fail(err, DELE_ERR_USAGE,
                         "--alpha code shuffles both sets together; --chunks, --retain-ratio and "
                         "--pairing do not apply to it");
    return DELE_OK;
}

/* Numbers that no run can have, whatever its data are.  The first one that is wrong is named by its
 * option. */
static dele_status check_options(const dele_train_options *o, dele_err *err)
{
    if (!(o->adamw.lr > 0) || !isfinite(o->adamw.lr))
        return dele_fail(err, DELE_ERR_USAGE, "--lr %g: give a number above 0", o->adamw.lr);
    if (o->epochs < 1)
        return dele_fail(err, DELE_ERR_USAGE, "--epochs %d: give at least 1", o->epochs);
    if (o->batch < (o->objective->needs_forget ? 2 : 1))
        return dele_fail(err, DELE_ERR_USAGE, "--batch %d: give at least %d", o->batch,
                         o->objective->needs_forget ? 2 : 1);
    if (o->micro_batch < 1)
        return dele_fail(err, DELE_ERR_USAGE, "--micro-batch %d: give at least 1", o->micro_batch);
    if (o->batch_tokens < 1)
        return dele_fail(err, DELE_ERR_USAGE, "--batch-tokens: give at least 1");
    if (o->evaluations.eval_every < 0)
        return dele_fail(err, DELE_ERR_USAGE, "--eval-every %d: give at least 0",
                         o->evaluations.eval_every);
    if (o->evaluations.patience < 1)
        return dele_fail(err, DELE_ERR_USAGE, "--patience %d: give at least 1",
                         o->evaluations.patience);
    if (o->warmup < 0)
        return dele_fail(err, DELE_ERR_USAGE, "--warmup %d: give at least 0", o->warmup);
    if (!(o->clip >= 0))
        return dele_fail(err, DELE_ERR_USAGE, "--clip %g: give a number of at least 0", o->clip);
    if (!(o->adamw.weight_decay >= 0))
        return dele_fail(err, DELE_ERR_USAGE, "--weight-decay %g: give a number of at least 0",
                         o->adamw.weight_decay);
    return DELE_OK;
}

/* Tokens that are computed: the last of each row only is a label. */
static size_t rows_of_tokens(const dele_dataset *set) { return set ? set->tokens - set->n : 0; }

static bool needs_retain(const dele_train_options *o)
{
    bool weighed = o->objective->alpha && o->alpha.mode == DELE_ALPHA_FIXED && o->alpha.fixed > 0;
    return weighed || !o->objective->retain_optional;
}

/* Whether every set that the objective needs has rows, and each forget row its alternate. */
static dele_status check_data(const dele_train_data *data, const dele_train_options *o,
                              dele_err *err)
{
    const dele_dataset *forget = data->set[DELE_FORGET], *alternates = data->alternates;
    for (int side = DELE_FORGET; side <= DELE_RETAIN; side++) {
        bool needed = side == DELE_RETAIN ? needs_retain(o) : o->objective->needs_forget;
        if (needed && (!data->set[side] || !data->set[side]->n))
            return dele_fail(err, DELE_ERR_DATA,
                             "the %s set is empty; there is nothing to train on",
                             side == DELE_FORGET          ? "forget"
                             : o->objective->needs_forget ? "retain"
                                                          : "training");
    }
    if (o->objective->alternates == DELE_ALTERNATES_BESIDE &&
        (!alternates || alternates->n != forget->n))
        return dele_fail(err, DELE_ERR_DATA,
                         "%zu forget rows and %zu alternates; --objective %s needs one for each",
                         forget->n, alternates ? alternates->n : 0, o->objective->name);
    return DELE_OK;
}

/* Updates, rows and tokens, from the numbers of rows f and r of the two sets. */
static void count_run(dele_train_report *plan, const dele_train_data *data,
                      const dele_train_options *o)
{
    const size_t f = plan->rows[DELE_FORGET], r = plan->rows[DELE_RETAIN],
                 epochs = (size_t)o->epochs, n_main = o->objective->needs_forget ? f : r;
    plan->updates_per_epoch = place_of(o, n_main, r, 0).per_epoch;
    plan->updates = updates_in_all(o, n_main, r);
    if (is_joint(o)) {
        plan->updates_per_epoch = joint_micros(o, f + r) / joint_groups(o, f + r);
        plan->updates = plan->updates_per_epoch * epochs;
    }
    const size_t retained = o->objective->needs_forget && !is_joint(o)
                                ? plan->updates * retain_rows_of(o, r)
                                : r * epochs;
    plan->rows_in_all =
        is_joint(o) ? joint_rows_in_all(o, f + r, plan->updates) : f * epochs + retained;
    plan->tokens_in_all = epochs * rows_of_tokens(data->set[DELE_FORGET]) +
                          (r ? retained * rows_of_tokens(data->set[DELE_RETAIN]) / r : 0);
    if (o->objective->alternates == DELE_ALTERNATES_BESIDE)
        plan->tokens_in_all += epochs * rows_of_tokens(data->alternates);
}

dele_status dele_train_plan(dele_train_report *plan, const dele_train_data *data,
                            const dele_train_options *o, dele_err *err)
{
    *plan = (dele_train_report){0};
    dele_status status = check_options(o, err);
    if (!status) status = check_data(data, o, err);
    if (status) return status;
    for (int side = DELE_FORGET; side <= DELE_RETAIN; side++)
        if (data->set[side])
            plan->rows[side] = data->set[side]->n, plan->labels[side] = data->set[side]->labels;
    const size_t n_main = plan->rows[o->objective->needs_forget ? DELE_FORGET : DELE_RETAIN];
    status = check_pairing(o, n_main, plan->rows[DELE_RETAIN], err);
    if (!status) count_run(plan, data, o);
    return status;
}

size_t dele_longest_item(const dele_train_data *data)
{
    size_t longest = 0;
    for (int side = 0; side < 2; side++)
        if (data->set[side] && data->set[side]->longest > longest)
            longest = data->set[side]->longest;
    return longest + (data->alternates ? data->alternates->longest : 0);
}

/* ---- sampling -------------------------------------------------------------------------------- */

static size_t rows_of(const dele_sampler *d, dele_side side)
{
    return d->data->set[side] ? d->data->set[side]->n : 0;
}

static void sort_permutation(size_t *permutation, size_t n)
{
    for (size_t i = 0; i < n; i++) permutation[i] = i;
}

static size_t *make_permutation(size_t n, dele_arena *arena, dele_err *err)
{
    size_t *permutation = DELE_NEW(arena, size_t, n ? n : 1, err);
    if (permutation) sort_permutation(permutation, n);
    return permutation;
}

dele_status dele_sampler_init(dele_sampler *d, const dele_train_data *data,
                              const dele_train_options *o, dele_arena *arena, dele_err *err)
{
    const size_t most = (size_t)(o->batch > o->micro_batch ? o->batch : o->micro_batch);
    *d = (dele_sampler){.o = o, .data = data};
    dele_rng_seed(&d->rng, o->seed);
    for (int side = 0; side < 2; side++)
        if (!(d->permutation[side] = make_permutation(rows_of(d, (dele_side)side), arena, err)))
            return err->code;
    if (is_joint(o) && !(d->joint_permutation = make_permutation(
                             rows_of(d, DELE_FORGET) + rows_of(d, DELE_RETAIN), arena, err)))
        return err->code;
    if (!(d->items = DELE_NEW(arena, dele_item, most, err))) return err->code;
    d->end = DELE_NEW(arena, size_t, micro_batches_per_update(o), err);
    return d->end ? DELE_OK : err->code;
}

static dele_item item_of(const dele_sampler *d, dele_side side, size_t row)
{
    const dele_dataset *set = d->data->set[side];
    dele_item it = {
        .row = &set->row[row], .side = side, .weight = set->weight ? set->weight[row] : NULL};
    if (side == DELE_RETAIN) return it;
    if (d->o->objective->alternates == DELE_ALTERNATES_BESIDE)
        it.chosen = &d->data->alternates->row[row];
    for (int k = 0; k < 2; k++)
        if (d->nll_before[k]) it.reference[k] = d->nll_before[k][row];
    return it;
}

static size_t next_retain(dele_sampler *d)
{
    const size_t n = rows_of(d, DELE_RETAIN), at = d->drawn++ % n;
    if (d->o->pairing == DELE_PAIRING_RANDOM) return (size_t)dele_rng_below(&d->rng, n);
    if (at == 0) dele_rng_shuffle(&d->rng, d->permutation[DELE_RETAIN], n);
    return d->permutation[DELE_RETAIN][at];
}

/* Side by side: retain rows first. */
static dele_update_batch sample_sides(dele_sampler *d)
{
    const dele_side main_side = d->o->objective->needs_forget ? DELE_FORGET : DELE_RETAIN;
    const size_t n_retain = rows_of(d, DELE_RETAIN);
    const size_t buffers = main_side == DELE_FORGET ? retain_rows_of(d->o, n_retain) : 0;
    const place at = place_of(d->o, rows_of(d, main_side), n_retain, d->update);
    const size_t u = at.step % at.per_epoch, *permutation = d->permutation[main_side] + at.begin;
    size_t n = 0;
    if (u == 0) dele_rng_shuffle(&d->rng, d->permutation[main_side] + at.begin, at.rows);
    while (n < buffers) d->items[n++] = item_of(d, DELE_RETAIN, next_retain(d));
    for (size_t i = u * at.rows / at.per_epoch; i < (u + 1) * at.rows / at.per_epoch; i++)
        d->items[n++] = item_of(d, main_side, permutation[i]);
    d->end[0] = n;
    return (dele_update_batch){.items = d->items,
                               .n = n,
                               .end = d->end,
                               .n_groups = 1,
                               .loss_weight = 1,
                               .epoch =
                                   (int)(at.chunk * (size_t)d->o->epochs + at.step / at.per_epoch),
                               .step = at.step,
                               .steps = at.per_epoch * (size_t)d->o->epochs};
}

/* An update of --alpha code: the next micro-batches of a permutation of both sets together.  The
 * permutation is shuffled where an epoch's first micro-batch begins, which may be in the middle of
 * an update.  An index below f is a forget row. */
static dele_update_batch sample_joint(dele_sampler *d)
{
    const size_t f = rows_of(d, DELE_FORGET), rows = f + rows_of(d, DELE_RETAIN),
                 micro = (size_t)d->o->micro_batch;
    const size_t micros = joint_micros(d->o, rows), n_groups = joint_groups(d->o, rows),
                 first = d->update * n_groups;
    size_t n = 0;
    for (size_t g = 0; g < n_groups; g++) {
        const size_t begin = (first + g) % micros * micro;
        if (begin == 0) {
            sort_permutation(d->joint_permutation, rows);
            dele_rng_shuffle(&d->rng, d->joint_permutation, rows);
        }
        for (size_t i = begin; i < rows && i < begin + micro; i++)
            d->items[n++] = d->joint_permutation[i] < f
                                ? item_of(d, DELE_FORGET, d->joint_permutation[i])
                                : item_of(d, DELE_RETAIN, d->joint_permutation[i] - f);
        d->end[g] = n;
    }
    return (dele_update_batch){.items = d->items,
                               .n = n,
                               .end = d->end,
                               .n_groups = n_groups,
                               .loss_weight = 1.0 / (double)micro_batches_per_update(d->o),
                               .epoch = (int)(first / micros),
                               .step = d->update,
                               .steps = micros / n_groups * (size_t)d->o->epochs};
}

void dele_sampler_serialize(dele_sampler *d, size_t updates, dele_training_state *state)
{
    DELE_SERIALIZE(state, d->rng);
    dele_training_state_check(state, d->rng.s[0] | d->rng.s[1] | d->rng.s[2] |
                                         d->rng.s[3]); /* it would give zeros for ever */
    DELE_SERIALIZE(state, d->drawn);
    dele_training_state_size(state, &d->update, updates);
    for (int side = 0; side < 2; side++)
        dele_training_state_permutation(state, d->permutation[side], rows_of(d, (dele_side)side));
    if (d->joint_permutation)
        dele_training_state_permutation(state, d->joint_permutation,
                                        rows_of(d, DELE_FORGET) + rows_of(d, DELE_RETAIN));
}

dele_update_batch dele_sampler_next(dele_sampler *d)
{
    const dele_update_batch update_batch = d->joint_permutation ? sample_joint(d) : sample_sides(d);
    d->update++;
    return update_batch;
}

dele_update_batch dele_sampler_peek(dele_sampler *d)
{
    const dele_sampler before = *d;
    const dele_update_batch update_batch = dele_sampler_next(d);
    *d = before;
    for (int side = 0; side < 2; side++)
        sort_permutation(d->permutation[side], rows_of(d, (dele_side)side));
    return update_batch;
}
