/* Runs of the full model with other models' states, group by group: first each model computes the
 * group's rows once and its states after every layer are stored; then come all patched runs, in
 * order of the layer that they start after. */
#include "trace/depth/depth.h"

#include <math.h>
#include <string.h>

enum { GROUP_ROWS = 1024, MAX_BATCH_ROWS = 4096 };

static const int sources[] = {DELE_DEPTH_RETAIN, DELE_DEPTH_UNLEARNED};
enum { N_SOURCES = sizeof sources / sizeof *sources };

/* A row of the group.  States are replaced at positions [from, from + n); the last n_entity of
 * these predict the entity. */
typedef struct {
    dele_depth_row *row;
    int n_rows, from, n, n_entity;
    float *states[DELE_N_DEPTH_MODELS]; /* [n_layers, n, d_model] outputs of each model's layers */
    dele_kv kv;                         /* the full model's */
} member;

typedef struct {
    dele_depth *depth;
    const dele_model *const *models;
    const dele_config *config;
    int L;
    size_t d_model, batch_rows;
    member *members; /* [n] the group */
    size_t n;
    dele_run run;
    dele_arena scratch;
    dele_progress *progress;
    double done; /* rows, before the group */
} work;

/* ---- the score of a row ---------------------------------------------------------------------- */

/* x of the missing d, clipped to 0 .. d: d times the published clip(x / d, 0, 1), with no division
 * to round. */
static double clipped(double x, double d) { return x < 0 ? 0 : x > d ? d : x; }

void dele_depth_score(dele_depth_row *row, int n_layers, double threshold)
{
    const double *d1 = row->delta[DELE_DEPTH_RETAIN], *d2 = row->delta[DELE_DEPTH_UNLEARNED];
    double missing = 0, erased = 0;
    row->counting = 0;
    for (int l = 0; l < n_layers; l++) {
        if (!(d1[l] > threshold)) continue;
        row->counting++;
        missing += d1[l];
        erased += clipped(d2[l], d1[l]);
    }
    row->uds = row->counting ? erased / missing : NAN;
    double full = row->s[DELE_DEPTH_FULL], unknown = full - row->s[DELE_DEPTH_RETAIN];
    row->surface =
        unknown > threshold ? clipped(full - row->s[DELE_DEPTH_UNLEARNED], unknown) / unknown : NAN;
}

/* ---- states ---------------------------------------------------------------------------------- */

/* The first of a member's states that is of use after layer l: after the last one only the
 * entity's own are. */
static int first_needed(const work *w, const member *m, int l)
{
    return l == w->L - 1 ? m->n - m->n_entity : 0;
}

static float *state(const work *w, const member *m, int model, int l, int i)
{
    return m->states[model] + ((size_t)l * (size_t)m->n + (size_t)i) * w->d_model;
}

/* Whether two models' states after layer l are the same, bit for bit. */
static bool same_states(const work *w, const member *m, int a, int b, int l)
{
    int i = first_needed(w, m, l);
    return !memcmp(state(w, m, a, l, i), state(w, m, b, l, i),
                   (size_t)(m->n - i) * w->d_model * sizeof(float));
}

static member member_of(const work *w, dele_depth_row *row)
{
    bool all = w->depth->opts.positions == DELE_POSITIONS_ALL;
    member m = {.row = row, .n_rows = row->n_ids - 1, .n_entity = row->n_ids - row->first};
    m.from = all ? 0 : row->first - 1;
    m.n = m.n_rows - m.from;
    return m;
}

static dele_status lay_member(member *m, const work *w, dele_arena *arena, dele_err *err)
{
    for (int i = 0; i < DELE_N_DEPTH_MODELS; i++) {
        m->states[i] =
            dele_alloc_raw(arena, (size_t)w->L * (size_t)m->n, w->d_model * sizeof(float), err);
        if (!m->states[i]) return DELE_ERR_MEMORY;
    }
    return dele_kv_init(&m->kv, w->config, NULL, 0, m->n_rows, arena, err);
}

