#include "unlearn/objective.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const lac_objective *const objectives[] = {
#define X(name) &lac_objective_##name,
    LAC_OBJECTIVES(X)
#undef X
};
enum { N_OBJECTIVES = sizeof objectives / sizeof *objectives };

const char *const lac_setting_names[LAC_N_SETTINGS] = {
    NULL,
#define X(id, name, help) name,
    LAC_SETTINGS(X)
#undef X
};

const lac_objective *lac_objective_at(size_t k)
{
    return k + 1 < N_OBJECTIVES ? objectives[k] : NULL;
}

const lac_objective *lac_objective_find(const char *name, lac_err *err)
{
    char known[256] = "";
    for (size_t k = 0; k < N_OBJECTIVES; k++) {
        if (!strcmp(objectives[k]->name, name)) return objectives[k];
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", k ? ", " : "", objectives[k]->name);
    }
    lac_fail(err, LAC_ERR_USAGE, "--objective %s is not one of: %s", name, known);
    return NULL;
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static const lac_default *default_of(const lac_objective *o, lac_setting which)
{
    for (const lac_default *d = o->settings; d->which; d++)
        if (d->which == which) return d;
    return NULL;
}

void lac_objective_defaults(double settings[LAC_N_SETTINGS], const lac_objective *objective)
{
    for (int k = 0; k < LAC_N_SETTINGS; k++) settings[k] = (double)NAN;
    for (const lac_default *d = objective->settings; d->which; d++) settings[d->which] = d->value;
}

static const lac_variant *variant_of(const lac_objective *o, const char *name, lac_err *err)
{
    char known[160] = "";
    for (const lac_variant *v = o->variants; v->name; v++) {
        if (!strcmp(v->name, name)) return v;
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", v->name);
    }
    lac_fail(err, LAC_ERR_USAGE, "--variant %s: --objective %s has %s%s", name, o->name, *known ? "" : "none", known);
    return NULL;
}

/* What was given, else what the variant says, else the objective's own. */
static double in_force(const lac_default *d, const lac_variant *v, double given)
{
    double x = d->value;
    for (const lac_default *own = v ? v->settings : NULL; own && own->which; own++)
        if (own->which == d->which) x = own->value;
    return isnan(given) ? x : given;
}

/* 0 or 1, or counts, or at least 0. */
static lac_status check_setting(const lac_default *d, double x, lac_err *err)
{
    const char *name = lac_setting_names[d->which];
    const bool yes_no = d->which == LAC_WHOLE || d->which == LAC_RETAIN_KL;
    const bool counts = d->which == LAC_SKIP || d->which == LAC_LAYER || d->which == LAC_DUAL_WARMUP;
    if (yes_no && x != 0 && x != 1) return lac_fail(err, LAC_ERR_USAGE, "--%s %g: give 0 or 1", name, x);
    if (counts && !(x >= 0 && x < 1e6 && x == floor(x)))
        return lac_fail(err, LAC_ERR_USAGE, "--%s %g: give a whole number of at least 0", name, x);
    if (d->above_zero && !(x > 0)) return lac_fail(err, LAC_ERR_USAGE, "--%s %g: give a number above 0", name, x);
    if (d->which != LAC_DELTA && !(x >= 0))
        return lac_fail(err, LAC_ERR_USAGE, "--%s %g: give a number of at least 0", name, x);
    return LAC_OK;
}

static lac_status resolve_alpha(lac_alpha *alpha, const char **text, const lac_objective *o, const lac_variant *v,
                                const double *settings, lac_err *err)
{
    if (*text && !o->alpha)
        return lac_fail(err, LAC_ERR_USAGE, "--alpha: --objective %s has no such weight", o->name);
    if (!*text) *text = v && v->alpha ? v->alpha : o->alpha;
    if (*text && lac_alpha_parse(alpha, *text, err)) return err ? err->code : LAC_ERR_USAGE;
    if (!*text) *alpha = (lac_alpha){.mode = LAC_ALPHA_FIXED, .fixed = o->pooled || !o->needs_forget};
    if (!isnan(settings[LAC_LAMBDA]))
        *alpha = (lac_alpha){.mode = LAC_ALPHA_DUAL, .fixed = settings[LAC_LAMBDA], .eta = settings[LAC_ETA],
                             .epsilon = settings[LAC_EPSILON], .warmup = (int)settings[LAC_DUAL_WARMUP]};
    if (o != &lac_objective_joint && (alpha->mode == LAC_ALPHA_PAPER || alpha->mode == LAC_ALPHA_CODE))
        return lac_fail(err, LAC_ERR_USAGE, "--alpha %s belongs to --objective joint; give %s a number", *text,
                        o->name);
    return LAC_OK;
}

lac_status lac_objective_resolve(double settings[LAC_N_SETTINGS], lac_alpha *alpha, const char **alpha_text,
                                 const lac_objective *objective, const char *variant, lac_err *err)
{
    const lac_variant *v = variant ? variant_of(objective, variant, err) : NULL;
    if (variant && !v) return LAC_ERR_USAGE;
    const double beta = settings[LAC_BETA]; /* as given */
    settings[LAC_NO_SETTING] = (double)NAN;
    for (int k = LAC_NO_SETTING + 1; k < LAC_N_SETTINGS; k++) {
        const lac_default *d = default_of(objective, (lac_setting)k);
        const double given = settings[k];
        if (!d && isnan(given)) continue;
        if (!d)
            return lac_fail(err, LAC_ERR_USAGE, "--%s: --objective %s does not use it", lac_setting_names[k],
                            objective->name);
        settings[k] = in_force(d, v, given);
        if (isnan(given) && settings[k] == LAC_HALF_BETA)
            settings[k] = in_force(default_of(objective, LAC_BETA), v, beta) / 2;
        lac_status status = check_setting(d, settings[k], err);
        if (status) return status;
    }
    return resolve_alpha(alpha, alpha_text, objective, v, settings, err);
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

bool lac_weights_wait(const lac_objective *objective, const lac_alpha *alpha)
{
    return objective->needs_forget && alpha->mode != LAC_ALPHA_FIXED;
}

void lac_weigh(double weight[2], const lac_objective *objective, const double *settings, lac_alpha *alpha,
               double retain_loss, const lac_group *group)
{
    const size_t *counts = group->by_sequence ? group->sequences : group->tokens, retained = group->sequences[LAC_RETAIN];
    const double gamma = isnan(settings[LAC_GAMMA]) ? 1 : settings[LAC_GAMMA];
    weight[LAC_FORGET] = objective->ascends ? -gamma : gamma;
    weight[LAC_RETAIN] = 1;
    if (objective->pooled)
        for (int side = 0; side < 2; side++)
            weight[side] = (double)counts[side] / (double)(counts[LAC_FORGET] + counts[LAC_RETAIN]);
    else if (objective->needs_forget)
        weight[LAC_RETAIN] = retained ? lac_alpha_next(alpha, retain_loss, retained, group->epoch) : 0;
}
