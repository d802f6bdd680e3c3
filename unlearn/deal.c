#include "unlearn/deal.h"

#include <math.h>

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

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

/* An epoch of a pool of so many rows in micro-batches, and an update. */
static size_t pool_micros(const lac_train_options *o, size_t rows)
{
    return divide_up(rows, (size_t)o->micro);
}

static size_t pool_groups(const lac_train_options *o, size_t rows)
{
    const size_t micros = pool_micros(o, rows), window = pool_window(o);
    return window < micros ? window : micros;
}

static size_t pool_rows_in_all(const lac_train_options *o, size_t rows, size_t updates)
{
    const size_t dealt = updates * pool_groups(o, rows), micros = pool_micros(o, rows);
    return dealt / micros * rows + dealt % micros * (size_t)o->micro;
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
    if (o->checks.every < 0) return lac_fail(err, LAC_ERR_USAGE, "--every %d: give at least 0", o->checks.every);
    if (o->checks.patience < 1)
        return lac_fail(err, LAC_ERR_USAGE, "--patience %d: give at least 1", o->checks.patience);
    if (o->warmup < 0) return lac_fail(err, LAC_ERR_USAGE, "--warmup %d: give at least 0", o->warmup);
    if (!(o->clip >= 0)) return lac_fail(err, LAC_ERR_USAGE, "--clip %g: give a number of at least 0", o->clip);
    if (!(o->adamw.weight_decay >= 0))
        return lac_fail(err, LAC_ERR_USAGE, "--weight-decay %g: give a number of at least 0", o->adamw.weight_decay);
    return LAC_OK;
}

/* Tokens that are computed: the last of each row only is a label. */
static size_t rows_of_tokens(const lac_dataset *set)
{
    return set ? set->tokens - set->n : 0;
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
    const size_t f = plan->rows[LAC_FORGET], r = plan->rows[LAC_RETAIN], epochs = (size_t)o->epochs;
    size_t retained = r; /* an epoch */
    if (!o->objective->needs_forget) {
        plan->updates_per_epoch = divide_up(r, (size_t)o->batch);
    } else if (is_pool(o)) {
        plan->updates_per_epoch = pool_micros(o, f + r) / pool_groups(o, f + r);
    } else {
        plan->updates_per_epoch = divide_up(f, forget_share(o, r));
        retained = plan->updates_per_epoch * retain_share(o, r);
    }
    plan->updates = plan->updates_per_epoch * epochs;
    plan->rows_in_all = (f + retained) * epochs;
    plan->tokens_in_all = epochs * (rows_of_tokens(forget) + (r ? retained * rows_of_tokens(retain) / r : 0));
    if (o->objective->alternates == LAC_ALTERNATES_BESIDE)
        plan->tokens_in_all += epochs * rows_of_tokens(o->alternates);
    if (is_pool(o)) plan->rows_in_all = pool_rows_in_all(o, f + r, plan->updates);
    return LAC_OK;
}

/* ---- dealing ----------------------------------------------------------------------------------------------------- */

static size_t rows_of(const lac_deal *d, lac_side side)
{
    return d->set[side] ? d->set[side]->n : 0;
}

static void sort_deck(size_t *deck, size_t n)
{
    for (size_t i = 0; i < n; i++) deck[i] = i;
}

static size_t *make_deck(size_t n, lac_arena *arena, lac_err *err)
{
    size_t *deck = LAC_NEW(arena, size_t, n ? n : 1, err);
    if (deck) sort_deck(deck, n);
    return deck;
}

lac_status lac_deal_init(lac_deal *d, const lac_dataset *forget, const lac_dataset *retain, const lac_train_options *o,
                         const lac_train_report *plan, lac_arena *arena, lac_err *err)
{
    const size_t most = (size_t)(o->batch > o->micro ? o->batch : o->micro);
    *d = (lac_deal){.o = o, .set = {forget, retain}, .per_epoch = plan->updates_per_epoch};
    lac_rng_seed(&d->rng, o->seed);
    for (int side = 0; side < 2; side++)
        if (!(d->deck[side] = make_deck(rows_of(d, (lac_side)side), arena, err))) return err->code;
    if (is_pool(o) && !(d->pool = make_deck(rows_of(d, LAC_FORGET) + rows_of(d, LAC_RETAIN), arena, err)))
        return err->code;
    if (!(d->items = LAC_NEW(arena, lac_item, most, err))) return err->code;
    d->end = LAC_NEW(arena, size_t, pool_window(o), err);
    return d->end ? LAC_OK : err->code;
}

