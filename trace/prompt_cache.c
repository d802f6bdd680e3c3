#include "trace/prompt_cache.h"

#include <math.h>
#include <string.h>

#include "tensor/ops.h"

/* Values a site has a row. */
static size_t site_width(const dele_config *config, dele_site site)
{
    const size_t d_model = (size_t)config->hidden_size;
    switch (site) {
    case DELE_HEAD_OUT:
        return dele_q_dim(config);
    case DELE_ROUTER_LOGITS:
        return (size_t)config->n_experts;
    case DELE_EXPERT_OUT:
        return (size_t)config->top_k * d_model;
    default:
        return d_model;
    }
}

/* The same of ablation's values, which have all experts. */
static size_t ablation_width(const dele_config *config, dele_site site)
{
    return site == DELE_EXPERT_OUT ? (size_t)config->n_experts * (size_t)config->hidden_size
                                   : site_width(config, site);
}

/* Sites that cells start from, and those that some chart of the plan puts in.  The embedding has
 * memory of its own.  What experts add, the most of all, is kept of the corrupted runs only where
 * values come from them. */
static bool site_is_kept(const dele_plan *plan, dele_site site, bool clean)
{
    bool put_in = false;
    if (site == DELE_EXPERT_OUT && !clean && !plan->noising) return false;
    for (int i = 0; i < plan->n_charts; i++) put_in |= dele_kind_site[plan->charts[i].kind] == site;
    const bool needed = site == DELE_RESID_MID || site == DELE_RESID_POST || site == DELE_MLP_OUT ||
                        site == DELE_ATTN_OUT || (put_in && site != DELE_EMBED);
    return needed && dele_config_has_site(plan->config, site);
}

/* ---- looking up ------------------------------------------------------------------------------ */

const float *dele_state(const dele_prompt_cache *c, const dele_states *states, dele_site site,
                        int i, int l, int t)
{
    const dele_config *config = &c->model->config;
    size_t row = (size_t)(t - states->first), rows = (size_t)states->n_rows,
           L = (size_t)config->n_layers;
    if (l < 0) return states->embed + ((size_t)i * rows + row) * (size_t)config->hidden_size;
    return states->site[site] +
           (((size_t)i * L + (size_t)l) * rows + row) * site_width(config, site);
}

/* Before the subject the corrupted runs are the clean one. */
static const float *corrupted_state(const dele_prompt_cache *c, dele_site site, int s, int l, int t)
{
    return t < c->corrupted.first ? dele_state(c, &c->clean, site, 0, l, t)
                                  : dele_state(c, &c->corrupted, site, s - c->first_sample, l, t);
}

const float *dele_base(const dele_prompt_cache *c, dele_site site, int s, int l, int t)
{
    return c->plan->noising ? dele_state(c, &c->clean, site, 0, l, t)
                            : corrupted_state(c, site, s, l, t);
}

const float *dele_source(const dele_prompt_cache *c, dele_site site, int s, int l, int t)
{
    if (c->ablation)
        return l < 0
                   ? c->ablation->embed
                   : c->ablation->site[site] + (size_t)l * ablation_width(&c->model->config, site);
    return c->plan->noising ? corrupted_state(c, site, s, l, t)
                            : dele_state(c, &c->clean, site, 0, l, t);
}

/* The slot of expert e among those of run i at t and layer l; -1: it is not chosen. */
static int slot_of(const dele_prompt_cache *c, const dele_states *states, int i, int l, int t,
                   int e)
{
    const dele_routes *routes = &states->routes;
    const size_t row = (size_t)i * (size_t)states->n_rows + (size_t)(t - states->first);
    const int *chosen = dele_route_experts(routes, row, l);
    for (int k = 0; k < c->model->config.top_k; k++)
        if (chosen[k] == e) return k;
    return -1;
}

/* What expert e adds in the run that values come from. */
static const float *expert_output(const dele_prompt_cache *c, int s, int l, int t, int e)
{
    const bool corrupted = c->plan->noising && t >= c->corrupted.first;
    const dele_states *states = corrupted ? &c->corrupted : &c->clean;
    const int i = corrupted ? s - c->first_sample : 0, slot = slot_of(c, states, i, l, t, e);
    return slot < 0 ? c->nothing
                    : dele_state(c, states, DELE_EXPERT_OUT, i, l, t) +
                          (size_t)slot * (size_t)c->model->config.hidden_size;
}

