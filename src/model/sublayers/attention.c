/* Forward and backward of the attention sublayer but for the heads.
 *
 *   forward    x̂ = norm(x)          q k v = rotate(clip(norm(x̂ Wqkvᵀ + b)))
 *              y = z Woᵀ + bo        out = norm(y)
 *   backward   dy from dout          dz = dy Wo     dWo += dyᵀ z     dbo += Σ dy
 *              d(q k v) is rotated back, is 0 where clip cut, and goes back through the norm
 *              dW += d(q k v)ᵀ x̂    db += Σ d(q k v)    dx̂ = d(q k v) Wqkv
 *
 * x̂ is computed again from x: it would be as large as what is saved. */
#include "model/sublayers/attention.h"

#include <math.h>
#include <string.h>

#include "tensor/ops.h"

static size_t qkv_dim(const dele_config *c) { return dele_q_dim(c) + 2 * dele_kv_dim(c); }

static size_t n_rotated_heads(const dele_config *c)
{
    return (size_t)c->n_heads + (size_t)c->n_kv_heads;
}

dele_heads dele_attention_heads(const dele_config *c, int layer)
{
    const bool slides = c->layer_kind[layer] & DELE_LAYER_SLIDING;
    const float scale = c->attn_scale > 0 ? c->attn_scale : 1.0f / sqrtf((float)c->head_dim);
    return (dele_heads){.n_heads = (size_t)c->n_heads,
                        .n_kv_heads = (size_t)c->n_kv_heads,
                        .head_dim = (size_t)c->head_dim,
                        .window = slides ? (size_t)c->window : 0,
                        .scale = c->attn_scale_by_layer ? scale / (float)(layer + 1) : scale,
                        .softcap = c->attn_softcap};
}

/* The vectors of each row that the norm of queries or keys takes one by one. */
static size_t normed(const dele_config *c, int n_heads)
{
    return c->family->qk_norm == DELE_QK_NORM_HEAD ? (size_t)n_heads : 1;
}

/* The saved input of a q/k norm and its statistics. */
static dele_status lay_qk_norm(dele_attention_saved *s, const dele_config *c, size_t n,
                               bool for_backward, dele_arena *arena, dele_err *err)
{
    if (c->family->qk_norm == DELE_QK_NORM_NONE) return DELE_OK;
    if (for_backward) {
        s->q = dele_alloc_raw(arena, n, dele_q_dim(c) * sizeof *s->q, err);
        s->k = dele_alloc_raw(arena, n, dele_kv_dim(c) * sizeof *s->k, err);
        if (!s->q || !s->k) return DELE_ERR_MEMORY;
    }
    dele_status status = dele_norm_lay_saved(&s->q_norm, n * normed(c, c->n_heads), arena, err);
    return status ? status
                  : dele_norm_lay_saved(&s->k_norm, n * normed(c, c->n_kv_heads), arena, err);
}

dele_status dele_attention_lay_saved(dele_attention_saved *s, const dele_config *c, size_t n,
                                     bool for_backward, dele_arena *arena, dele_err *err)
{
    const bool clips = for_backward && c->clip_qkv > 0;
    *s = (dele_attention_saved){0};
    if (for_backward) s->x = dele_alloc_raw(arena, n, (size_t)c->hidden_size * sizeof *s->x, err);
    if (clips) s->clipped = dele_alloc(arena, n, qkv_dim(c), err);
    s->qkv = dele_alloc_raw(arena, n, qkv_dim(c) * sizeof *s->qkv, err);
    s->z = dele_alloc_raw(arena, n, dele_q_dim(c) * sizeof *s->z, err);
    if (!s->qkv || !s->z || (for_backward && !s->x) || (clips && !s->clipped))
        return DELE_ERR_MEMORY;
    dele_status status = dele_norm_lay_saved(&s->norm, n, arena, err);
    if (!status) status = lay_qk_norm(s, c, n, for_backward, arena, err);
    return status ? status : dele_norm_after_lay_saved(&s->post, c, n, arena, err);
}

/* ---- q k v ----------------------------------------------------------------------------------- */

static void copy_rows(float *to, size_t ld_to, const float *from, size_t ld_from, size_t n,
                      size_t width)
{
    for (size_t t = 0; t < n; t++) memcpy(to + t * ld_to, from + t * ld_from, width * sizeof *to);
}

/* The norm of n rows of queries or keys, of stride ld, in place; in [n, width] receives what goes
 * into it. */
