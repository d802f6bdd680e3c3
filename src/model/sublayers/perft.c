/* Forward and backward of PERFT's adapters.  An adapter's rows are gathered, pass through it in one
 * product each way, and are scattered back; adapters come one after the other, so that sums over a
 * row's adapters are in the order of their numbers.
 *
 *   forward    h = Down x̂     a = σ(h)     y += (f λ w a) Upᵀ
 *   backward   da = f λ (dy Up)                 dw  = ⟨da, a⟩
 *              dUp += dyᵀ (f λ w a)             dh  = w da ⊙ σ'(h)
 *              dDown += dhᵀ x̂                   dx̂ += dh Down
 *   gate       z = x̂ gateᵀ    p̃ = softmax(z)    w̃ over S̃
 *              dz = p̃ ⊙ (dp̃ - Σ p̃ dp̃)           dgate += dzᵀ x̂      dx̂ += dz gate
 *
 * Dropout, in training: of LoRA on the input of Down, each adapter with a mask of its own, of the
 * parallel form on h.  Whether an item is kept follows from a hash of its place, so that the
 * backward pass has the same mask without memory for it. */
#include "model/sublayers/perft.h"

#include <math.h>
#include <string.h>

#include "tensor/ops.h"

enum { PARALLEL_FROM = 1 << 15 };

/* ---- memory ---------------------------------------------------------------------------------- */

static float *perft_floats(size_t rows, size_t cols, dele_arena *arena, dele_err *err)
{
    return dele_alloc_raw(arena, rows, cols * sizeof(float), err);
}

static bool routed(const dele_perft *p) { return p->variant == DELE_PERFT_R; }
static bool embedded(const dele_perft *p) { return p->variant == DELE_PERFT_E; }

/* Rows that all adapters together are given. */
static size_t perft_assignments(const dele_config *c, size_t n)
{
    const dele_perft *p = &c->perft;
    return n * (size_t)(routed(p) ? p->top_k : embedded(p) ? c->top_k : p->adapters);
}

dele_status dele_perft_lay_saved(dele_perft_saved *s, const dele_config *c, size_t n,
                                 dele_arena *arena, dele_err *err)
{
    const dele_perft *p = &c->perft;
    const size_t all = perft_assignments(c, n), adapters = (size_t)p->adapters;
    *s = (dele_perft_saved){.hidden = perft_floats(all, (size_t)p->rank, arena, err)};
    if (!s->hidden) return DELE_ERR_MEMORY;
    if (!routed(p)) return DELE_OK;
    s->p = perft_floats(n, adapters, arena, err);
    s->choice = dele_alloc_raw(arena, all, sizeof *s->choice, err);
    s->weight = perft_floats(all, 1, arena, err);
    s->first = dele_alloc_raw(arena, adapters + 1, sizeof *s->first, err);
    s->row = dele_alloc_raw(arena, all, sizeof *s->row, err);
    s->at = dele_alloc_raw(arena, all, sizeof *s->at, err);
    s->by_weight = perft_floats(all, 1, arena, err);
    return s->p && s->choice && s->weight && s->first && s->row && s->at && s->by_weight
               ? DELE_OK
               : DELE_ERR_MEMORY;
}

dele_status dele_perft_lay_scratch(dele_perft_scratch *s, const dele_config *c, size_t n,
                                   bool for_backward, dele_arena *arena, dele_err *err)
{
    const size_t d_model = (size_t)c->hidden_size, rank = (size_t)c->perft.rank;
    *s = (dele_perft_scratch){.x = perft_floats(n, d_model, arena, err),
                              .rows = perft_floats(n, d_model, arena, err),
                              .act = perft_floats(n, rank, arena, err),
                              .out = perft_floats(n, d_model, arena, err)};
    if (!s->x || !s->rows || !s->act || !s->out) return DELE_ERR_MEMORY;
    if (!for_backward) return DELE_OK;
    s->dact = perft_floats(n, rank, arena, err);
    s->dx = perft_floats(n, d_model, arena, err);
    if (routed(&c->perft)) {
        s->dweight = perft_floats(perft_assignments(c, n), 1, arena, err);
        s->dlogits = perft_floats(n, (size_t)c->perft.adapters, arena, err);
        if (!s->dweight || !s->dlogits) return DELE_ERR_MEMORY;
    }
    return s->dact && s->dx ? DELE_OK : DELE_ERR_MEMORY;
}

