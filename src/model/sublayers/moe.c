/* Forward and backward of a mixture of experts.  t: a row; S: the experts chosen for it.
 *
 *   forward    x̂ = norm(x)     z = x̂ Wrᵀ     p = softmax(z)     w = p over S, or p / Σ_S p
 *              g u = x̂ Wᵀ      h = a(g) ⊙ u    E_e = h Wdᵀ
 *              y = Σ_S w_e E_e + σ(s·x̂) E_shared
 *
 *   backward   of an assignment, with dy of its row:
 *              dh = dy Wd        dw = ⟨dh, h⟩ = ⟨dy, E_e⟩        dWd += w dyᵀ h
 *              d(g u) from w dh (tensor/ops.h)                   dW += d(g u)ᵀ x̂
 *              of the router:
 *              dp = dw over S, or (dw - Σ_S w dw) / Σ_S p
 *              dz = p ⊙ (dp - Σ p dp)                            dWr += dzᵀ x̂
 *              dx̂ = dz Wr + Σ_S d(g u) W + that of the shared expert
 *              of the shared expert, one of all rows with the weight v = σ(s·x̂):
 *              ds = v (1 - v) dv
 *
 * The gradient of a weight needs no expert's output: ⟨dy, h Wdᵀ⟩ = ⟨dy Wd, h⟩.
 *
 * Experts run on different threads, each in one thread, where their matrices need no tile.  Sums
 * over a row's experts are in the order of its choices, so that results do not depend on the number
 * of threads. */
#include "model/sublayers/moe.h"

#include <math.h>
#include <string.h>

#include "model/families/families.h"
#include "model/sublayers/activation.h"
#include "tensor/ops.h"

enum { PARALLEL_FROM = 1 << 15, PARALLEL_PRODUCTS = 1 << 18 };

/* ---- memory ---------------------------------------------------------------------------------- */

static size_t assignments(const dele_config *c, size_t n) { return n * (size_t)c->top_k; }

static float *floats(size_t rows, size_t cols, dele_arena *arena, dele_err *err)
{
    return dele_alloc_raw(arena, rows, cols * sizeof(float), err);
}

dele_status dele_moe_lay_saved(dele_moe_saved *s, const dele_config *c, size_t n, bool for_backward,
                               dele_arena *arena, dele_err *err)
{
    const size_t a = assignments(c, n), experts = (size_t)c->n_experts;
    *s = (dele_moe_saved){0};
    if (for_backward && !(s->x = floats(n, (size_t)c->hidden_size, arena, err)))
        return DELE_ERR_MEMORY;
    s->logits = floats(n, experts, arena, err);
    s->p = floats(n, experts, arena, err);
    s->expert = dele_alloc_raw(arena, a, sizeof *s->expert, err);
    s->weight = floats(a, 1, arena, err);
    s->given = dele_alloc_raw(arena, n, sizeof *s->given, err);
    s->first = dele_alloc_raw(arena, experts + 1, sizeof *s->first, err);
    s->row = dele_alloc_raw(arena, a, sizeof *s->row, err);
    s->at = dele_alloc_raw(arena, a, sizeof *s->at, err);
    s->by_weight = floats(a, 1, arena, err);
    s->gate_up = floats(a, 2 * dele_expert_size(c), arena, err);
    if (!s->logits || !s->p || !s->expert || !s->weight || !s->given || !s->first || !s->row ||
        !s->at || !s->by_weight || !s->gate_up)
        return DELE_ERR_MEMORY;
    if (c->shared_size) {
        s->shared_gate_up = floats(n, 2 * (size_t)c->shared_size, arena, err);
        s->shared_weight = floats(n, 1, arena, err);
        if (!s->shared_gate_up || !s->shared_weight) return DELE_ERR_MEMORY;
    }
    dele_status status = dele_norm_lay_saved(&s->norm, n, arena, err);
    return status ? status : dele_norm_after_lay_saved(&s->post, c, n, arena, err);
}

/* Floats of the hidden channels of all experts' rows, or of the shared expert's. */
static size_t hidden_floats(const dele_config *c, size_t n)
{
    const size_t experts = assignments(c, n) * dele_expert_size(c),
                 shared = n * (size_t)c->shared_size;
    return experts > shared ? experts : shared;
}