/* Bytes that a member keeps, the patches that read its states among them. */
static size_t member_bytes(const work *w, const member *m)
{
    dele_arena counted = {.counts = true};
    member own = *m;
    dele_status status = lay_member(&own, w, &counted, NULL);
    const size_t bytes = counted.used + (size_t)w->L * sizeof(dele_patch);
    dele_arena_release(&counted);
    return status ? SIZE_MAX : bytes;
}

/* ---- log-probabilities ----------------------------------------------------------------------- */

/* What runs of members end with: their segments, and in order of segments the rows that predict
 * their entities. */
typedef struct {
    dele_segment *segments;
    const member **of; /* [n] */
    size_t n, n_rows, n_output_rows, n_patches;
    int *output_rows, *targets;
    dele_patch *patches;
    double *logp, *mean; /* mean: [n] over a segment's entity */
} batch;

static dele_status batch_init(batch *b, size_t segments, size_t output_rows, size_t patches,
                              dele_arena *arena, dele_err *err)
{
    *b = (batch){.segments = DELE_NEW(arena, dele_segment, segments, err),
                 .of = DELE_NEW(arena, const member *, segments, err),
                 .output_rows = DELE_NEW(arena, int, output_rows, err),
                 .targets = DELE_NEW(arena, int, output_rows, err),
                 .patches = DELE_NEW(arena, dele_patch, patches ? patches : 1, err),
                 .logp = DELE_NEW(arena, double, output_rows, err),
                 .mean = DELE_NEW(arena, double, segments, err)};
    return b->segments && b->of && b->output_rows && b->targets && b->patches && b->logp && b->mean
               ? DELE_OK
               : err->code;
}

static void batch_push(batch *b, const member *m, dele_segment segment)
{
    b->of[b->n] = m;
    b->segments[b->n++] = segment;
    b->n_rows += (size_t)segment.n_rows;
    for (int i = 0; i < m->n_entity; i++) {
        b->output_rows[b->n_output_rows] = (int)b->n_rows - m->n_entity + i;
        b->targets[b->n_output_rows++] = m->row->ids[m->row->first + i];
    }
}

/* One forward pass over the members in the batch, and for each the mean log-probability of its
 * entity's tokens. */
static dele_status batch_run(batch *b, work *w, const dele_model *model, dele_err *err)
{
    dele_batch pass = {.segments = b->segments,
                       .n_segments = b->n,
                       .patches = b->patches,
                       .n_patches = b->n_patches,
                       .output_rows = b->output_rows,
                       .n_output_rows = b->n_output_rows};
    if (dele_forward(&w->run, model, &pass, err) ||
        dele_logprobs(b->logp, NULL, &w->run, model, w->run.final, b->targets, b->n_output_rows,
                      err))
        return err->code;
    for (size_t i = 0, at = 0; i < b->n; i++) {
        double sum = 0;
        for (int k = 0; k < b->of[i]->n_entity; k++) sum += b->logp[at++];
        b->mean[i] = sum / b->of[i]->n_entity;
        if (!isfinite(b->mean[i]))
            return dele_fail(err, DELE_ERR_DATA,
                             "%s gives NaN for a log-probability: a model is broken",
                             model->path ? model->path : "the model");
    }
    return DELE_OK;
}

static void batch_clear(batch *b) { b->n = b->n_rows = b->n_output_rows = b->n_patches = 0; }

/* ---- each model alone ------------------------------------------------------------------------ */

static void push_reads(batch *b, const work *w, const member *m, int model, size_t first_row)
{
    for (int l = 0; l < w->L; l++) {
        const int i = first_needed(w, m, l);
        if (i < m->n)
            b->patches[b->n_patches++] = (dele_patch){.layer = l,
                                                      .row = (int)first_row + m->from + i,
                                                      .n_rows = m->n - i,
                                                      .site = DELE_RESID_POST,
                                                      .op = DELE_READ,
                                                      .seen = state(w, m, model, l, i)};
    }
}

