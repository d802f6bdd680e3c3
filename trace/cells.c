/* The quick way through a fact's cells.
 *
 *            b     t              T
 *   layer 3  · · · · + * * * * * *      *  computed for this cell alone
 *   layer 2  · · · · + * * * * * *      +  computed for this cell, at the restored token
 *   layer 1  . . . . C = = = = = =      C  put back to its clean value; =  the corrupted run's, remembered
 *   layer 0  . . . . . . . . . . .      .  never touched: positions < t are read as keys and values
 *
 * Restoring token t from layer a on changes nothing at positions < t in any layer, and nothing at positions > t up to
 * and including layer a (they see t's change only through layer a + 1's keys).  So:
 *
 *   hidden (t, l)        joins at l + 1:  [clean post(l) at t | corrupted post(l) after it]
 *   mlp  window [a, z)   joins at a + 1:  [corrupted mid(a) + clean mlp(a) at t | corrupted post(a) after it],
 *                        clean MLP outputs at t replaced in layers a + 1 .. z - 1
 *   attn window [a, z)   joins at a:      [corrupted post(a - 1) from t on], attention outputs replaced in a .. z - 1
 *                        (its own MLP must run on the restored stream, so layer a is computed)
 *
 * Rows times layers, with R = T - b and D = R (R + 1) / 2:  T L  +  S R L  +  S D (sum over cells' columns of L - join),
 * against (T L + 2)(S + 1) T L a kind when each cell is a run of its own.  Cells of all samples are stacked until the
 * memory given is filled, so that a weight matrix is read once for thousands of rows.
 *
 * Nothing is run for cells before the subject (score = low), nor for hidden cells of the last layer: only the last
 * token's reaches the answer, and there it is the clean run. */
#include "trace/cells.h"

#include <math.h>
#include <string.h>

const char *const lac_kind_name[LAC_N_KINDS] = {"hidden", "mlp", "attn"};

enum { MAX_BATCH_ROWS = 4096 };

void lac_window(int *from, int *to, int l, int w, int n_layers)
{
    int below = w / 2, above = w - below;
    *from = l - below < 0 ? 0 : l - below;
    *to = l + above > n_layers ? n_layers : l + above;
}

lac_status lac_kinds_parse(bool wanted[LAC_N_KINDS], const char *kinds, lac_err *err)
{
    memset(wanted, 0, LAC_N_KINDS * sizeof *wanted);
    for (const char *p = kinds; *p;) {
        size_t n = strcspn(p, ",");
        int kind = 0;
        while (kind < LAC_N_KINDS && (strlen(lac_kind_name[kind]) != n || strncmp(p, lac_kind_name[kind], n))) kind++;
        if (kind == LAC_N_KINDS)
            return lac_fail(err, LAC_ERR_USAGE, "--kinds: \"%.*s\" is none of hidden, mlp, attn", (int)n, p);
        wanted[kind] = true;
        p += n + (p[n] == ',');
    }
    for (int kind = 0; kind < LAC_N_KINDS; kind++)
        if (wanted[kind]) return LAC_OK;
    return lac_fail(err, LAC_ERR_USAGE, "--kinds is empty; give any of hidden,mlp,attn");
}

/* Where a cell's segment joins, and the layers [patch_from, patch_to) replaced at its first row. */
static int cell_join(int *patch_from, int *patch_to, lac_kind kind, int l, int window, int n_layers)
{
    *patch_from = *patch_to = l + 1;
    if (kind == LAC_HIDDEN) return l + 1;
    int from, to;
    lac_window(&from, &to, l, window, n_layers);
    int join = kind == LAC_MLP && from + 1 < n_layers ? from + 1 : from;
    *patch_from = join;
    *patch_to = to;
    return join;
}

double lac_trace_price(const lac_trace_opts *opts, int n_layers, int n_tokens, int begin)
{
    bool wanted[LAC_N_KINDS];
    if (lac_kinds_parse(wanted, opts->kinds, NULL)) return 0;
    double T = n_tokens, L = n_layers, S = opts->samples, R = T - begin, cells = 0, cases = 0;
    for (int kind = 0; kind < LAC_N_KINDS; kind++) {
        if (!wanted[kind]) continue;
        cases++;
        for (int l = 0; l < n_layers; l++) {
            int from, to;
            cells += n_layers - cell_join(&from, &to, (lac_kind)kind, l, opts->window, n_layers);
        }
    }
    if (opts->reference) return T * L + S * R * L + cases * S * T * L * T * L;
    return T * L + S * R * L + S * R * (R + 1) / 2 * cells;
}

