#include "trace/plan.h"

#include <stdlib.h>
#include <string.h>

const char *const lac_kind_name[LAC_N_KINDS] = {"hidden", "mlp", "attn", "mid", "head", "embed"};
const char *const lac_metric_name[LAC_N_METRICS] = {"p", "logp", "logit_diff", "rank", "kl"};

enum { MAX_WINDOWS = 16 };

void lac_window(int *from, int *to, int l, int w, int n_layers, bool paper_edges)
{
    int below = paper_edges ? (w - 1) / 2 : w / 2, above = w - below;
    *from = l - below < 0 ? 0 : l - below;
    *to = l + above > n_layers ? n_layers : l + above;
}

/* ---- words ------------------------------------------------------------------------------------------------------ */

/* The place of a word among names, or -1. */
static int which(const char *word, size_t n, const char *const *names, int n_names)
{
    for (int i = 0; i < n_names; i++)
        if (strlen(names[i]) == n && !strncmp(word, names[i], n)) return i;
    return -1;
}

static lac_status choose(int *out, const char *option, const char *value, const char *const *names, int n_names,
                         lac_err *err)
{
    *out = which(value, strlen(value), names, n_names);
    if (*out >= 0) return LAC_OK;
    char list[160] = "";
    for (int i = 0; i < n_names; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", names[i]);
    return lac_fail(err, LAC_ERR_USAGE, "%s \"%s\" is none of %s", option, value, list);
}

/* A comma-separated list of names, as flags. */
static lac_status choose_many(bool *wanted, const char *option, const char *list, const char *const *names, int n_names,
                              lac_err *err)
{
    memset(wanted, 0, (size_t)n_names * sizeof *wanted);
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ",");
        int i = which(p, n, names, n_names);
        if (i < 0) {
            char word[40];
            snprintf(word, sizeof word, "%.*s", (int)n, p);
            return choose(&i, option, word, names, n_names, err);
        }
        wanted[i] = true;
        p += n + (p[n] == ',');
    }
    return LAC_OK;
}

static lac_status parse_windows(int *windows, int *n, const char *list, lac_err *err)
{
    *n = 0;
    for (const char *p = list; *p;) {
        char *end;
        long w = strtol(p, &end, 10);
        if (end == p || (*end && *end != ',') || w < 1 || w > 1 << 20 || *n == MAX_WINDOWS)
            return lac_fail(err, LAC_ERR_USAGE, "--window \"%s\" is not a list of widths like 1,3,5,10 (up to %d of them)",
                            list, MAX_WINDOWS);
        for (int i = 0; i < *n; i++)
            if (windows[i] == w) return lac_fail(err, LAC_ERR_USAGE, "--window names %ld twice", w);
        windows[(*n)++] = (int)w;
        p = end + (*end == ',');
    }
    return *n ? LAC_OK : lac_fail(err, LAC_ERR_USAGE, "--window is empty; give widths like 10 or 1,3,5,10");
}

/* ---- charts ----------------------------------------------------------------------------------------------------- */

static lac_chart *add_chart(lac_plan *plan, lac_kind kind, int n_cols)
{
    lac_chart *chart = &plan->charts[plan->n_charts++];
    *chart = (lac_chart){.kind = kind, .window = 1, .n_cols = n_cols};
    snprintf(chart->name, sizeof chart->name, "%s", lac_kind_name[kind]);
    return chart;
}

static lac_status make_charts(lac_plan *plan, const lac_trace_opts *opts, lac_arena *arena, lac_err *err)
{
    static const char *const paths[] = {"mlp", "attn"};
    bool kinds[LAC_N_KINDS], severs[2];
    int windows[MAX_WINDOWS], n_windows, L = plan->config->n_layers, n_kinds = 0;
    if (choose_many(kinds, "--kinds", opts->kinds, lac_kind_name, LAC_N_KINDS, err) ||
        choose_many(severs, "--sever", opts->sever, paths, 2, err) || parse_windows(windows, &n_windows, opts->windows, err))
        return err->code;
    for (int kind = 0; kind < LAC_N_KINDS; kind++) n_kinds += kinds[kind];
    if (!n_kinds) return lac_fail(err, LAC_ERR_USAGE, "--kinds is empty; give any of hidden,mid,mlp,attn,head,embed");
    if ((severs[0] || severs[1]) && !kinds[LAC_HIDDEN])
        return lac_fail(err, LAC_ERR_USAGE, "--sever belongs to hidden states; add hidden to --kinds");
    plan->charts = LAC_NEW(arena, lac_chart, (size_t)(LAC_N_KINDS + 2 + 2 * n_windows), err);
    if (!plan->charts) return err->code;
    for (int kind = 0; kind < LAC_N_KINDS; kind++) {
        if (!kinds[kind]) continue;
        bool windowed = kind == LAC_MLP || kind == LAC_ATTN;
        for (int i = 0; i < (windowed ? n_windows : 1); i++) {
            lac_chart *chart = add_chart(plan, (lac_kind)kind, kind == LAC_EMBEDDING ? 1
                                                               : kind == LAC_HEAD    ? L * plan->config->n_heads
                                                                                     : L);
            if (!windowed) continue;
            chart->window = windows[i];
            if (n_windows > 1) snprintf(chart->name, sizeof chart->name, "%s_w%d", lac_kind_name[kind], windows[i]);
        }
        for (int i = 0; i < 2 && kind == LAC_HIDDEN; i++)
            if (severs[i]) {
                lac_chart *chart = add_chart(plan, LAC_HIDDEN, L);
                chart->sever = (lac_sever)(i + 1);
                snprintf(chart->name, sizeof chart->name, "hidden_no_%s", paths[i]);
            }
    }
    return LAC_OK;
}