/* One model reads all rows of the group: its states, s, and of the full one the keys and values. */
static dele_status read_group(work *w, int model, dele_err *err)
{
    batch b;
    size_t output_rows = 0, reads = 0;
    for (size_t i = 0; i < w->n; i++) {
        output_rows += (size_t)w->members[i].n_entity;
        reads += (size_t)w->L;
    }
    if (batch_init(&b, w->n, output_rows, reads, &w->scratch, err)) return err->code;
    for (size_t i = 0; i < w->n; i++) {
        member *m = &w->members[i];
        push_reads(&b, w, m, model, b.n_rows);
        batch_push(&b, m,
                   (dele_segment){.tokens = m->row->ids,
                                  .n_rows = m->n_rows,
                                  .keep = model == DELE_DEPTH_FULL ? &m->kv : NULL});
    }
    if (batch_run(&b, w, w->models[model], err)) return err->code;
    for (size_t i = 0; i < w->n; i++) w->members[i].row->s[model] = b.mean[i];
    return DELE_OK;
}

/* ---- the full model with another's states ---------------------------------------------------- */

/* How much of a group's work is done when its runs after layer l are: a run after a layer takes
 * those above it. */
static void show_progress(work *w, int l)
{
    double share = 1 - (double)(w->L - 1 - l) * (w->L - 1 - l) / ((double)w->L * w->L);
    dele_progress_set(w->progress, w->done + share * (double)w->n, NULL);
}

static void settle(const member *m, int source, int l, double patched)
{
    m->row->delta[source][l] = m->row->s[DELE_DEPTH_FULL] - patched;
}

typedef struct {
    int source, layer;
} job;

static dele_status flush(work *w, batch *b, const job *jobs, dele_err *err)
{
    if (!b->n) return DELE_OK;
    if (batch_run(b, w, w->models[DELE_DEPTH_FULL], err)) return err->code;
    for (size_t i = 0; i < b->n; i++) settle(b->of[i], jobs[i].source, jobs[i].layer, b->mean[i]);
    show_progress(w, jobs[b->n - 1].layer);
    batch_clear(b);
    return DELE_OK;
}

/* A run that need not be: its states are the full model's own, or the ones that retain's run has
 * put in already. */
static bool known(const work *w, const member *m, int source, int l)
{
    if (same_states(w, m, source, DELE_DEPTH_FULL, l)) return true;
    return source == DELE_DEPTH_UNLEARNED && same_states(w, m, source, DELE_DEPTH_RETAIN, l);
}

/* Memory for batches of so many rows: of each run at least one. */
static dele_status lay_patching(batch *b, job **jobs, size_t rows, dele_arena *arena, dele_err *err)
{
    *jobs = DELE_NEW(arena, job, rows, err);
    return *jobs && !batch_init(b, rows, rows, 0, arena, err) ? DELE_OK : DELE_ERR_MEMORY;
}

/* D1 and D2 of a group's rows.  Runs of all layers, both source models and all rows share batches,
 * in order of layers.  States that equal the full model's change nothing, and those that equal the
 * other source's change as much: these are not run, and their differences are filled in at the
 * end. */
