/* The reference for cells.c: each cell is a run of its own, from the embedding up, over the whole
 * prompt, with the subject's embeddings replaced by corrupted ones (denoising) and the cell's
 * values patched in.  No segment starts late, nothing is cached or shared. */
#include "trace/cells.h"

#include <string.h>

typedef struct {
    dele_segment *segments;
    const dele_prompt_cache **cases;
    dele_patch *patches;
    int *output_rows;
    double *metrics;
} plain;

static dele_status plain_init(plain *w, const dele_prompt_cache *c, dele_arena *arena,
                              dele_err *err)
{
    size_t S = (size_t)c->n_samples, answers = (size_t)c->grid->n_answer;
    size_t patches =
        (size_t)(c->grid->end - c->grid->begin) + 2 * (size_t)c->model->config.n_layers + 1;
    *w = (plain){
        DELE_NEW(arena, dele_segment, S, err), DELE_NEW(arena, const dele_prompt_cache *, S, err),
        DELE_NEW(arena, dele_patch, S * patches, err), DELE_NEW(arena, int, S *answers, err),
        DELE_NEW(arena, double, S *DELE_N_METRICS, err)};
    if (!w->segments || !w->cases || !w->patches || !w->output_rows || !w->metrics)
        return err->code;
    for (size_t s = 0; s < S; s++) {
        w->segments[s] = (dele_segment){.tokens = c->tokens, .n_rows = c->n_rows};
        w->cases[s] = c;
        for (size_t k = 0; k < answers; k++)
            w->output_rows[s * answers + k] = (int)((s + 1) * (size_t)c->n_rows - answers + k);
    }
    return DELE_OK;
}

static size_t corrupt(dele_patch *patches, const dele_prompt_cache *c)
{
    size_t n = 0;
    for (int i = 0; i < c->n_samples; i++)
        for (int t = c->grid->begin; t < c->grid->end; t++)
            patches[n++] =
                (dele_patch){.layer = 0,
                             .row = i * c->n_rows + t,
                             .site = DELE_EMBED,
                             .op = DELE_REPLACE,
                             .value = dele_state(c, &c->corrupted, DELE_EMBED, i, -1, t)};
    return n;
}

/* The patches that put the cell's value in, for all samples. */
static size_t put_in(dele_patch *patches, const dele_prompt_cache *c, const dele_chart *chart,
                     int t, int col)
{
    const dele_config *config = &c->model->config;
    dele_site at = dele_kind_site[chart->kind];
    const int units = chart->kind == DELE_HEAD     ? config->n_heads
                      : chart->kind == DELE_EXPERT ? config->n_experts
                                                   : 1,
              unit = col % units;
    int from = col / units, to = from + 1;
    if (dele_kind_has_windows(chart->kind))
        dele_window(&from, &to, col, chart->window, config->n_layers, c->plan->paper_edges);
    if (chart->kind == DELE_EMBEDDING) from = 0, to = 1;
    size_t n = 0;
    for (int i = 0; i < c->n_samples; i++)
        for (int l = from; l < to; l++) {
            const float *value = dele_source_unit(c, at, c->first_sample + i,
                                                  chart->kind == DELE_EMBEDDING ? -1 : l, t, unit);
            patches[n++] = (dele_patch){.layer = l,
                                        .row = i * c->n_rows + t,
                                        .site = at,
                                        .op = DELE_REPLACE,
                                        .head = unit,
                                        .expert = unit,
                                        .value = value};
        }
    return n;
}

/* Severed: that path's outputs at t stay the base run's in every layer (ROME's
 * trace_with_repatch). */
static size_t sever(dele_patch *patches, const dele_prompt_cache *c, const dele_chart *chart, int t)
{
    dele_site at = chart->sever == DELE_SEVER_MLP ? DELE_MLP_OUT : DELE_ATTN_OUT;
    size_t n = 0;
    for (int i = 0; i < c->n_samples && chart->sever != DELE_SEVER_NOTHING; i++)
        for (int l = 0; l < c->model->config.n_layers; l++)
            patches[n++] = (dele_patch){.layer = l,
                                        .row = i * c->n_rows + t,
                                        .site = at,
                                        .op = DELE_REPLACE,
                                        .value = dele_base(c, at, c->first_sample + i, l, t)};
    return n;
}

