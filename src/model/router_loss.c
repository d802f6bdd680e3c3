/* Gradients, with N rows in all layers together and n in one:
 *
 *   balance   dp_te = E f_e / N                   by layer: E f_e / (n layers)
 *   z         dz_te = 2 (log Σ exp z_t) p_te / N
 *   anchor    dp_te = 2 (p_te - [e = expert]) / n
 *   dz_t = p_t ⊙ (dp_t - Σ_e p_te dp_te) */
#include "model/router_loss.h"

#include <string.h>

#include "model/activations.h"
#include "tensor/ops.h"

typedef struct {
    const dele_config *c;
    const dele_router_loss *loss;
    const dele_router_kept *layer; /* [n_layers] */
    size_t n_rows, counted, anchored;
    double *f, *p; /* [n_layers, n_experts] each layer's counts and sums, then means */
} router_pass;

static bool counts(const bool *rows, size_t t) { return !rows || rows[t]; }

static size_t count(const bool *rows, size_t n)
{
    size_t found = 0;
    for (size_t t = 0; t < n; t++) found += counts(rows, t);
    return found;
}

static size_t sparse_layers(const dele_config *c)
{
    size_t n = 0;
    for (int l = 0; l < c->n_layers; l++) n += dele_layer_is_sparse(c, l);
    return n;
}

/* f and p of each sparse layer; without by_layer the same ones for all, over the rows of all. */
static void take_means(router_pass *pass)
{
    const size_t experts = (size_t)pass->c->n_experts, k = (size_t)pass->c->top_k,
                 layers = sparse_layers(pass->c);
    const double n = (double)(pass->counted ? pass->counted : 1);
    for (int l = 0; l < pass->c->n_layers; l++) {
        const dele_router_kept *layer = &pass->layer[l];
        double *f = pass->f + (size_t)l * experts, *p = pass->p + (size_t)l * experts;
        for (size_t t = 0; t < pass->n_rows && dele_layer_is_sparse(pass->c, l); t++) {
            if (!counts(pass->loss->rows, t)) continue;
            for (size_t j = 0; j < k; j++) f[layer->expert[t * k + j]] += 1 / n;
            for (size_t e = 0; e < experts; e++) p[e] += (double)layer->p[t * experts + e] / n;
        }
    }
    for (size_t e = 0; e < experts && !pass->loss->by_layer; e++) {
        double f = 0, p = 0;
        for (int l = 0; l < pass->c->n_layers; l++) {
            f += pass->f[(size_t)l * experts + e] / (double)layers;
            p += pass->p[(size_t)l * experts + e] / (double)layers;
        }
        for (int l = 0; l < pass->c->n_layers; l++)
            pass->f[(size_t)l * experts + e] = f, pass->p[(size_t)l * experts + e] = p;
    }
}

/* Σ_e f_e P_e E of a layer, which without by_layer is that of all. */
static double balance_of(const router_pass *pass, int layer)
{
    const size_t experts = (size_t)pass->c->n_experts;
    double sum = 0;
    for (size_t e = 0; e < experts; e++)
        sum += pass->f[(size_t)layer * experts + e] * pass->p[(size_t)layer * experts + e];
    return sum * (double)experts;
}

/* Squares of the distance from the anchor, of one row. */
static double distance(const float *p, int n_experts, int expert)
{
    double sum = 0;
    for (int e = 0; e < n_experts; e++) {
        const double d = (double)p[e] - (e == expert);
        sum += d * d;
    }
    return sum;
}

static dele_router_values values_of(const router_pass *pass)
{
    const dele_router_loss *loss = pass->loss;
    const size_t experts = (size_t)pass->c->n_experts;
    const double layers = (double)sparse_layers(pass->c);
    dele_router_values v = {0};
    for (int l = 0; l < pass->c->n_layers; l++) {
        if (!dele_layer_is_sparse(pass->c, l)) continue;
        const dele_router_kept *layer = &pass->layer[l];
        v.balance += balance_of(pass, l) / layers;
        for (size_t t = 0; t < pass->n_rows; t++) {
            if (counts(loss->rows, t)) {
                const double lse = log_sum_exp(layer->logits + t * experts, experts);
                v.z += lse * lse / (layers * (double)pass->counted);
            }
            if (l == loss->anchor_layer && counts(loss->anchor_rows, t))
                v.anchor +=
                    distance(layer->p + t * experts, pass->c->n_experts, loss->anchor_expert) /
                    (double)pass->anchored;
        }
    }
    v.total = loss->balance * v.balance + loss->z * v.z + loss->anchor * v.anchor;
    return v;
}

