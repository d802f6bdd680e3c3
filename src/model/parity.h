/* A model's states compared with those that another program has stored for the same tokens: where
 * does the first one drift?  (docs/parity.md) */
#ifndef DELE_PARITY_H
#define DELE_PARITY_H

#include "model/forward.h"

/* The stored states, an .npz (tests/reference/parity_states.py writes one from transformers). resid
 * is the stream as it enters each layer, and last as it leaves the last one, before the final norm;
 * attn_out and mlp_out are what the two sublayers add to the stream, and may be missing (NULL), as
 * may the router's choices: -1 in layers without experts. */
typedef struct {
    const char *path;
    size_t n;               /* rows: tokens */
    int *tokens;            /* [n] */
    const float *resid;     /* [n_layers + 1, n, d_model] */
    const float *attn_out;  /* [n_layers, n, d_model] or NULL */
    const float *mlp_out;   /* [n_layers, n, d_model] or NULL */
    const int64_t *experts; /* [n_layers, n, top_k] or NULL */
    const float *logits;    /* [n, vocab] */
} dele_parity_states;

/* Arrays of another shape than the model's, ids outside its vocabulary, more tokens than its
 * context, and experts that it does not have are errors. */
dele_status dele_parity_load(dele_parity_states *states, const char *path, const dele_model *model,
                             dele_arena *arena, dele_err *err);

typedef enum {
    DELE_PARITY_RESID, /* RESID_POST of the layer; of layer -1 what enters layer 0 */
    DELE_PARITY_ATTN_OUT,
    DELE_PARITY_EXPERTS,
    DELE_PARITY_MLP_OUT,
    DELE_PARITY_LOGITS
} dele_parity_site;

extern const char *const dele_parity_site_name[];

/* One site, over all rows.  A row's difference is |ours - theirs|_2 / |theirs|_2; infinite where
 * ours is not finite, or theirs is 0 and ours is not.  Of experts it is the share of ours that
 * theirs does not have, in any order. */
typedef struct {
    int layer; /* -1: the embedding, n_layers: the head */
    dele_parity_site site;
    double largest;
    size_t row;      /* that has it */
    size_t n_beyond; /* rows beyond the tolerance */
    size_t first;    /* the first of them */
    double of_first; /* its difference */
} dele_parity_line;

typedef struct {
    dele_parity_line *line; /* [n_lines] in the order of computation */
    size_t n_lines;
    const dele_parity_line *drift; /* the first with a row beyond the tolerance; NULL: none */
    size_t n_top1;                 /* rows whose largest logit has the same id in both */
} dele_parity;

/* One pass over the tokens with the model's weights, and the comparison. */
dele_status dele_parity_compare(dele_parity *result, const dele_parity_states *states,
                                const dele_model *model, double tolerance, dele_arena *arena,
                                dele_err *err);

#endif