static void norm_part(float *x, size_t ld, float *in, float *scratch, const dele_norm_saved *s,
                      dele_norm_weights w, size_t n, size_t width, size_t parts,
                      const dele_config *c)
{
    copy_rows(in, width, x, ld, n, width);
    norm_forward(scratch, s, in, w, n * parts, width / parts, c);
    copy_rows(x, ld, scratch, width, n, width);
}

static void qk_norm_forward(dele_attention_saved *s, size_t n, const dele_attention_weights *w,
                            const dele_config *c)
{
    const size_t q_dim = dele_q_dim(c), ld = qkv_dim(c);
    if (c->family->qk_norm == DELE_QK_NORM_NONE) return;
    norm_part(s->qkv, ld, s->q ? s->q : s->z, s->z, &s->q_norm, w->q_norm, n, q_dim,
              normed(c, c->n_heads), c);
    norm_part(s->qkv + q_dim, ld, s->k ? s->k : s->z, s->z, &s->k_norm, w->k_norm, n,
              dele_kv_dim(c), normed(c, c->n_kv_heads), c);
}

/* d [n rows of stride ld], the gradient of a norm's output, becomes that of its input. */
static void norm_part_backward(float *d, size_t ld, dele_norm_grads grads, const float *in,
                               const dele_norm_saved *s, dele_norm_weights w, size_t n,
                               size_t width, size_t parts, const dele_config *c,
                               const dele_qkv_scratch *scratch)
{
    copy_rows(scratch->dy, width, d, ld, n, width);
    memset(scratch->dx, 0, n * width * sizeof *d);
    norm_backward(scratch->dx, grads, scratch->dy, in, w, s, n * parts, width / parts, c);
    copy_rows(d, ld, scratch->dx, width, n, width);
}

static void qk_norm_backward(float *dqkv, const dele_attention_grads *grads,
                             const dele_attention_saved *s, size_t n,
                             const dele_attention_weights *w, const dele_config *c,
                             const dele_qkv_scratch *scratch)
{
    const size_t q_dim = dele_q_dim(c), ld = qkv_dim(c);
    if (c->family->qk_norm == DELE_QK_NORM_NONE) return;
    norm_part_backward(dqkv, ld, grads->q_norm, s->q, &s->q_norm, w->q_norm, n, q_dim,
                       normed(c, c->n_heads), c, scratch);
    norm_part_backward(dqkv + q_dim, ld, grads->k_norm, s->k, &s->k_norm, w->k_norm, n,
                       dele_kv_dim(c), normed(c, c->n_kv_heads), c, scratch);
}

static void rotate(float *qkv, size_t n, dele_rotation rotation, const dele_config *c, float sign)
{
    if (rotation.cos_sin)
        rope(qkv, qkv_dim(c), rotation.cos_sin, rotation.pairs, n, n_rotated_heads(c),
             (size_t)c->head_dim, sign);
}

static void clip(float *qkv, unsigned char *clipped, size_t n, float limit)
{
    for (size_t i = 0; i < n; i++) {
        float x = qkv[i];
        if (clipped) clipped[i] = x < -limit || x > limit;
        qkv[i] = x < -limit ? -limit : x > limit ? limit : x;
    }
}

/* Keys and values of all rows, queries of those that need one: they are gathered for one product,
 * and its results scattered. */
static void project_some(dele_attention_saved *s, const float *xn, const int *query, size_t n,
                         const dele_attention_weights *w, const dele_config *c,
                         const dele_qkv_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size, q_dim = dele_q_dim(c), ld = qkv_dim(c);
    size_t m = 0;
    linear_rows_forward(s->qkv + q_dim, ld, 0, xn, d_model, n, &w->qkv, q_dim, ld - q_dim,
                        scratch->tile);
    for (size_t row = 0; row < n; row++)
        if (query[row] >= 0)
            memcpy(scratch->some + m++ * d_model, xn + row * d_model, d_model * sizeof *xn);
    linear_rows_forward(s->z, q_dim, 0, scratch->some, d_model, m, &w->qkv, 0, q_dim,
                        scratch->tile);
    m = 0;
    for (size_t row = 0; row < n; row++) {
        float *q = s->qkv + row * ld;
        if (query[row] < 0)
            memset(q, 0, q_dim * sizeof *q);
        else
            memcpy(q, s->z + m++ * q_dim, q_dim * sizeof *q);
    }
}