/* dz [n_experts] of one row of a layer. */
static void row_gradient(float *dz, const router_pass *pass, int l, size_t t)
{
    const dele_router_loss *loss = pass->loss;
    const size_t experts = (size_t)pass->c->n_experts;
    const float *p = pass->layer[l].p + t * experts, *z = pass->layer[l].logits + t * experts;
    const double rows = (double)sparse_layers(pass->c) * (double)pass->counted;
    const bool counted = counts(loss->rows, t),
               anchored = l == loss->anchor_layer && counts(loss->anchor_rows, t);
    const double balance = counted ? loss->balance * (double)experts / rows : 0,
                 anchor = anchored ? 2 * loss->anchor / (double)pass->anchored : 0,
                 lse = counted && loss->z != 0 ? 2 * loss->z * log_sum_exp(z, experts) / rows : 0;
    double along = 0;
    for (int pass_two = 0; pass_two < 2; pass_two++)
        for (size_t e = 0; e < experts; e++) {
            const double dp = balance * pass->f[(size_t)l * experts + e] +
                              anchor * ((double)p[e] - ((int)e == loss->anchor_expert));
            if (pass_two)
                dz[e] = (float)((double)p[e] * (dp - along + lse));
            else
                along += (double)p[e] * dp;
        }
}

/* The additions of the layers that the backward pass reaches. */
static dele_status fill_adds(dele_patch *adds, size_t *n_adds, const router_pass *pass, int lowest,
                             dele_arena *arena, dele_err *err)
{
    const size_t experts = (size_t)pass->c->n_experts;
    *n_adds = 0;
    for (int l = lowest; l < pass->c->n_layers; l++) {
        if (!dele_layer_is_sparse(pass->c, l)) continue;
        float *dz = dele_alloc_raw(arena, pass->n_rows, experts * sizeof *dz, err);
        if (!dz) return DELE_ERR_MEMORY;
        for (size_t t = 0; t < pass->n_rows; t++) row_gradient(dz + t * experts, pass, l, t);
        adds[(*n_adds)++] = (dele_patch){.layer = l,
                                         .n_rows = (int)pass->n_rows,
                                         .site = DELE_ROUTER_LOGITS,
                                         .op = DELE_ADD,
                                         .value = dz};
    }
    return DELE_OK;
}

static dele_status check(const dele_router_loss *loss, const dele_run *run, const dele_config *c,
                         const dele_batch *batch, dele_err *err)
{
    if (!c->n_experts)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "a model of family %s has no experts, so it has no router to balance",
                         c->family->hf);
    if (!run->saved || !batch->keep_for_backward)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "a loss on routers needs a forward pass with keep_for_backward");
    if (loss->anchor_layer < 0) return DELE_OK;
    if (loss->anchor_layer >= c->n_layers || !dele_layer_is_sparse(c, loss->anchor_layer))
        return dele_fail(err, DELE_ERR_DATA, "the anchor's layer %d has no router",
                         loss->anchor_layer);
    if (loss->anchor_expert < 0 || loss->anchor_expert >= c->n_experts)
        return dele_fail(err, DELE_ERR_DATA, "the anchor's expert is %d of %d", loss->anchor_expert,
                         c->n_experts);
    return DELE_OK;
}

dele_status dele_router_loss_of(dele_router_values *values, dele_patch *adds, size_t *n_adds,
                                const dele_router_loss *loss, const dele_run *run,
                                const dele_model *model, const dele_batch *batch, dele_arena *arena,
                                dele_err *err)
{
    const dele_config *c = &model->config;
    dele_status status = check(loss, run, c, batch, err);
    if (status) return status;
    router_pass pass = {.c = c,
                        .loss = loss,
                        .layer = run->saved->router,
                        .n_rows = run->n_rows,
                        .counted = count(loss->rows, run->n_rows),
                        .anchored = count(loss->anchor_rows, run->n_rows)};
    const size_t n = (size_t)c->n_layers * (size_t)c->n_experts;
    pass.f = DELE_NEW(arena, double, n, err);
    pass.p = DELE_NEW(arena, double, n, err);
    if (!pass.f || !pass.p) return DELE_ERR_MEMORY;
    take_means(&pass);
    *values = values_of(&pass);
    return adds ? fill_adds(adds, n_adds, &pass, batch->lowest, arena, err) : DELE_OK;
}
