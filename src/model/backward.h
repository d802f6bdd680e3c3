/* The backward pass: gradients of weights and of states after a forward pass that kept its
 * activations. */
#ifndef DELE_BACKWARD_H
#define DELE_BACKWARD_H

#include "model/batch.h"
#include "model/run.h"

/* Bytes that the backward pass adds to the run's arena. */
size_t dele_backward_bytes(const dele_config *config, const dele_pass_size *size);

/* Adds d loss / d tensor into grads, and writes the gradients to be read, from dlogits
 * [n_output_rows, vocab] of the preceding forward pass (with keep_for_backward): the gradient of
 * what dele_logits gives.  Sites that are added to the stream have the stream's gradient: ATTN_OUT
 * as RESID_MID, MLP_OUT as RESID_POST, and that is the next layer's RESID_PRE; with a parallel
 * residual ATTN_OUT as RESID_POST.  EXPERT_OUT, whether or not the row chose the expert, and
 * SHARED_OUT have that of the block's sum.  Which experts a row chose is constant, and of a given
 * route the weights too: nothing flows through them to the router. */
dele_status dele_backward(dele_run *run, const dele_model *model, const dele_batch *batch,
                          const float *dlogits, const dele_grads *grads, dele_err *err);

#endif