static dele_status run_cells(const plain *w, const dele_prompt_cache *c,
                             const dele_trace_group *group, size_t n_patches, dele_err *err)
{
    size_t S = (size_t)c->n_samples;
    dele_batch batch = {.segments = w->segments,
                        .n_segments = S,
                        .patches = w->patches,
                        .n_patches = n_patches,
                        .output_rows = w->output_rows,
                        .n_output_rows = S * (size_t)c->grid->n_answer};
    double before = group->run->flops;
    if (dele_forward(group->run, c->model, &batch, err) ||
        dele_measure(w->metrics, group->run->final, w->cases, S, group->run, err))
        return err->code;
    if (group->progress)
        dele_progress_set(
            group->progress,
            group->progress->done + (group->run->flops - before) / group->progress_price, NULL);
    return DELE_OK;
}

/* A cell's metrics are left in w->metrics. */
static dele_status run_cell(const plain *w, const dele_prompt_cache *c,
                            const dele_trace_group *group, int which, int t, int col, dele_err *err)
{
    const dele_chart *chart = &c->plan->charts[which];
    const dele_prompt_cache *start = chart->sever != DELE_SEVER_NOTHING && c->again ? c->again : c;
    size_t n = c->plan->noising ? 0 : corrupt(w->patches, start);
    n += put_in(w->patches + n, c, chart, t, col);
    n += sever(w->patches + n, c, chart, t);
    return run_cells(w, c, group, n, err);
}

static dele_status all_cells(dele_prompt_cache *c, const dele_trace_group *group, dele_arena *arena,
                             dele_err *err)
{
    plain w;
    int from, to;
    if (plain_init(&w, c, arena, err)) return err->code;
    dele_plan_tokens(&from, &to, c->plan, c->grid);
    for (int which = 0; which < c->plan->n_charts; which++) {
        const dele_chart *chart = &c->plan->charts[which];
        for (int t = from; t < to; t++)
            for (int col = 0; col < chart->n_cols; col++) {
                if (!dele_plan_has_cells(c->plan, chart, col)) continue;
                if (run_cell(&w, c, group, which, t, col, err)) return err->code;
                for (int i = 0; i < c->n_samples; i++)
                    for (int m = 0; m < DELE_N_METRICS; m++)
                        *dele_cell(c->grid, chart, which, c->first_sample + i, (dele_metric)m, t,
                                   col) = (float)w.metrics[i * DELE_N_METRICS + m];
            }
    }
    return DELE_OK;
}

dele_status dele_cell_reference(double *metrics, const dele_prompt_cache *c,
                                const dele_trace_group *group, int chart, int t, int col,
                                dele_err *err)
{
    plain w;
    dele_arena arena = {0};
    dele_status status = plain_init(&w, c, &arena, err);
    if (!status) status = run_cell(&w, c, group, chart, t, col, err);
    if (!status)
        memcpy(metrics, w.metrics, (size_t)c->n_samples * DELE_N_METRICS * sizeof *metrics);
    dele_arena_release(&arena);
    return status;
}

dele_status dele_runs_reference(double *clean, double *corrupted, const dele_prompt_cache *c,
                                const dele_trace_group *group, dele_err *err)
{
    plain w;
    dele_arena arena = {0};
    size_t bytes = (size_t)c->n_samples * DELE_N_METRICS * sizeof *clean;
    dele_status status = plain_init(&w, c, &arena, err);
    if (!status) status = run_cells(&w, c, group, 0, err);
    if (!status) memcpy(clean, w.metrics, bytes);
    if (!status && !dele_ablates(&c->plan->corruption)) {
        status = run_cells(&w, c, group, corrupt(w.patches, c), err);
        if (!status) memcpy(corrupted, w.metrics, bytes);
    }
    dele_arena_release(&arena);
    return status;
}

dele_status dele_cells_reference(const dele_trace_group *group, dele_err *err)
{
    dele_status status = DELE_OK;
    for (int i = 0; i < group->n_cases && !status; i++) {
        dele_arena arena = {0};
        status = all_cells(group->cases[i], group, &arena, err);
        dele_arena_release(&arena);
    }
    return status;
}