static lac_item item_of(const lac_deal *d, lac_side side, size_t row)
{
    lac_item it = {.row = &d->set[side]->row[row], .side = side};
    if (side == LAC_RETAIN) return it;
    if (d->o->objective->alternates == LAC_ALTERNATES_BESIDE) it.better = &d->o->alternates->row[row];
    for (int k = 0; k < 2; k++)
        if (d->nll_before[k]) it.reference[k] = d->nll_before[k][row];
    return it;
}

static size_t next_retain(lac_deal *d)
{
    const size_t n = rows_of(d, LAC_RETAIN), at = d->drawn++ % n;
    if (at == 0) lac_rng_shuffle(&d->rng, d->deck[LAC_RETAIN], n);
    return d->deck[LAC_RETAIN][at];
}

/* Side by side: retain rows first. */
static lac_hand deal_sides(lac_deal *d)
{
    const size_t u = d->update % d->per_epoch;
    const lac_side main_side = d->o->objective->needs_forget ? LAC_FORGET : LAC_RETAIN;
    const size_t rows = rows_of(d, main_side);
    const size_t beside = main_side == LAC_FORGET ? retain_share(d->o, rows_of(d, LAC_RETAIN)) : 0;
    size_t n = 0;
    if (u == 0) lac_rng_shuffle(&d->rng, d->deck[main_side], rows);
    while (n < beside) d->items[n++] = item_of(d, LAC_RETAIN, next_retain(d));
    for (size_t i = u * rows / d->per_epoch; i < (u + 1) * rows / d->per_epoch; i++)
        d->items[n++] = item_of(d, main_side, d->deck[main_side][i]);
    d->end[0] = n;
    return (lac_hand){.items = d->items, .n = n, .end = d->end, .n_groups = 1, .share = 1,
                      .epoch = (int)(d->update / d->per_epoch)};
}

static lac_hand deal_pool(lac_deal *d)
{
    const size_t f = rows_of(d, LAC_FORGET), rows = f + rows_of(d, LAC_RETAIN), micro = (size_t)d->o->micro;
    const size_t micros = pool_micros(d->o, rows), n_groups = pool_groups(d->o, rows), first = d->update * n_groups;
    size_t n = 0;
    for (size_t g = 0; g < n_groups; g++) {
        const size_t begin = (first + g) % micros * micro;
        if (begin == 0) {
            sort_deck(d->pool, rows);
            lac_rng_shuffle(&d->rng, d->pool, rows);
        }
        for (size_t i = begin; i < rows && i < begin + micro; i++)
            d->items[n++] = d->pool[i] < f ? item_of(d, LAC_FORGET, d->pool[i])
                                           : item_of(d, LAC_RETAIN, d->pool[i] - f);
        d->end[g] = n;
    }
    return (lac_hand){.items = d->items, .n = n, .end = d->end, .n_groups = n_groups,
                      .share = 1.0 / (double)pool_window(d->o), .epoch = (int)(first / micros)};
}

void lac_deal_remember(lac_deal *d, lac_tape *tape)
{
    LAC_REMEMBER(tape, d->rng);
    LAC_REMEMBER(tape, d->drawn);
    LAC_REMEMBER(tape, d->update);
    for (int side = 0; side < 2; side++)
        lac_tape_bytes(tape, d->deck[side], rows_of(d, (lac_side)side) * sizeof *d->deck[side]);
    if (d->pool) lac_tape_bytes(tape, d->pool, (rows_of(d, LAC_FORGET) + rows_of(d, LAC_RETAIN)) * sizeof *d->pool);
}

lac_hand lac_deal_next(lac_deal *d)
{
    const lac_hand hand = d->pool ? deal_pool(d) : deal_sides(d);
    d->update++;
    return hand;
}

lac_hand lac_deal_peek(lac_deal *d)
{
    const lac_deal before = *d;
    const lac_hand hand = lac_deal_next(d);
    *d = before;
    for (int side = 0; side < 2; side++) sort_deck(d->deck[side], rows_of(d, (lac_side)side));
    return hand;
}
