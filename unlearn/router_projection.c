#include "unlearn/router_projection.h"

#include <string.h>

#include "tensor/eigen.h"
#include "unlearn/router_survey.h"

dele_status dele_router_projection_init(dele_router_projection *p, size_t n,
                                        const dele_model *model, const dele_mask *mask,
                                        dele_arena *arena, dele_err *err)
{
    const dele_config *c = &model->config;
    const size_t width = (size_t)c->hidden_size, n_experts = (size_t)c->n_experts;
    *p = (dele_router_projection){.n = n, .width = width};
    p->layer = DELE_NEW(arena, int, (size_t)c->n_layers, err);
    p->tensor = DELE_NEW(arena, size_t, (size_t)c->n_layers, err);
    if (!p->layer || !p->tensor) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < model->n_tensors; i++) {
        if (model->tensors[i].slot != DELE_SLOT_ROUTER || !mask->trains[i]) continue;
        p->layer[p->n_layers] = model->tensors[i].layer;
        p->tensor[p->n_layers++] = i;
    }
    if (!p->n_layers)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--router-projection: no router is trained; add router to --parts");
    if (n >= width)
        return dele_fail(err, DELE_ERR_USAGE,
                         "--router-projection %zu: routers of width %zu could not move at all; "
                         "give less than the width",
                         n, width);
    bool ok =
        (p->directions = DELE_NEW(arena, float, p->n_layers *n *width, err)) &&
        (p->kept = DELE_NEW(arena, double, p->n_layers, err)) &&
        (p->before = dele_alloc_raw(arena, p->n_layers * n_experts, width * sizeof(float), err));
    return ok ? DELE_OK : DELE_ERR_MEMORY;
}

/* ---- directions ------------------------------------------------------------------------------ */

typedef struct {
    const dele_router_projection *p;
    double *moment; /* [n_layers, width, width] Σ h hᵀ, its lower triangle */
} summing;

static dele_status add_inputs(void *data, size_t sequence, int layer, const float *h, size_t n,
                              dele_err *err)
{
    (void)sequence, (void)err;
    const summing *s = data;
    const size_t d = s->p->width;
    size_t which = 0;
    while (s->p->layer[which] != layer) which++;
    double *c = s->moment + which * d * d;
#pragma omp parallel for schedule(static, 1)
    for (size_t i = 0; i < d; i++)
        for (size_t r = 0; r < n; r++) {
            const double hi = h[r * d + i];
            for (size_t j = 0; j <= i; j++) c[i * d + j] += hi * (double)h[r * d + j];
        }
    return DELE_OK;
}

/* The directions of one layer, from its Σ h hᵀ, which is overwritten.  LAPACK reads columns: its
 * upper triangle is our lower one, and the whole is filled for either. */
static dele_status directions_of(dele_router_projection *p, size_t which, double *c,
                                 dele_arena *scratch, dele_err *err)
{
    const size_t d = p->width, n = p->n;
    double trace = 0, sum = 0;
    double *vectors = DELE_NEW(scratch, double, n *d, err),
           *values = DELE_NEW(scratch, double, n, err);
    if (!vectors || !values) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < d; i++) {
        trace += c[i * d + i];
        for (size_t j = 0; j < i; j++) c[j * d + i] = c[i * d + j];
    }
    if (dele_eigen_top(vectors, values, n, c, d, err)) return err ? err->code : DELE_ERR_DATA;
    for (size_t i = 0; i < n; i++) sum += values[i];
    for (size_t i = 0; i < n * d; i++) p->directions[which * n * d + i] = (float)vectors[i];
    p->kept[which] = trace > 0 ? sum / trace : 0;
    return DELE_OK;
}

dele_status dele_router_projection_fit(dele_router_projection *p, const dele_model *model,
                                       const dele_dataset *retain, size_t batch_tokens,
                                       dele_err *err)
{
    const size_t d = p->width;
    dele_arena arena = {0};
    summing s = {p, DELE_NEW(&arena, double, p->n_layers *d *d, err)};
    bool *layers = DELE_NEW(&arena, bool, (size_t)model->config.n_layers, err);
    dele_status status = s.moment && layers ? DELE_OK : DELE_ERR_MEMORY;
    for (size_t i = 0; i < p->n_layers && !status; i++) layers[p->layer[i]] = true;
    const dele_router_survey survey = {.inputs = true,
                                       .layers = layers,
                                       .batch_tokens = batch_tokens,
                                       .seen = add_inputs,
                                       .data = &s};
    if (!status) status = dele_router_survey_run(&survey, model, retain, err);
    for (size_t i = 0; i < p->n_layers && !status; i++)
        status = directions_of(p, i, s.moment + i * d * d, &arena, err);
    dele_arena_release(&arena);
    return status;
}

/* ---- projecting ------------------------------------------------------------------------------ */

/* x [n_experts, width] −= x Uᵀ U, row by row, in double. */
static void project_rows(float *x, const dele_router_projection *p, size_t which, size_t n_experts)
{
    const size_t d = p->width;
    const float *u = p->directions + which * p->n * d;
#pragma omp parallel for
    for (size_t e = 0; e < n_experts; e++)
        for (size_t i = 0; i < p->n; i++) {
            float *row = x + e * d;
            double along = 0;
            for (size_t j = 0; j < d; j++) along += (double)row[j] * (double)u[i * d + j];
            for (size_t j = 0; j < d; j++) row[j] -= (float)(along * (double)u[i * d + j]);
        }
}

void dele_router_projection_gradient(const dele_router_projection *p, const dele_model *model,
                                     float *const *g)
{
    for (size_t i = 0; i < p->n_layers; i++)
        project_rows(g[p->tensor[i]], p, i, model->tensors[p->tensor[i]].rows);
}

void dele_router_projection_before(const dele_router_projection *p, const dele_model *model)
{
    for (size_t i = 0; i < p->n_layers; i++) {
        const dele_tensor *t = &model->tensors[p->tensor[i]];
        memcpy(p->before + i * t->rows * t->cols, t->data, t->rows * t->cols * sizeof(float));
    }
}

void dele_router_projection_after(const dele_router_projection *p, const dele_model *model)
{
    for (size_t i = 0; i < p->n_layers; i++) {
        const dele_tensor *t = &model->tensors[p->tensor[i]];
        const size_t n = t->rows * t->cols;
        const float *before = p->before + i * n;
        for (size_t k = 0; k < n; k++) t->data[k] -= before[k];
        project_rows(t->data, p, i, t->rows);
        for (size_t k = 0; k < n; k++) t->data[k] += before[k];
    }
}