static dele_status lay_backward(dele_moe_scratch *s, const dele_config *c, size_t n,
                                dele_arena *arena, dele_err *err)
{
    const size_t d_model = (size_t)c->hidden_size, a = assignments(c, n);
    s->dy = floats(n, d_model, arena, err);
    s->dxn = floats(n, d_model, arena, err);
    s->xg = floats(a, d_model, arena, err);
    s->dyg = floats(a, d_model, arena, err);
    s->dh = floats(hidden_floats(c, n), 1, arena, err);
    s->dgate_up = floats(hidden_floats(c, n), 2, arena, err);
    s->dweight = floats(a, 1, arena, err);
    s->dshared = floats(n, 1, arena, err);
    s->dlogits = floats(n, (size_t)c->n_experts, arena, err);
    return s->dy && s->dxn && s->xg && s->dyg && s->dh && s->dgate_up && s->dweight && s->dshared &&
                   s->dlogits
               ? DELE_OK
               : DELE_ERR_MEMORY;
}

dele_status dele_moe_lay_scratch(dele_moe_scratch *s, const dele_config *c, size_t n,
                                 size_t most_extra, bool for_backward, dele_arena *arena,
                                 dele_err *err)
{
    const size_t d_model = (size_t)c->hidden_size;
    *s = (dele_moe_scratch){.most_extra = most_extra};
    s->xn = floats(n, d_model, arena, err);
    s->h = floats(hidden_floats(c, n), 1, arena, err);
    if (!s->xn || !s->h) return DELE_ERR_MEMORY;
    if (for_backward) return lay_backward(s, c, n, arena, err);
    s->contribution = floats(assignments(c, n) + most_extra, d_model, arena, err);
    s->extra_row = dele_alloc_raw(arena, most_extra, sizeof *s->extra_row, err);
    s->extra_expert = dele_alloc_raw(arena, most_extra, sizeof *s->extra_expert, err);
    if (c->shared_size && !(s->shared = floats(n, d_model, arena, err))) return DELE_ERR_MEMORY;
    return s->contribution && s->extra_row && s->extra_expert ? DELE_OK : DELE_ERR_MEMORY;
}

/* ---- forward --------------------------------------------------------------------------------- */

const float *moe_router_forward(dele_moe_saved *s, const float *x, size_t n,
                                const dele_moe_weights *w, const dele_config *c,
                                const dele_moe_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size;
    if (s->x) memcpy(s->x, x, n * d_model * sizeof *x);
    const float *xn = norm_before_forward(scratch->xn, &s->norm, x, w->norm, n, c);
    linear_forward(s->logits, (size_t)c->n_experts, 0, xn, d_model, n, &w->router, scratch->tile);
    return xn;
}

/* The k largest of p, in order; among equals the lower index. */
static void choose(int *expert, const float *p, int n_experts, int k)
{
    for (int e = 0; e < n_experts; e++) {
        int at = e < k ? e : k;
        while (at > 0 && p[e] > p[expert[at - 1]]) at--;
        if (at == k) continue;
        for (int j = e < k ? e : k - 1; j > at; j--) expert[j] = expert[j - 1];
        expert[at] = e;
    }
}

static void weigh(float *weight, const int *expert, const float *p, const dele_config *c)
{
    double sum = 0;
    for (int j = 0; j < c->top_k; j++) sum += (double)p[expert[j]];
    for (int j = 0; j < c->top_k; j++)
        weight[j] = c->norm_topk_prob ? (float)(p[expert[j]] / sum) : p[expert[j]];
}

/* Numbers the assignments: those of an expert stand together, in the order of rows. */
static void assign(dele_moe_saved *s, size_t n, const dele_config *c)
{
    const size_t k = (size_t)c->top_k, experts = (size_t)c->n_experts;
    memset(s->first, 0, (experts + 1) * sizeof *s->first);
    for (size_t i = 0; i < n * k; i++) s->first[s->expert[i] + 1]++;
    for (size_t e = 0; e < experts; e++) s->first[e + 1] += s->first[e];
    for (size_t i = 0; i < n * k; i++) {
        const size_t at = s->first[s->expert[i]]++;
        s->at[i] = at;
        s->row[at] = i / k;
        s->by_weight[at] = s->weight[i];
    }
    for (size_t e = experts; e > 0; e--) s->first[e] = s->first[e - 1];
    s->first[0] = 0;
}

