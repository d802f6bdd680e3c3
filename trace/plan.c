#include "trace/plan.h"

#include <stdlib.h>
#include <string.h>

const char *const dele_kind_name[DELE_N_KINDS + 1] = {"hidden", "mlp", "attn",   "mid",   "head",
                                                      "embed",  "moe", "router", "expert"};
const dele_site dele_kind_site[DELE_N_KINDS] = {
    [DELE_HIDDEN] = DELE_RESID_POST, [DELE_MLP] = DELE_MLP_OUT,
    [DELE_ATTN] = DELE_ATTN_OUT,     [DELE_MID] = DELE_RESID_MID,
    [DELE_HEAD] = DELE_HEAD_OUT,     [DELE_EMBEDDING] = DELE_EMBED,
    [DELE_MOE] = DELE_MLP_OUT,       [DELE_ROUTER] = DELE_ROUTER_LOGITS,
    [DELE_EXPERT] = DELE_EXPERT_OUT};
const char *const dele_forced_name[DELE_N_FORCED] = {"corrupted input, clean routes",
                                                     "clean input, corrupted routes"};
const char *const dele_metric_name[DELE_N_METRICS] = {"p", "logp", "logit_diff", "rank", "kl"};

const char *const dele_direction_name[] = {"denoise", "noise", NULL};
const char *const dele_edges_name[] = {"code", "paper", NULL};
const char *const dele_tokens_name[] = {"all", "subject", "last-subject", "last", NULL};
const char *const dele_noise_seed_name[] = {"per-fact", "shared", NULL};
const char *const dele_compat_name[] = {"", "rome", NULL};
const char *const dele_answer_name[] = {"argmax", "greedy", "attribute", NULL};
const char *const dele_corrupt_name[] = {"noise", "tokens", "zero", "mean", NULL};

enum { MAX_WINDOWS = 16 };

void dele_window(int *from, int *to, int l, int w, int n_layers, bool paper_edges)
{
    int below = paper_edges ? (w - 1) / 2 : w / 2, above = w - below;
    *from = l - below < 0 ? 0 : l - below;
    *to = l + above > n_layers ? n_layers : l + above;
}

/* ---- words ----------------------------------------------------------------------------------- */

/* The place of a word among names, or -1. */
static int which(const char *word, size_t n, const char *const *names, int n_names)
{
    for (int i = 0; i < n_names; i++)
        if (strlen(names[i]) == n && !strncmp(word, names[i], n)) return i;
    return -1;
}

/* A comma-separated list of names, as flags. */
static dele_status choose_many(bool *chosen, const char *option, const char *list,
                               const char *const *names, int n_names, dele_err *err)
{
    memset(chosen, 0, (size_t)n_names * sizeof *chosen);
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ",");
        int i = which(p, n, names, n_names);
        if (i < 0) {
            char all[160] = "";
            for (int k = 0; k < n_names; k++)
                snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", k ? ", " : "",
                         names[k]);
            return dele_fail(err, DELE_ERR_USAGE, "%s \"%.*s\" is none of %s", option,
                             n < 40 ? (int)n : 40, p, all);
        }
        chosen[i] = true;
        p += n + (p[n] == ',');
    }
    return DELE_OK;
}

static dele_status parse_windows(int *windows, int *n, const char *list, dele_err *err)
{
    *n = 0;
    for (const char *p = list; *p;) {
        char *end;
        long w = strtol(p, &end, 10);
        if (end == p || (*end && *end != ',') || w < 1 || w > 1 << 20 || *n == MAX_WINDOWS)
            return dele_fail(
                err, DELE_ERR_USAGE,
                "--window \"%s\" is not a list of widths like 1,3,5,10 (up to %d of them)", list,
                MAX_WINDOWS);
        for (int i = 0; i < *n; i++)
            if (windows[i] == w)
                return dele_fail(err, DELE_ERR_USAGE, "--window names %ld twice", w);
        windows[(*n)++] = (int)w;
        p = end + (*end == ',');
    }
    return *n ? DELE_OK
              : dele_fail(err, DELE_ERR_USAGE,
                          "--window is empty; give widths like 10 or 1,3,5,10");
}

/* ---- charts ---------------------------------------------------------------------------------- */

static dele_chart *add_chart(dele_plan *plan, dele_kind kind, int n_cols)
{
    dele_chart *chart = &plan->charts[plan->n_charts++];
    *chart = (dele_chart){.kind = kind, .window = 1, .n_cols = n_cols};
    snprintf(chart->name, sizeof chart->name, "%s", dele_kind_name[kind]);
    return chart;
}

