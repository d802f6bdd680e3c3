/* The attention sublayer, in three pairs:
 *
 *   x ─ norm ─ q k v (+ bias) ─ q/k norm ─ clip ─ rotate ─│─ heads ─│─ o (+ bias) ─ norm ─ out
 *       attention_qkv                                      attention  attention_out
 *                                                          (tensor/attention.h)
 *
 * Between the pairs are the caller's segments and KV caches, and the site HEAD_OUT. */
#ifndef DELE_SUBLAYER_ATTENTION_H
#define DELE_SUBLAYER_ATTENTION_H

#include "model/sublayers/norm.h"
#include "tensor/attention.h"
#include "tensor/matrix.h"

typedef struct {
    dele_norm_weights norm;           /* [d_model] before it */
    dele_matrix qkv;                  /* [q_dim + 2 kv_dim, d_model] */
    const float *qkv_bias;            /* [q_dim + 2 kv_dim] or NULL */
    dele_norm_weights q_norm, k_norm; /* of family->qk_norm: [q_dim], [kv_dim] or [head_dim] */
    dele_matrix o;                    /* [d_model, q_dim] */
    const float *o_bias;              /* [d_model] or NULL */
    dele_norm_weights post_norm;      /* [d_model] of the output */
} dele_attention_weights;

/* What the backward pass needs of n rows.  A forward pass without one uses a single struct for all
 * layers, whose x is NULL. */
typedef struct {
    float *x; /* [n, d_model] the input */
    dele_norm_saved norm;
    float *q, *k; /* [n, q_dim], [n, kv_dim] before their norm; NULL without it */
    dele_norm_saved q_norm, k_norm;
    float *qkv;             /* [n, q_dim + 2 kv_dim] after norm, clipping and rotation */
    unsigned char *clipped; /* [n, q_dim + 2 kv_dim] 1 where clip_qkv cut; NULL without clipping */
    float *z;               /* [n, q_dim] the heads' outputs */
    dele_norm_after_saved post;
} dele_attention_saved;

dele_status dele_attention_lay_saved(dele_attention_saved *s, const dele_config *config, size_t n,
                                     bool for_backward, dele_arena *arena, dele_err *err);

/* Gradients of the weights, NULL where frozen. */
typedef struct {
    dele_norm_grads norm, q_norm, k_norm, post_norm;
    float *q, *k, *v, *q_bias, *k_bias, *v_bias, *o, *o_bias;
} dele_attention_grads;

/* The angles of a layer's rotation, of each row (rope_angles). */
typedef struct {
    const float *cos_sin; /* [n, 2 pairs]; NULL: the layer rotates nothing */
    size_t pairs;
} dele_rotation;

/* Scratch of a pass: xn and some [n, d_model], tile for matrices that are not wide; for the
 * backward pass of a q/k norm dy and dx [n, q_dim]. */
typedef struct {
    float *xn, *some, *tile, *dy, *dx;
} dele_qkv_scratch;

/* How the heads of a layer attend. */
dele_heads dele_attention_heads(const dele_config *config, int layer);

/* s->qkv from x [n, d_model].  query (NULL: all): [n], -1 for rows whose query is not needed; it
 * becomes 0.  s->z is used as scratch. */
void attention_qkv_forward(dele_attention_saved *s, const float *x, const int *query, size_t n,
                           const dele_attention_weights *w, dele_rotation rotation,
                           const dele_config *config, const dele_qkv_scratch *scratch);

/* dx += d loss / d x, unless dx is NULL, from dqkv [n, q_dim + 2 kv_dim], which is overwritten;
 * dxn: scratch [n, d_model]. */
void attention_qkv_backward(float *dx, const dele_attention_grads *grads, float *dqkv, float *dxn,
                            const dele_attention_saved *s, size_t n,
                            const dele_attention_weights *w, dele_rotation rotation,
                            const dele_config *config, const dele_qkv_scratch *scratch);

/* out [n, d_model] = norm(z Woᵀ + bias) of s->z [n, q_dim], or += where it adds. */
void attention_out_forward(float *out, bool adds, const dele_attention_saved *s, size_t n,
                           const dele_attention_weights *w, const dele_config *config,
                           const dele_qkv_scratch *scratch);

/* dz [n, q_dim] = d loss / d z, unless dz is NULL; dxn: scratch [n, d_model]. */
void attention_out_backward(float *dz, const dele_attention_grads *grads, const float *dout,
                            float *dxn, const dele_attention_saved *s, size_t n,
                            const dele_attention_weights *w, const dele_config *config,
                            float *tile);

/* Floating-point operations, two for each multiplication, of rows of which `queries` have a query,
 * and of a layer's heads for n queries in a row, whose last attends to `keys` keys or to as many of
 * them as its window has. */
double dele_attention_flops(const dele_config *config, double rows, double queries);
double dele_heads_flops(const dele_config *config, int layer, double n, double keys);

#endif
