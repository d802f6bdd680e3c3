/* Losses on a mixture's routers: their values, and their gradients as additions of a backward pass.
 * p: a router's softmax over its E experts, z: its logits, t: a row of a layer.
 *
 *   balance   E Σ_e f_e P_e,   f_e = mean_t [e is among t's top_k],   P_e = mean_t p_te
 *             over the rows of all sparse layers together, as transformers has it
 *             (load_balancing_loss_func; Switch Transformers, arXiv 2101.03961): top_k at perfect
 *             balance.  by_layer: of each layer alone, and the mean over layers
 *   z         mean_t (log Σ_e exp z_te)²   over the rows of all sparse layers (OLMoE, arXiv
 *             2409.02060, section 2)
 *   anchor    mean_t Σ_e (p_te - [e = expert])²   in one layer (SEUF, arXiv 2411.18797)
 *
 * f counts the routes of one pass and is constant: with several passes an update each has its own,
 * as transformers' loss has for each micro-batch.  With given routes f counts those. */
#ifndef DELE_ROUTER_LOSS_H
#define DELE_ROUTER_LOSS_H

#include "model/forward.h"

typedef struct {
    double balance, z, anchor; /* factor of each loss; 0: only its value is computed */
    bool by_layer;
    int anchor_layer, anchor_expert; /* -1: there is no anchor */
    const bool *rows;        /* [n_rows] of the batch that count for balance and z; NULL: all */
    const bool *anchor_rows; /* the same for the anchor */
} dele_router_loss;

typedef struct {
    double balance, z, anchor; /* 0 where no row counts */
    double total;              /* times their factors */
} dele_router_values;

/* The values after a forward pass with keep_for_backward, and in adds [n_layers] *n_adds additions
 * for dele_grads.adds of its backward pass, their memory in the arena: gradients for the routers'
 * weights and for the states that they read.  adds NULL: the values alone.  An error where the
 * model has no experts, where layer or expert of the anchor is none, and where the pass kept
 * nothing. */
dele_status dele_router_loss_of(dele_router_values *values, dele_patch *adds, size_t *n_adds,
                                const dele_router_loss *loss, const dele_run *run,
                                const dele_model *model, const dele_batch *batch, dele_arena *arena,
                                dele_err *err);

#endif