/* ---- the rows of an adapter ------------------------------------------------------------------ */

typedef struct {
    size_t from, n;      /* its assignments */
    const size_t *row;   /* [n]; NULL: all rows in order */
    const float *weight; /* [n]; NULL: 1 */
} adapter_rows;

static adapter_rows rows_of(const dele_perft_saved *s, const dele_moe_saved *moe, size_t j,
                            size_t n, const dele_perft *p)
{
    const size_t *first = routed(p) ? s->first : embedded(p) ? moe->first : NULL;
    if (!first) return (adapter_rows){.from = j * n, .n = n};
    const size_t from = first[j];
    return (adapter_rows){.from = from,
                          .n = first[j + 1] - from,
                          .row = (routed(p) ? s->row : moe->row) + from,
                          .weight = (routed(p) ? s->by_weight : moe->by_weight) + from};
}

static const float *gather_rows(float *to, const float *from, const adapter_rows *r, size_t width)
{
    if (!r->row) return from;
#pragma omp parallel for if (r->n * width > PARALLEL_FROM)
    for (size_t i = 0; i < r->n; i++)
        memcpy(to + i * width, from + r->row[i] * width, width * sizeof *to);
    return to;
}

static void scatter_add(float *to, const float *from, const adapter_rows *r, size_t width)
{
#pragma omp parallel for if (r->n * width > PARALLEL_FROM)
    for (size_t i = 0; i < r->n; i++) /* an adapter has a row once */
        add(to + (r->row ? r->row[i] : i) * width, from + i * width, width);
}

/* ---- dropout --------------------------------------------------------------------------------- */

static bool is_kept(uint64_t seed, uint64_t place, float rate)
{
    uint64_t x = seed + place * 0x9e3779b97f4a7c15u; /* splitmix64 */
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return (double)(x >> 11) * 0x1p-53 >= (double)rate;
}

/* to [n, width] = from, or 0 where the mask of adapter j says so; to may be from. */
static void drop(float *to, const float *from, uint64_t seed, size_t j, const adapter_rows *r,
                 size_t width, float rate)
{
    const float factor = 1 / (1 - rate);
#pragma omp parallel for if (r->n * width > PARALLEL_FROM)
    for (size_t i = 0; i < r->n; i++)
        for (size_t k = 0; k < width; k++) {
            const uint64_t place =
                (((uint64_t)j << 32) + (r->row ? r->row[i] : i)) * (uint64_t)width + k;
            const size_t at = i * width + k;
            to[at] = is_kept(seed, place, rate) ? factor * from[at] : 0;
        }
}

/* ---- forward --------------------------------------------------------------------------------- */

static float factor_of(const dele_perft *p)
{
    return (float)(p->scale * (p->parallel ? 1 : p->alpha / p->rank));
}

/* The largest top_k of a row of p, the lowest index first among equals, and their weights: the
 * block's own in `given`, or p, or p as a share. */
static void choose_adapters(int *choice, float *weight, const float *p, const float *given,
                            const dele_config *c)
{
    const int n = c->perft.adapters, k = c->perft.top_k;
    double sum = 0;
    for (int i = 0; i < k; i++) {
        int best = -1;
        for (int j = 0; j < n; j++) {
            bool taken = false;
            for (int l = 0; l < i; l++) taken |= choice[l] == j;
            if (!taken && (best < 0 || p[j] > p[best])) best = j;
        }
        choice[i] = best;
        sum += (double)p[best];
    }
    for (int i = 0; i < k; i++) {
        weight[i] = given ? given[i] : p[choice[i]];
        if (!given && c->norm_topk_prob) weight[i] = (float)((double)weight[i] / sum);
    }
}

static void softmax_row(float *p, size_t n)
{
    double sum = 0;
    float most = p[0];
    for (size_t j = 1; j < n; j++) most = p[j] > most ? p[j] : most;
    for (size_t j = 0; j < n; j++) sum += (double)(p[j] = expf(p[j] - most));
    for (size_t j = 0; j < n; j++) p[j] = (float)((double)p[j] / sum);
}