void moe_choose_forward(dele_moe_saved *s, size_t n, const dele_config *c)
{
    const size_t k = (size_t)c->top_k, experts = (size_t)c->n_experts;
    memcpy(s->p, s->logits, n * experts * sizeof *s->p);
#pragma omp parallel for if (n * experts > PARALLEL_FROM)
    for (size_t t = 0; t < n; t++) {
        softmax(s->p + t * experts, experts, 1);
        if (s->given[t]) continue;
        choose(s->expert + t * k, s->p + t * experts, c->n_experts, c->top_k);
        weigh(s->weight + t * k, s->expert + t * k, s->p + t * experts, c);
    }
    assign(s, n, c);
}

/* Whether experts run on different threads: where there is enough to do, and none needs a tile, of
 * which there is one. */
static bool run_apart(const dele_moe_weights *w, size_t n, const dele_config *c)
{
    if (assignments(c, n) * dele_expert_size(c) * (size_t)c->hidden_size < PARALLEL_PRODUCTS)
        return false;
    for (int e = 0; e < c->n_experts; e++)
        if (linear_tile(&w->expert[e].gate_up) || linear_tile(&w->expert[e].down)) return false;
    return true;
}

static void gather(float *to, const float *from, const size_t *row, size_t n, size_t width)
{
    for (size_t i = 0; i < n; i++)
        memcpy(to + i * width, from + row[i] * width, width * sizeof *to);
}

static void scale_rows(float *x, const float *by, size_t n, size_t width)
{
#pragma omp parallel for if (n * width > PARALLEL_FROM)
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < width; j++) x[i * width + j] *= by[i];
}

/* One expert: its rows, gathered where their contributions will stand. */
static void expert_forward(dele_moe_saved *s, const float *xn, size_t e, const dele_moe_weights *w,
                           const dele_config *c, const dele_moe_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size, d_ff = dele_expert_size(c), from = s->first[e],
                 n = s->first[e + 1] - from;
    float *rows = scratch->contribution + from * d_model, *h = scratch->h + from * d_ff,
          *gate_up = s->gate_up + from * 2 * d_ff;
    if (n == 0) return;
    gather(rows, xn, s->row + from, n, d_model);
    linear_few_forward(gate_up, 2 * d_ff, rows, d_model, n, &w->expert[e].gate_up, scratch->tile);
    dele_activation_of(c->activation, true).forward(h, gate_up, n, d_ff);
    linear_few_forward(rows, d_model, h, d_ff, n, &w->expert[e].down, scratch->tile);
    scale_rows(rows, s->by_weight + from, n, d_model);
}

void moe_experts_forward(dele_moe_saved *s, const float *xn, size_t n, const dele_moe_weights *w,
                         const dele_config *c, dele_moe_scratch *scratch)
{
    scratch->n_extra = 0;
#pragma omp parallel for schedule(dynamic, 1) if (run_apart(w, n, c))
    for (size_t e = 0; e < (size_t)c->n_experts; e++) expert_forward(s, xn, e, w, c, scratch);
}

float *moe_contribution(const dele_moe_saved *s, size_t row, int expert, bool make, size_t n,
                        const dele_config *c, dele_moe_scratch *scratch)
{
    const size_t k = (size_t)c->top_k, d_model = (size_t)c->hidden_size;
    for (size_t j = row * k; j < (row + 1) * k; j++)
        if (s->expert[j] == expert) return scratch->contribution + s->at[j] * d_model;
    float *extra = scratch->contribution + n * k * d_model;
    size_t i = 0;
    while (i < scratch->n_extra &&
           (scratch->extra_row[i] != row || scratch->extra_expert[i] != expert))
        i++;
    if (i < scratch->n_extra) return extra + i * d_model;
    if (!make || i == scratch->most_extra) return NULL;
    scratch->extra_row[i] = row;
    scratch->extra_expert[i] = expert;
    scratch->n_extra++;
    return memset(extra + i * d_model, 0, d_model * sizeof *extra);
}

