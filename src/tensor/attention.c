#include "tensor/attention.h"

#include <omp.h>
#include <stdbool.h>
#include <string.h>

#include "tensor/gemm.h"
#include "tensor/ops.h"

enum {
    BLOCK = 64, /* query rows a task: the scores of a block stay in the cache */
    PARALLEL_FROM = 1 << 15,
};

/* [rows, keys] for a block: the probabilities, and for the backward pass their gradient and the
 * slope of the soft cap. */
static size_t scratch_of_thread(size_t max_keys, bool softcap)
{
    return (softcap ? 3 : 2) * BLOCK * max_keys;
}

size_t dele_attention_scratch(size_t max_keys, bool softcap)
{
    return (size_t)omp_get_max_threads() * scratch_of_thread(max_keys, softcap);
}

/* The number of keys before the first query's own key. */
static size_t keys_before(const dele_attention *a)
{
    size_t n = 0;
    for (size_t s = 0; s < a->n_spans; s++) n += a->spans[s].n;
    return n - a->n;
}

/* The first key that a query sees whose own key is number `own`. */
static size_t first_seen(size_t own, size_t window)
{
    return window && own >= window ? own + 1 - window : 0;
}

/* Query rows r0 .. r0 + n - 1 of one head, and the keys from .. to - 1, which are all that one of
 * them sees.  Keys are numbered through all spans. */
typedef struct {
    const dele_attention *a;
    size_t r0, n, own; /* own: the number of the first query's own key */
    size_t from, to;
    size_t q_at, kv_at; /* the head's first channel in rows of queries, of keys */
} block;

static block block_of(const dele_attention *a, const dele_heads *heads, size_t h, size_t r0)
{
    block b = {.a = a, .r0 = r0, .n = a->n - r0 < BLOCK ? a->n - r0 : BLOCK};
    b.own = keys_before(a) + r0;
    b.from = first_seen(b.own, heads->window);
    b.to = b.own + b.n;
    b.q_at = h * heads->head_dim;
    b.kv_at = h / (heads->n_heads / heads->n_kv_heads) * heads->head_dim;
    return b;
}

/* Of a span whose first key is number `begin`: how many keys the block reads, the first of them
 * `skip` keys into the span and `at` keys into the block's. */
static size_t part_of(size_t *skip, size_t *at, const dele_kv_span *span, size_t begin,
                      const block *b)
{
    const size_t first = begin > b->from ? begin : b->from,
                 end = begin + span->n < b->to ? begin + span->n : b->to;
    if (first >= end) return 0;
    *skip = first - begin;
    *at = first - b->from;
    return end - first;
}

/* Probabilities of the block's rows into p [n, to - from], 0 where a row sees no key; slope (NULL:
 * not needed): the derivative of the soft cap there. */
static void probabilities(float *p, float *slope, const block *b, const dele_heads *heads)
{
    const dele_attention *a = b->a;
    const size_t keys = b->to - b->from, hd = heads->head_dim;
    size_t begin = 0, skip = 0, at = 0;
    for (size_t s = 0; s < a->n_spans; begin += a->spans[s++].n) {
        const dele_kv_span *span = &a->spans[s];
        const size_t m = part_of(&skip, &at, span, begin, b);
        if (m)
            gemm_nt(p + at, keys, a->q + b->r0 * a->ldq + b->q_at, a->ldq,
                    span->k + skip * span->ld + b->kv_at, span->ld, b->n, m, hd, 0.0f);
    }
    const float cap = heads->softcap;
    for (size_t i = 0; i < b->n; i++) {
        const size_t first = first_seen(b->own + i, heads->window) - b->from,
                     end = b->own + i + 1 - b->from;
        float *row = p + i * keys;
        if (cap > 0) softcap(row + first, end - first, heads->scale, cap);
        memset(row, 0, first * sizeof *row);
        memset(row + end, 0, (keys - end) * sizeof *row);
        for (size_t j = 0; slope && j < keys; j++)
            slope[i * keys + j] = 1.0f - row[j] / cap * (row[j] / cap);
        softmax(row + first, end - first, cap > 0 ? 1.0f : heads->scale);
    }
}

static void forward_block(const dele_attention *a, const dele_heads *heads, size_t h, size_t r0,
                          float *p)
{
    const block b = block_of(a, heads, h, r0);
    size_t begin = 0, skip = 0, at = 0;
    float beta = 0;
    probabilities(p, NULL, &b, heads);
    for (size_t s = 0; s < a->n_spans; begin += a->spans[s++].n) {
        const dele_kv_span *span = &a->spans[s];
        const size_t m = part_of(&skip, &at, span, begin, &b);
        if (m == 0) continue;
        gemm_nn(a->z + r0 * a->ldz + b.q_at, a->ldz, p + at, b.to - b.from,
                span->v + skip * span->ld + b.kv_at, span->ld, b.n, heads->head_dim, m, beta);
        beta = 1;
    }
}

