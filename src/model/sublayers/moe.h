/* A mixture of experts in place of an MLP, as forward and backward pairs (OLMoE, arXiv
 * 2409.02060, section 2; Mixtral, arXiv 2401.04088; transformers' modeling_olmoe, modeling_mixtral,
 * modeling_qwen2_moe, modeling_qwen3_moe).
 *
 *   x ── norm ──┬── router ── softmax p ── the top_k largest: S, with weights w ──┐
 *               ├── expert e of S: E_e(x̂) = (a(gate x̂) ⊙ up x̂) down ──── Σ w_e E_e(x̂) ──(+)── out
 *               └── shared expert, times σ(scale · x̂) ──────────────────────────────────┘
 *
 * w_e = p_e, or with norm_topk_prob p_e / Σ_S p.  Among equal probabilities the lower index is
 * chosen.  Rows are gathered by expert: each expert computes its rows in one product, and its
 * outputs are scattered back.
 *
 *   moe_router    x to the logits                                      site ROUTER_LOGITS
 *   moe_choose    logits to p, S and w; a given route takes their place
 *   moe_experts   each expert's contribution w_e E_e(x̂)                site EXPERT_OUT
 *   moe_shared    the shared expert's                                  site SHARED_OUT
 *   moe_sum       their sum, its norm, and out
 *
 * Between the pairs are the caller's patches, and the routes that it gives and records.  What else
 * joins an expert's output (an adapter of that expert) belongs after moe_experts; what joins the
 * block's output, after moe_shared. */
#ifndef DELE_SUBLAYER_MOE_H
#define DELE_SUBLAYER_MOE_H

#include "model/sublayers/norm.h"
#include "model/sublayers/routes.h"
#include "tensor/matrix.h"

/* A gated MLP without biases. */
typedef struct {
    dele_matrix gate_up; /* [2 d_ff, d_model] */
    dele_matrix down;    /* [d_model, d_ff] */
} dele_expert_weights;

typedef struct {
    dele_norm_weights norm;      /* [d_model] before it */
    dele_matrix router;          /* [n_experts, d_model] */
    dele_expert_weights *expert; /* [n_experts]; NULL: the layer is dense */
    dele_expert_weights shared;  /* d_ff = shared_size */
    const float *shared_scale;   /* [d_model]; NULL: no shared expert */
    dele_norm_weights post_norm; /* [d_model] of the output */
} dele_moe_weights;

/* What the backward pass needs of n rows.  A forward pass without one uses a single struct for all
 * layers, whose x is NULL.  An assignment is a row given to an expert: there are n top_k, numbered
 * by expert, and those of one expert in the order of rows. */
typedef struct {
    float *x; /* [n, d_model] the input */
    dele_norm_saved norm;
    float *logits, *p;     /* [n, n_experts] of the router, and their softmax */
    int *expert;           /* [n, top_k] in order of p, or as given */
    float *weight;         /* [n, top_k] */
    bool *given;           /* [n] the route was given: it does not follow from the logits */
    size_t *first;         /* [n_experts + 1] the first assignment of each expert */
    size_t *row;           /* [n top_k] the row of each assignment */
    size_t *at;            /* [n, top_k] the assignment of each row's choices */
    float *by_weight;      /* [n top_k] the weight of each assignment */
    float *gate_up;        /* [n top_k, 2 d_ff] */
    float *shared_gate_up; /* [n, 2 shared_size] */
    float *shared_weight;  /* [n] σ(scale · x̂) */
    dele_norm_after_saved post;
} dele_moe_saved;

dele_status dele_moe_lay_saved(dele_moe_saved *s, const dele_config *config, size_t n,
                               bool for_backward, dele_arena *arena, dele_err *err);

/* Scratch of n rows, of a forward or of a backward pass.  A contribution that a patch gives to an
 * expert which a row did not choose is an `extra` one. */
typedef struct {
    float *xn;   /* [n, d_model] */
    float *h;    /* [n top_k, d_ff], or [n, shared_size] where that is more */
    float *tile; /* for matrices that are not wide */
    /* forward */
    float *contribution; /* [n top_k + most_extra, d_model] of each assignment, then extra ones */
    float *shared;       /* [n, d_model]; NULL: no shared expert */
    size_t n_extra, most_extra, *extra_row; /* [most_extra] */
    int *extra_expert;
    /* backward */
    float *dy, *dxn;      /* [n, d_model] */
    float *xg, *dyg;      /* [n top_k, d_model] gathered by expert: x̂; dy, then dx̂ */
    float *dh, *dgate_up; /* as h; twice as wide */
    float *dweight;       /* [n top_k] of each assignment */
    float *dshared;       /* [n] of scale · x̂ */
    float *dlogits;       /* [n, n_experts] */
    const float *dmore;   /* [n, d_model] what is added to the gradient of x̂; NULL: nothing */
} dele_moe_scratch;

