/* A projection of router updates, after GRIP (arXiv 2601.16905, of which only the abstract was
 * known when this was written): routers are kept from moving along what they read on retain rows.
 *
 *   C = Σ h hᵀ            over the positions of the retain set; h: what the layer's router reads
 *                         under the model before training
 *   U [n, d_model]        the n eigenvectors of C with the largest eigenvalues
 *   dW ← dW (I − Uᵀ U)    of the gradient dW [n_experts, d_model] of the router, and of its step
 *
 * A step within the projection leaves the logits W h of every h in the span of U as they were; of
 * other h it changes them by their part outside the span alone.  AdamW divides the gradient element
 * by element and so leaves the projection, and weight decay does: the step is projected as well. */
#ifndef DELE_ROUTER_PROJECTION_H
#define DELE_ROUTER_PROJECTION_H

#include "model/mask.h"
#include "unlearn/dataset.h"

typedef struct {
    size_t n, width;   /* directions; d_model */
    size_t n_layers;   /* with a router that trains; 0: nothing is projected */
    int *layer;        /* [n_layers] */
    size_t *tensor;    /* [n_layers] index of the router */
    float *directions; /* [n_layers, n, width] U */
    double *kept;      /* [n_layers] the eigenvalues' share of the trace of C */
    float *before;     /* [n_layers, n_experts, width] routers before the step */
} dele_router_projection;

/* Memory for the routers that train.  An error where none does, and where n is not below d_model.
 * The arena owns it. */
dele_status dele_router_projection_init(dele_router_projection *p, size_t n,
                                        const dele_model *model, const dele_mask *mask,
                                        dele_arena *arena, dele_err *err);

/* Computes the directions from the model as it is. */
dele_status dele_router_projection_fit(dele_router_projection *p, const dele_model *model,
                                       const dele_dataset *retain, size_t batch_tokens,
                                       dele_err *err);

/* Projects the routers' gradients g [n_tensors]. */
void dele_router_projection_gradient(const dele_router_projection *p, const dele_model *model,
                                     float *const *g);

/* Before a step, and after it: its change of each router is projected. */
void dele_router_projection_before(const dele_router_projection *p, const dele_model *model);
void dele_router_projection_after(const dele_router_projection *p, const dele_model *model);

#endif