void lac_cells_progress(const lac_cells *c)
{
    double done = (c->run->row_layers - c->row_layers_from) / c->price;
    lac_progress_set(c->progress, c->progress_from + (done < 1 ? done : 1), NULL);
}

lac_status lac_cells_answer(double *p, const lac_cells *c, size_t n, lac_arena *scratch, lac_err *err)
{
    int *targets = LAC_NEW(scratch, int, n, err);
    if (!targets) return err->code;
    for (size_t i = 0; i < n; i++) targets[i] = c->grid->answer;
    if (lac_logprobs(p, NULL, c->run, c->model, c->run->final, targets, n, err)) return err->code;
    for (size_t i = 0; i < n; i++) p[i] = exp(p[i]);
    return LAC_OK;
}

/* ---- the two runs remembered ---------------------------------------------------------------------------------- */

static lac_status greedy_answer(lac_cells *c, lac_arena *scratch, lac_err *err)
{
    size_t vocab = (size_t)c->model->config.vocab, best = 0;
    float *logits = lac_alloc_raw(scratch, vocab, sizeof *logits, err);
    if (!logits) return err->code;
    lac_logits(logits, c->model, c->run->final, 1);
    for (size_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best]) best = i;
    c->grid->answer = (int)best;
    return LAC_OK;
}

static lac_status clean_run(lac_cells *c, lac_arena *scratch, lac_err *err)
{
    static const lac_site sites[LAC_N_KINDS] = {LAC_RESID_POST, LAC_MLP_OUT, LAC_ATTN_OUT};
    size_t n = c->L * c->T;
    lac_patch *reads = LAC_NEW(scratch, lac_patch, LAC_N_KINDS * n, err);
    if (!reads || lac_kv_init(&c->clean_kv, &c->model->config, NULL, 0, (int)c->T, scratch, err)) return err->code;
    for (int kind = 0; kind < LAC_N_KINDS; kind++) {
        c->clean[kind] = lac_alloc_raw(scratch, n * c->dim, sizeof(float), err);
        if (!c->clean[kind]) return err->code;
        for (size_t i = 0; i < n; i++)
            reads[(size_t)kind * n + i] = (lac_patch){.layer = (int)(i / c->T), .row = (int)(i % c->T),
                                                      .site = sites[kind], .op = LAC_READ,
                                                      .seen = c->clean[kind] + i * c->dim};
    }
    int last = (int)c->T - 1;
    lac_segment segment = {.tokens = c->grid->ids, .n_rows = (int)c->T, .keep = &c->clean_kv};
    lac_batch batch = {.segments = &segment, .n_segments = 1, .patches = reads, .n_patches = LAC_N_KINDS * n,
                       .wanted = &last, .n_wanted = 1};
    if (lac_forward(c->run, c->model, &batch, err)) return err->code;

    double logp = 0;
    if (c->grid->answer < 0 && greedy_answer(c, scratch, err)) return err->code;
    if (lac_logprobs(&logp, NULL, c->run, c->model, c->run->final, &c->grid->answer, 1, err)) return err->code;
    c->grid->high = exp(logp);
    return LAC_OK;
}

static lac_status corrupted_embeddings(lac_cells *c, double sigma, uint64_t seed, lac_arena *scratch, lac_err *err)
{
    const lac_grid *g = c->grid;
    size_t n = (size_t)(g->end - g->begin), row = c->dim * sizeof(float);
    c->embed = lac_alloc_raw(scratch, c->S * c->R * c->dim, sizeof(float), err);
    float *noised = lac_alloc_raw(scratch, c->S * n * c->dim, sizeof(float), err);
    if (!c->embed || !noised) return err->code;
    lac_noise_embed(noised, c->model, g->ids + g->begin, (int)n, (int)c->S, sigma, seed);
    for (size_t s = 0; s < c->S; s++)
        for (size_t r = 0; r < c->R; r++)
            memcpy(c->embed + (s * c->R + r) * c->dim,
                   r < n ? noised + (s * n + r) * c->dim
                         : c->model->embed + (size_t)g->ids[g->begin + (int)r] * c->dim, row);
    return LAC_OK;
}