static int columns_of(const dele_config *config, dele_kind kind)
{
    const int L = config->n_layers;
    return kind == DELE_EMBEDDING ? 1
           : kind == DELE_HEAD    ? L * config->n_heads
           : kind == DELE_EXPERT  ? L * config->n_experts
                                  : L;
}

/* Whether the model has the kinds' states, and what they are replaced by is such a state.  A
 * config whose family is NULL is no model's yet (dele_plan_check). */
static dele_status check_kinds(const bool kinds[DELE_N_KINDS], const dele_plan *plan, dele_err *err)
{
    const dele_config *config = plan->config;
    for (int kind = 0; kind < DELE_N_KINDS; kind++) {
        if (!kinds[kind] || !config->family) continue;
        if (dele_kind_is_of_experts((dele_kind)kind) && !config->n_experts)
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "--kinds %s: this model of family %s is no mixture of experts",
                             dele_kind_name[kind], config->family->hf);
        if (!dele_config_has_site(config, dele_kind_site[kind]))
            return dele_fail(err, DELE_ERR_UNSUPPORTED,
                             "--kinds %s: the layers of this model of family %s have no such state",
                             dele_kind_name[kind], config->family->hf);
    }
    if (kinds[DELE_ROUTER] && plan->corruption.by == DELE_CORRUPT_ZERO)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--kinds router --corrupt zero: logits that are all 0 choose no experts; "
                         "take --corrupt mean, noise or tokens");
    return DELE_OK;
}

/* One chart for each kind, in the order of the kinds; for mlp, attn and moe one for each window;
 * for hidden states one more for each severed path.  A chart's name has the window only where there
 * are several. */
static dele_status make_charts(dele_plan *plan, const dele_trace_opts *opts, dele_arena *arena,
                               dele_err *err)
{
    static const char *const paths[] = {"mlp", "attn"};
    bool kinds[DELE_N_KINDS], severs[2];
    int windows[MAX_WINDOWS], n_windows, L = plan->config->n_layers, n_kinds = 0;
    if (choose_many(kinds, "--kinds", opts->kinds, dele_kind_name, DELE_N_KINDS, err) ||
        choose_many(severs, "--sever", opts->sever, paths, 2, err) ||
        parse_windows(windows, &n_windows, opts->windows, err))
        return err->code;
    if (check_kinds(kinds, plan, err)) return err->code;
    for (int kind = 0; kind < DELE_N_KINDS; kind++) n_kinds += kinds[kind];
    plan->patches_experts = kinds[DELE_EXPERT];
    if (!n_kinds)
        return dele_fail(
            err, DELE_ERR_USAGE,
            "--kinds is empty; give any of hidden,mid,mlp,attn,head,embed,moe,router,expert");
    if ((severs[0] || severs[1]) && !kinds[DELE_HIDDEN])
        return dele_fail(err, DELE_ERR_USAGE,
                         "--sever belongs to hidden states; add hidden to --kinds");
    plan->charts = DELE_NEW(arena, dele_chart, (size_t)(DELE_N_KINDS + 2 + 3 * n_windows), err);
    if (!plan->charts) return err->code;
    for (int kind = 0; kind < DELE_N_KINDS; kind++) {
        if (!kinds[kind]) continue;
        const bool windowed = dele_kind_has_windows((dele_kind)kind);
        for (int i = 0; i < (windowed ? n_windows : 1); i++) {
            dele_chart *chart =
                add_chart(plan, (dele_kind)kind, columns_of(plan->config, (dele_kind)kind));
            if (!windowed) continue;
            chart->window = windows[i];
            if (n_windows > 1)
                snprintf(chart->name, sizeof chart->name, "%s_w%d", dele_kind_name[kind],
                         windows[i]);
        }
        for (int i = 0; i < 2 && kind == DELE_HIDDEN; i++)
            if (severs[i]) {
                dele_chart *chart = add_chart(plan, DELE_HIDDEN, L);
                chart->sever = (dele_sever)(i + 1);
                snprintf(chart->name, sizeof chart->name, "hidden_no_%s", paths[i]);
            }
    }
    return DELE_OK;
}

/* ---- restorations ---------------------------------------------------------------------------- */

bool dele_plan_has_cells(const dele_plan *plan, const dele_chart *chart, int col)
{
    return !dele_kind_is_of_experts(chart->kind) ||
           dele_layer_is_sparse(plan->config,
                                chart->kind == DELE_EXPERT ? col / plan->config->n_experts : col);
}