void perft_gate_forward(dele_perft_saved *s, const float *xn, size_t n, const dele_perft_weights *w,
                        const dele_config *c, const dele_perft_scratch *scratch)
{
    if (routed(&c->perft))
        linear_forward(s->p, (size_t)c->perft.adapters, 0, xn, (size_t)c->hidden_size, n, &w->gate,
                       scratch->tile);
}

/* The gate's choices from its logits, and the assignments by adapter. */
static void gate_choose(dele_perft_saved *s, const dele_moe_saved *moe, size_t n,
                        const dele_config *c)
{
    const dele_perft *p = &c->perft;
    const size_t adapters = (size_t)p->adapters, k = (size_t)p->top_k;
    for (size_t t = 0; t < n; t++) {
        softmax_row(s->p + t * adapters, adapters);
        choose_adapters(s->choice + t * k, s->weight + t * k, s->p + t * adapters,
                        p->block_weights ? moe->weight + t * (size_t)c->top_k : NULL, c);
    }
    for (size_t j = 0, at = 0; j < adapters; j++) {
        s->first[j] = at;
        for (size_t i = 0; i < n * k; i++) {
            if (s->choice[i] != (int)j) continue;
            s->row[at] = i / k;
            s->by_weight[at] = s->weight[i];
            s->at[i] = at++;
        }
        s->first[j + 1] = at;
    }
}

/* act [n, rank] = factor w σ(h) */
static void activate(float *act, const float *hidden, const adapter_rows *r, float factor,
                     const dele_perft *p)
{
    const size_t rank = (size_t)p->rank;
    if (p->parallel)
        silu_forward(act, hidden, r->n, rank);
    else
        memcpy(act, hidden, r->n * rank * sizeof *act);
    for (size_t i = 0; i < r->n; i++)
        for (size_t k = 0; k < rank; k++)
            act[i * rank + k] *= r->weight ? factor * r->weight[i] : factor;
}

/* x̂ of an adapter's rows as Down reads it. */
static const float *input_of(const dele_perft_saved *s, size_t j, const adapter_rows *r,
                             const float *xn, const dele_config *c,
                             const dele_perft_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size;
    const float *x = gather_rows(scratch->x, xn, r, d_model);
    if (!s->dropout || c->perft.parallel) return x;
    drop(scratch->x, x, s->dropout, j, r, d_model, c->perft.dropout);
    return scratch->x;
}

static void adapter_forward(dele_perft_saved *s, size_t j, const adapter_rows *r, const float *xn,
                            const dele_perft_adapter *w, const dele_config *c,
                            const dele_perft_scratch *scratch, const dele_moe_scratch *block)
{
    const dele_perft *p = &c->perft;
    const size_t d_model = (size_t)c->hidden_size, rank = (size_t)p->rank;
    float *hidden = s->hidden + r->from * rank;
    if (!r->n) return;
    const float *x = input_of(s, j, r, xn, c, scratch);
    linear_forward(hidden, rank, 0, x, d_model, r->n, &w->down, scratch->tile);
    if (s->dropout && p->parallel) drop(hidden, hidden, s->dropout, j, r, rank, p->dropout);
    activate(scratch->act, hidden, r, factor_of(p), p);
    if (embedded(p)) {
        linear_forward(block->contribution + r->from * d_model, d_model, 1, scratch->act, rank,
                       r->n, &w->up, scratch->tile);
    } else if (!r->row) {
        linear_forward(scratch->out, d_model, 1, scratch->act, rank, r->n, &w->up, scratch->tile);
    } else {
        linear_forward(scratch->rows, d_model, 0, scratch->act, rank, r->n, &w->up, scratch->tile);
        scatter_add(scratch->out, scratch->rows, r, d_model);
    }
}

void perft_forward(dele_perft_saved *s, const dele_moe_saved *moe, const float *xn, size_t n,
                   const dele_perft_weights *w, const dele_config *c,
                   const dele_perft_scratch *scratch, const dele_moe_scratch *block)
{
    const dele_perft *p = &c->perft;
    if (routed(p)) gate_choose(s, moe, n, c);
    if (!embedded(p)) memset(scratch->out, 0, n * (size_t)c->hidden_size * sizeof *scratch->out);
    for (size_t j = 0; j < (size_t)p->adapters; j++) {
        const adapter_rows r = rows_of(s, moe, j, n, p);
        adapter_forward(s, j, &r, xn, &w->adapter[j], c, scratch, block);
    }
}