const float *dele_source_unit(const dele_prompt_cache *c, dele_site site, int s, int l, int t,
                              int unit)
{
    const size_t u = (size_t)unit;
    if (site == DELE_EXPERT_OUT && !c->ablation) return expert_output(c, s, l, t, unit);
    const float *value = dele_source(c, site, s, l, t);
    return site == DELE_HEAD_OUT     ? value + u * (size_t)c->model->config.head_dim
           : site == DELE_EXPERT_OUT ? value + u * (size_t)c->model->config.hidden_size
                                     : value;
}

bool dele_expert_differs(const dele_prompt_cache *c, int s, int l, int t, int e)
{
    if (c->plan->corruption.by == DELE_CORRUPT_MEAN) return true;
    return slot_of(c, &c->clean, 0, l, t, e) >= 0 ||
           (!c->ablation && slot_of(c, &c->corrupted, s - c->first_sample, l, t, e) >= 0);
}

const dele_kv *dele_base_kv(const dele_prompt_cache *c, int s, int t)
{
    if (t == 0) return NULL;
    bool corrupted = !c->plan->noising && t > c->corrupted.first;
    return corrupted ? &c->corrupted.kv[s - c->first_sample] : c->clean.kv;
}

/* ---- remembering ----------------------------------------------------------------------------- */

/* Runs and what records them: their states and KV caches, the patches that read the states, the
 * segments, and the rows that the answer is read from. */
typedef struct {
    dele_patch *reads;
    dele_segment *segments;
    int *rows;
    size_t n_reads, answers; /* answers: rows of each run */
} recording;

static dele_status lay_states(dele_states *states, const dele_plan *plan, bool clean, int n,
                              int first, int n_rows, const dele_kv *parent, dele_arena *arena,
                              dele_err *err)
{
    const dele_config *config = plan->config;
    size_t rows = (size_t)n * (size_t)n_rows;
    *states = (dele_states){.n = n, .first = first, .n_rows = n_rows};
    states->embed = dele_alloc_raw(arena, rows, (size_t)config->hidden_size * sizeof(float), err);
    states->kv = DELE_NEW(arena, dele_kv, (size_t)n, err);
    if (!states->embed || !states->kv) return DELE_ERR_MEMORY;
    for (int site = 0; site < DELE_N_SITES; site++) {
        if (!site_is_kept(plan, (dele_site)site, clean)) continue;
        states->site[site] =
            dele_alloc_raw(arena, rows * (size_t)config->n_layers,
                           site_width(config, (dele_site)site) * sizeof(float), err);
        if (!states->site[site]) return DELE_ERR_MEMORY;
    }
    for (int i = 0; i < n; i++)
        if (dele_kv_init(&states->kv[i], config, parent, first, n_rows, arena, err))
            return DELE_ERR_MEMORY;
    return config->n_experts ? dele_routes_init(&states->routes, config, rows, arena, err)
                             : DELE_OK;
}

static dele_status lay_recording(recording *r, const dele_states *states, const dele_plan *plan,
                                 size_t answers, dele_arena *arena, dele_err *err)
{
    size_t n_sites = 0, n = (size_t)states->n;
    for (int site = 0; site < DELE_N_SITES; site++) n_sites += states->site[site] != NULL;
    *r = (recording){.answers = answers, .n_reads = n_sites * n * (size_t)plan->config->n_layers};
    r->reads = DELE_NEW(arena, dele_patch, r->n_reads, err);
    r->segments = DELE_NEW(arena, dele_segment, n, err);
    r->rows = DELE_NEW(arena, int, n *answers, err);
    return r->reads && r->segments && r->rows ? DELE_OK : DELE_ERR_MEMORY;
}

/* Patches that read every site kept, of every layer that has it: all rows of a run at once. Returns
 * their number. */
static size_t read_all(dele_patch *reads, const dele_states *states, const dele_config *config)
{
    size_t L = (size_t)config->n_layers, rows = (size_t)states->n_rows, n = 0;
    for (int site = 0; site < DELE_N_SITES; site++) {
        size_t width = site_width(config, (dele_site)site);
        for (size_t i = 0; states->site[site] && i < (size_t)states->n * L; i++)
            if (dele_layer_has_site(config, (int)(i % L), (dele_site)site))
                reads[n++] = (dele_patch){.layer = (int)(i % L),
                                          .row = (int)(i / L * rows),
                                          .n_rows = (int)rows,
                                          .site = (dele_site)site,
                                          .op = DELE_READ,
                                          .head = site == DELE_HEAD_OUT ? DELE_ALL_HEADS : 0,
                                          .expert = DELE_ALL_EXPERTS,
                                          .seen = states->site[site] + i * rows * width};
    }
    return n;
}