/* ---- restorations ----------------------------------------------------------------------------------------------- */

/* What a chart's column patches, and where its cells join. */
static lac_restoration restoration_of(const lac_plan *plan, const lac_chart *chart, int col)
{
    int L = plan->config->n_layers;
    lac_restoration r = {.kind = chart->kind, .sever = chart->sever, .from = col, .to = col + 1, .trunk = -1};
    switch (chart->kind) {
    case LAC_EMBEDDING: r.from = 0, r.to = 1, r.join = 0; break;
    case LAC_HEAD:
        r.from = col / plan->config->n_heads, r.to = r.from + 1, r.head = col % plan->config->n_heads;
        r.join = r.from; /* the layer runs once more, with one head exchanged */
        break;
    case LAC_MLP:
    case LAC_ATTN:
        lac_window(&r.from, &r.to, col, chart->window, L, plan->paper_edges);
        r.join = r.from + 1; /* its first layer is an addition, and for attention one row's MLP */
        break;
    default: r.join = col + 1;
    }
    /* The MLP reads its own row alone, so putting back the stream before it puts back the stream after it. */
    if (r.kind == LAC_MID && !lac_ablates(&plan->corruption)) r.kind = LAC_HIDDEN;
    return r;
}

static bool same(const lac_restoration *a, const lac_restoration *b)
{
    return a->kind == b->kind && a->sever == b->sever && a->from == b->from && a->to == b->to && a->head == b->head;
}

/* In order of join; among those that may share a trunk the widest first. */
static int by_join(const void *a, const void *b)
{
    const lac_restoration *x = a, *y = b;
    const int keys[][2] = {{x->join, y->join}, {(int)x->kind, (int)y->kind}, {(int)x->sever, (int)y->sever},
                           {x->from, y->from}, {y->to, x->to}, {x->head, y->head}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i][0] != keys[i][1]) return keys[i][0] < keys[i][1] ? -1 : 1;
    return 0;
}

/* [a, z) leaves [a, wider) behind layer z - 1.  Nothing is won where its own way is one layer long. */
static bool shares(const lac_restoration *r, const lac_restoration *trunk)
{
    return (r->kind == LAC_MLP || r->kind == LAC_ATTN) && r->kind == trunk->kind && r->from == trunk->from &&
           r->to > r->join && r->to < trunk->to;
}

static lac_status find_trunks(lac_plan *plan, lac_arena *arena, lac_err *err)
{
    int n = plan->n_restorations, used = 0;
    plan->branch = LAC_NEW(arena, int, (size_t)n, err);
    if (!plan->branch) return err->code;
    for (int i = 0; i < n; i++) {
        lac_restoration *trunk = &plan->restorations[i];
        trunk->first_branch = used;
        if (trunk->trunk >= 0) continue;
        for (int k = n - 1; k > i; k--) { /* the narrowest first: ascending in `to` */
            lac_restoration *r = &plan->restorations[k];
            if (r->trunk >= 0 || !shares(r, trunk)) continue;
            r->trunk = i;
            plan->branch[used++] = k;
            trunk->n_branches++;
        }
    }
    return LAC_OK;
}