void moe_shared_forward(dele_moe_saved *s, const float *xn, size_t n, const dele_moe_weights *w,
                        const dele_config *c, const dele_moe_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size, d_ff = (size_t)c->shared_size;
    if (!w->shared_scale) return;
    linear_forward(s->shared_gate_up, 2 * d_ff, 0, xn, d_model, n, &w->shared.gate_up,
                   scratch->tile);
    dele_activation_of(c->activation, true).forward(scratch->h, s->shared_gate_up, n, d_ff);
    linear_forward(scratch->shared, d_model, 0, scratch->h, d_ff, n, &w->shared.down,
                   scratch->tile);
#pragma omp parallel for if (n * d_model > PARALLEL_FROM)
    for (size_t t = 0; t < n; t++) {
        double z = 0;
        for (size_t i = 0; i < d_model; i++) z += (double)w->shared_scale[i] * xn[t * d_model + i];
        s->shared_weight[t] = (float)(1 / (1 + exp(-z)));
    }
    scale_rows(scratch->shared, s->shared_weight, n, d_model);
}

/* out = Σ_j from[at[j]], or +=, for k rows of `from`, then `more` (may be NULL); in the order of
 * j. */
static void sum_rows(float *out, bool adds, const float *from, const size_t *at, size_t k,
                     const float *more, size_t width)
{
    enum { SOME = 64 };
    for (size_t i = 0, m; i < width; i += m) {
        float sum[SOME] = {0};
        m = width - i < SOME ? width - i : SOME;
        for (size_t j = 0; j < k; j++)
            for (size_t l = 0; l < m; l++) sum[l] += from[at[j] * width + i + l];
        for (size_t l = 0; more && l < m; l++) sum[l] += more[i + l];
        for (size_t l = 0; l < m; l++) out[i + l] = adds ? out[i + l] + sum[l] : sum[l];
    }
}

void moe_sum_forward(float *out, bool adds, dele_moe_saved *s, size_t n, const dele_moe_weights *w,
                     const dele_config *c, const dele_moe_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size, k = (size_t)c->top_k;
    float *y = s->post.x ? s->post.x : out;
    const float *extra = scratch->contribution + n * k * d_model;
#pragma omp parallel for if (n * d_model > PARALLEL_FROM)
    for (size_t t = 0; t < n; t++)
        sum_rows(y + t * d_model, adds && y == out, scratch->contribution, s->at + t * k, k,
                 w->shared_scale ? scratch->shared + t * d_model : NULL, d_model);
    for (size_t i = 0; i < scratch->n_extra; i++)
        add(y + scratch->extra_row[i] * d_model, extra + i * d_model, d_model);
    norm_after_forward(out, adds, &s->post, w->post_norm, n, c, scratch->xn);
}

/* ---- backward -------------------------------------------------------------------------------- */

const float *moe_sum_backward(const dele_moe_grads *grads, const float *dout,
                              const dele_moe_saved *s, size_t n, const dele_moe_weights *w,
                              const dele_config *c, const dele_moe_scratch *scratch)
{
    return norm_after_backward(scratch->dy, grads->post_norm, dout, w->post_norm, &s->post, n, c);
}

/* A gated MLP of n rows whose output was multiplied by `weight`, from dy [n, d_model].  x [n,
 * d_model]: its input.  dx, written, may be dy; NULL: not needed.  dweight [n], or NULL. */
typedef struct {
    const dele_expert_weights *w;
    const dele_expert_grads *grads;
    const float *x, *gate_up, *weight;
    float *h, *dh, *dgate_up, *dweight, *dx, *tile;
    size_t n, d_model, d_ff;
} expert_pass;

static void weights_backward(float *dweight, const float *dh, const float *h, size_t n,
                             size_t width)
{
#pragma omp parallel for if (n * width > PARALLEL_FROM)
    for (size_t t = 0; t < n; t++) {
        double sum = 0;
        for (size_t i = 0; i < width; i++) sum += (double)dh[t * width + i] * h[t * width + i];
        dweight[t] = (float)sum;
    }
}

static void gated_backward(const expert_pass *p, const float *dy, dele_activation_pair pair)
{
    const dele_expert_grads *g = p->grads;
    const size_t n = p->n, d_model = p->d_model, d_ff = p->d_ff;
    const bool deeper = p->dx || g->gate || g->up;
    if (p->dweight || g->down) pair.forward(p->h, p->gate_up, n, d_ff);
    if (p->dweight || deeper)
        linear_few_backward(p->dh, d_ff, dy, d_model, n, &p->w->down, p->tile);
    if (p->dweight) weights_backward(p->dweight, p->dh, p->h, n, d_ff);
    if (g->down) {
        scale_rows(p->h, p->weight, n, d_ff);
        linear_few_weight_backward(g->down, dy, d_model, p->h, n, d_model, d_ff);
    }
    if (!deeper) return;
    scale_rows(p->dh, p->weight, n, d_ff);
    pair.backward(p->dgate_up, p->dh, p->gate_up, n, d_ff);
    linear_few_weight_backward(g->gate, p->dgate_up, 2 * d_ff, p->x, n, d_ff, d_model);
    linear_few_weight_backward(g->up, p->dgate_up + d_ff, 2 * d_ff, p->x, n, d_ff, d_model);
    if (p->dx)
        linear_few_backward(p->dx, d_model, p->dgate_up, 2 * d_ff, n, &p->w->gate_up, p->tile);
}