/* Runs states->n segments from their embeddings, records what they pass, and leaves the final
 * states of the answer's rows in run->final. */
static dele_status record(dele_states *states, const dele_prompt_cache *c, dele_run *run,
                          const dele_kv *parent, dele_arena *arena, dele_err *err)
{
    recording r;
    const size_t n = (size_t)states->n, answers = (size_t)(c->n_rows - c->grid->n_tokens) + 1;
    if (lay_recording(&r, states, c->plan, answers, arena, err)) return DELE_ERR_MEMORY;
    r.n_reads = read_all(r.reads, states, &c->model->config);
    for (size_t i = 0; i < n; i++) {
        r.segments[i] =
            (dele_segment){.n_rows = states->n_rows,
                           .first_pos = states->first,
                           .parent = parent,
                           .keep = &states->kv[i],
                           .states = dele_state(c, states, DELE_EMBED, (int)i, -1, states->first)};
        for (size_t k = 0; k < answers; k++)
            r.rows[i * answers + k] = (int)((i + 1) * (size_t)states->n_rows - answers + k);
    }
    dele_batch batch = {.segments = r.segments,
                        .n_segments = n,
                        .patches = r.reads,
                        .n_patches = r.n_reads,
                        .output_rows = r.rows,
                        .n_output_rows = n * answers,
                        .routes = states->routes.experts ? &states->routes : NULL};
    return dele_forward(run, c->model, &batch, err);
}

static void embed(float *out, const dele_prompt_cache *c, int first, int n)
{
    dele_embed(out, c->model, c->tokens + first, (size_t)n, first);
}

/* ---- the clean run --------------------------------------------------------------------------- */

/* The most likely token but one; the first among equals. */
static int most_likely(const float *logits, size_t vocab, int but)
{
    int best = but == 0 ? 1 : 0;
    for (int v = best + 1; v < (int)vocab; v++)
        if (v != but && logits[v] > logits[best]) best = v;
    return best;
}

static dele_status lay_distribution(dele_prompt_cache *c, dele_arena *arena, dele_err *err)
{
    const size_t vocab = (size_t)c->plan->config->vocab;
    c->clean_logits = dele_alloc_raw(arena, vocab, sizeof(float), err);
    c->clean_p = dele_alloc_raw(arena, vocab, sizeof(float), err);
    return c->clean_logits && c->clean_p ? DELE_OK : DELE_ERR_MEMORY;
}

/* The distribution of the next token and, where the grid has no answer, the greedy one. */
static dele_status clean_distribution(dele_prompt_cache *c, dele_run *run, dele_err *err)
{
    size_t vocab = (size_t)c->model->config.vocab;
    if (lay_distribution(c, c->scratch, err)) return DELE_ERR_MEMORY;
    float *logits = c->clean_logits;
    dele_logits(logits, run, c->model, run->final, 1);
    if (dele_logits_check(logits, 1, c->model, err)) return DELE_ERR_DATA;
    double lse = log_sum_exp(logits, vocab), entropy = 0;
    for (size_t v = 0; v < vocab; v++) {
        double logp = (double)logits[v] - lse, p = exp(logp);
        entropy -= p * logp;
        c->clean_p[v] = (float)p;
    }
    c->clean_entropy = entropy;
    if (!c->grid->n_answer) {
        int *answer = DELE_NEW(c->scratch, int, 1, err);
        if (!answer) return err->code;
        *answer = most_likely(logits, vocab, -1);
        c->grid->answer = answer;
        c->grid->n_answer = 1;
    }
    c->clean_second = most_likely(logits, vocab, c->grid->answer[0]);
    return DELE_OK;
}

/* One forward pass over prompt and answer gives the clean KV cache, the distribution after the
 * prompt, and whether the model itself would generate each of the answer's tokens. */