static dele_status patch_group(work *w, dele_err *err)
{
    batch b;
    job *jobs;
    if (lay_patching(&b, &jobs, w->batch_rows, &w->scratch, err)) return err->code;
    for (int l = 0; l < w->L; l++)
        for (size_t k = 0; k < w->n * N_SOURCES; k++) {
            const member *m = &w->members[k / N_SOURCES];
            int source = sources[k % N_SOURCES], at = first_needed(w, m, l);
            if (known(w, m, source, l)) continue;
            if (b.n_rows + (size_t)(m->n - at) > w->batch_rows && flush(w, &b, jobs, err))
                return err->code;
            jobs[b.n] = (job){source, l};
            batch_push(&b, m,
                       (dele_segment){.n_rows = m->n - at,
                                      .first_pos = m->from + at,
                                      .parent = &m->kv,
                                      .start_layer = l + 1,
                                      .states = state(w, m, source, l, at)});
        }
    if (flush(w, &b, jobs, err)) return err->code;
    for (size_t i = 0; i < w->n; i++)
        for (int l = 0; l < w->L; l++) {
            const member *m = &w->members[i];
            double *const *delta = m->row->delta;
            for (int k = 0; k < N_SOURCES; k++)
                if (same_states(w, m, sources[k], DELE_DEPTH_FULL, l)) delta[sources[k]][l] = 0;
            if (same_states(w, m, DELE_DEPTH_UNLEARNED, DELE_DEPTH_RETAIN, l))
                delta[DELE_DEPTH_UNLEARNED][l] = delta[DELE_DEPTH_RETAIN][l];
        }
    return DELE_OK;
}

/* The reference: for each layer and row a full forward pass from the embedding, with the states
 * patched in. */