static lac_status corrupted_runs(lac_cells *c, lac_arena *scratch, lac_err *err)
{
    size_t per_sample = c->L * c->R, n = c->S * per_sample;
    lac_segment *segments = LAC_NEW(scratch, lac_segment, c->S, err);
    lac_patch *reads = LAC_NEW(scratch, lac_patch, 2 * n, err);
    int *wanted = LAC_NEW(scratch, int, c->S, err);
    c->kv = LAC_NEW(scratch, lac_kv, c->S, err);
    c->post = lac_alloc_raw(scratch, n * c->dim, sizeof(float), err);
    c->mid = lac_alloc_raw(scratch, n * c->dim, sizeof(float), err);
    if (!segments || !reads || !wanted || !c->kv || !c->post || !c->mid) return err->code;
    const lac_kv *parent = c->grid->begin > 0 ? &c->clean_kv : NULL;
    for (size_t s = 0; s < c->S; s++) {
        if (lac_kv_init(&c->kv[s], &c->model->config, parent, c->grid->begin, (int)c->R, scratch, err))
            return err->code;
        segments[s] = (lac_segment){.n_rows = (int)c->R, .first_pos = c->grid->begin, .parent = parent,
                                    .keep = &c->kv[s], .states = lac_cells_post(c, s, -1)};
        wanted[s] = (int)((s + 1) * c->R) - 1;
        for (size_t i = 0; i < per_sample; i++) {
            lac_patch read = {.layer = (int)(i / c->R), .row = (int)(s * c->R + i % c->R), .op = LAC_READ};
            size_t at = s * per_sample + i;
            read.site = LAC_RESID_POST;
            read.seen = c->post + at * c->dim;
            reads[2 * at] = read;
            read.site = LAC_RESID_MID;
            read.seen = c->mid + at * c->dim;
            reads[2 * at + 1] = read;
        }
    }
    lac_batch batch = {.segments = segments, .n_segments = c->S, .patches = reads, .n_patches = 2 * n,
                       .wanted = wanted, .n_wanted = c->S};
    if (lac_forward(c->run, c->model, &batch, err) || lac_cells_answer(c->grid->low_sample, c, c->S, scratch, err))
        return err->code;
    c->grid->low = 0;
    for (size_t s = 0; s < c->S; s++) c->grid->low += c->grid->low_sample[s] / (double)c->S;
    return LAC_OK;
}

/* ---- cells, stacked -------------------------------------------------------------------------------------------- */

/* Cells waiting for the next forward. */
typedef struct {
    lac_segment *segments;
    lac_patch *patches;
    int *wanted;
    double **where, *p; /* [n_segments] where each probability goes */
    float *states;      /* [max_rows, dim] */
    size_t n_segments, n_patches, n_rows, max_rows;
} stack;

static lac_status stack_init(stack *k, const lac_cells *c, size_t max_rows, size_t patches_a_cell, lac_arena *scratch,
                             lac_err *err)
{
    *k = (stack){.max_rows = max_rows};
    k->segments = LAC_NEW(scratch, lac_segment, max_rows, err);
    k->patches = LAC_NEW(scratch, lac_patch, max_rows * patches_a_cell, err);
    k->wanted = LAC_NEW(scratch, int, max_rows, err);
    k->where = LAC_NEW(scratch, double *, max_rows, err);
    k->p = LAC_NEW(scratch, double, max_rows, err);
    k->states = lac_alloc_raw(scratch, max_rows * c->dim, sizeof(float), err);
    return k->segments && k->patches && k->wanted && k->where && k->p && k->states ? LAC_OK : err->code;
}

static lac_status stack_flush(stack *k, lac_cells *c, lac_err *err)
{
    if (!k->n_segments) return LAC_OK;
    lac_arena scratch = {0};
    lac_batch batch = {.segments = k->segments, .n_segments = k->n_segments, .patches = k->patches,
                       .n_patches = k->n_patches, .wanted = k->wanted, .n_wanted = k->n_segments};
    lac_status status = lac_forward(c->run, c->model, &batch, err);
    if (!status) status = lac_cells_answer(k->p, c, k->n_segments, &scratch, err);
    lac_arena_release(&scratch);
    if (status) return status;
    for (size_t i = 0; i < k->n_segments; i++) *k->where[i] = k->p[i];
    k->n_segments = k->n_patches = k->n_rows = 0;
    lac_cells_progress(c);
    return LAC_OK;
}