dele_status dele_prompt_cache_clean(dele_prompt_cache *c, dele_run *run, dele_err *err)
{
    dele_grid *g = c->grid;
    int extra = g->n_answer > 1 ? g->n_answer - 1 : 0;
    c->n_rows = g->n_tokens + extra;
    c->tokens = DELE_NEW(c->scratch, int, (size_t)c->n_rows, err);
    c->nothing = DELE_NEW(c->scratch, float, (size_t)c->plan->config->hidden_size, err);
    if (!c->tokens || !c->nothing ||
        lay_states(&c->clean, c->plan, true, 1, 0, c->n_rows, NULL, c->scratch, err))
        return err->code;
    memcpy(c->tokens, g->ids, (size_t)g->n_tokens * sizeof *c->tokens);
    if (extra) memcpy(c->tokens + g->n_tokens, g->answer, (size_t)extra * sizeof *c->tokens);
    embed(c->clean.embed, c, 0, c->n_rows);
    if (record(&c->clean, c, run, NULL, c->scratch, err) || clean_distribution(c, run, err))
        return err->code;
    if (g->foil == g->answer[0])
        g->foil = -1; /* it begins as the answer does: the difference would be 0 */

    const dele_prompt_cache *self = c;
    int *choice = DELE_NEW(c->scratch, int, (size_t)g->n_answer, err);
    double *logp = DELE_NEW(c->scratch, double, (size_t)g->n_answer, err);
    if (!choice || !logp ||
        dele_logprobs(logp, choice, run, c->model, run->final, g->answer, (size_t)g->n_answer, err))
        return err->code;
    g->greedy = true;
    for (int k = 0; k < g->n_answer; k++) g->greedy &= choice[k] != 0;
    if (g->foil < 0 && dele_ablates(&c->plan->corruption)) g->foil = c->clean_second;
    return dele_measure(g->high, run->final, &self, 1, run, err);
}

dele_status dele_grid_keep_answer(dele_grid *grid, dele_arena *arena, dele_err *err)
{
    int *answer = DELE_NEW(arena, int, (size_t)grid->n_answer, err);
    if (!answer) return err->code;
    memcpy(answer, grid->answer, (size_t)grid->n_answer * sizeof *answer);
    grid->answer = answer;
    return DELE_OK;
}

/* ---- routes ---------------------------------------------------------------------------------- */

/* The clean run's experts into the grid. */
static dele_status keep_routes(dele_prompt_cache *c, dele_arena *arena, dele_err *err)
{
    const dele_config *config = c->plan->config;
    if (!config->n_experts || c->grid->routes) return DELE_OK;
    const size_t n = (size_t)c->grid->n_tokens * (size_t)config->n_layers * (size_t)config->top_k;
    dele_grid_routes *routes = DELE_NEW(arena, dele_grid_routes, 1, err);
    if (!routes) return err->code;
    routes->experts = dele_alloc_raw(arena, n, sizeof *routes->experts, err);
    routes->weights = dele_alloc_raw(arena, n, sizeof *routes->weights, err);
    if (!routes->experts || !routes->weights) return err->code;
    memcpy(routes->experts, c->clean.routes.experts, n * sizeof *routes->experts);
    memcpy(routes->weights, c->clean.routes.weights, n * sizeof *routes->weights);
    c->grid->routes = routes;
    return DELE_OK;
}

/* The fraction of the clean run's experts at t that sample s chooses as well; NaN where the layer
 * has none. */
static float unchanged_share(const dele_prompt_cache *c, int s, int l, int t)
{
    const int k = c->model->config.top_k, s0 = s - c->first_sample,
              *clean = dele_route_experts(&c->clean.routes, (size_t)t, l);
    if (clean[0] < 0) return NAN;
    if (t < c->corrupted.first) return 1;
    const size_t row = (size_t)s0 * (size_t)c->corrupted.n_rows + (size_t)(t - c->corrupted.first);
    const int *other = dele_route_experts(&c->corrupted.routes, row, l);
    return (float)dele_common_experts(clean, other, k) / (float)k;
}

/* What runs the samples once more. */
typedef struct {
    dele_segment *segments;
    const dele_prompt_cache **cases;
    int *output_rows;
    double *metrics; /* [n, DELE_N_METRICS] */
} forced;

static dele_status lay_forced(forced *f, size_t n, size_t answers, dele_arena *arena, dele_err *err)
{
    *f = (forced){
        DELE_NEW(arena, dele_segment, n, err), DELE_NEW(arena, const dele_prompt_cache *, n, err),
        DELE_NEW(arena, int, n *answers, err), DELE_NEW(arena, double, n *DELE_N_METRICS, err)};
    return f->segments && f->cases && f->output_rows && f->metrics ? DELE_OK : DELE_ERR_MEMORY;
}

/* All samples once more, with the other run's routes in every layer: f->metrics of their answers.
 */
