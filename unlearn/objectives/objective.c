#include "unlearn/objectives/objective.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const dele_objective *const objectives[] = {
#define X(name) &dele_objective_##name,
    DELE_OBJECTIVES(X)
#undef X
};
enum { N_OBJECTIVES = DELE_N_OBJECTIVES };

const char *const dele_setting_names[DELE_N_SETTINGS] = {NULL,
#define X(id, name, help) name,
                                                         DELE_SETTINGS(X)
#undef X
};

const dele_objective *dele_objective_at(size_t k)
{
    return k + 1 < N_OBJECTIVES ? objectives[k] : NULL;
}

const dele_objective *dele_objective_find(const char *name, dele_err *err)
{
    char known[256] = "";
    for (size_t k = 0; k < N_OBJECTIVES; k++) {
        if (!strcmp(objectives[k]->name, name)) return objectives[k];
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", k ? ", " : "", objectives[k]->name);
    }
    dele_fail(err, DELE_ERR_USAGE, "--objective %s is not one of: %s", name, known);
    return NULL;
}

/* ---- settings -------------------------------------------------------------------------------- */

static const dele_default *default_of(const dele_objective *o, dele_setting which)
{
    for (const dele_default *d = o->settings; d->which; d++)
        if (d->which == which) return d;
    return NULL;
}

void dele_objective_defaults(double settings[DELE_N_SETTINGS], const dele_objective *objective)
{
    for (int k = 0; k < DELE_N_SETTINGS; k++) settings[k] = (double)NAN;
    for (const dele_default *d = objective->settings; d->which; d++) settings[d->which] = d->value;
}

static const dele_variant *variant_of(const dele_objective *o, const char *name, dele_err *err)
{
    char known[160] = "";
    for (const dele_variant *v = o->variants; v->name; v++) {
        if (!strcmp(v->name, name)) return v;
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", v->name);
    }
    dele_fail(err, DELE_ERR_USAGE, "--variant %s: --objective %s has %s%s", name, o->name,
              *known ? "" : "none", known);
    return NULL;
}

/* The given setting, else the variant's, else the objective's default. */
static double in_force(const dele_default *d, const dele_variant *v, double given)
{
    double x = d->value;
    for (const dele_default *own = v ? v->settings : NULL; own && own->which; own++)
        if (own->which == d->which) x = own->value;
    return isnan(given) ? x : given;
}

/* 0 or 1, or counts, or at least 0. */
static dele_status check_setting(const dele_default *d, double x, dele_err *err)
{
    const char *name = dele_setting_names[d->which];
    const bool yes_no = d->which == DELE_TRAIN_ON_PROMPT || d->which == DELE_SHIFT_LABELS ||
                        d->which == DELE_BROADCAST || d->which == DELE_MASK_AS_LABEL;
    const bool counts =
        d->which == DELE_SKIP || d->which == DELE_LAYER || d->which == DELE_DUAL_WARMUP;
    if (yes_no && x != 0 && x != 1)
        return dele_fail(err, DELE_ERR_USAGE, "--%s %g: give 0 or 1", name, x);
    if (d->which == DELE_RETAIN_KL && x != 0 && x != 1 && x != 2)
        return dele_fail(err, DELE_ERR_USAGE, "--%s %g: give 0, 1 or 2", name, x);
    if (counts && !(x >= 0 && x < 1e6 && x == floor(x)))
        return dele_fail(err, DELE_ERR_USAGE, "--%s %g: give a whole number of at least 0", name,
                         x);
    if (d->above_zero && !(x > 0))
        return dele_fail(err, DELE_ERR_USAGE, "--%s %g: give a number above 0", name, x);
    if (d->which != DELE_DELTA && !(x >= 0))
        return dele_fail(err, DELE_ERR_USAGE, "--%s %g: give a number of at least 0", name, x);
    return DELE_OK;
}