static lac_status stack_push(stack *k, lac_cells *c, lac_kind kind, int l, int t, size_t s, int window, lac_err *err)
{
    size_t rows = c->T - (size_t)t, dim = c->dim, r = (size_t)(t - c->grid->begin);
    if (k->n_rows + rows > k->max_rows && stack_flush(k, c, err)) return err->code;
    int from, to, join = cell_join(&from, &to, kind, l, window, (int)c->L);
    float *states = k->states + k->n_rows * dim;
    memcpy(states, lac_cells_post(c, s, join - 1) + r * dim, rows * dim * sizeof *states);
    if (kind == LAC_HIDDEN) {
        memcpy(states, lac_cells_clean(c, kind, l, t), dim * sizeof *states);
    } else if (kind == LAC_MLP) {
        int first, last;
        lac_window(&first, &last, l, window, (int)c->L);
        if (join == first + 1) { /* its first layer is an addition */
            const float *mid = c->mid + ((s * c->L + (size_t)first) * c->R + r) * dim;
            const float *mlp = lac_cells_clean(c, LAC_MLP, first, t);
            for (size_t i = 0; i < dim; i++) states[i] = mid[i] + mlp[i];
        }
    }
    for (int layer = from; layer < to && kind != LAC_HIDDEN; layer++)
        k->patches[k->n_patches++] = (lac_patch){.layer = layer, .row = (int)k->n_rows, .op = LAC_REPLACE,
                                                 .site = kind == LAC_MLP ? LAC_MLP_OUT : LAC_ATTN_OUT,
                                                 .value = lac_cells_clean(c, kind, layer, t)};
    size_t i = k->n_segments++;
    k->segments[i] = (lac_segment){.n_rows = (int)rows, .first_pos = t, .join_layer = join, .states = states,
                                   .parent = r > 0 ? &c->kv[s] : c->grid->begin > 0 ? &c->clean_kv : NULL};
    k->n_rows += rows;
    k->wanted[i] = (int)k->n_rows - 1;
    k->where[i] = lac_cells_sample(c, kind, s, t, l);
    return LAC_OK;
}

/* Rows that fit beside the caches; a run holds some eight streams, the widened MLP and the projections of a row. */
static lac_status batch_rows(size_t *rows, const lac_cells *c, int memory, lac_err *err)
{
    const lac_config *config = &c->model->config;
    size_t kv = lac_kv_dim(config), q = lac_q_dim(config), dim = c->dim;
    size_t caches = c->L * 4 * (c->T * (3 * dim + 2 * kv) + c->S * c->R * (2 * dim + 2 * kv + 32));
    size_t row = 4 * (9 * dim + 3 * (size_t)config->hidden + 2 * q + 2 * kv) + 256;
    size_t budget = (size_t)memory << 20;
    if (budget < caches + row * 2 * c->T)
        return lac_fail(err, LAC_ERR_MEMORY, "a prompt of %zu tokens with %zu samples needs at least %zu MiB; raise "
                        "--memory or take fewer --samples", c->T, c->S, ((caches + row * 2 * c->T) >> 20) + 1);
    *rows = (budget - caches) / row;
    if (*rows > MAX_BATCH_ROWS) *rows = MAX_BATCH_ROWS;
    if (*rows < c->T) *rows = c->T;
    return LAC_OK;
}

static lac_status quick_cells(lac_cells *c, const lac_trace_opts *opts, lac_arena *scratch, lac_err *err)
{
    size_t rows = 0, window = (size_t)opts->window < c->L ? (size_t)opts->window : c->L;
    stack k;
    if (batch_rows(&rows, c, opts->memory, err) || stack_init(&k, c, rows, window, scratch, err)) return err->code;
    const lac_grid *g = c->grid;
    for (int kind = 0; kind < LAC_N_KINDS; kind++) {
        if (!g->samples[kind]) continue;
        for (int l = 0; l < (int)c->L; l++)
            for (int t = 0; t < (int)c->T; t++)
                for (size_t s = 0; s < c->S; s++) {
                    double *cell = lac_cells_sample(c, (lac_kind)kind, s, t, l);
                    if (t < g->begin)
                        *cell = g->low_sample[s];
                    else if (kind == LAC_HIDDEN && l + 1 == (int)c->L)
                        *cell = t + 1 == (int)c->T ? g->high : g->low_sample[s];
                    else if (stack_push(&k, c, (lac_kind)kind, l, t, s, opts->window, err))
                        return err->code;
                }
        if (stack_flush(&k, c, err)) return err->code; /* a batch's segments come in order of their joins */
    }
    return LAC_OK;
}

