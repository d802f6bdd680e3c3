/* The plain way: each cell is a run of its own, from the tokens up, over the whole prompt, with the subject's
 * embeddings replaced by corrupted ones (denoising) and the cell's values put in as they come by.  Nothing is joined
 * late, shared or left out; it is what the quick way is measured against. */
#include "trace/cells.h"

#include <string.h>

typedef struct {
    lac_segment *segments;
    const lac_case **cases;
    lac_patch *patches;
    int *wanted;
    double *metrics;
} plain;

static lac_status plain_init(plain *w, const lac_case *c, lac_arena *arena, lac_err *err)
{
    size_t S = (size_t)c->n_samples, answers = (size_t)c->grid->n_answer;
    size_t patches = (size_t)(c->grid->end - c->grid->begin) + 2 * (size_t)c->model->config.n_layers + 1;
    *w = (plain){LAC_NEW(arena, lac_segment, S, err), LAC_NEW(arena, const lac_case *, S, err),
                 LAC_NEW(arena, lac_patch, S * patches, err), LAC_NEW(arena, int, S * answers, err),
                 LAC_NEW(arena, double, S * LAC_N_METRICS, err)};
    if (!w->segments || !w->cases || !w->patches || !w->wanted || !w->metrics) return err->code;
    for (size_t s = 0; s < S; s++) {
        w->segments[s] = (lac_segment){.tokens = c->tokens, .n_rows = c->n_rows};
        w->cases[s] = c;
        for (size_t k = 0; k < answers; k++) w->wanted[s * answers + k] = (int)((s + 1) * (size_t)c->n_rows - answers + k);
    }
    return LAC_OK;
}

static size_t corrupt(lac_patch *patches, const lac_case *c)
{
    size_t n = 0;
    for (int i = 0; i < c->n_samples; i++)
        for (int t = c->grid->begin; t < c->grid->end; t++)
            patches[n++] = (lac_patch){.layer = 0, .row = i * c->n_rows + t, .site = LAC_EMBED, .op = LAC_REPLACE,
                                       .value = lac_state(c, &c->corrupted, LAC_EMBED, i, -1, t)};
    return n;
}

/* The patches that put the cell's value in, for all samples. */
static size_t put_in(lac_patch *patches, const lac_case *c, const lac_chart *chart, int t, int col)
{
    static const lac_site site[LAC_N_KINDS] = {LAC_RESID_POST, LAC_MLP_OUT, LAC_ATTN_OUT, LAC_RESID_MID, LAC_HEAD_OUT,
                                               LAC_EMBED};
    const lac_config *config = &c->model->config;
    lac_site at = site[chart->kind];
    int from = col, to = col + 1, head = 0;
    if (chart->kind == LAC_MLP || chart->kind == LAC_ATTN)
        lac_window(&from, &to, col, chart->window, config->n_layers, c->plan->paper_edges);
    if (chart->kind == LAC_HEAD) from = col / config->n_heads, to = from + 1, head = col % config->n_heads;
    if (chart->kind == LAC_EMBEDDING) from = 0, to = 1;
    size_t n = 0;
    for (int i = 0; i < c->n_samples; i++)
        for (int l = from; l < to; l++) {
            const float *value = lac_source(c, at, c->first_sample + i, chart->kind == LAC_EMBEDDING ? -1 : l, t);
            patches[n++] = (lac_patch){.layer = l, .row = i * c->n_rows + t, .site = at, .op = LAC_REPLACE, .head = head,
                                       .value = value + (size_t)head * (size_t)config->head_dim};
        }
    return n;
}

/* Severed: that path's outputs at t stay the base run's in every layer (ROME's trace_with_repatch). */
static size_t sever(lac_patch *patches, const lac_case *c, const lac_chart *chart, int t)
{
    lac_site at = chart->sever == LAC_SEVER_MLP ? LAC_MLP_OUT : LAC_ATTN_OUT;
    size_t n = 0;
    for (int i = 0; i < c->n_samples && chart->sever != LAC_SEVER_NOTHING; i++)
        for (int l = 0; l < c->model->config.n_layers; l++)
            patches[n++] = (lac_patch){.layer = l, .row = i * c->n_rows + t, .site = at, .op = LAC_REPLACE,
                                       .value = lac_base(c, at, c->first_sample + i, l, t)};
    return n;
}