void perft_join(float *out, size_t n, const dele_config *c, const dele_perft_scratch *scratch)
{
    if (!embedded(&c->perft)) add(out, scratch->out, n * (size_t)c->hidden_size);
}

/* ---- backward -------------------------------------------------------------------------------- */

/* dweight [n] (NULL: not needed) and then dact [n, rank]: da, then dh. */
static void activation_backward(float *dweight, float *dact, const float *hidden, float *act,
                                const adapter_rows *r, float factor, const dele_perft *p)
{
    const size_t rank = (size_t)p->rank;
    const adapter_rows plain = {.n = r->n};
    activate(act, hidden, &plain, factor, p); /* without the weight */
    for (size_t i = 0; i < r->n && dweight; i++) {
        double sum = 0;
        for (size_t k = 0; k < rank; k++) sum += (double)dact[i * rank + k] * act[i * rank + k];
        dweight[i] += (float)sum;
    }
    for (size_t i = 0; i < r->n; i++)
        for (size_t k = 0; k < rank; k++) {
            const float by = r->weight ? r->weight[i] : 1;
            act[i * rank + k] *= by;
            dact[i * rank + k] *= factor * by;
        }
    if (p->parallel) silu_backward(dact, dact, hidden, r->n, rank);
}

/* The gradients of an adapter from dy; dweight [n] is added to, or NULL. */
static void adapter_backward(const dele_perft_grads *grads, const float *dy, float *dweight,
                             const dele_perft_saved *s, size_t j, const adapter_rows *r,
                             const float *xn, const dele_perft_adapter *w, const dele_config *c,
                             const dele_perft_scratch *scratch, const dele_moe_scratch *block)
{
    const dele_perft *p = &c->perft;
    const dele_perft_adapter_grads *g = &grads->adapter[j];
    const size_t d_model = (size_t)c->hidden_size, rank = (size_t)p->rank;
    const float *hidden = s->hidden + r->from * rank;
    if (!r->n) return;
    const float *dyg = gather_rows(scratch->rows, dy, r, d_model);
    linear_backward(scratch->dact, rank, dyg, d_model, r->n, &w->up, scratch->tile);
    activation_backward(dweight, scratch->dact, hidden, scratch->act, r, factor_of(p), p);
    if (g->up) linear_weight_backward(g->up, dyg, d_model, scratch->act, r->n, d_model, rank);
    if (s->dropout && p->parallel)
        drop(scratch->dact, scratch->dact, s->dropout, j, r, rank, p->dropout);
    if (g->down) {
        const float *x = input_of(s, j, r, xn, c, scratch);
        linear_weight_backward(g->down, scratch->dact, rank, x, r->n, rank, d_model);
    }
    if (!grads->input) return;
    linear_backward(scratch->dx, d_model, scratch->dact, rank, r->n, &w->down, scratch->tile);
    if (s->dropout && !p->parallel)
        drop(scratch->dx, scratch->dx, s->dropout, j, r, d_model, p->dropout);
    if (embedded(p))
        add(block->dyg + r->from * d_model, scratch->dx, r->n * d_model);
    else
        scatter_add(scratch->out, scratch->dx, r, d_model);
}

/* dlogits of a row of the gate from the gradients of its weights; at [top_k]: its assignments. */
static void row_gate_backward(float *dlogits, const float *p, const int *choice,
                              const float *weight, const float *dweight, const size_t *at,
                              const dele_config *c)
{
    const int n = c->perft.adapters, k = c->perft.top_k;
    double along = 0, sum = 0, shift = 0; /* Σ w dw, Σ_S p, Σ p dp */
    for (int j = 0; j < k; j++) {
        along += (double)weight[j] * (double)dweight[at[j]];
        sum += (double)p[choice[j]];
    }
    for (int j = 0; j < n; j++) dlogits[j] = 0;
    for (int j = 0; j < k; j++) {
        const double dw = (double)dweight[at[j]], dp = c->norm_topk_prob ? (dw - along) / sum : dw;
        dlogits[choice[j]] = (float)dp;
        shift += (double)p[choice[j]] * dp;
    }
    for (int j = 0; j < n; j++) dlogits[j] = (float)((double)p[j] * ((double)dlogits[j] - shift));
}