/* One expert, with its rows of x̂ and dy gathered. */
static void expert_backward(const dele_moe_grads *grads, const float *dy, const float *xn, size_t e,
                            const dele_moe_saved *s, const dele_moe_weights *w,
                            const dele_config *c, const dele_moe_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size, d_ff = dele_expert_size(c), from = s->first[e],
                 n = s->first[e + 1] - from;
    const dele_expert_grads *g = &grads->expert[e];
    float *xg = scratch->xg + from * d_model, *dyg = scratch->dyg + from * d_model;
    if (n == 0 || (!grads->input && !grads->logits && !g->gate && !g->up && !g->down)) return;
    gather(dyg, dy, s->row + from, n, d_model);
    if (g->gate || g->up) gather(xg, xn, s->row + from, n, d_model);
    const expert_pass pass = {.w = &w->expert[e],
                              .grads = g,
                              .x = xg,
                              .gate_up = s->gate_up + from * 2 * d_ff,
                              .weight = s->by_weight + from,
                              .h = scratch->h + from * d_ff,
                              .dh = scratch->dh + from * d_ff,
                              .dgate_up = scratch->dgate_up + from * 2 * d_ff,
                              .dweight = grads->logits ? scratch->dweight + from : NULL,
                              .dx = grads->input ? dyg : NULL,
                              .tile = scratch->tile,
                              .n = n,
                              .d_model = d_model,
                              .d_ff = d_ff};
    gated_backward(&pass, dyg, dele_activation_of(c->activation, true));
}

void moe_experts_backward(const dele_moe_grads *grads, const float *dy, const dele_moe_saved *s,
                          size_t n, const dele_moe_weights *w, const dele_config *c,
                          const dele_moe_scratch *scratch)
{
    bool trains = false;
    for (int e = 0; e < c->n_experts && !trains; e++)
        trains = grads->expert[e].gate || grads->expert[e].up;
    const float *xn =
        trains ? norm_before_forward(scratch->xn, &s->norm, s->x, w->norm, n, c) : NULL;
#pragma omp parallel for schedule(dynamic, 1) if (run_apart(w, n, c))
    for (size_t e = 0; e < (size_t)c->n_experts; e++)
        expert_backward(grads, dy, xn, e, s, w, c, scratch);
}

/* Of one row.  at [k]: the assignments of its choices. */
static void row_choose_backward(float *dlogits, const float *p, const int *expert,
                                const float *weight, const float *dweight, const size_t *at,
                                const dele_config *c)
{
    double along = 0, sum = 0, shift = 0; /* Σ w dw, Σ_S p, Σ p dp */
    for (int j = 0; j < c->top_k; j++) {
        along += (double)weight[j] * dweight[at[j]];
        sum += (double)p[expert[j]];
    }
    for (int e = 0; e < c->n_experts; e++) dlogits[e] = 0;
    for (int j = 0; j < c->top_k; j++) {
        const double dw = (double)dweight[at[j]], dp = c->norm_topk_prob ? (dw - along) / sum : dw;
        dlogits[expert[j]] = (float)dp;
        shift += (double)p[expert[j]] * dp;
    }
    for (int e = 0; e < c->n_experts; e++) dlogits[e] = (float)(p[e] * (dlogits[e] - shift));
}

void moe_choose_backward(const dele_moe_saved *s, size_t n, const dele_config *c,
                         const dele_moe_scratch *scratch)
{
    const size_t k = (size_t)c->top_k, experts = (size_t)c->n_experts;
#pragma omp parallel for if (n * experts > PARALLEL_FROM)
    for (size_t t = 0; t < n; t++)
        if (s->given[t])
            memset(scratch->dlogits + t * experts, 0, experts * sizeof *scratch->dlogits);
        else
            row_choose_backward(scratch->dlogits + t * experts, s->p + t * experts,
                                s->expert + t * k, s->weight + t * k, scratch->dweight,
                                s->at + t * k, c);
}