static lac_status run_cells(const plain *w, const lac_case *c, const lac_group *group, size_t n_patches, lac_err *err)
{
    size_t S = (size_t)c->n_samples;
    lac_batch batch = {.segments = w->segments, .n_segments = S, .patches = w->patches, .n_patches = n_patches,
                       .wanted = w->wanted, .n_wanted = S * (size_t)c->grid->n_answer};
    double before = group->run->row_layers;
    if (lac_forward(group->run, c->model, &batch, err) ||
        lac_measure(w->metrics, group->run->final, w->cases, S, group->run, err))
        return err->code;
    if (group->progress)
        lac_progress_set(group->progress,
                         group->progress->done + (group->run->row_layers - before) / group->progress_price, NULL);
    return LAC_OK;
}

/* A cell's metrics are left in w->metrics. */
static lac_status run_cell(const plain *w, const lac_case *c, const lac_group *group, int which, int t, int col,
                           lac_err *err)
{
    const lac_chart *chart = &c->plan->charts[which];
    size_t n = c->plan->noising ? 0 : corrupt(w->patches, c);
    n += put_in(w->patches + n, c, chart, t, col);
    n += sever(w->patches + n, c, chart, t);
    return run_cells(w, c, group, n, err);
}

static lac_status all_cells(lac_case *c, const lac_group *group, lac_arena *arena, lac_err *err)
{
    plain w;
    int from, to;
    if (plain_init(&w, c, arena, err)) return err->code;
    lac_plan_tokens(&from, &to, c->plan, c->grid);
    for (int which = 0; which < c->plan->n_charts; which++) {
        const lac_chart *chart = &c->plan->charts[which];
        for (int t = from; t < to; t++)
            for (int col = 0; col < chart->n_cols; col++) {
                if (run_cell(&w, c, group, which, t, col, err)) return err->code;
                for (int i = 0; i < c->n_samples; i++)
                    for (int m = 0; m < LAC_N_METRICS; m++)
                        *lac_cell(c->grid, chart, which, c->first_sample + i, (lac_metric)m, t, col) =
                            (float)w.metrics[i * LAC_N_METRICS + m];
            }
    }
    return LAC_OK;
}

lac_status lac_cell_plainly(double *metrics, const lac_case *c, const lac_group *group, int chart, int t, int col,
                            lac_err *err)
{
    plain w;
    lac_arena arena = {0};
    lac_status status = plain_init(&w, c, &arena, err);
    if (!status) status = run_cell(&w, c, group, chart, t, col, err);
    if (!status) memcpy(metrics, w.metrics, (size_t)c->n_samples * LAC_N_METRICS * sizeof *metrics);
    lac_arena_release(&arena);
    return status;
}

lac_status lac_runs_plainly(double *clean, double *corrupted, const lac_case *c, const lac_group *group, lac_err *err)
{
    plain w;
    lac_arena arena = {0};
    size_t bytes = (size_t)c->n_samples * LAC_N_METRICS * sizeof *clean;
    lac_status status = plain_init(&w, c, &arena, err);
    if (!status) status = run_cells(&w, c, group, 0, err);
    if (!status) memcpy(clean, w.metrics, bytes);
    if (!status && !lac_ablates(&c->plan->corruption)) {
        status = run_cells(&w, c, group, corrupt(w.patches, c), err);
        if (!status) memcpy(corrupted, w.metrics, bytes);
    }
    lac_arena_release(&arena);
    return status;
}

lac_status lac_cells_reference(const lac_group *group, lac_err *err)
{
    lac_status status = LAC_OK;
    for (int i = 0; i < group->n_cases && !status; i++) {
        lac_arena arena = {0};
        status = all_cells(group->cases[i], group, &arena, err);
        lac_arena_release(&arena);
    }
    return status;
}
