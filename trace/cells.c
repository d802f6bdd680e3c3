/* Cells computed from the run's own states and KV cache, each from the first layer and token that
 * its patch changes.
 *
 *            b     t              T
 *   layer 3  · · · · + * * * * * *      *  computed for this cell alone
 *   layer 2  · · · · + * * * * * *      +  computed for this cell, at the patched token
 *   layer 1  . . . . C = = = = = =      C  the patched value; =  the base run's, cached
 *   layer 0  . . . . . . . . . . .      .  not computed: positions < t are read from the KV cache
 *
 * A patch at token t from layer a on changes nothing at positions < t in any layer, and nothing at
 * positions > t up to and including layer a (they see t's change only through layer a + 1's keys).
 * So with x = source, the run that values come from, and the base, the run that cells start from:
 *
 *   hidden (t, l)        starts at l + 1:  [x.post(l) at t | base.post(l) after it]
 *   mlp  window [a, z)   starts at a + 1: [base.mid(a) + x.mlp(a) at t | base.post(a) after it],
 *                        MLP outputs at t replaced by x's in layers a + 1 .. z - 1
 *   attn window [a, z)   starts at a + 1: [m + MLP_a(m) at t, m = base.post(a - 1) + x.attn(a) |
 *                        base.post(a) after it], attention outputs at t replaced in a + 1 .. z - 1
 *   the same two with a parallel residual: [base.post(a - 1) + base.attn(a) + x.mlp(a) at t | ...]
 *                        and [base.post(a - 1) + x.attn(a) + base.mlp(a) at t | ...]
 *   head (t, a, h)       starts at a:     [base.post(a - 1) from t on], one head's output at t
 *                                         replaced
 *   router (t, a)        the same, the router's logits at t replaced
 *   expert (t, a, e)     the same, what expert e adds at t replaced: nothing where x does not
 * choose it.  Where the base does not choose it either, the cell is the base's embed (t) starts at
 * 0
 *
 * Rows times layers of the three kinds, with R = T - b and D = R (R + 1) / 2:
 *   T L + S R L + S D [L (L - 1) / 2 + 2 W],   W the sum over centres of L - 1 - a,
 * less what windows that begin at the same layer share, against (T L + 2)(S + 1) T L a kind when
 * each cell is a run of its own.  Cells of all samples, kinds and prompts share batches as large as
 * the memory allows, so that a weight matrix is read once for a thousand rows.  Each thread has a
 * batch and a run of its own and takes every n-th cell, so that threads do not wait for one another
 * inside a layer.
 *
 * Cells before the subject are the base run's.  So are those whose patch reaches no row that the
 * answer is read from (dele_plan_reaches), and those of experts that neither run chooses. */
#include "trace/cells.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_BATCH_ROWS = 768, /* of a thread: enough for the matrix products, what they give still in
                             the cache, and the threads end a group together */
    HEAD_ROWS = 512,
};

typedef struct {
    dele_prompt_cache *of;
    const dele_restoration *what;
    int t, s;
    const float *states; /* a branch: what its trunk left, [rows, d_model]; else NULL */
} cell;

/* Cells waiting for the next forward. */
typedef struct {
    cell *cells;
    dele_segment *segments;
    const dele_prompt_cache **cases;
    dele_patch *patches;
    int *output_rows;
    float *states; /* [max_rows, d_model] */
    float *trunks; /* [max_rows * most branches, d_model] what trunks leave for their branches; NULL
                      in a branches' stack */
    size_t n, n_patches, n_rows, n_output_rows, n_trunk_rows, max_rows, max_patches, max_trunk_rows;
} stack;

/* Cells that have been run and wait for the head, which is the model's largest matrix and wants
 * many rows at once. */
typedef struct {
    cell *cells;
    const dele_prompt_cache **cases;
    float *states;   /* [max_rows, d_model] final states of the answers' rows */
    double *metrics; /* [max_rows, DELE_N_METRICS] */
    size_t n, n_rows, max_rows;
} ended;

/* One thread's share. */
typedef struct {
    const dele_trace_group *group;
    const dele_config *config;
    dele_run *run;
    size_t d_model;
    int turn, n_turns;   /* it takes the cells whose number leaves `turn` when divided by n_turns */
    stack first, second; /* trunks and lone cells; branches */
    ended ended;
    cell *branches; /* of the batch just run */
    size_t n_branches, max_branches;
    dele_arena scratch;
} cell_work;