dele_status dele_moe_lay_scratch(dele_moe_scratch *s, const dele_config *config, size_t n,
                                 size_t most_extra, bool for_backward, dele_arena *arena,
                                 dele_err *err);

/* Gradients of the weights, NULL where frozen. */
typedef struct {
    float *gate, *up, *down;
} dele_expert_grads;

typedef struct {
    bool input, logits; /* whether x's gradient is needed, and the logits' */
    dele_norm_grads norm, post_norm;
    float *router;
    const dele_expert_grads *expert; /* [n_experts] */
    dele_expert_grads shared;
    float *shared_scale;
} dele_moe_grads;

/* ---- forward --------------------------------------------------------------------------------- */

/* s->logits; returns x̂ [n, d_model], in the scratch or x itself, for the steps below. */
const float *moe_router_forward(dele_moe_saved *s, const float *x, size_t n,
                                const dele_moe_weights *w, const dele_config *config,
                                const dele_moe_scratch *scratch);

/* s->p, and the route of each row that is not `given`: a given one stands in s->expert and
 * s->weight already, and keeps its weights.  Then the assignments.  */
void moe_choose_forward(dele_moe_saved *s, size_t n, const dele_config *config);

/* scratch->contribution of each assignment, its weight included.  No extra ones yet. */
void moe_experts_forward(dele_moe_saved *s, const float *xn, size_t n, const dele_moe_weights *w,
                         const dele_config *config, dele_moe_scratch *scratch);

/* What an expert contributes to a row, [d_model], in the scratch; NULL: nothing.  With `make` it is
 * made where there is none, from zeros. */
float *moe_contribution(const dele_moe_saved *s, size_t row, int expert, bool make, size_t n,
                        const dele_config *config, dele_moe_scratch *scratch);

/* scratch->shared, its weight included; nothing to do without a shared expert. */
void moe_shared_forward(dele_moe_saved *s, const float *xn, size_t n, const dele_moe_weights *w,
                        const dele_config *config, const dele_moe_scratch *scratch);

/* out [n, d_model] = norm(the sum of all contributions), or += where it adds; out may be x. */
void moe_sum_forward(float *out, bool adds, dele_moe_saved *s, size_t n, const dele_moe_weights *w,
                     const dele_config *config, const dele_moe_scratch *scratch);

/* ---- backward -------------------------------------------------------------------------------- */

/* The gradient of the sum, and so of each contribution, from dout [n, d_model]: dy [n, d_model], in
 * the scratch or dout itself. */
const float *moe_sum_backward(const dele_moe_grads *grads, const float *dout,
                              const dele_moe_saved *s, size_t n, const dele_moe_weights *w,
                              const dele_config *config, const dele_moe_scratch *scratch);

/* From dy: the experts' gradients, that of each weight w_e, and of each gathered x̂. */
void moe_experts_backward(const dele_moe_grads *grads, const float *dy, const dele_moe_saved *s,
                          size_t n, const dele_moe_weights *w, const dele_config *config,
                          const dele_moe_scratch *scratch);

/* scratch->dlogits from the gradients of the weights, through the softmax over all experts and the
 * renormalisation.  Which experts are chosen is constant, and so is all of a given route: its row
 * is 0. */
void moe_choose_backward(const dele_moe_saved *s, size_t n, const dele_config *config,
                         const dele_moe_scratch *scratch);

/* The router's gradient from scratch->dlogits, the shared expert's from dy, and where the input's
 * is needed dx += d loss / d x of all of them.  dx may be the dout from which dy came. */
void moe_input_backward(float *dx, const dele_moe_grads *grads, const float *dy,
                        const dele_moe_saved *s, size_t n, const dele_moe_weights *w,
                        const dele_config *config, const dele_moe_scratch *scratch);

/* Floating-point operations of n rows, two for each multiplication. */
double dele_moe_flops(const dele_config *config, double n);

#endif