static dele_status resolve_alpha(dele_alpha *alpha, const char **text, const dele_objective *o,
                                 const dele_variant *v, const double *settings, dele_err *err)
{
    if (*text && !o->alpha)
        return dele_fail(err, DELE_ERR_USAGE, "--alpha: --objective %s has no such weight",
                         o->name);
    if (!*text) *text = v && v->alpha ? v->alpha : o->alpha;
    if (*text && dele_alpha_parse(alpha, *text, err)) return err ? err->code : DELE_ERR_USAGE;
    if (!*text)
        *alpha = (dele_alpha){.mode = DELE_ALPHA_FIXED, .fixed = o->pooled || !o->needs_forget};
    if (!isnan(settings[DELE_LAMBDA]))
        *alpha = (dele_alpha){.mode = DELE_ALPHA_DUAL,
                              .fixed = settings[DELE_LAMBDA],
                              .eta = settings[DELE_ETA],
                              .epsilon = settings[DELE_EPSILON],
                              .warmup = (int)settings[DELE_DUAL_WARMUP]};
    if (o != &dele_objective_joint &&
        (alpha->mode == DELE_ALPHA_PAPER || alpha->mode == DELE_ALPHA_CODE))
        return dele_fail(err, DELE_ERR_USAGE,
                         "--alpha %s belongs to --objective joint; give %s a number", *text,
                         o->name);
    return DELE_OK;
}

/* A setting that the objective does not have is refused by name, since it would be without effect.
 * Half of beta is resolved after beta itself, which may be given, the variant's or the
 * objective's. */
dele_status dele_objective_resolve(double settings[DELE_N_SETTINGS], dele_alpha *alpha,
                                   const char **alpha_text, const dele_objective *objective,
                                   const char *variant, dele_err *err)
{
    const dele_variant *v = variant ? variant_of(objective, variant, err) : NULL;
    if (variant && !v) return DELE_ERR_USAGE;
    const double beta = settings[DELE_BETA]; /* as given */
    settings[DELE_NO_SETTING] = (double)NAN;
    for (int k = DELE_NO_SETTING + 1; k < DELE_N_SETTINGS; k++) {
        const dele_default *d = default_of(objective, (dele_setting)k);
        const double given = settings[k];
        if (!d && isnan(given)) continue;
        if (!d)
            return dele_fail(err, DELE_ERR_USAGE, "--%s: --objective %s does not use it",
                             dele_setting_names[k], objective->name);
        settings[k] = in_force(d, v, given);
        if (isnan(given) && settings[k] == DELE_HALF_BETA)
            settings[k] = in_force(default_of(objective, DELE_BETA), v, beta) / 2;
        if (isnan(given) && k == DELE_LAYER)
            continue; /* a share of the depth, which is not known here */
        dele_status status = check_setting(d, settings[k], err);
        if (status) return status;
    }
    return resolve_alpha(alpha, alpha_text, objective, v, settings, err);
}

int dele_layer_of(double setting, int n_layers)
{
    if (setting >= 0) return setting < INT_MAX ? (int)setting : INT_MAX;
    return (int)fmin(round(-setting * n_layers), n_layers - 1);
}

/* ---- weights --------------------------------------------------------------------------------- */

bool dele_side_weights_wait(const dele_objective *objective, const dele_alpha *alpha)
{
    return objective->needs_forget && alpha->mode != DELE_ALPHA_FIXED;
}

void dele_side_weights(double weight[2], const dele_objective *objective, const double *settings,
                       dele_alpha *alpha, double retain_loss, const dele_loss_group *group)
{
    const size_t *counts = group->by_sequence ? group->sequences : group->tokens,
                 retained = group->sequences[DELE_RETAIN];
    const double gamma = isnan(settings[DELE_GAMMA]) ? 1 : settings[DELE_GAMMA];
    weight[DELE_FORGET] = objective->ascends ? -gamma : gamma;
    weight[DELE_RETAIN] = 1;
    if (objective->pooled)
        for (int side = 0; side < 2; side++)
            weight[side] =
                (double)counts[side] / (double)(counts[DELE_FORGET] + counts[DELE_RETAIN]);
    else if (objective->needs_forget)
        weight[DELE_RETAIN] =
            retained ? dele_alpha_next(alpha, retain_loss, retained, group->epoch) : 0;
}