/* ---- one prompt ------------------------------------------------------------------------------------------------ */

static lac_status grid_init(lac_grid *g, const lac_trace_opts *opts, int n_layers, lac_arena *arena, lac_err *err)
{
    bool wanted[LAC_N_KINDS];
    if (lac_kinds_parse(wanted, opts->kinds, err)) return err->code;
    g->n_layers = n_layers;
    g->n_samples = opts->samples;
    g->window = opts->window;
    size_t cells = (size_t)g->n_tokens * (size_t)n_layers;
    g->low_sample = LAC_NEW(arena, double, (size_t)opts->samples, err);
    if (!g->low_sample) return err->code;
    for (int kind = 0; kind < LAC_N_KINDS; kind++) {
        if (!wanted[kind]) continue;
        g->scores[kind] = LAC_NEW(arena, double, cells, err);
        g->samples[kind] = LAC_NEW(arena, double, cells * (size_t)opts->samples, err);
        if (!g->scores[kind] || !g->samples[kind]) return err->code;
    }
    return LAC_OK;
}

static void mean_over_samples(lac_grid *g)
{
    size_t cells = (size_t)g->n_tokens * (size_t)g->n_layers;
    for (int kind = 0; kind < LAC_N_KINDS; kind++)
        for (size_t i = 0; g->scores[kind] && i < cells; i++) {
            double sum = 0;
            for (int s = 0; s < g->n_samples; s++) sum += g->samples[kind][(size_t)s * cells + i];
            g->scores[kind][i] = sum / g->n_samples;
        }
}

static lac_status trace_grid(lac_grid *grid, lac_cells *c, const lac_trace_opts *opts, double sigma,
                             lac_accept *accept, void *context, lac_arena *arena, lac_arena *scratch, lac_err *err)
{
    if (clean_run(c, scratch, err)) return err->code;
    if (accept && !accept(context, grid->answer, grid->high)) return LAC_OK;
    if (grid_init(grid, opts, (int)c->L, arena, err) ||
        corrupted_embeddings(c, sigma, opts->seed, scratch, err) || corrupted_runs(c, scratch, err))
        return err->code;
    lac_status status = opts->reference ? lac_cells_reference(c, opts->window, scratch, err)
                                        : quick_cells(c, opts, scratch, err);
    if (!status) mean_over_samples(grid);
    return status;
}

lac_status lac_trace_grid(lac_grid *grid, lac_run *run, const lac_model *model, const lac_trace_opts *opts,
                          double sigma, lac_accept *accept, void *context, lac_progress *progress, lac_arena *arena,
                          lac_err *err)
{
    if (grid->begin < 0 || grid->begin >= grid->end || grid->end > grid->n_tokens)
        return lac_fail(err, LAC_ERR_DATA, "subject tokens %d to %d are not among the prompt's %d", grid->begin,
                        grid->end, grid->n_tokens);
    if (opts->window < 1 || opts->samples < 1)
        return lac_fail(err, LAC_ERR_USAGE, "--window and --samples must be at least 1");
    lac_cells c = {.model = model, .run = run, .grid = grid, .T = (size_t)grid->n_tokens,
                   .R = (size_t)(grid->n_tokens - grid->begin), .S = (size_t)opts->samples,
                   .L = (size_t)model->config.n_layers, .dim = (size_t)model->config.dim, .progress = progress,
                   .progress_from = progress ? progress->done : 0, .row_layers_from = run->row_layers,
                   .price = lac_trace_price(opts, model->config.n_layers, grid->n_tokens, grid->begin)};
    lac_arena scratch = {0};
    lac_status status = trace_grid(grid, &c, opts, sigma, accept, context, arena, &scratch, err);
    lac_arena_release(&scratch);
    return status;
}