void attention_qkv_forward(dele_attention_saved *s, const float *x, const int *query, size_t n,
                           const dele_attention_weights *w, dele_rotation rotation,
                           const dele_config *c, const dele_qkv_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size, ld = qkv_dim(c);
    if (s->x) memcpy(s->x, x, n * d_model * sizeof *x);
    const float *xn = norm_before_forward(scratch->xn, &s->norm, x, w->norm, n, c);
    if (query)
        project_some(s, xn, query, n, w, c, scratch);
    else
        linear_forward(s->qkv, ld, 0, xn, d_model, n, &w->qkv, scratch->tile);
    bias_forward(s->qkv, ld, w->qkv_bias, n, ld);
    qk_norm_forward(s, n, w, c);
    if (c->clip_qkv > 0) clip(s->qkv, s->clipped, n * ld, c->clip_qkv);
    rotate(s->qkv, n, rotation, c, 1.0f);
}

/* What a q, k or v projection gets: `at` is its first channel in dqkv. */
static void projection_gradient(float *dw, float *db, const float *dqkv, size_t at, size_t ld,
                                const float *xn, size_t n, size_t rows, size_t cols)
{
    linear_weight_backward(dw, dqkv + at, ld, xn, n, rows, cols);
    bias_backward(db, dqkv + at, ld, n, rows);
}

void attention_qkv_backward(float *dx, const dele_attention_grads *grads, float *dqkv, float *dxn,
                            const dele_attention_saved *s, size_t n,
                            const dele_attention_weights *w, dele_rotation rotation,
                            const dele_config *c, const dele_qkv_scratch *scratch)
{
    const size_t d_model = (size_t)c->hidden_size, q_dim = dele_q_dim(c), kv_dim = dele_kv_dim(c),
                 ld = qkv_dim(c);
    rotate(dqkv, n, rotation, c, -1.0f);
    for (size_t i = 0; s->clipped && i < n * ld; i++)
        if (s->clipped[i]) dqkv[i] = 0;
    qk_norm_backward(dqkv, grads, s, n, w, c, scratch);
    const float *xn = grads->q || grads->k || grads->v
                          ? norm_before_forward(scratch->xn, &s->norm, s->x, w->norm, n, c)
                          : NULL;
    projection_gradient(grads->q, grads->q_bias, dqkv, 0, ld, xn, n, q_dim, d_model);
    projection_gradient(grads->k, grads->k_bias, dqkv, q_dim, ld, xn, n, kv_dim, d_model);
    projection_gradient(grads->v, grads->v_bias, dqkv, q_dim + kv_dim, ld, xn, n, kv_dim, d_model);
    if (!dx) return;
    linear_backward(dxn, d_model, dqkv, ld, n, &w->qkv, scratch->tile);
    norm_before_backward(dx, grads->norm, dxn, s->x, w->norm, &s->norm, n, c);
}

/* ---- the output projection ------------------------------------------------------------------- */

void attention_out_forward(float *out, bool adds, const dele_attention_saved *s, size_t n,
                           const dele_attention_weights *w, const dele_config *c,
                           const dele_qkv_scratch *scratch)
{
    const size_t d_model = w->o.rows, q_dim = w->o.cols;
    float *y = s->post.x ? s->post.x : out;
    linear_forward(y, d_model, adds && y == out ? 1 : 0, s->z, q_dim, n, &w->o, scratch->tile);
    bias_forward(y, d_model, w->o_bias, n, d_model);
    norm_after_forward(out, adds, &s->post, w->post_norm, n, c, scratch->xn);
}

void attention_out_backward(float *dz, const dele_attention_grads *grads, const float *dout,
                            float *dxn, const dele_attention_saved *s, size_t n,
                            const dele_attention_weights *w, const dele_config *c, float *tile)
{
    const size_t d_model = w->o.rows, q_dim = w->o.cols;
    const float *dy =
        norm_after_backward(dxn, grads->post_norm, dout, w->post_norm, &s->post, n, c);
    linear_weight_backward(grads->o, dy, d_model, s->z, n, d_model, q_dim);
    bias_backward(grads->o_bias, dy, d_model, n, d_model);
    if (dz) linear_backward(dz, q_dim, dy, d_model, n, &w->o, tile);
}

/* ---- operations ------------------------------------------------------------------------------ */

double dele_attention_flops(const dele_config *c, double rows, double queries)
{
    const double q = (double)dele_q_dim(c), kv = (double)dele_kv_dim(c);
    return 2 * c->hidden_size * (2 * queries * q + 2 * rows * kv);
}

/* The queries attend to keys - n + 1 .. keys keys: `narrow` of them to all of these, the others to
 * the window's. */
double dele_heads_flops(const dele_config *c, int layer, double n, double keys)
{
    const double window = (double)dele_attention_heads(c, layer).window, least = keys - n + 1;
    double narrow = n;
    if (window > 0 && window < keys) narrow = window < least ? 0 : window - least + 1;
    return 4 * (double)dele_q_dim(c) *
           (narrow * (least + (narrow - 1) / 2) + (n - narrow) * window);
}