static dele_status run_forced(forced *f, const dele_prompt_cache *c, dele_run *run,
                              dele_forced_run which, dele_err *err)
{
    const size_t n = (size_t)c->n_samples, rows = (size_t)c->corrupted.n_rows,
                 answers = (size_t)(c->n_rows - c->grid->n_tokens) + 1;
    const int first = c->corrupted.first;
    for (size_t i = 0; i < n; i++) {
        const bool clean_routes = which == DELE_CLEAN_ROUTES;
        f->segments[i] = (dele_segment){
            .n_rows = (int)rows,
            .first_pos = first,
            .parent = first ? c->clean.kv : NULL,
            .states = clean_routes ? dele_state(c, &c->corrupted, DELE_EMBED, (int)i, -1, first)
                                   : dele_state(c, &c->clean, DELE_EMBED, 0, -1, first),
            .forced = clean_routes ? &c->clean.routes : &c->corrupted.routes,
            .forced_at = clean_routes ? (size_t)first : i * rows};
        f->cases[i] = c;
        for (size_t k = 0; k < answers; k++)
            f->output_rows[i * answers + k] = (int)((i + 1) * rows - answers + k);
    }
    const dele_batch batch = {.segments = f->segments,
                              .n_segments = n,
                              .output_rows = f->output_rows,
                              .n_output_rows = n * answers};
    if (dele_forward(run, c->model, &batch, err)) return err->code;
    return dele_measure(f->metrics, run->final, f->cases, n, run, err);
}

/* What the corruption does to the routes of the samples, and what the routes do to the answer. */
static dele_status measure_routes(dele_prompt_cache *c, dele_run *run, dele_err *err)
{
    const dele_grid *g = c->grid;
    const int T = g->n_tokens, L = c->model->config.n_layers, first = c->first_sample;
    if (!g->routes) return DELE_OK;
    for (int s = first; s < first + c->n_samples; s++)
        for (int t = 0; t < T; t++)
            for (int l = 0; l < L; l++)
                g->routes->unchanged[((size_t)s * (size_t)T + (size_t)t) * (size_t)L + (size_t)l] =
                    unchanged_share(c, s, l, t);
    forced f;
    const size_t answers = (size_t)(c->n_rows - T) + 1;
    if (lay_forced(&f, (size_t)c->n_samples, answers, c->drawn, err)) return err->code;
    for (int which = 0; which < DELE_N_FORCED; which++) {
        if (run_forced(&f, c, run, (dele_forced_run)which, err)) return err->code;
        for (int i = 0; i < c->n_samples; i++)
            memcpy(g->routes->forced +
                       ((size_t)(first + i) * DELE_N_FORCED + (size_t)which) * DELE_N_METRICS,
                   f.metrics + (size_t)i * DELE_N_METRICS, DELE_N_METRICS * sizeof *f.metrics);
    }
    return DELE_OK;
}

/* The grid's routes with room for n samples, the `old` ones kept. */
static dele_status grow_routes(dele_grid *g, const dele_config *config, int n, size_t old,
                               dele_arena *arena, dele_err *err)
{
    const size_t cells = (size_t)g->n_tokens * (size_t)config->n_layers,
                 per_sample = DELE_N_FORCED * DELE_N_METRICS;
    if (!g->routes) return DELE_OK;
    float *unchanged = dele_alloc_raw(arena, (size_t)n * cells, sizeof *unchanged, err);
    double *metrics = DELE_NEW(arena, double, (size_t)n *per_sample, err);
    if (!unchanged || !metrics) return err->code;
    if (old) memcpy(unchanged, g->routes->unchanged, old * cells * sizeof *unchanged);
    if (old) memcpy(metrics, g->routes->forced, old * per_sample * sizeof *metrics);
    for (size_t i = old * cells; i < (size_t)n * cells; i++) unchanged[i] = NAN;
    for (size_t i = old * per_sample; i < (size_t)n * per_sample; i++) metrics[i] = NAN;
    g->routes->unchanged = unchanged;
    g->routes->forced = metrics;
    return DELE_OK;
}

/* ---- the corrupted runs ---------------------------------------------------------------------- */

/* The corrupted embeddings of the subject: [n_samples, tokens of the subject, d_model] */
static float *lay_noised(const dele_plan *plan, const dele_grid *grid, int n_samples,
                         dele_arena *arena, dele_err *err)
{
    const size_t n = (size_t)(grid->end - grid->begin);
    return dele_alloc_raw(arena, (size_t)n_samples * n,
                          (size_t)plan->config->hidden_size * sizeof(float), err);
}

/* Embeddings of the rows from the subject on, for each sample: the subject's are replaced by
 * another subject's (which is one sample) or corrupted by noise; those after it are the prompt's
 * own. */