static int rows_of(const dele_prompt_cache *c, int t) { return c->n_rows - t; }

/* Writes a cell's metrics into every column that shows this restoration. */
static void store_cell(const dele_prompt_cache *c, const dele_restoration *r, int t, int s,
                       const double *metrics)
{
    for (int i = r->first_target; i < r->first_target + r->n_targets; i++) {
        dele_target target = c->plan->targets[i];
        for (int m = 0; m < DELE_N_METRICS; m++)
            *dele_cell(c->grid, &c->plan->charts[target.chart], target.chart, s, (dele_metric)m, t,
                       target.col) = (float)metrics[m];
    }
}

/* ---- what a cell starts from ----------------------------------------------------------------- */

/* x [d_model]: the stream at t where the cell joins. */
static void first_row(float *x, const cell *k, size_t d_model)
{
    const dele_prompt_cache *c = k->of;
    const dele_restoration *r = k->what;
    const bool parallel = c->plan->config->parallel_residual;
    const float *base, *value, *other = NULL; /* the other sublayer's output */
    if (c->severed) {                         /* from the embedding up */
        memcpy(x, dele_base(c, DELE_RESID_POST, k->s, -1, k->t), d_model * sizeof *x);
        return;
    }
    switch (r->kind) {
    case DELE_MLP:
        base = parallel ? dele_base(c, DELE_RESID_POST, k->s, r->from - 1, k->t)
                        : dele_base(c, DELE_RESID_MID, k->s, r->from, k->t);
        if (parallel) other = dele_base(c, DELE_ATTN_OUT, k->s, r->from, k->t);
        value = dele_source(c, DELE_MLP_OUT, k->s, r->from, k->t);
        break;
    case DELE_ATTN: /* an MLP that reads it is added by add_mlps */
        base = dele_base(c, DELE_RESID_POST, k->s, r->from - 1, k->t);
        if (parallel) other = dele_base(c, DELE_MLP_OUT, k->s, r->from, k->t);
        value = dele_source(c, DELE_ATTN_OUT, k->s, r->from, k->t);
        break;
    case DELE_HEAD:
    case DELE_ROUTER:
    case DELE_EXPERT:
        memcpy(x, dele_base(c, DELE_RESID_POST, k->s, r->from - 1, k->t), d_model * sizeof *x);
        return;
    case DELE_EMBEDDING:
        memcpy(x, dele_source(c, DELE_EMBED, k->s, -1, k->t), d_model * sizeof *x);
        return;
    case DELE_MID:
        memcpy(x, dele_source(c, DELE_RESID_MID, k->s, r->from, k->t), d_model * sizeof *x);
        return;
    default:
        memcpy(x, dele_source(c, DELE_RESID_POST, k->s, r->from, k->t), d_model * sizeof *x);
        return;
    }
    for (size_t i = 0; i < d_model; i++) x[i] = base[i] + value[i];
    for (size_t i = 0; other && i < d_model; i++) x[i] += other[i];
}

/* Attention's cells, and ablated mid-states, start after an MLP that reads their first row alone,
 * unless the residual is parallel: those rows are gathered, run through it together, and put
 * back. */
static dele_status add_mlps(cell_work *w, stack *k, dele_err *err)
{
    for (size_t i = 0; i < k->n && !w->config->parallel_residual;) {
        const dele_restoration *r = k->cells[i].what;
        size_t end = i, n = 0;
        while (end < k->n && k->cells[end].what->kind == r->kind &&
               k->cells[end].what->from == r->from)
            end++;
        if (!k->cells[i].states && (r->kind == DELE_ATTN || r->kind == DELE_MID)) {
            dele_arena_reset(&w->scratch);
            float *x = dele_alloc_raw(&w->scratch, end - i, w->d_model * sizeof *x, err);
            if (!x) return DELE_ERR_MEMORY;
            for (size_t j = i; j < end; j++)
                memcpy(x + n++ * w->d_model, k->segments[j].states, w->d_model * sizeof *x);
            if (dele_forward_mlp(x, w->run, w->group->model, r->from, n, err)) return err->code;
            for (size_t j = i; j < end; j++)
                memcpy(k->states + (k->segments[j].states - k->states), x + (j - i) * w->d_model,
                       w->d_model * sizeof *x);
        }
        i = end;
    }
    return DELE_OK;
}