static lac_status make_restorations(lac_plan *plan, lac_arena *arena, lac_err *err)
{
    int most = 0, n = 0;
    for (int i = 0; i < plan->n_charts; i++) most += plan->charts[i].n_cols;
    lac_restoration *all = LAC_NEW(arena, lac_restoration, (size_t)most, err);
    plan->targets = LAC_NEW(arena, lac_target, (size_t)most, err);
    plan->restorations = all;
    if (!all || !plan->targets) return err->code;
    for (int i = 0; i < plan->n_charts; i++)
        for (int col = 0; col < plan->charts[i].n_cols; col++) {
            all[n] = restoration_of(plan, &plan->charts[i], col);
            bool known = false;
            for (int k = 0; k < n && !known; k++) known = same(&all[k], &all[n]);
            n += !known;
        }
    plan->n_restorations = n;
    qsort(all, (size_t)n, sizeof *all, by_join);
    for (int k = 0; k < n; k++) {
        all[k].first_target = plan->n_targets;
        for (int i = 0; i < plan->n_charts; i++)
            for (int col = 0; col < plan->charts[i].n_cols; col++) {
                lac_restoration r = restoration_of(plan, &plan->charts[i], col);
                if (same(&r, &all[k])) plan->targets[plan->n_targets++] = (lac_target){i, col};
            }
        all[k].n_targets = plan->n_targets - all[k].first_target;
    }
    return find_trunks(plan, arena, err);
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

static lac_status parse_words(lac_plan *plan, const lac_trace_opts *o, lac_err *err)
{
    static const char *const tokens[] = {"all", "subject", "last-subject", "last"}, *const edges[] = {"code", "paper"},
                      *const directions[] = {"denoise", "noise"}, *const seeds[] = {"per-fact", "shared"},
                      *const corruptions[] = {"noise", "tokens", "zero", "mean"},
                      *const answers[] = {"argmax", "greedy", "attribute"}, *const compats[] = {"", "rome"};
    int token, edge, direction, by, ignored, seeding, compat;
    if (choose(&token, "--tokens", o->tokens, tokens, 4, err) || choose(&edge, "--edges", o->edges, edges, 2, err) ||
        choose(&direction, "--direction", o->direction, directions, 2, err) ||
        choose(&by, "--corrupt", o->corrupt, corruptions, 4, err) ||
        choose(&seeding, "--noise-seed", o->noise_seed, seeds, 2, err) ||
        choose(&ignored, "--answer", o->answer, answers, 3, err) || choose(&compat, "--compat", o->compat, compats, 2, err))
        return err->code;
    plan->tokens = (lac_tokens)token;
    plan->paper_edges = edge == 1;
    plan->corruption = (lac_corruption){.by = (lac_corrupt_by)by, .replace = o->replace, .rome = compat == 1,
                                       .shared = seeding == 1 || compat == 1};
    plan->noising = direction == 1 || lac_ablates(&plan->corruption);
    plan->reference = o->reference;
    plan->samples = by == LAC_CORRUPT_NOISE ? o->samples : 1;
    plan->memory = o->memory;
    if (by != LAC_CORRUPT_NOISE) return LAC_OK;
    if (o->sigma > 0) {
        plan->corruption.sigma = plan->corruption.factor = o->sigma;
        return LAC_OK;
    }
    return lac_noise_parse(&plan->corruption, o->noise, err);
}

lac_status lac_plan_make(lac_plan *plan, const lac_trace_opts *opts, const lac_config *config, lac_arena *arena, lac_err *err)
{
    *plan = (lac_plan){.config = config};
    if (opts->samples < 1 || opts->max_samples < 1 || opts->limit < 0 || opts->memory < 1)
        return lac_fail(err, LAC_ERR_USAGE, "--samples, --max-samples and --memory must be at least 1, --limit at least 0");
    if (parse_words(plan, opts, err) || make_charts(plan, opts, arena, err) || make_restorations(plan, arena, err))
        return err->code;
    return LAC_OK;
}

lac_status lac_plan_check(const lac_trace_opts *opts, lac_err *err)
{
    const lac_config smallest = {.n_layers = 1, .n_heads = 1, .n_kv_heads = 1, .head_dim = 2, .dim = 2};
    lac_arena scratch = {0};
    lac_plan plan;
    lac_status status = lac_plan_make(&plan, opts, &smallest, &scratch, err);
    lac_arena_release(&scratch);
    return status;
}

int lac_plan_first(const lac_plan *plan, const lac_grid *prompt)
{
    return lac_ablates(&plan->corruption) ? 0 : prompt->begin;
}

void lac_plan_tokens(int *from, int *to, const lac_plan *plan, const lac_grid *prompt)
{
    *from = 0;
    *to = prompt->n_tokens;
    switch (plan->tokens) {
    case LAC_TOKENS_ALL: break;
    case LAC_TOKENS_SUBJECT: *from = prompt->begin, *to = prompt->end; break;
    case LAC_TOKENS_LAST_SUBJECT: *from = prompt->end - 1, *to = prompt->end; break;
    case LAC_TOKENS_LAST: *from = prompt->n_tokens - 1; break;
    }
}

double lac_plan_price(const lac_plan *plan, const lac_grid *prompt, int n_samples)
{
    int from, to, first = lac_plan_first(plan, prompt), extra = prompt->n_answer > 1 ? prompt->n_answer - 1 : 0;
    double L = plan->config->n_layers, S = n_samples, T = prompt->n_tokens + extra, R = T - first, price = T * L;
    bool ablated = lac_ablates(&plan->corruption);
    if (!ablated) price += S * R * L;
    lac_plan_tokens(&from, &to, plan, prompt);
    for (int k = 0; k < plan->n_restorations; k++) {
        const lac_restoration *r = &plan->restorations[k];
        for (int t = from > first ? from : first; t < to && !plan->reference; t++) {
            double layers = L - (r->trunk < 0 ? r->join : r->to);
            price += layers * S * (T - t);
        }
        if (plan->reference) price += (double)r->n_targets * (to - from) * S * T * L;
    }
    return price;
}
