/* A mixture of experts in the place of an MLP, as a forward and backward pair (OLMoE, arXiv
 * 2409.02060, section 2; Mixtral, arXiv 2401.04088; transformers' modeling_olmoe, modeling_mixtral,
 * modeling_qwen2_moe, modeling_qwen3_moe).
 *
 *   x ── norm ──┬── router ── softmax p ── the top_k largest: S, with weights w ──┐
 *               ├── expert e of S: E_e(x̂) = (a(gate x̂) ⊙ up x̂) down ────────── Σ w_e E_e(x̂) ──(+)──
 * out └── shared expert, times σ(scale · x̂) ─────────────────────────────────────────┘
 *
 * w_e = p_e, or with norm_topk_prob p_e / Σ_S p.  Among equal probabilities the lower index is
 * chosen.  Rows are gathered by expert: each expert computes its rows in one product, and its
 * outputs are scattered back. */
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

#endif