/* What a chart's column patches, and the layer its cells start at.  A head's and an expert's output
 * and a router's logits are inside a sublayer: the layer runs once more, with them exchanged. */
static dele_restoration restoration_of(const dele_plan *plan, const dele_chart *chart, int col)
{
    int L = plan->config->n_layers;
    dele_restoration r = {
        .kind = chart->kind, .sever = chart->sever, .from = col, .to = col + 1, .trunk = -1};
    switch (chart->kind) {
    case DELE_EMBEDDING:
        r.from = 0, r.to = 1, r.start_layer = 0;
        break;
    case DELE_HEAD:
        r.from = col / plan->config->n_heads, r.to = r.from + 1,
        r.unit = col % plan->config->n_heads;
        r.start_layer = r.from;
        break;
    case DELE_EXPERT:
        r.from = col / plan->config->n_experts, r.to = r.from + 1,
        r.unit = col % plan->config->n_experts;
        r.start_layer = r.from;
        break;
    case DELE_ROUTER:
        r.start_layer = r.from;
        break;
    case DELE_MLP:
    case DELE_ATTN:
    case DELE_MOE:
        dele_window(&r.from, &r.to, col, chart->window, L, plan->paper_edges);
        r.start_layer = r.from + 1; /* its first layer is an addition; for attention also one row's
                                       MLP */
        break;
    default:
        r.start_layer = col + 1;
    }
    if (r.sever && plan->severs_anew)
        r.start_layer = 0; /* the first draw's outputs also change the token's keys below it */
    /* The MLP reads its own row alone, so putting back the stream before it puts back the stream
     * after it. */
    if (r.kind == DELE_MID && !dele_ablates(&plan->corruption)) r.kind = DELE_HIDDEN;
    if (r.kind == DELE_MOE) r.kind = DELE_MLP;
    return r;
}

static bool same(const dele_restoration *a, const dele_restoration *b)
{
    return a->kind == b->kind && a->sever == b->sever && a->from == b->from && a->to == b->to &&
           a->unit == b->unit;
}

/* In order of the start layer; among those that may share a trunk the widest first. */
static int by_start(const void *a, const void *b)
{
    const dele_restoration *x = a, *y = b;
    const int keys[][2] = {{x->start_layer, y->start_layer},
                           {(int)x->kind, (int)y->kind},
                           {(int)x->sever, (int)y->sever},
                           {x->from, y->from},
                           {y->to, x->to},
                           {x->unit, y->unit}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i][0] != keys[i][1]) return keys[i][0] < keys[i][1] ? -1 : 1;
    return 0;
}

/* [a, z) leaves [a, wider) after layer z - 1.  Nothing is won where its own way is one layer
 * long. */
static bool shares(const dele_restoration *r, const dele_restoration *trunk)
{
    return (r->kind == DELE_MLP || r->kind == DELE_ATTN) && r->kind == trunk->kind &&
           r->from == trunk->from && r->to > r->start_layer && r->to < trunk->to;
}

static dele_status find_trunks(dele_plan *plan, dele_arena *arena, dele_err *err)
{
    int n = plan->n_restorations, used = 0;
    plan->branch = DELE_NEW(arena, int, (size_t)n, err);
    if (!plan->branch) return err->code;
    for (int i = 0; i < n; i++) {
        dele_restoration *trunk = &plan->restorations[i];
        trunk->first_branch = used;
        if (trunk->trunk >= 0) continue;
        for (int k = n - 1; k > i; k--) { /* the narrowest first: ascending in `to` */
            dele_restoration *r = &plan->restorations[k];
            if (r->trunk >= 0 || !shares(r, trunk)) continue;
            r->trunk = i;
            plan->branch[used++] = k;
            trunk->n_branches++;
        }
    }
    return DELE_OK;
}

/* The distinct restorations of all charts' columns, sorted by the layer their cells start at,
 * each with the columns that show it.  Quadratic in the number of columns, which is small beside
 * the cells' cost. */