/* ---- patches of a cell ----------------------------------------------------------------------- */

/* A layer's patch at row is left out where nobody reads it: in the last layer before the answer's
 * rows. */
static void add_patch(stack *k, const cell_work *w, const cell *it, int layer, dele_site site,
                      int unit, const float *value)
{
    if (layer == w->config->n_layers - 1 && it->t < it->of->grid->n_tokens - 1) return;
    k->patches[k->n_patches++] = (dele_patch){.layer = layer,
                                              .row = (int)k->n_rows,
                                              .site = site,
                                              .head = unit,
                                              .expert = unit,
                                              .op = DELE_REPLACE,
                                              .value = value};
}

static void add_patches(stack *k, const cell_work *w, const cell *it, int start_layer)
{
    const dele_restoration *r = it->what;
    const dele_prompt_cache *c = it->of;
    dele_site site =
        r->kind == DELE_MLP || r->sever == DELE_SEVER_MLP ? DELE_MLP_OUT : DELE_ATTN_OUT;
    if (r->kind == DELE_MLP || r->kind == DELE_ATTN)
        for (int l = start_layer; l < r->to; l++)
            add_patch(k, w, it, l, site, 0, dele_source(c, site, it->s, l, it->t));
    if (r->kind == DELE_HEAD || r->kind == DELE_ROUTER || r->kind == DELE_EXPERT) {
        site = dele_kind_site[r->kind];
        add_patch(k, w, it, r->from, site, r->unit,
                  dele_source_unit(c, site, it->s, r->from, it->t, r->unit));
    }
    if (r->sever != DELE_SEVER_NOTHING)
        for (int l = start_layer; l < w->config->n_layers; l++)
            add_patch(k, w, it, l, site, 0,
                      dele_base(c->severed ? c->severed : c, site, it->s, l, it->t));
    if (c->severed)
        add_patch(k, w, it, r->from, DELE_RESID_POST, 0,
                  dele_source(c, DELE_RESID_POST, it->s, r->from, it->t));
}

/* A trunk's states at the layers where its branches leave it. */
static void add_reads(cell_work *w, stack *k, const cell *it)
{
    const dele_plan *plan = w->group->plan;
    int rows = rows_of(it->of, it->t);
    for (int b = 0; b < it->what->n_branches; b++) {
        const dele_restoration *branch =
            &plan->restorations[plan->branch[it->what->first_branch + b]];
        float *left = k->trunks + k->n_trunk_rows * w->d_model;
        k->patches[k->n_patches++] = (dele_patch){.layer = branch->to - 1,
                                                  .row = (int)k->n_rows,
                                                  .n_rows = rows,
                                                  .op = DELE_READ,
                                                  .site = DELE_RESID_POST,
                                                  .seen = left};
        k->n_trunk_rows += (size_t)rows;
        w->branches[w->n_branches++] = (cell){it->of, branch, it->t, it->s, left};
    }
}

/* ---- stacking -------------------------------------------------------------------------------- */

static int by_end(const void *a, const void *b)
{
    const cell *x = a, *y = b;
    if (x->what->to != y->what->to) return x->what->to < y->what->to ? -1 : 1;
    return x->states < y->states ? -1 : x->states > y->states;
}

static dele_status flush(cell_work *w, stack *k, dele_err *err);

static dele_status flush_branches(cell_work *w, dele_err *err);

static bool fits(const cell_work *w, const stack *k, const cell *it)
{
    size_t rows = (size_t)rows_of(it->of, it->t);
    return k->n_rows + rows <= k->max_rows &&
           k->n_patches + 2 * (size_t)w->config->n_layers + rows * (size_t)it->what->n_branches <=
               k->max_patches &&
           k->n_trunk_rows + rows * (size_t)it->what->n_branches <= k->max_trunk_rows;
}

/* Adds a cell's segment to the batch, which is computed first where the cell does not fit.  The
 * segment starts from the states that its trunk left at the layer where the cell's window ends;
 * without a trunk, from the base run's states with the restored row in front.  The tokens before it
 * are the base run's KV cache. */
