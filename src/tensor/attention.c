#include "tensor/attention.h"

#include <math.h>
#include <omp.h>
#include <stdbool.h>
#include <string.h>

#include "tensor/gemm.h"
#include "tensor/ops.h"

enum {
    BLOCK = 64, /* query rows a task: the scores of a block stay in the cache */
    PARALLEL_FROM = 1 << 15,
};

size_t dele_attention_scratch(size_t max_keys)
{
    return (size_t)omp_get_max_threads() * 2 * BLOCK * max_keys;
}

/* The number of keys before the first query's own key. */
static size_t keys_before(const dele_attention *a)
{
    size_t n = 0;
    for (size_t s = 0; s < a->n_spans; s++) n += a->spans[s].n;
    return n - a->n;
}

/* Probabilities of rows [r0, r0 + n) of one head into p [n, keys]; keys is the number of keys that
 * the last of these rows attends to. */
static void probabilities(float *p, size_t keys, const dele_attention *a, size_t h, size_t kv,
                          size_t r0, size_t n, size_t before, size_t hd)
{
    const float *q = a->q + r0 * a->ldq + h * hd;
    size_t done = 0;
    for (size_t s = 0; s < a->n_spans; s++) {
        const dele_kv_span *span = &a->spans[s];
        size_t m = span->n < keys - done ? span->n : keys - done;
        gemm_nt(p + done, keys, q, a->ldq, span->k + kv * hd, span->ld, n, m, hd, 0.0f);
        done += m;
    }
    float scale = 1.0f / sqrtf((float)hd);
    for (size_t i = 0; i < n; i++) {
        size_t seen = before + r0 + i + 1;
        softmax(p + i * keys, seen, scale);
        memset(p + i * keys + seen, 0, (keys - seen) * sizeof *p);
    }
}

static void forward_block(const dele_attention *a, dele_heads heads, size_t h, size_t r0, float *p)
{
    size_t hd = heads.head_dim, kv = h / (heads.n_heads / heads.n_kv_heads);
    size_t n = a->n - r0 < BLOCK ? a->n - r0 : BLOCK, before = keys_before(a),
           keys = before + r0 + n;
    probabilities(p, keys, a, h, kv, r0, n, before, hd);
    size_t done = 0;
    for (size_t s = 0; s < a->n_spans; s++) {
        const dele_kv_span *span = &a->spans[s];
        size_t m = span->n < keys - done ? span->n : keys - done;
        if (m == 0) continue;
        gemm_nn(a->z + r0 * a->ldz + h * hd, a->ldz, p + done, keys, span->v + kv * hd, span->ld, n,
                hd, m, done ? 1.0f : 0.0f);
        done += m;
    }
}

/* Multiplications of all items: below some, a parallel region costs more than it brings. */
static bool worth_threads(const dele_attention *items, size_t n_items, dele_heads heads)
{
    size_t work = 0;
    for (size_t i = 0; i < n_items && work < PARALLEL_FROM; i++)
        work += items[i].n * (keys_before(&items[i]) + items[i].n) * heads.n_heads * heads.head_dim;
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
    size_t per_thread = 2 * BLOCK * longest(items, n_items);
#pragma omp parallel for collapse(2) schedule(dynamic) if (worth_threads(items, n_items, heads))
    for (size_t i = 0; i < n_items; i++)
        for (size_t h = 0; h < heads.n_heads; h++)
            for (size_t r0 = 0; r0 < items[i].n; r0 += BLOCK)
                forward_block(&items[i], heads, h, r0,
                              scratch + (size_t)omp_get_thread_num() * per_thread);
}

/* With P the probabilities and D_t = dz_t · z_t:
 *   dV += Pᵀ dz,   dS = P ⊙ (dz Vᵀ - D) / √hd,   dQ += dS K,   dK += dSᵀ Q */
static void backward_block(const dele_attention_grad *g, const dele_attention *a, dele_heads heads,
                           size_t h, size_t r0, float *p)
{
    size_t hd = heads.head_dim, kv = h / (heads.n_heads / heads.n_kv_heads);
    size_t n = a->n - r0 < BLOCK ? a->n - r0 : BLOCK, keys = r0 + n;
    const dele_kv_span *own = &a->spans[0];
    const float *dz = g->dz + r0 * a->ldz + h * hd, *z = a->z + r0 * a->ldz + h * hd;
    float *ds = p + n * keys, scale = 1.0f / sqrtf((float)hd);
    probabilities(p, keys, a, h, kv, r0, n, 0, hd);
    gemm_tn(g->dv + kv * hd, a->ldq, p, keys, dz, a->ldz, keys, hd, n, 1.0f);
    gemm_nt(ds, keys, dz, a->ldz, own->v + kv * hd, own->ld, n, keys, hd, 0.0f);
    for (size_t t = 0; t < n; t++) {
        double d = 0;
        for (size_t c = 0; c < hd; c++) d += (double)dz[t * a->ldz + c] * z[t * a->ldz + c];
        for (size_t j = 0; j < keys; j++)
            ds[t * keys + j] = p[t * keys + j] * (ds[t * keys + j] - (float)d) * scale;
    }
    gemm_nn(g->dq + r0 * a->ldq + h * hd, a->ldq, ds, keys, own->k + kv * hd, own->ld, n, hd, keys,
            1.0f);
    gemm_tn(g->dk + kv * hd, a->ldq, ds, keys, a->q + r0 * a->ldq + h * hd, a->ldq, keys, hd, n,
            1.0f);
}

void attention_backward(const dele_attention_grad *grads, const dele_attention *items,
                        size_t n_items, dele_heads heads, float *scratch)
{
    size_t per_thread = 2 * BLOCK * longest(items, n_items),
           group = heads.n_heads / heads.n_kv_heads;
    /* One task for each key head: one thread writes its dk and dv, in a fixed order. */
#pragma omp parallel for collapse(2) schedule(dynamic) if (worth_threads(items, n_items, heads))
    for (size_t i = 0; i < n_items; i++)
        for (size_t kv = 0; kv < heads.n_kv_heads; kv++)
            for (size_t h = kv * group; h < (kv + 1) * group; h++)
                for (size_t r0 = 0; r0 < items[i].n; r0 += BLOCK)
                    backward_block(&grads[i], &items[i], heads, h, r0,
                                   scratch + (size_t)omp_get_thread_num() * per_thread);
}