static dele_status make_restorations(dele_plan *plan, dele_arena *arena, dele_err *err)
{
    int most = 0, n = 0;
    for (int i = 0; i < plan->n_charts; i++) most += plan->charts[i].n_cols;
    dele_restoration *all = DELE_NEW(arena, dele_restoration, (size_t)most, err);
    plan->targets = DELE_NEW(arena, dele_target, (size_t)most, err);
    plan->restorations = all;
    if (!all || !plan->targets) return err->code;
    for (int i = 0; i < plan->n_charts; i++)
        for (int col = 0; col < plan->charts[i].n_cols; col++) {
            if (!dele_plan_has_cells(plan, &plan->charts[i], col)) continue;
            all[n] = restoration_of(plan, &plan->charts[i], col);
            bool known = false;
            for (int k = 0; k < n && !known; k++) known = same(&all[k], &all[n]);
            n += !known;
        }
    plan->n_restorations = n;
    qsort(all, (size_t)n, sizeof *all, by_start);
    for (int k = 0; k < n; k++) {
        all[k].first_target = plan->n_targets;
        for (int i = 0; i < plan->n_charts; i++)
            for (int col = 0; col < plan->charts[i].n_cols; col++) {
                dele_restoration r = restoration_of(plan, &plan->charts[i], col);
                if (dele_plan_has_cells(plan, &plan->charts[i], col) && same(&r, &all[k]))
                    plan->targets[plan->n_targets++] = (dele_target){i, col};
            }
        all[k].n_targets = plan->n_targets - all[k].first_target;
    }
    return find_trunks(plan, arena, err);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* What the options mean together: ROME's particulars, and ablation, which is a kind of noising. */
static dele_status resolve(dele_plan *plan, const dele_trace_opts *o, dele_err *err)
{
    const bool rome = o->compat == DELE_COMPAT_ROME, noise = o->corrupt == DELE_CORRUPT_NOISE;
    plan->tokens = o->tokens;
    plan->paper_edges = o->edges == DELE_EDGES_PAPER;
    plan->corruption = (dele_corruption){
        .by = o->corrupt, .replace = o->replace, .rome = rome, .shared = dele_shares_noise(o)};
    plan->noising = o->direction == DELE_NOISE || dele_ablates(&plan->corruption);
    plan->severs_anew = rome && noise && !plan->noising && *o->sever;
    plan->reference = o->reference;
    plan->samples = noise ? o->samples : 1;
    plan->memory = o->memory;
    if (!noise) return DELE_OK;
    if (o->sigma > 0) {
        plan->corruption.sigma = plan->corruption.factor = o->sigma;
        return DELE_OK;
    }
    return dele_noise_parse(&plan->corruption, o->noise, err);
}

dele_status dele_plan_make(dele_plan *plan, const dele_trace_opts *opts, const dele_config *config,
                           dele_arena *arena, dele_err *err)
{
    *plan = (dele_plan){.config = config};
    if (*opts->sever && opts->until > 0 && opts->compat == DELE_COMPAT_ROME)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--until adds noise samples, and --compat rome --sever draws its own "
                         "after the last of --samples; give one of them");
    if (opts->samples < 1 || opts->max_samples < 1 || opts->limit < 0 || opts->memory < 1)
        return dele_fail(
            err, DELE_ERR_USAGE,
            "--samples, --max-samples and --batch-memory must be at least 1, --limit at least 0");
    if (resolve(plan, opts, err) || make_charts(plan, opts, arena, err) ||
        make_restorations(plan, arena, err))
        return err->code;
    return DELE_OK;
}

dele_status dele_plan_check(const dele_trace_opts *opts, dele_err *err)
{
    const dele_config smallest = {.n_layers = 1,
                                  .n_heads = 1,
                                  .n_kv_heads = 1,
                                  .head_dim = 2,
                                  .hidden_size = 2,
                                  .n_experts = 1,
                                  .top_k = 1,
                                  .layer_kind = {DELE_LAYER_SPARSE}};
    dele_arena scratch = {0};
    dele_plan plan;
    dele_status status = dele_plan_make(&plan, opts, &smallest, &scratch, err);
    dele_arena_release(&scratch);
    return status;
}

int dele_plan_first(const dele_plan *plan, const dele_grid *prompt)
{
    return dele_ablates(&plan->corruption) ? 0 : prompt->begin;
}

void dele_plan_tokens(int *from, int *to, const dele_plan *plan, const dele_grid *prompt)
{
    *from = 0;
    *to = prompt->n_tokens;
    switch (plan->tokens) {
    case DELE_TOKENS_ALL:
        break;
    case DELE_TOKENS_SUBJECT:
        *from = prompt->begin, *to = prompt->end;
        break;
    case DELE_TOKENS_LAST_SUBJECT:
        *from = prompt->end - 1, *to = prompt->end;
        break;
    case DELE_TOKENS_LAST:
        *from = prompt->n_tokens - 1;
        break;
    }
}