static dele_status push(cell_work *w, stack *k, const cell *it, dele_err *err)
{
    if (!fits(w, k, it) && flush(w, k, err)) return err->code;
    const dele_prompt_cache *c = it->of;
    const dele_restoration *r = it->what;
    int start_layer = it->states ? r->to : r->start_layer;
    size_t rows = (size_t)rows_of(c, it->t);
    float *x = k->states + k->n_rows * w->d_model;
    if (it->states) {
        memcpy(x, it->states, rows * w->d_model * sizeof *x);
    } else {
        first_row(x, it, w->d_model);
        if (rows > 1)
            for (size_t i = 1; i < rows; i++)
                memcpy(x + i * w->d_model,
                       dele_base(c, DELE_RESID_POST, it->s, start_layer - 1, it->t + (int)i),
                       w->d_model * sizeof *x);
        add_patches(k, w, it, start_layer);
        if (r->n_branches) add_reads(w, k, it);
    }
    for (int i = 0; i < c->grid->n_answer; i++)
        k->output_rows[k->n_output_rows++] = (int)k->n_rows + (int)rows - c->grid->n_answer + i;
    k->cells[k->n] = *it;
    k->segments[k->n++] = (dele_segment){.n_rows = (int)rows,
                                         .first_pos = it->t,
                                         .start_layer = start_layer,
                                         .states = x,
                                         .parent = dele_base_kv(c, it->s, it->t)};
    k->n_rows += rows;
    return DELE_OK;
}

/* The metrics of all cells that have ended. */
static dele_status measure(cell_work *w, dele_err *err)
{
    ended *e = &w->ended;
    if (dele_measure(e->metrics, e->states, e->cases, e->n, w->run, err)) return err->code;
    for (size_t i = 0; i < e->n; i++)
        store_cell(e->cells[i].of, e->cells[i].what, e->cells[i].t, e->cells[i].s,
                   e->metrics + i * DELE_N_METRICS);
    e->n = e->n_rows = 0;
    return DELE_OK;
}

/* Takes over the cells of the batch just run. */
static dele_status end_cells(cell_work *w, const stack *k, dele_err *err)
{
    ended *e = &w->ended;
    const float *x = w->run->final;
    for (size_t i = 0; i < k->n; i++) {
        size_t rows = (size_t)k->cells[i].of->grid->n_answer;
        if (e->n_rows + rows > e->max_rows && measure(w, err)) return err->code;
        memcpy(e->states + e->n_rows * w->d_model, x, rows * w->d_model * sizeof *x);
        e->cells[e->n] = k->cells[i];
        e->cases[e->n++] = k->cells[i].of;
        e->n_rows += rows;
        x += rows * w->d_model;
    }
    return DELE_OK;
}

/* Computes the batch and empties it.  Branches of the trunks in it are computed at once, for the
 * states that they start from are overwritten by the next batch. */
static dele_status flush(cell_work *w, stack *k, dele_err *err)
{
    if (!k->n) return DELE_OK;
    dele_run *run = w->run;
    double before = run->flops;
    dele_batch batch = {.segments = k->segments,
                        .n_segments = k->n,
                        .patches = k->patches,
                        .n_patches = k->n_patches,
                        .output_rows = k->output_rows,
                        .n_output_rows = k->n_output_rows};
    if (add_mlps(w, k, err) || dele_forward(run, w->group->model, &batch, err) ||
        end_cells(w, k, err))
        return err->code;
    dele_progress *p = w->group->progress;
#pragma omp critical(cells_progress)
    if (p) dele_progress_set(p, p->done + (run->flops - before) / w->group->progress_price, NULL);
    k->n = k->n_patches = k->n_rows = k->n_output_rows = 0;
    if (k == &w->first && flush_branches(w, err)) return err->code;
    k->n_trunk_rows = 0;
    return DELE_OK;
}