static dele_status corrupt_embeddings(dele_prompt_cache *c, const dele_corruption *how,
                                      dele_err *err)
{
    const dele_grid *g = c->grid;
    size_t d_model = (size_t)c->model->config.hidden_size, rows = (size_t)c->corrupted.n_rows,
           n = (size_t)(g->end - g->begin);
    for (int s = 0; s < c->n_samples; s++)
        embed(c->corrupted.embed + (size_t)s * rows * d_model, c, g->begin, (int)rows);
    if (how->by == DELE_CORRUPT_TOKENS) {
        dele_embed(c->corrupted.embed, c->model, g->partner, n, g->begin);
        return DELE_OK;
    }
    float *noised = lay_noised(c->plan, c->grid, c->n_samples, c->drawn, err);
    if (!noised || dele_corrupt_embed(noised, how, c->model, g->ids + g->begin, (int)n, g->begin,
                                      c->first_sample, c->n_samples, g->seed, err))
        return err->code;
    for (size_t s = 0; s < (size_t)c->n_samples; s++)
        memcpy(c->corrupted.embed + s * rows * d_model, noised + s * n * d_model,
               n * d_model * sizeof(float));
    return DELE_OK;
}

/* The first corrupted sample's most likely token but the answer: the first's, so that more samples
 * do not change it. */
static dele_status find_foil(dele_prompt_cache *c, dele_run *run, dele_err *err)
{
    size_t vocab = (size_t)c->model->config.vocab;
    float *logits = dele_alloc_raw(c->drawn, vocab, sizeof *logits, err);
    if (!logits) return err->code;
    dele_logits(logits, run, c->model, run->final, 1);
    if (dele_logits_check(logits, 1, c->model, err)) return DELE_ERR_DATA;
    c->grid->foil = most_likely(logits, vocab, c->grid->answer[0]);
    return DELE_OK;
}

static dele_status measure_low(dele_prompt_cache *c, dele_run *run, dele_err *err)
{
    const dele_prompt_cache **cases =
        DELE_NEW(c->drawn, const dele_prompt_cache *, (size_t)c->n_samples, err);
    if (!cases) return err->code;
    for (int s = 0; s < c->n_samples; s++) cases[s] = c;
    return dele_measure(c->grid->low + (size_t)c->first_sample * DELE_N_METRICS, run->final, cases,
                        (size_t)c->n_samples, run, err);
}

/* Computes and caches the runs of c's samples under a corruption. */
static dele_status run_corrupted(dele_prompt_cache *c, dele_run *run, const dele_corruption *how,
                                 dele_err *err)
{
    int first = c->grid->begin;
    const dele_kv *parent = first ? c->clean.kv : NULL;
    if (lay_states(&c->corrupted, c->plan, false, c->n_samples, first, c->n_rows - first, parent,
                   c->drawn, err) ||
        corrupt_embeddings(c, how, err))
        return err->code;
    return record(&c->corrupted, c, run, parent, c->drawn, err);
}

/* ROME's low: noise is added even where the cells' corruption replaces.  Its states go again before
 * any cell. */
static dele_status rome_low(dele_prompt_cache *c, dele_run *run, dele_err *err)
{
    dele_corruption added = c->plan->corruption;
    dele_arena own = {0};
    dele_prompt_cache other = *c;
    added.replace = false;
    other.drawn = &own;
    dele_status status = run_corrupted(&other, run, &added, err);
    if (!status) status = measure_low(&other, run, err);
    dele_arena_release(&own);
    return status;
}

/* The grid with room for n samples, the old ones kept. */
static dele_status grow(dele_prompt_cache *c, int n, dele_arena *arena, dele_err *err)
{
    dele_grid *g = c->grid;
    size_t T = (size_t)g->n_tokens, old = (size_t)g->n_samples;
    double *low = DELE_NEW(arena, double, (size_t)n *DELE_N_METRICS, err);
    if (!low) return err->code;
    if (old) memcpy(low, g->low, old * DELE_N_METRICS * sizeof *low);
    for (size_t i = old * DELE_N_METRICS; i < (size_t)n * DELE_N_METRICS; i++) low[i] = NAN;
    g->low = low;
    float **value = DELE_NEW(arena, float *, (size_t)c->plan->n_charts, err);
    if (!value) return err->code;
    for (int i = 0; i < c->plan->n_charts; i++) {
        size_t cells = DELE_N_METRICS * T * (size_t)c->plan->charts[i].n_cols;
        value[i] = dele_alloc_raw(arena, (size_t)n * cells, sizeof(float), err);
        if (!value[i]) return err->code;
        if (old) memcpy(value[i], g->value[i], old * cells * sizeof(float));
        for (size_t k = old * cells; k < (size_t)n * cells; k++) value[i][k] = NAN;
    }
    g->value = value;
    if (keep_routes(c, arena, err) || grow_routes(g, c->plan->config, n, old, arena, err))
        return err->code;
    g->n_samples = n;
    return DELE_OK;
}

