/* The forward pass over a batch, and the head: final states, logits, log-probabilities. */
#ifndef DELE_FORWARD_H
#define DELE_FORWARD_H

#include "model/batch.h"
#include "model/run.h"

/* Floating-point operations of a segment's layers from start_layer up, as a pass counts them in
 * run->flops; in the last layer its last n_tail rows alone have queries and an MLP.  Of n rows of
 * logits. */
double dele_segment_flops(const dele_config *config, int start_layer, int first_pos, int n_rows,
                          int n_tail);
double dele_head_flops(const dele_config *config, double n);

/* Bytes of a run's arena for a forward pass of this size, and for dele_logprobs of n rows after
 * it.  Counted by the code that lays them out. */
size_t dele_forward_bytes(const dele_config *config, const dele_pass_size *size);
size_t dele_logprobs_bytes(const dele_config *config, size_t n);

/* One pass over the batch; run->final has the output rows.  In the last layer, beyond keys and
 * values, only each segment's rows from its first output row on are computed.  An error where a
 * segment, patch or output row does not fit the batch or the model, and where a patch applies to no
 * row. */
dele_status dele_forward(dele_run *run, const dele_model *model, const dele_batch *batch,
                         dele_err *err);

/* x [n, d_model] += MLP of one layer (x), for rows outside a batch, of a model whose residual is
 * sequential. */
dele_status dele_forward_mlp(float *x, dele_run *run, const dele_model *model, int layer, size_t n,
                             dele_err *err);

/* logits [n, vocab] = states [n, d_model] headᵀ, soft-capped where the config says so, after a
 * forward pass of the same run and model. */
void dele_logits(float *logits, dele_run *run, const dele_model *model, const float *states,
                 size_t n);

/* An error if one of the logits [n, vocab] is NaN or infinite: the model is broken. */
dele_status dele_logits_check(const float *logits, size_t n, const dele_model *model,
                              dele_err *err);

/* Log-probability of targets[i] after states[i], and whether it is the greedy choice (greedy may be
 * NULL); logits are computed a few hundred rows at a time and not stored. */
dele_status dele_logprobs(double *logp, int *greedy, dele_run *run, const dele_model *model,
                          const float *states, const int *targets, size_t n, dele_err *err);

#endif
