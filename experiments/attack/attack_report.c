/* Passes side by side: means, intervals, and what fraction of the forgotten knowledge was
 * recovered.
 *
 *   comes back   = Σ (attacked - unlearned) / Σ (before - unlearned)         over rows
 *   beyond never = Σ (attacked - never) / Σ (before - never)
 *
 * Intervals are those of base/stat.h, and none of fewer than five rows.  A ratio's is BCa's: rows
 * are drawn again, all scores of a row together; where every row is 0 or 1, and what came back is
 * part of what was forgotten, it is the Wilson interval of that part.  Where nothing, or next to
 * nothing, lies between the floor and the original a ratio says nothing: it is undefined, and the
 * reason is said. */
#include "experiments/attack/attack.h"

#include <math.h>

#include "base/stat_json.h"

typedef struct {
    const attack_score *top, *floor, *attacked; /* those not needed may be NULL */
    size_t n;
    attack_measure m;
} sample;

static double mean_of(const attack_score *score, const size_t *index, size_t n, attack_measure m)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += score[index[i]].of[m];
    return sum / (double)n;
}

static double above_floor(const size_t *index, size_t n, const void *data)
{
    const sample *s = data;
    return mean_of(s->attacked, index, n, s->m) - mean_of(s->floor, index, n, s->m);
}

static double height(const size_t *index, size_t n, const void *data)
{
    const sample *s = data;
    return mean_of(s->top, index, n, s->m) - mean_of(s->floor, index, n, s->m);
}

/* In a draw of rows without a height everything came back, or less than nothing did. */
static double share(const size_t *index, size_t n, const void *data)
{
    const double up = above_floor(index, n, data), down = height(index, n, data);
    return down > 0 ? up / down : up < 0 ? -INFINITY : INFINITY;
}

/* One measure of all rows, in the caller's arena. */
static double *column(const attack_score *score, size_t n, attack_measure m, dele_arena *arena,
                      dele_err *err)
{
    double *x = DELE_NEW(arena, double, n, err);
    for (size_t i = 0; x && i < n; i++) x[i] = score[i].of[m];
    return x;
}

/* Of the mean of `to`, or, where from is given, of to - from.  The same seed everywhere: the same
 * draws. */
static dele_status mean_interval(dele_interval *out, const attack_score *from,
                                 const attack_score *to, const sample *s, int resamples,
                                 uint64_t seed, dele_err *err)
{
    dele_arena arena = {0};
    dele_rng rng;
    dele_rng_seed(&rng, seed);
    const double *x = from ? column(from, s->n, s->m, &arena, err) : NULL,
                 *y = column(to, s->n, s->m, &arena, err);
    dele_status status = !y || (from && !x) ? DELE_ERR_MEMORY
                         : from ? dele_bootstrap_change(out, x, y, s->n, 0.95, resamples, &rng, err)
                                : dele_bootstrap_share(out, y, s->n, 0.95, resamples, &rng, err);
    dele_arena_release(&arena);
    return status;
}

/* Every row is right or wrong, and right when attacked only where it was before, and where the
 * floor is. */
static bool is_part(const sample *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const double floor = s->floor[i].of[s->m], mid = s->attacked[i].of[s->m],
                     top = s->top[i].of[s->m];
        const bool binary =
            (floor == 0 || floor == 1) && (mid == 0 || mid == 1) && (top == 0 || top == 1);
        if (!binary || floor > mid || mid > top) return false;
    }
    return true;
}

/* ratio: of the whole sample; whole: the mean height, above 0. */
static dele_status share_interval(dele_interval *out, const sample *s, double ratio, double whole,
                                  int resamples, uint64_t seed, dele_err *err)
{
    dele_rng rng;
    dele_rng_seed(&rng, seed);
    *out = (dele_interval){NAN, NAN};
    if (s->n < DELE_LEAST_ITEMS) return DELE_OK;
    if (!is_part(s)) return dele_bootstrap(out, share, s, s->n, 0.95, resamples, &rng, err);
    *out = dele_proportion_interval(ratio, whole * (double)s->n, 0.95);
    return DELE_OK;
}

static double mean_of_all(const attack_score *score, size_t n, attack_measure m)
{
    double sum = 0;
    for (size_t i = 0; score && i < n; i++) sum += score[i].of[m];
    return score ? sum / (double)n : NAN;
}

static double standard_error(const attack_score *score, size_t n, attack_measure m, double mean)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (score[i].of[m] - mean) * (score[i].of[m] - mean);
    return n > 1 ? sqrt(squares / ((double)n - 1) / (double)n) : NAN;
}

/* The attacked model's score as a fraction of the way from the floor (the unlearned or the
 * never-trained model) to the top (the original), with its interval; or why there is none.  The
 * distance must be at least ATTACK_LEAST_FORGOTTEN and, with enough rows, significantly above 0: a
 * ratio to a distance of about 0 would be noise. */
static dele_status take_share(attack_share *out, const sample *s, const char *if_flat,
                              int resamples, uint64_t seed, dele_err *err)
{
    dele_interval between = {NAN, NAN};
    *out = (attack_share){NAN, {NAN, NAN}, NULL};
    if (!s->top)
        out->why = "no --before model";
    else if (!s->floor)
        out->why = "no --never model";
    if (out->why) return DELE_OK;
    const double full = mean_of_all(s->top, s->n, s->m) - mean_of_all(s->floor, s->n, s->m);
    if (mean_interval(&between, s->floor, s->top, s, resamples, seed, err)) return err->code;
    const bool told =
        dele_interval_known(between) ? between.low > 0 : true; /* few rows: by the mean alone */
    if (!(full >= ATTACK_LEAST_FORGOTTEN) || !told) {
        out->why = if_flat;
        return DELE_OK;
    }
    out->share = (mean_of_all(s->attacked, s->n, s->m) - mean_of_all(s->floor, s->n, s->m)) / full;
    return share_interval(&out->ci, s, out->share, full, resamples, seed, err);
}