/* The case's other runs, for severed cells: ROME's trace_with_repatch draws its second pass's noise
 * where the first one's ended, so that sample s of pass 2 is sample S + s of one stream.  With what
 * they measure unpatched. */
static dele_status corrupt_again(dele_prompt_cache *c, dele_run *run, dele_err *err)
{
    dele_prompt_cache *again = DELE_NEW(c->drawn, dele_prompt_cache, 1, err);
    const dele_prompt_cache **cases =
        DELE_NEW(c->drawn, const dele_prompt_cache *, (size_t)c->n_samples, err);
    if (!again || !cases) return err->code;
    *again = *c;
    again->again = NULL;
    again->severed = c;
    again->first_sample = c->plan->samples + c->first_sample; /* for the draw alone */
    again->base = DELE_NEW(c->drawn, double, (size_t)c->n_samples *DELE_N_METRICS, err);
    if (!again->base || run_corrupted(again, run, &c->plan->corruption, err)) return err->code;
    again->first_sample = c->first_sample;
    for (int s = 0; s < c->n_samples; s++) cases[s] = again;
    c->again = again;
    return dele_measure(again->base, run->final, cases, (size_t)c->n_samples, run, err);
}

/* The samples before these are released first: otherwise memory would grow with every turn of
 * --until. */
dele_status dele_prompt_cache_corrupt(dele_prompt_cache *c, dele_run *run, int first, int n,
                                      dele_arena *arena, dele_err *err)
{
    c->first_sample = first;
    c->n_samples = n;
    c->again = NULL;
    if (grow(c, first + n, arena, err)) return err->code;
    if (dele_ablates(&c->plan->corruption)) {
        c->base = c->grid->high;
        return DELE_OK;
    }
    dele_arena_release(
        c->drawn); /* the samples before, or memory would grow with every turn of --until */
    if (run_corrupted(c, run, &c->plan->corruption, err)) return err->code;
    dele_grid *g = c->grid;
    if (g->foil < 0 && find_foil(c, run, err)) return err->code;
    g->high[DELE_LOGIT_DIFF] =
        (double)c->clean_logits[g->answer[0]] - (double)c->clean_logits[g->foil];
    if (measure_low(c, run, err)) return err->code;
    size_t n_base = (size_t)n * DELE_N_METRICS;
    c->base = DELE_NEW(c->drawn, double, n_base, err);
    if (!c->base) return err->code;
    for (size_t i = 0; i < n_base; i++)
        c->base[i] = c->plan->noising ? g->high[i % DELE_N_METRICS]
                                      : g->low[(size_t)first * DELE_N_METRICS + i];
    if (measure_routes(c, run, err)) return err->code;
    if (c->plan->severs_anew && corrupt_again(c, run, err)) return err->code;
    return c->plan->corruption.rome && c->plan->corruption.replace ? rome_low(c, run, err)
                                                                   : DELE_OK;
}

static int rows_in_all(const dele_grid *grid)
{
    return grid->n_tokens + (grid->n_answer > 1 ? grid->n_answer - 1 : 0);
}

static dele_status lay_corrupted(dele_prompt_cache *c, int n_samples, size_t answers,
                                 dele_arena *arena, dele_err *err)
{
    recording r;
    forced f;
    const int first = c->grid->begin;
    bool ok =
        !lay_states(&c->corrupted, c->plan, false, n_samples, first, c->n_rows - first, NULL, arena,
                    err) &&
        lay_noised(c->plan, c->grid, n_samples, arena, err) &&
        !lay_recording(&r, &c->corrupted, c->plan, answers, arena, err) &&
        (!c->plan->config->n_experts || !lay_forced(&f, (size_t)n_samples, answers, arena, err));
    return ok ? DELE_OK : DELE_ERR_MEMORY;
}

