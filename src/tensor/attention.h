/* Causal attention of the rows of one segment over keys in several KV caches: the parents' first,
 * the segment's own rows last.
 *
 *   z_t = Σ_j softmax_j(cap(scale q_t · k_j)) v_j      j from t's position - window + 1, or from 0,
 *                                                      to t's position
 *   cap(s) = c tanh(s / c), or s
 *
 * Query head h reads key head h / (n_heads / n_kv_heads).  Keys before the window are not read. */
#ifndef DELE_ATTENTION_H
#define DELE_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>

/* n keys and values that are contiguous in memory: k and v point to position 0 of head 0, ld floats
 * from one position to the next. */
typedef struct {
    const float *k, *v;
    size_t n, ld;
} dele_kv_span;

typedef struct {
    float *z;       /* [n, n_heads * hd] out, stride ldz */
    const float *q; /* [n, n_heads * hd], stride ldq */
    size_t n, ldz, ldq;
    const dele_kv_span
        *spans; /* [n_spans]; the last n of all their keys are the queries' own positions */
    size_t n_spans;
} dele_attention;

typedef struct {
    size_t n_heads, n_kv_heads, head_dim;
    size_t window;        /* keys that a query sees, its own included; 0: all */
    float scale, softcap; /* softcap 0: none */
} dele_heads;

/* All segments at once, in parallel over (segment, head, block of rows).  scratch:
 * dele_attention_scratch floats. */
void attention_forward(const dele_attention *items, size_t n_items, dele_heads heads,
                       float *scratch);

/* Gradient for segments without parents (one span each).  dq, dk, dv are views into one [n, q + 2
 * kv] buffer with the layout of q, k and v; gradients are added to them. */
typedef struct {
    const float *dz;     /* [n, n_heads * hd], stride ldz of the forward item */
    float *dq, *dk, *dv; /* stride ldq */
} dele_attention_grad;

void attention_backward(const dele_attention_grad *grads, const dele_attention *items,
                        size_t n_items, dele_heads heads, float *scratch);

/* Floats of scratch for either, given the keys of the longest sequence; softcap: whether there is
 * one. */
size_t dele_attention_scratch(size_t max_keys, bool softcap);

#endif
