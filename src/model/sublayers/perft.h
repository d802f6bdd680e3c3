/* PERFT: adapters beside or within the experts of a mixture (arXiv 2411.08212, 2508.02587), as a
 * forward and backward pair about moe.h.  x̂: what the block's router and experts read.
 *
 *   Δ_j(x̂) = f Up_j σ(Down_j x̂)     Down [rank, d_model]  Up [d_model, rank]
 *                                     LoRA: σ = identity, f = alpha / rank
 *                                     parallel: σ = SiLU, f = 1
 *
 *   PERFT-R   MoE(x̂) + Σ_{j in S̃} w̃_j Δ_j(x̂)     p̃ = softmax(gate x̂), S̃: its top_k largest of
 *                                                   `adapters`, w̃_j = p̃_j, or with the config's
 *                                                   norm_topk_prob p̃_j / Σ_S̃ p̃
 *   PERFT-E   Σ_{e in S} w_e (E_e(x̂) + Δ_e(x̂))    one adapter an expert, under the block's routes
 *   PERFT-D   MoE(x̂) + Σ_j Δ_j(x̂)                 PERFT-S: one adapter alone
 *
 * Everything that is added is multiplied by `scale` (lambda); with 0 the passes do not call
 * this pair, so that the block gives the bits that it gives without adapters.
 *
 * block_weights, PERFT-R as the authors' released OLMoE code computes it: w̃ of the k-th chosen
 * adapter is the block's own k-th weight w, in order of router probability.  The gate then chooses,
 * and the loss has no gradient for it; the adapters' gradient with respect to w flows into the
 * block's router. */
#ifndef DELE_SUBLAYER_PERFT_H
#define DELE_SUBLAYER_PERFT_H

#include "model/sublayers/moe.h"

typedef struct {
    dele_matrix down, up; /* [rank, d_model], [d_model, rank] */
} dele_perft_adapter;

typedef struct {
    dele_matrix gate;            /* [adapters, d_model]; of PERFT-R alone */
    dele_perft_adapter *adapter; /* [adapters] */
} dele_perft_weights;

/* What the backward pass needs of n rows.  An assignment is a row given to an adapter, numbered by
 * adapter; of PERFT-E they are the block's (dele_moe_saved), of D and S every row is given to
 * every adapter. */
typedef struct {
    uint64_t dropout;    /* seed of this layer's dropout; 0: none */
    float *p;            /* R: [n, adapters] logits of the gate, then their softmax */
    int *choice;         /* R: [n, top_k] in order of p */
    float *weight;       /* R: [n, top_k] */
    size_t *first, *row; /* R: [adapters + 1], [n top_k] */
    size_t *at;          /* R: [n, top_k] the assignment of each choice */
    float *by_weight;    /* R: [n top_k] of each assignment */
    float *hidden;       /* [assignments, rank] before σ */
} dele_perft_saved;

dele_status dele_perft_lay_saved(dele_perft_saved *s, const dele_config *config, size_t n,
                                 dele_arena *arena, dele_err *err);

typedef struct {
    float *x;       /* [n, d_model] gathered x̂ */
    float *rows;    /* [n, d_model] gathered outputs; backward: gathered dy */
    float *act;     /* [n, rank] */
    float *out;     /* R, D, S: [n, d_model] what joins the block's output; backward: what is added
                     * to the gradient of x̂ */
    float *tile;    /* for matrices that are not wide */
    float *dact;    /* backward: [n, rank] */
    float *dx;      /* [n, d_model] */
    float *dweight; /* R: [n top_k] of each assignment */
    float *dlogits; /* R: [n, adapters] */
} dele_perft_scratch;

dele_status dele_perft_lay_scratch(dele_perft_scratch *s, const dele_config *config, size_t n,
                                   bool for_backward, dele_arena *arena, dele_err *err);

/* Gradients of the weights, NULL where frozen. */
typedef struct {
    float *down, *up;
} dele_perft_adapter_grads;

typedef struct {
    bool input;   /* whether the gradient of x̂ is needed */
    bool weights; /* and those of the block's own weights w */
    bool logits;  /* R: and those of the gate's logits, as for `input` and `gate` */
    float *gate;
    const dele_perft_adapter_grads *adapter; /* [adapters] */
} dele_perft_grads;

/* The logits of PERFT-R's gate into s->p; of the others nothing.       site ADAPTER_LOGITS */
void perft_gate_forward(dele_perft_saved *s, const float *xn, size_t n, const dele_perft_weights *w,
                        const dele_config *config, const dele_perft_scratch *scratch);

/* After it and moe_experts_forward: PERFT-E adds to the contributions of the block's scratch, the
 * others write scratch->out. */
void perft_forward(dele_perft_saved *s, const dele_moe_saved *moe, const float *xn, size_t n,
                   const dele_perft_weights *w, const dele_config *config,
                   const dele_perft_scratch *scratch, const dele_moe_scratch *block);

/* After moe_sum_forward: out [n, d_model] += scratch->out.  PERFT-E has nothing to add. */
void perft_join(float *out, size_t n, const dele_config *config, const dele_perft_scratch *scratch);

/* After moe_experts_backward and before moe_choose_backward, from dy [n, d_model]: the gradients of
 * the adapters; those of the block's weights are added to block->dweight, that of x̂, where it is
 * needed, to block->dyg (PERFT-E) or written to scratch->out, and of PERFT-R those of the gate's
 * logits to scratch->dlogits. */
void perft_backward(const dele_perft_grads *grads, const float *dy, const dele_perft_saved *s,
                    const dele_moe_saved *moe, const float *xn, size_t n,
                    const dele_perft_weights *w, const dele_config *config,
                    const dele_perft_scratch *scratch, const dele_moe_scratch *block);

/* From scratch->dlogits: the gate's gradient, and that of x̂ is added to scratch->out.  Of PERFT-R
 * alone. */
void perft_gate_backward(const dele_perft_grads *grads, const float *xn, size_t n,
                         const dele_perft_weights *w, const dele_config *config,
                         const dele_perft_scratch *scratch);

/* Weights of the adapters of all sparse layers, and of those that are used for a token: of each
 * activated adapter, and of the gate. */
typedef struct {
    size_t trainable, activated;
} dele_perft_counts;
dele_perft_counts dele_perft_count(const dele_config *config);

/* Floating-point operations of n rows, two for each multiplication. */
double dele_perft_flops(const dele_config *config, double n);

#endif