size_t dele_prompt_cache_bytes(const dele_plan *plan, const dele_grid *grid, int n_samples)
{
    /* tables of tokens and metrics; what adds nothing */
    const size_t small = 4096 + (size_t)plan->config->hidden_size * sizeof(float);
    recording r;
    dele_arena counted = {.counts = true};
    dele_grid own = *grid;
    dele_prompt_cache c = {.plan = plan, .grid = &own, .n_rows = rows_in_all(grid)};
    const size_t answers = (size_t)(c.n_rows - grid->n_tokens) + 1;
    bool ok = !lay_states(&c.clean, plan, true, 1, 0, c.n_rows, NULL, &counted, NULL) &&
              !lay_recording(&r, &c.clean, plan, answers, &counted, NULL) &&
              !lay_distribution(&c, &counted, NULL);
    const int sets = dele_ablates(&plan->corruption)
                         ? 0
                         : (plan->corruption.rome && plan->corruption.replace ? 2 : 1) +
                               plan->severs_anew; /* see rome_low */
    for (int i = 0; i < sets && ok; i++)
        ok = !lay_corrupted(&c, n_samples, answers, &counted, NULL) &&
             !lay_distribution(&c, &counted, NULL);
    const size_t bytes = counted.used + small * (size_t)(1 + sets);
    dele_arena_release(&counted);
    return ok ? bytes : SIZE_MAX;
}

size_t dele_prompt_run_bytes(const dele_plan *plan, const dele_grid *grid, int n_samples)
{
    const size_t n = dele_ablates(&plan->corruption) ? 1 : (size_t)n_samples,
                 all = (size_t)rows_in_all(grid), answers = all - (size_t)grid->n_tokens + 1;
    const size_t rows = n * (all - (size_t)dele_plan_first(plan, grid));
    const dele_pass_size size = {.n_rows = rows,
                                 .n_segments = n,
                                 .n_expert_rows = plan->patches_experts ? rows : 0,
                                 .n_spans = 2 * n,
                                 .n_patches = n * DELE_N_SITES * (size_t)plan->config->n_layers,
                                 .n_output_rows = n * answers,
                                 .longest = all};
    return DELE_BYTES(dele_forward_bytes(plan->config, &size),
                      dele_measure_bytes(plan->config, n * answers));
}

/* ---- ablation -------------------------------------------------------------------------------- */

dele_status dele_ablation_init(dele_ablation *a, const dele_plan *plan, dele_arena *arena,
                               dele_err *err)
{
    *a = (dele_ablation){.embed = DELE_NEW(arena, float, (size_t)plan->config->hidden_size, err)};
    for (int site = 0; site < DELE_N_SITES; site++)
        if (site_is_kept(plan, (dele_site)site, true))
            a->site[site] = DELE_NEW(
                arena, float,
                (size_t)plan->config->n_layers *ablation_width(plan->config, (dele_site)site), err);
    return err->code;
}

static void add_rows(float *sum, const float *rows, size_t n, size_t width)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < width; k++) sum[k] += rows[i * width + k];
}

/* sum [n_experts, d_model] += what the rows' experts add, values [n_rows, top_k, d_model]. */
static void add_experts(float *sum, const float *values, const dele_prompt_cache *c, int layer)
{
    const size_t d_model = (size_t)c->model->config.hidden_size;
    for (int r = 0; r < c->clean.n_rows; r++) {
        const int *chosen = dele_route_experts(&c->clean.routes, (size_t)r, layer);
        for (int k = 0; k < c->model->config.top_k; k++, values += d_model)
            if (chosen[k] >= 0) add_rows(sum + (size_t)chosen[k] * d_model, values, 1, d_model);
    }
}

int dele_ablation_add(dele_ablation *a, const dele_prompt_cache *c)
{
    const dele_config *config = &c->model->config;
    size_t rows = (size_t)c->clean.n_rows, L = (size_t)config->n_layers;
    add_rows(a->embed, c->clean.embed, rows, (size_t)config->hidden_size);
    for (int site = 0; site < DELE_N_SITES; site++)
        for (size_t l = 0; a->site[site] && l < L; l++) {
            if (!dele_layer_has_site(config, (int)l, (dele_site)site)) continue;
            const float *values =
                c->clean.site[site] + l * rows * site_width(config, (dele_site)site);
            float *sum = a->site[site] + l * ablation_width(config, (dele_site)site);
            if (site == DELE_EXPERT_OUT)
                add_experts(sum, values, c, (int)l);
            else
                add_rows(sum, values, rows, site_width(config, (dele_site)site));
        }
    return c->clean.n_rows;
}

void dele_ablation_scale(dele_ablation *a, const dele_plan *plan, double factor)
{
    for (int i = 0; i < plan->config->hidden_size; i++) a->embed[i] = (float)(a->embed[i] * factor);
    for (int site = 0; site < DELE_N_SITES; site++) {
        size_t n = (size_t)plan->config->n_layers * ablation_width(plan->config, (dele_site)site);
        for (size_t i = 0; a->site[site] && i < n; i++)
            a->site[site][i] = (float)(a->site[site][i] * factor);
    }
}