/* Multiplications of all items: below some, a parallel region costs more than it brings. */
static bool worth_threads(const dele_attention *items, size_t n_items, dele_heads heads)
{
    size_t work = 0;
    for (size_t i = 0; i < n_items && work < PARALLEL_FROM; i++) {
        const size_t keys = keys_before(&items[i]) + items[i].n,
                     seen = heads.window && heads.window < keys ? heads.window : keys;
        work += items[i].n * seen * heads.n_heads * heads.head_dim;
    }
    return work >= PARALLEL_FROM;
}

static size_t longest(const dele_attention *items, size_t n_items)
{
    size_t most = 0;
    for (size_t i = 0; i < n_items; i++) {
        size_t keys = keys_before(&items[i]) + items[i].n;
        if (keys > most) most = keys;
    }
    return most;
}

void attention_forward(const dele_attention *items, size_t n_items, dele_heads heads,
                       float *scratch)
{
    size_t per_thread = scratch_of_thread(longest(items, n_items), heads.softcap > 0);
#pragma omp parallel for collapse(2) schedule(dynamic) if (worth_threads(items, n_items, heads))
    for (size_t i = 0; i < n_items; i++)
        for (size_t h = 0; h < heads.n_heads; h++)
            for (size_t r0 = 0; r0 < items[i].n; r0 += BLOCK)
                forward_block(&items[i], &heads, h, r0,
                              scratch + (size_t)omp_get_thread_num() * per_thread);
}

/* With P the probabilities, C the slope of the soft cap (or 1) and D_t = dz_t · z_t:
 *   dV += Pᵀ dz,   dS = P ⊙ (dz Vᵀ - D) ⊙ C scale,   dQ += dS K,   dK += dSᵀ Q */
static void backward_block(const dele_attention_grad *g, const dele_attention *a,
                           const dele_heads *heads, size_t h, size_t r0, float *p)
{
    const block b = block_of(a, heads, h, r0);
    const size_t hd = heads->head_dim, keys = b.to - b.from, n = b.n;
    const dele_kv_span *own = &a->spans[0];
    const float *dz = g->dz + r0 * a->ldz + b.q_at, *z = a->z + r0 * a->ldz + b.q_at;
    float *ds = p + n * keys, *slope = heads->softcap > 0 ? ds + n * keys : NULL;
    probabilities(p, slope, &b, heads);
    gemm_tn(g->dv + b.from * a->ldq + b.kv_at, a->ldq, p, keys, dz, a->ldz, keys, hd, n, 1.0f);
    gemm_nt(ds, keys, dz, a->ldz, own->v + b.from * own->ld + b.kv_at, own->ld, n, keys, hd, 0.0f);
    for (size_t t = 0; t < n; t++) {
        double d = 0;
        for (size_t c = 0; c < hd; c++) d += (double)dz[t * a->ldz + c] * z[t * a->ldz + c];
        for (size_t j = 0; j < keys; j++)
            ds[t * keys + j] = p[t * keys + j] * (ds[t * keys + j] - (float)d) * heads->scale;
    }
    for (size_t i = 0; slope && i < n * keys; i++) ds[i] *= slope[i];
    gemm_nn(g->dq + r0 * a->ldq + b.q_at, a->ldq, ds, keys, own->k + b.from * own->ld + b.kv_at,
            own->ld, n, hd, keys, 1.0f);
    gemm_tn(g->dk + b.from * a->ldq + b.kv_at, a->ldq, ds, keys, a->q + r0 * a->ldq + b.q_at,
            a->ldq, keys, hd, n, 1.0f);
}

void attention_backward(const dele_attention_grad *grads, const dele_attention *items,
                        size_t n_items, dele_heads heads, float *scratch)
{
    size_t per_thread = scratch_of_thread(longest(items, n_items), heads.softcap > 0),
           group = heads.n_heads / heads.n_kv_heads;
    /* One task for each key head: one thread writes its dk and dv, in a fixed order. */
#pragma omp parallel for collapse(2) schedule(dynamic) if (worth_threads(items, n_items, heads))
    for (size_t i = 0; i < n_items; i++)
        for (size_t kv = 0; kv < heads.n_kv_heads; kv++)
            for (size_t h = kv * group; h < (kv + 1) * group; h++)
                for (size_t r0 = 0; r0 < items[i].n; r0 += BLOCK)
                    backward_block(&grads[i], &items[i], &heads, h, r0,
                                   scratch + (size_t)omp_get_thread_num() * per_thread);
}