/* The branches of the batch just run, in order of the layer they start at. */
static dele_status flush_branches(cell_work *w, dele_err *err)
{
    qsort(w->branches, w->n_branches, sizeof *w->branches, by_end);
    for (size_t i = 0; i < w->n_branches; i++)
        if (push(w, &w->second, &w->branches[i], err)) return err->code;
    w->n_branches = 0;
    return flush(w, &w->second, err);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static size_t most_branches(const dele_plan *plan)
{
    size_t most = 0;
    for (int i = 0; i < plan->n_restorations; i++)
        if ((size_t)plan->restorations[i].n_branches > most)
            most = (size_t)plan->restorations[i].n_branches;
    return most;
}

/* Rows of the longest answer. */
static size_t most_answers(const dele_trace_group *group)
{
    int most = 0;
    for (int i = 0; i < group->n_cases; i++)
        if (group->cases[i]->grid->n_answer > most) most = group->cases[i]->grid->n_answer;
    return (size_t)most;
}

static dele_status ended_init(ended *e, const cell_work *w, size_t batch, dele_arena *arena,
                              dele_err *err)
{
    size_t answers = most_answers(w->group), rows = batch < HEAD_ROWS ? batch : HEAD_ROWS;
    if (rows < answers) rows = answers;
    *e = (ended){.max_rows = rows};
    e->cells = DELE_NEW(arena, cell, rows, err);
    e->cases = DELE_NEW(arena, const dele_prompt_cache *, rows, err);
    e->states = dele_alloc_raw(arena, rows * w->d_model, sizeof(float), err);
    e->metrics = DELE_NEW(arena, double, rows *DELE_N_METRICS, err);
    return e->cells && e->cases && e->states && e->metrics ? DELE_OK : err->code;
}

static dele_status stack_init(stack *k, cell_work *w, size_t rows, size_t branches,
                              dele_arena *arena, dele_err *err)
{
    size_t L = (size_t)w->config->n_layers;
    *k = (stack){.max_rows = rows,
                 .max_patches = rows * (branches + 4) + 2 * L,
                 .max_trunk_rows = rows * branches};
    k->cells = DELE_NEW(arena, cell, rows, err);
    k->segments = DELE_NEW(arena, dele_segment, rows, err);
    k->patches = DELE_NEW(arena, dele_patch, k->max_patches, err);
    k->output_rows = DELE_NEW(arena, int, rows *most_answers(w->group), err);
    k->states = dele_alloc_raw(arena, rows * w->d_model, sizeof(float), err);
    k->trunks =
        branches ? dele_alloc_raw(arena, rows * branches * w->d_model, sizeof(float), err) : NULL;
    return k->cells && k->segments && k->patches && k->output_rows && k->states &&
                   (k->trunks || !branches)
               ? DELE_OK
               : err->code;
}

/* A thread's memory with batches of so many rows. */
static dele_status lay_work(cell_work *w, size_t rows, size_t branches, dele_arena *arena,
                            dele_err *err)
{
    bool ok = !ended_init(&w->ended, w, rows, arena, err) &&
              !stack_init(&w->first, w, rows, branches, arena, err) &&
              (!branches || !stack_init(&w->second, w, rows, 0, arena, err)) &&
              (w->branches = DELE_NEW(arena, cell, rows * branches, err));
    return ok ? DELE_OK : DELE_ERR_MEMORY;
}

static cell_work work_of(const dele_trace_group *group)
{
    return (cell_work){.group = group,
                       .config = &group->model->config,
                       .d_model = (size_t)group->model->config.hidden_size};
}

static size_t longest_of(const dele_trace_group *group)
{
    size_t longest = 1;
    for (int i = 0; i < group->n_cases; i++)
        if ((size_t)group->cases[i]->n_rows > longest) longest = (size_t)group->cases[i]->n_rows;
    return longest;
}

static size_t kept_by(const dele_trace_group *group)
{
    size_t kept = 0;
    for (int i = 0; i < group->n_cases; i++) {
        const dele_prompt_cache *it = group->cases[i];
        kept = DELE_BYTES(kept, dele_prompt_cache_bytes(it->plan, it->grid, it->n_samples));
    }
    return kept;
}

/* Bytes of a thread with batches of so many rows; of each cell a row at the least. */
static size_t thread_bytes(const void *data, size_t rows)
{
    const dele_trace_group *group = data;
    cell_work w = work_of(group);
    dele_err err = {0};
    dele_arena counted = {.counts = true};
    dele_status status = lay_work(&w, rows, most_branches(group->plan), &counted, &err);
    const size_t tables = counted.used;
    dele_arena_release(&counted);
    const dele_pass_size size = {.n_rows = rows,
                                 .n_segments = rows,
                                 .n_spans = 3 * rows, /* clean cache, sample's, own */
                                 .n_patches = w.first.max_patches,
                                 .n_output_rows = rows,
                                 .n_expert_rows = group->plan->patches_experts ? rows : 0,
                                 .longest = longest_of(group)};
    if (status) return SIZE_MAX;
    return DELE_BYTES(tables, rows * w.d_model * sizeof(float), /* add_mlps */
                      dele_forward_bytes(w.config, &size), dele_tile_bytes(group->model),
                      dele_measure_bytes(w.config, w.ended.max_rows));
}

/* Rows of a thread's batch that fit beside what the cases keep, and how many threads there is room
 * for. */
static dele_status batch_rows(size_t *rows, int *n_threads, const dele_trace_group *group,
                              dele_err *err)
{
    const size_t kept = kept_by(group), longest = longest_of(group),
                 budget = (size_t)group->plan->memory << 20,
                 most = longest > MAX_BATCH_ROWS ? longest : MAX_BATCH_ROWS;
    *rows = 0;
    for (*n_threads = omp_get_max_threads(); *n_threads > 0; --*n_threads) {
        const size_t each = budget > kept ? (budget - kept) / (size_t)*n_threads : 0;
        if ((*rows = dele_most_that_fits(thread_bytes, group, longest, most, each))) return DELE_OK;
    }
    return dele_fail(err, DELE_ERR_MEMORY,
                     "a prompt of %zu tokens needs at least %zu MiB; raise --batch-memory or take "
                     "fewer --samples",
                     longest, ((kept + thread_bytes(group, longest)) >> 20) + 1);
}

dele_status dele_cells_bytes(size_t *bytes, const dele_trace_group *group, double cell_rows,
                             dele_err *err)
{
    size_t rows, one;
    int n_threads;
    if (batch_rows(&rows, &n_threads, group, err)) return err->code;
    const double each = cell_rows / n_threads;
    if (each < (double)rows) rows = (size_t)each + 1;
    one = thread_bytes(group, rows);
    if (one == SIZE_MAX)
        return dele_fail(err, DELE_ERR_MEMORY, "out of memory to count what tracing takes");
    *bytes = kept_by(group) + (size_t)n_threads * one; /* batch_rows has found that they fit */
    for (int i = 0; i < group->n_cases; i++) {
        const dele_prompt_cache *it = group->cases[i];
        const size_t recording = dele_prompt_run_bytes(it->plan, it->grid, it->n_samples);
        if (recording == SIZE_MAX)
            return dele_fail(err, DELE_ERR_MEMORY, "out of memory to count what tracing takes");
        if (recording > one) /* the first thread's run */
            *bytes += recording - one, one = recording;
    }
    return DELE_OK;
}

/* ---- all cells ------------------------------------------------------------------------------- */

/* The base run's metrics: of a cell that is that run. */
static const double *base_metrics(const dele_prompt_cache *c, int s)
{
    return c->base + (size_t)(s - c->first_sample) * DELE_N_METRICS;
}

/* index: the restoration's. */
static dele_status push_cells(cell_work *w, dele_prompt_cache *c, const dele_restoration *r,
                              int index, dele_err *err)
{
    int from, to, first = dele_plan_first(c->plan, c->grid);
    dele_plan_tokens(&from, &to, c->plan, c->grid);
    if (r->sever != DELE_SEVER_NOTHING && c->again) c = c->again;
    for (int t = from; t < to; t++)
        for (int s = c->first_sample; s < c->first_sample + c->n_samples; s++) {
            if ((index + t + s) % w->n_turns != w->turn) continue;
            if (t < first || !dele_plan_reaches(c->plan, r, c->grid, t) ||
                (r->kind == DELE_EXPERT && !dele_expert_differs(c, s, r->from, t, r->unit))) {
                store_cell(c, r, t, s, base_metrics(c, s));
                for (int b = 0; b < r->n_branches; b++)
                    store_cell(c, &c->plan->restorations[c->plan->branch[r->first_branch + b]], t,
                               s, base_metrics(c, s));
            } else if (push(w, &w->first, &(cell){c, r, t, s, NULL}, err)) {
                return err->code;
            }
        }
    return DELE_OK;
}

/* One thread's cells of a group. */
static dele_status compute(cell_work *w, size_t rows, dele_err *err)
{
    const dele_plan *plan = w->group->plan;
    dele_arena arena = {0};
    bool ok = !lay_work(w, rows, most_branches(plan), &arena, err);
    for (int i = 0; i < plan->n_restorations && ok; i++)
        for (int k = 0; k < w->group->n_cases && plan->restorations[i].trunk < 0 && ok; k++)
            ok = !push_cells(w, w->group->cases[k], &plan->restorations[i], i, err);
    if (ok && !flush(w, &w->first, err)) measure(w, err);
    dele_arena_release(&w->scratch);
    dele_arena_release(&arena);
    return err->code;
}

/* Threads take cells in turn, each with buffers and a batch of its own; the first thread has the
 * caller's run.  Which cells share a batch follows from the number of threads and never from their
 * timing, so that the same number gives the same bytes. */
static dele_status compute_all(const dele_trace_group *group, dele_err *err)
{
    size_t rows;
    int n_threads = 1;
    double row_layers = 0,
           flops = 0; /* of the other threads: the first one's run is still counting */
    if (batch_rows(&rows, &n_threads, group, err)) return err->code;
#pragma omp parallel num_threads(n_threads)
    {
        dele_run own = {0};
        dele_err trouble = {0};
        cell_work w = work_of(group);
        w.turn = omp_get_thread_num(), w.n_turns = omp_get_num_threads();
        w.run = w.turn ? &own : group->run;
        compute(&w, rows, &trouble);
#pragma omp critical(cells_end)
        {
            if (trouble.code && !err->code) *err = trouble;
            row_layers += own.row_layers, flops += own.flops;
        }
        dele_run_release(&own);
    }
    group->run->row_layers += row_layers, group->run->flops += flops;
    return err->code;
}

dele_status dele_cells_compute(const dele_trace_group *group, dele_err *err)
{
    return group->plan->reference ? dele_cells_reference(group, err) : compute_all(group, err);
}

/* The check that the caches are right: the middle layer's MLP output at the last subject token is
 * replaced by the base run's own, in a segment that starts at that layer.  p must come out as in
 * the whole run.  In the last layer nothing reads the state of a token before the last, so there
 * the patch would meet no row and is left out. */
dele_status dele_noop(double *change, const dele_prompt_cache *c, dele_run *run, dele_err *err)
{
    int t = c->grid->end - 1, s = c->first_sample, l = c->model->config.n_layers / 2;
    size_t d_model = (size_t)c->model->config.hidden_size, rows = (size_t)rows_of(c, t);
    dele_arena scratch = {0};
    float *x = dele_alloc_raw(&scratch, rows, d_model * sizeof *x, err);
    int *output_rows = DELE_NEW(&scratch, int, (size_t)c->grid->n_answer, err);
    double metrics[DELE_N_METRICS];
    const dele_prompt_cache *self = c;
    dele_status status = x && output_rows ? DELE_OK : DELE_ERR_MEMORY;
    for (size_t i = 0; i < rows && !status; i++)
        memcpy(x + i * d_model, dele_base(c, DELE_RESID_POST, s, l - 1, t + (int)i),
               d_model * sizeof *x);
    for (int i = 0; i < c->grid->n_answer && !status; i++)
        output_rows[i] = (int)rows - c->grid->n_answer + i;
    if (!status) {
        dele_patch own = {.layer = l,
                          .row = 0,
                          .site = DELE_MLP_OUT,
                          .op = DELE_REPLACE,
                          .value = dele_base(c, DELE_MLP_OUT, s, l, t)};
        dele_segment segment = {.n_rows = (int)rows,
                                .first_pos = t,
                                .start_layer = l,
                                .states = x,
                                .parent = dele_base_kv(c, s, t)};
        bool read = l < c->model->config.n_layers - 1 || t == c->grid->n_tokens - 1;
        dele_batch batch = {.segments = &segment,
                            .n_segments = 1,
                            .patches = &own,
                            .n_patches = read,
                            .output_rows = output_rows,
                            .n_output_rows = (size_t)c->grid->n_answer};
        status = dele_forward(run, c->model, &batch, err);
    }
    if (!status) status = dele_measure(metrics, run->final, &self, 1, run, err);
    if (!status) *change = fabs(metrics[DELE_PROB] - base_metrics(c, s)[DELE_PROB]);
    dele_arena_release(&scratch);
    return status;
}