/* Those of the logits; none where the weights are the block's. */
static void gate_choose_backward(const dele_perft_saved *s, size_t n, const dele_config *c,
                                 const dele_perft_scratch *scratch)
{
    const size_t adapters = (size_t)c->perft.adapters, k = (size_t)c->perft.top_k;
    if (c->perft.block_weights) memset(scratch->dlogits, 0, n * adapters * sizeof(float));
    for (size_t t = 0; t < n && !c->perft.block_weights; t++)
        row_gate_backward(scratch->dlogits + t * adapters, s->p + t * adapters, s->choice + t * k,
                          s->weight + t * k, scratch->dweight, s->at + t * k, c);
}

void perft_gate_backward(const dele_perft_grads *grads, const float *xn, size_t n,
                         const dele_perft_weights *w, const dele_config *c,
                         const dele_perft_scratch *scratch)
{
    const size_t adapters = (size_t)c->perft.adapters, d_model = (size_t)c->hidden_size;
    if (grads->gate)
        linear_weight_backward(grads->gate, scratch->dlogits, adapters, xn, n, adapters, d_model);
    if (!grads->input) return;
    linear_backward(scratch->dx, d_model, scratch->dlogits, adapters, n, &w->gate, scratch->tile);
    add(scratch->out, scratch->dx, n * d_model);
}

/* block_weights: the k-th adapter's gradient is that of the block's k-th weight. */
static void weights_into_block(const dele_perft_saved *s, const dele_moe_saved *moe, size_t n,
                               const dele_config *c, const dele_perft_scratch *scratch,
                               const dele_moe_scratch *block)
{
    const size_t k = (size_t)c->perft.top_k, of = (size_t)c->top_k;
    for (size_t t = 0; t < n; t++)
        for (size_t j = 0; j < k; j++)
            block->dweight[moe->at[t * of + j]] += scratch->dweight[s->at[t * k + j]];
}

void perft_backward(const dele_perft_grads *grads, const float *dy, const dele_perft_saved *s,
                    const dele_moe_saved *moe, const float *xn, size_t n,
                    const dele_perft_weights *w, const dele_config *c,
                    const dele_perft_scratch *scratch, const dele_moe_scratch *block)
{
    const dele_perft *p = &c->perft;
    const size_t d_model = (size_t)c->hidden_size;
    float *dweight = NULL;
    if (embedded(p) && grads->weights) dweight = block->dweight;
    if (routed(p) && (p->block_weights ? grads->weights : grads->logits)) {
        dweight = scratch->dweight;
        memset(dweight, 0, perft_assignments(c, n) * sizeof *dweight);
    }
    if (!embedded(p)) memset(scratch->out, 0, n * d_model * sizeof *scratch->out);
    for (size_t j = 0; j < (size_t)p->adapters; j++) {
        const adapter_rows r = rows_of(s, moe, j, n, p);
        adapter_backward(grads, dy, dweight ? dweight + r.from : NULL, s, j, &r, xn, &w->adapter[j],
                         c, scratch, block);
    }
    if (routed(p) && p->block_weights && dweight) weights_into_block(s, moe, n, c, scratch, block);
    if (routed(p) && grads->logits) gate_choose_backward(s, n, c, scratch);
}

dele_perft_counts dele_perft_count(const dele_config *c)
{
    const dele_perft *p = &c->perft;
    const size_t d_model = (size_t)c->hidden_size, one = 2 * d_model * (size_t)p->rank,
                 adapters = (size_t)p->adapters;
    size_t sparse = 0, active = adapters, gate = 0;
    if (p->variant == DELE_PERFT_NONE) return (dele_perft_counts){0};
    if (p->variant == DELE_PERFT_E) active = (size_t)c->top_k;
    if (p->variant == DELE_PERFT_R) active = (size_t)p->top_k, gate = adapters * d_model;
    for (int l = 0; l < c->n_layers; l++) sparse += dele_layer_is_sparse(c, l);
    return (dele_perft_counts){.trainable = sparse * (adapters * one + gate),
                               .activated = sparse * (active * one + gate)};
}

double dele_perft_flops(const dele_config *c, double n)
{
    const dele_perft *p = &c->perft;
    const double d_model = c->hidden_size, gate = routed(p) ? p->adapters : 0,
                 active = routed(p)     ? p->top_k
                          : embedded(p) ? c->top_k
                                        : p->adapters;
    return 2 * n * d_model * (gate + 2 * active * p->rank);
}