static dele_status patch_by_reference(work *w, dele_err *err)
{
    for (size_t i = 0; i < w->n; i++) {
        const member *m = &w->members[i];
        batch b;
        if (batch_init(&b, 1, (size_t)m->n_entity, (size_t)m->n, &w->scratch, err))
            return err->code;
        for (int l = 0; l < w->L; l++)
            for (int k = 0; k < N_SOURCES; k++) {
                batch_clear(&b);
                for (int at = first_needed(w, m, l); at < m->n; at++)
                    b.patches[b.n_patches++] =
                        (dele_patch){.layer = l,
                                     .row = m->from + at,
                                     .site = DELE_RESID_POST,
                                     .op = DELE_REPLACE,
                                     .value = state(w, m, sources[k], l, at)};
                batch_push(&b, m, (dele_segment){.tokens = m->row->ids, .n_rows = m->n_rows});
                if (batch_run(&b, w, w->models[DELE_DEPTH_FULL], err)) return err->code;
                settle(m, sources[k], l, b.mean[0]);
            }
        dele_progress_set(w->progress, w->done + (double)i + 1, NULL);
    }
    return DELE_OK;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static dele_status compute_group(work *w, dele_err *err)
{
    for (size_t i = 0; i < w->n; i++)
        if (lay_member(&w->members[i], w, &w->scratch, err)) return err->code;
    for (int model = 0; model < DELE_N_DEPTH_MODELS; model++)
        if (read_group(w, model, err)) return err->code;
    if ((w->depth->opts.reference ? patch_by_reference : patch_group)(w, err)) return err->code;
    for (size_t i = 0; i < w->n; i++)
        dele_depth_score(w->members[i].row, w->L, w->depth->opts.threshold);
    return DELE_OK;
}

/* Bytes of a pass of so many rows. */
static size_t depth_pass_bytes(const void *data, size_t rows)
{
    const work *w = data;
    batch b;
    job *jobs;
    dele_err err = {0};
    dele_arena counted = {.counts = true};
    const dele_pass_size size = {.n_rows = rows,
                                 .n_segments = rows,
                                 .n_spans = 2 * rows,
                                 .n_output_rows = rows,
                                 .longest = rows};
    dele_status status = lay_patching(&b, &jobs, rows, &counted, &err);
    const size_t tables = counted.used;
    dele_arena_release(&counted);
    if (status) return SIZE_MAX;
    return DELE_BYTES(tables, dele_forward_bytes(w->config, &size),
                      dele_logprobs_bytes(w->config, rows),
                      dele_tile_bytes(w->models[DELE_DEPTH_FULL]));
}

/* Rows of a pass that fit into half of the memory; the other half is for what a group keeps. */
static dele_status divide_memory(work *w, dele_err *err)
{
    const size_t half = (size_t)w->depth->opts.memory << 19;
    size_t longest = 1;
    for (size_t i = 0; i < w->depth->n; i++) {
        if (w->depth->rows[i].left_out) continue;
        const member m = member_of(w, &w->depth->rows[i]);
        const size_t pass = depth_pass_bytes(w, (size_t)m.n_rows), kept = member_bytes(w, &m),
                     need = pass > kept ? pass : kept;
        if (need > half)
            return dele_fail(err, DELE_ERR_MEMORY,
                             "%s:%d: a row of %d tokens needs --batch-memory %zu", w->depth->path,
                             m.row->line, m.row->n_ids, (need >> 19) + 1);
        if ((size_t)m.n_rows > longest) longest = (size_t)m.n_rows;
    }
    const size_t most = longest > MAX_BATCH_ROWS ? longest : MAX_BATCH_ROWS;
    w->batch_rows = dele_most_that_fits(depth_pass_bytes, w, longest, most, half);
    return DELE_OK;
}

/* Takes rows from `at` on into the group, as far as memory goes, passing those left out; returns
 * where the next one begins. */
static size_t fill_group(work *w, size_t at)
{
    const size_t half = (size_t)w->depth->opts.memory << 19;
    size_t bytes = 0, rows = 0, most = w->batch_rows < GROUP_ROWS ? w->batch_rows : GROUP_ROWS;
    for (w->n = 0; at < w->depth->n; at++) {
        if (w->depth->rows[at].left_out) continue;
        member m = member_of(w, &w->depth->rows[at]);
        bytes += member_bytes(w, &m);
        rows += (size_t)m.n_rows;
        if (w->n && (bytes > half || rows > most)) break;
        w->members[w->n++] = m;
    }
    return at;
}

static dele_status prepare(work *w, dele_arena *arena, dele_err *err)
{
    w->members = DELE_NEW(arena, member, w->depth->n + 1, err);
    if (!w->members) return err->code;
    for (size_t i = 0; i < w->depth->n; i++)
        for (int k = 0; k < N_SOURCES; k++)
            if (!(w->depth->rows[i].delta[sources[k]] = DELE_NEW(arena, double, (size_t)w->L, err)))
                return err->code;
    return divide_memory(w, err);
}

/* Rows [from, to) are those of the group and the ones left out.  A group some of whose lines are
 * missing is computed whole: which rows share batches must not depend on where a run was
 * interrupted, or the last bits would. */
static dele_status take_group(work *w, size_t from, size_t to, dele_items *items, dele_err *err)
{
    bool recalled = items && items->n_old >= to;
    dele_arena_reset(&w->scratch);
    if (!recalled && w->n && compute_group(w, err)) return err->code;
    for (size_t i = from; i < to; i++) {
        dele_depth_row *row = &w->depth->rows[i];
        const bool known = items && dele_items_previous(items, i);
        if (known ? !dele_depth_resume(row, items, i, w->L, err)
                  : (int)dele_items_put(items, i, dele_depth_line(row, i, w->L), err))
            return err->code;
        if (known && !row->left_out) dele_depth_score(row, w->L, w->depth->opts.threshold);
    }
    w->done += (double)w->n;
    dele_progress_set(w->progress, w->done, NULL);
    return DELE_OK;
}

dele_status dele_depth_run(dele_depth *depth, const dele_model *const models[DELE_N_DEPTH_MODELS],
                           dele_items *items, dele_progress *progress, dele_arena *arena,
                           dele_err *err)
{
    const dele_config *config = &models[DELE_DEPTH_FULL]->config;
    work w = {.depth = depth,
              .models = models,
              .config = config,
              .L = config->n_layers,
              .d_model = (size_t)config->hidden_size,
              .progress = progress};
    dele_status status = prepare(&w, arena, err);
    for (size_t at = 0, next; at < depth->n && !status; at = next) {
        next = fill_group(&w, at);
        status = take_group(&w, at, next, items, err);
    }
    dele_run_release(&w.run);
    dele_arena_release(&w.scratch);
    return status;
}