/* σ's argument: its gradient in scratch->dshared from that of its value there, then the scale's. */
static void shared_scale_backward(float *dscale, const float *xn, const dele_moe_saved *s, size_t n,
                                  size_t d_model, const dele_moe_scratch *scratch)
{
    for (size_t t = 0; t < n; t++)
        scratch->dshared[t] *= s->shared_weight[t] * (1 - s->shared_weight[t]);
    if (!dscale) return;
#pragma omp parallel for if (n * d_model > PARALLEL_FROM)
    for (size_t i = 0; i < d_model; i++) {
        double sum = 0;
        for (size_t t = 0; t < n; t++) sum += (double)scratch->dshared[t] * xn[t * d_model + i];
        dscale[i] += (float)sum;
    }
}

/* The shared expert: an expert of all rows.  With grads->input its part is added to scratch->dxn;
 * the experts' dx̂ are needed no more. */
static void shared_backward(const dele_moe_grads *grads, const float *dy, const float *xn,
                            const dele_moe_saved *s, size_t n, const dele_moe_weights *w,
                            const dele_config *c, const dele_moe_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size;
    const bool scale = grads->input || grads->shared_scale;
    const expert_pass pass = {.w = &w->shared,
                              .grads = &grads->shared,
                              .x = xn,
                              .gate_up = s->shared_gate_up,
                              .weight = s->shared_weight,
                              .h = scratch->h,
                              .dh = scratch->dh,
                              .dgate_up = scratch->dgate_up,
                              .dweight = scale ? scratch->dshared : NULL,
                              .dx = grads->input ? scratch->dyg : NULL,
                              .tile = scratch->tile,
                              .n = n,
                              .d_model = d_model,
                              .d_ff = (size_t)c->shared_size};
    gated_backward(&pass, dy, dele_activation_of(c->activation, true));
    if (scale) shared_scale_backward(grads->shared_scale, xn, s, n, d_model, scratch);
    if (!grads->input) return;
#pragma omp parallel for if (n * d_model > PARALLEL_FROM)
    for (size_t t = 0; t < n; t++) {
        float *to = scratch->dxn + t * d_model;
        const float *from = scratch->dyg + t * d_model, d = scratch->dshared[t];
        for (size_t i = 0; i < d_model; i++) to[i] += from[i] + d * w->shared_scale[i];
    }
}

/* Whether a weight trains whose gradient needs x̂ of all rows. */
static bool trains_of_all_rows(const dele_moe_grads *g)
{
    return g->router || g->shared.gate || g->shared.up || g->shared_scale;
}

void moe_input_backward(float *dx, const dele_moe_grads *grads, const float *dy,
                        const dele_moe_saved *s, size_t n, const dele_moe_weights *w,
                        const dele_config *c, const dele_moe_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size, experts = (size_t)c->n_experts,
                 k = (size_t)c->top_k;
    const float *xn = trains_of_all_rows(grads)
                          ? norm_before_forward(scratch->xn, &s->norm, s->x, w->norm, n, c)
                          : NULL;
    if (grads->router)
        linear_weight_backward(grads->router, scratch->dlogits, experts, xn, n, experts, d_model);
    if (grads->input) {
        linear_backward(scratch->dxn, d_model, scratch->dlogits, experts, n, &w->router,
                        scratch->tile);
#pragma omp parallel for if (n * d_model > PARALLEL_FROM)
        for (size_t t = 0; t < n; t++)
            sum_rows(scratch->dxn + t * d_model, true, scratch->dyg, s->at + t * k, k, NULL,
                     d_model);
    }
    if (grads->input && scratch->dmore) add(scratch->dxn, scratch->dmore, n * d_model);
    if (w->shared_scale) shared_backward(grads, dy, xn, s, n, w, c, scratch);
    if (grads->input)
        norm_before_backward(dx, grads->norm, scratch->dxn, s->x, w->norm, &s->norm, n, c);
}

double dele_moe_flops(const dele_config *c, double n)
{
    const double shared = c->shared_size ? 3.0 * c->shared_size + 1 : 0;
    return 2 * n * c->hidden_size *
           (c->n_experts + 3.0 * c->top_k * (double)dele_expert_size(c) + shared);
}