bool dele_plan_reaches(const dele_plan *plan, const dele_restoration *r, const dele_grid *prompt,
                       int t)
{
    const bool other_base = r->sever && plan->severs_anew;
    return t == prompt->n_tokens - 1 || r->from < plan->config->n_layers - 1 ||
           r->kind == DELE_EMBEDDING || other_base;
}

/* The fraction of a restoration's cells that are computed, at most: an expert that neither run
 * chooses changes nothing (cells.c). */
static double computed_share(const dele_plan *plan, const dele_restoration *r)
{
    const dele_config *c = plan->config;
    if (r->kind != DELE_EXPERT || plan->corruption.by == DELE_CORRUPT_MEAN) return 1;
    const int most = dele_ablates(&plan->corruption) ? c->top_k : 2 * c->top_k;
    return most < c->n_experts ? (double)most / c->n_experts : 1;
}

/* What a sum over the cells' runs adds up: a run's rows, or its operations.  A segment of n_rows at
 * positions from t on, of which the last n_answer are read. */
typedef double (*price_of)(const dele_config *config, const dele_restoration *r, int t, int n_rows,
                           int n_answer);

static double row_price(const dele_config *config, const dele_restoration *r, int t, int n_rows,
                        int n_answer)
{
    (void)config, (void)r, (void)t, (void)n_answer;
    return n_rows;
}

/* The MLP of a token whose output is replaced is left out; where attention or the stream before an
 * MLP is put in, that MLP of the token is computed first (cells.c); not with a parallel residual,
 * where no MLP reads them. */
static double flop_price(const dele_config *config, const dele_restoration *r, int t, int n_rows,
                         int n_answer)
{
    const int start_layer = r->trunk < 0 ? r->start_layer : r->to,
              more = r->trunk >= 0         ? 0
                     : r->kind == DELE_MLP ? start_layer - r->to
                                           : (r->kind == DELE_ATTN && !config->parallel_residual) ||
                                                 r->kind == DELE_MID;
    return dele_segment_flops(config, start_layer, t, n_rows, n_answer) +
           dele_head_flops(config, n_answer) + more * dele_mlp_flops(config, 1);
}

static double reference_price(const dele_config *config, int n_rows, int n_answer)
{
    return dele_segment_flops(config, 0, 0, n_rows, n_answer) + dele_head_flops(config, n_answer);
}

static double price_of_cells(const dele_plan *plan, const dele_grid *prompt, int n_samples,
                             price_of price)
{
    const dele_config *c = plan->config;
    const int first = dele_plan_first(plan, prompt),
              n_answer = prompt->n_answer > 1 ? prompt->n_answer : 1,
              n_rows = prompt->n_tokens + n_answer - 1;
    int from, to;
    double sum = 0;
    dele_plan_tokens(&from, &to, plan, prompt);
    for (int k = 0; k < plan->n_restorations; k++) {
        const dele_restoration *r = &plan->restorations[k];
        for (int t = from > first ? from : first; t < to && !plan->reference; t++)
            if (dele_plan_reaches(plan, r, prompt, t))
                sum += computed_share(plan, r) * price(c, r, t, n_rows - t, n_answer);
        if (plan->reference)
            sum += r->n_targets * (to - from) * reference_price(c, n_rows, n_answer);
    }
    return n_samples * sum;
}

double dele_plan_rows(const dele_plan *plan, const dele_grid *prompt, int n_samples)
{
    return price_of_cells(plan, prompt, n_samples, row_price);
}

double dele_plan_price(const dele_plan *plan, const dele_grid *prompt, int n_samples)
{
    const int first = dele_plan_first(plan, prompt),
              n_answer = prompt->n_answer > 1 ? prompt->n_answer : 1,
              n_rows = prompt->n_tokens + n_answer - 1;
    const dele_config *c = plan->config;
    /* runs that are recorded compute all rows of the last layer */
    double price = dele_segment_flops(c, 0, 0, n_rows, n_rows) + 2 * dele_head_flops(c, n_answer);
    if (!dele_ablates(&plan->corruption)) {
        price += n_samples * (dele_segment_flops(c, 0, first, n_rows - first, n_rows - first) +
                              dele_head_flops(c, n_answer));
        if (c->n_experts) /* under the other run's routes */
            price += n_samples * DELE_N_FORCED *
                     (dele_segment_flops(c, 0, first, n_rows - first, n_answer) +
                      dele_head_flops(c, n_answer));
    }
    return price + price_of_cells(plan, prompt, n_samples, flop_price);
}
