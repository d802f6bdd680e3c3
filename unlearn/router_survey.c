#include "unlearn/router_survey.h"

#include "model/router_inputs.h"

typedef struct {
    const dele_router_survey *survey;
    const dele_model *model;
    const dele_dataset *set;
    size_t capacity, width, n_layers; /* rows of a pass; floats of a row; wanted layers */
    int *layer;                       /* [n_layers] */
    dele_segment *segments;           /* [sequences of a pass] */
    dele_patch *patches;              /* [n_layers] */
    float *x;                         /* [n_layers, capacity, width] */
    dele_run run;
    dele_arena arena, scratch;
} survey_pass;

/* Positions of a sequence: the last id of one that is longer than the context is only a label. */
static size_t positions(const survey_pass *p, size_t k)
{
    const size_t n = p->set->row[k].n, most = (size_t)dele_longest(&p->model->config);
    return n < most ? n : most;
}

static dele_status lay_out_survey(survey_pass *p, dele_err *err)
{
    const dele_config *c = &p->model->config;
    const dele_router_survey *s = p->survey;
    p->capacity = s->batch_tokens > p->set->longest ? s->batch_tokens : p->set->longest;
    p->width = (size_t)(s->inputs ? c->hidden_size : c->n_experts);
    p->layer = DELE_NEW(&p->arena, int, (size_t)c->n_layers, err);
    if (!p->layer) return DELE_ERR_MEMORY;
    for (int l = 0; l < c->n_layers; l++)
        if (dele_layer_is_sparse(c, l) && (!s->layers || s->layers[l])) p->layer[p->n_layers++] = l;
    bool ok =
        (p->segments = DELE_NEW(&p->arena, dele_segment, p->capacity, err)) &&
        (p->patches = DELE_NEW(&p->arena, dele_patch, p->n_layers, err)) &&
        (p->x = dele_alloc_raw(&p->arena, p->n_layers * p->capacity, p->width * sizeof *p->x, err));
    return ok ? DELE_OK : DELE_ERR_MEMORY;
}

/* Sequences [from, to) of the set, n rows in all. */
static dele_status forward_survey(survey_pass *p, size_t from, size_t to, size_t n, dele_err *err)
{
    const bool inputs = p->survey->inputs;
    for (size_t k = from; k < to; k++)
        p->segments[k - from] =
            (dele_segment){.tokens = p->set->row[k].ids, .n_rows = (int)positions(p, k)};
    for (size_t s = 0; s < p->n_layers; s++)
        p->patches[s] = (dele_patch){.layer = p->layer[s],
                                     .n_rows = (int)n,
                                     .site = inputs ? DELE_RESID_MID : DELE_ROUTER_LOGITS,
                                     .op = DELE_READ,
                                     .seen = p->x + s * p->capacity * p->width};
    const dele_batch batch = {.segments = p->segments,
                              .n_segments = to - from,
                              .patches = p->patches,
                              .n_patches = p->n_layers};
    if (dele_forward(&p->run, p->model, &batch, err)) return err->code;
    for (size_t s = 0; inputs && s < p->n_layers; s++)
        if (dele_router_inputs(p->x + s * p->capacity * p->width, p->model, p->layer[s], n,
                               &p->scratch, err))
            return DELE_ERR_MEMORY;
    return DELE_OK;
}

static dele_status tell(const survey_pass *p, size_t from, size_t to, dele_err *err)
{
    dele_status status = DELE_OK;
    for (size_t k = from, row = 0; k < to && !status; row += positions(p, k++))
        for (size_t s = 0; s < p->n_layers && !status; s++)
            status =
                p->survey->seen(p->survey->data, k, p->layer[s],
                                p->x + (s * p->capacity + row) * p->width, positions(p, k), err);
    return status;
}

dele_status dele_router_survey_run(const dele_router_survey *survey, const dele_model *model,
                                   const dele_dataset *set, dele_err *err)
{
    survey_pass p = {.survey = survey, .model = model, .set = set};
    dele_err own = {0};
    dele_err *e = err ? err : &own;
    dele_status status = lay_out_survey(&p, e);
    for (size_t from = 0, to; from < set->n && !status; from = to) {
        size_t n = positions(&p, from);
        for (to = from + 1; to < set->n && n + positions(&p, to) <= survey->batch_tokens; to++)
            n += positions(&p, to);
        status = forward_survey(&p, from, to, n, e);
        if (!status) status = tell(&p, from, to, e);
    }
    dele_run_release(&p.run);
    dele_arena_release(&p.scratch);
    dele_arena_release(&p.arena);
    return status;
}