dele_status attack_summarise(attack_summary *s, const attack_outcome *o, attack_measure m,
                             int resamples, uint64_t seed, dele_err *err)
{
    const sample back = {o->before, o->unlearned, o->attacked, o->n, m},
                 beyond = {o->before, o->never, o->attacked, o->n, m};
    *s = (attack_summary){.before = mean_of_all(o->before, o->n, m),
                          .unlearned = mean_of_all(o->unlearned, o->n, m),
                          .never = mean_of_all(o->never, o->n, m),
                          .attacked = mean_of_all(o->attacked, o->n, m)};
    if (isnan(s->attacked)) { /* a text by two models: no token probabilities */
        s->attacked_se = s->change = NAN;
        s->attacked_ci = s->change_ci = (dele_interval){NAN, NAN};
        s->recovery = s->recovery_above_never_trained =
            (attack_share){NAN, {NAN, NAN}, "texts by two models have no token probabilities"};
        return DELE_OK;
    }
    s->attacked_se = standard_error(o->attacked, o->n, m, s->attacked);
    s->change = s->attacked - s->unlearned;
    if (!mean_interval(&s->attacked_ci, NULL, o->attacked, &back, resamples, seed, err) &&
        !mean_interval(&s->change_ci, o->unlearned, o->attacked, &back, resamples, seed, err) &&
        !take_share(&s->recovery, &back,
                    "with this form the original model scores no higher than the unlearned model "
                    "on the plain prompt: nothing to recover",
                    resamples, seed, err))
        take_share(&s->recovery_above_never_trained, &beyond,
                   "the original model scores no higher than the never-trained model", resamples,
                   seed, err);
    return err->code;
}

/* ---- showing --------------------------------------------------------------------------------- */

static void put_share(cJSON *object, const char *name, const attack_share *x, size_t n)
{
    char whole[64];
    dele_put_number(object, name, x->share);
    snprintf(whole, sizeof whole, x->why ? "%s_undefined" : "%s_interval", name);
    if (x->why)
        cJSON_AddStringToObject(object, whole, x->why);
    else
        dele_json_interval(object, whole, x->ci, n);
}

static cJSON *measure_json(const attack_summary *s, size_t n)
{
    cJSON *json = cJSON_CreateObject();
    dele_put_number(json, "before", s->before);
    dele_put_number(json, "unlearned", s->unlearned);
    dele_put_score(json, "attacked", s->attacked, s->attacked_se);
    dele_json_interval(json, "attacked_interval", s->attacked_ci, n);
    dele_put_number(json, "change", s->change);
    dele_json_interval(json, "change_interval", s->change_ci, n);
    put_share(json, "recovery", &s->recovery, n);
    if (isnan(s->never)) return json;
    dele_put_number(json, "never", s->never);
    put_share(json, "recovery_above_never_trained", &s->recovery_above_never_trained, n);
    return json;
}

cJSON *attack_outcomes_json(const attack_outcome *o, const attack_summary *s, size_t n)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < n; i++) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddItemToArray(list, one);
        cJSON_AddStringToObject(one, "attack", o[i].attack);
        cJSON_AddStringToObject(one, "variant", o[i].variant);
        cJSON_AddNumberToObject(one, "n", (double)o[i].n);
        for (int m = 0; m < ATTACK_N_MEASURES; m++)
            cJSON_AddItemToObject(one, attack_measure_names[m], measure_json(s++, o[i].n));
    }
    return list;
}

void attack_outcomes_table(dele_table *t, const attack_outcome *o, const attack_summary *s,
                           size_t n)
{
    dele_table_head(t, "attack\tvariant\tn\tmeasure\tbefore\tunlearned\tnever\tattacked\tattacked_"
                       "low\tattacked_high\t"
                       "recovery\trecovery_low\trecovery_high\t"
                       "recovery_above_never_trained\trecovery_above_never_trained_low\t"
                       "recovery_above_never_trained_high");
    for (size_t i = 0; i < n; i++)
        for (int m = 0; m < ATTACK_N_MEASURES; m++) {
            const attack_summary *x = s++;
            const attack_share *back = &x->recovery, *beyond = &x->recovery_above_never_trained;
            const double cell[] = {x->before,     x->unlearned,       x->never,
                                   x->attacked,   x->attacked_ci.low, x->attacked_ci.high,
                                   back->share,   back->ci.low,       back->ci.high,
                                   beyond->share, beyond->ci.low,     beyond->ci.high};
            dele_table_text(t, o[i].attack);
            dele_table_text(t, o[i].variant);
            dele_table_cell(t, "%zu", o[i].n);
            dele_table_text(t, attack_measure_names[m]);
            for (size_t c = 0; c < sizeof cell / sizeof *cell; c++)
                if (isnan(cell[c]))
                    dele_table_cell(t, "-");
                else
                    dele_table_real(t, "%.4f", cell[c]);
            dele_table_row(t);
        }
}
