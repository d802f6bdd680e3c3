/* From cells to statements: averages over facts, their intervals, and the layers to change.
 *
 * Per fact and layer, a category's value is the mean of its tokens' scores, less the fact's own low; only then is the
 * mean over facts taken, each counting once.  (ROME's notebook pools tokens over facts, subtracts the low of other
 * facts and clips at zero.)  The standard error and the bootstrap interval are over facts that have such tokens; all
 * facts of one subject length meet the same noise, whose share no interval over facts can show.
 *
 * The suggestion: a cell's positive effect at the last subject token is spread evenly over the layers that its window
 * restored, which undoes the blur of wide windows as far as that can be done without more runs; the shortest run of
 * neighbouring layers that holds half of it is the mask.  It is a suggestion: where a fact is read out need not be
 * where changing weights works best (Hase et al. 2023, arXiv 2301.04213). */
#include "base/stat.h"
#include "trace/trace.h"

const char *const lac_category_name[LAC_N_CATEGORIES] = {"first subject", "middle subject",  "last subject",
                                                         "first after",   "further", "last"};

enum { RESAMPLES = 1000 };

void lac_category_range(int *from, int *to, lac_category category, int T, int b, int e)
{
    const int first[LAC_N_CATEGORIES] = {b, b + 1, e - 1, e, e + 1, T - 1};
    const int end[LAC_N_CATEGORIES] = {b + 1, e - 1, e, e < T ? e + 1 : e, T - 1, T};
    *from = first[category];
    *to = end[category] > *from ? end[category] : *from;
}

static double category_score(const lac_grid *g, lac_kind kind, lac_category category, int l, bool *some)
{
    int from, to;
    lac_category_range(&from, &to, category, g->n_tokens, g->begin, g->end);
    *some = to > from;
    double sum = 0;
    for (int t = from; t < to; t++) sum += g->scores[kind][(size_t)t * (size_t)g->n_layers + (size_t)l];
    return *some ? sum / (to - from) : 0;
}

/* ---- averages with intervals ----------------------------------------------------------------------------------- */

static lac_status effect_of(lac_effect *e, const lac_trace *trace, lac_kind kind, lac_category category, int l,
                            double *value, lac_err *err)
{
    *e = (lac_effect){0};
    for (size_t i = 0; i < trace->n; i++) {
        const lac_grid *g = &trace->facts[i].grid;
        bool some = false;
        double score = trace->facts[i].left_out ? 0 : category_score(g, kind, category, l, &some);
        if (!some) continue;
        value[e->n++] = score - g->low;
        e->score += score;
        e->low += g->low;
    }
    if (!e->n) return LAC_OK;
    e->score /= (double)e->n;
    e->low /= (double)e->n;
    lac_stat stat = lac_stat_of(value, e->n);
    e->effect = stat.mean;
    e->se = stat.se;
    lac_rng rng;
    lac_interval interval;
    lac_rng_seed(&rng, 1 + (uint64_t)category); /* the same resamples for every layer and kind */
    if (lac_bootstrap_mean(&interval, value, e->n, 0.95, RESAMPLES, &rng, err)) return err->code;
    e->ci_low = interval.low;
    e->ci_high = interval.high;
    return LAC_OK;
}

/* ---- the mask --------------------------------------------------------------------------------------------------- */

static lac_status suggest(lac_suggestion *out, const lac_trace *trace, lac_arena *arena, lac_err *err)
{
    int L = trace->n_layers;
    double total = 0;
    *out = (lac_suggestion){.kind = trace->kind[LAC_MLP] ? LAC_MLP : trace->kind[LAC_ATTN] ? LAC_ATTN : LAC_HIDDEN};
    out->weight = LAC_NEW(arena, double, (size_t)L, err);
    if (!out->weight) return err->code;
    const lac_effect *row = trace->effects[out->kind] + (size_t)LAC_LAST_SUBJECT * (size_t)L;
    for (int l = 0; l < L; l++) {
        int from = l, to = l + 1;
        if (!(row[l].effect > 0)) continue;
        if (out->kind != LAC_HIDDEN) lac_window(&from, &to, l, trace->opts.window, L);
        for (int i = from; i < to; i++) out->weight[i] += row[l].effect / (to - from);
        total += row[l].effect;
    }
    if (!(total > 0)) return LAC_OK;
    for (int l = 0; l < L; l++) out->weight[l] /= total;
    for (int n = 1; n <= L && out->to == out->from; n++)
        for (int from = 0; from + n <= L; from++) {
            double share = 0;
            for (int l = from; l < from + n; l++) share += out->weight[l];
            if (share >= 0.5 - 1e-12 && share > out->share) {
                out->from = from;
                out->to = from + n;
                out->share = share;
            }
        }
    return LAC_OK;
}

lac_status lac_trace_average(lac_trace *trace, lac_arena *arena, lac_err *err)
{
    size_t L = (size_t)trace->n_layers;
    trace->n_traced = 0;
    trace->high = trace->low = 0;
    for (size_t i = 0; i < trace->n; i++) {
        if (trace->facts[i].left_out) continue;
        trace->n_traced++;
        trace->high += trace->facts[i].grid.high;
        trace->low += trace->facts[i].grid.low;
    }
    if (trace->n_traced) {
        trace->high /= (double)trace->n_traced;
        trace->low /= (double)trace->n_traced;
    }
    for (int kind = 0; kind < LAC_N_KINDS; kind++) {
        trace->effects[kind] = NULL;
        if (!trace->kind[kind]) continue;
        trace->effects[kind] = LAC_NEW(arena, lac_effect, LAC_N_CATEGORIES * L, err);
        if (!trace->effects[kind]) return err->code;
    }
    double *value = LAC_NEW(arena, double, trace->n ? trace->n : 1, err);
    if (!value) return err->code;
    for (int kind = 0; kind < LAC_N_KINDS; kind++)
        for (size_t i = 0; i < LAC_N_CATEGORIES * L && trace->kind[kind]; i++)
            if (effect_of(&trace->effects[kind][i], trace, (lac_kind)kind, (lac_category)(i / L), (int)(i % L), value, err))
                return err->code;
    return suggest(&trace->suggestion, trace, arena, err);
}
