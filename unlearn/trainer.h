/* The training loop: rows in, changed tensors out.
 *
 *   epoch ─ shuffled rows ─ updates ─ loss groups ─ packed batches
 *                              │         │              └ one forward and backward pass
 *                              │         └ rows that share one loss: the update, or with
 *                              │           --alpha code --micro-batch rows
 *                              └ one AdamW step
 *
 * A packed batch has as many sequences as fit into batch_tokens, laid end to end without padding.
 * Labels are counted before a group begins, so the weight of every token in the mean is known, and
 * the division into packed batches changes the result by rounding only.
 *
 * α must be known before the forget and retain gradients are added, and α depends on the group's
 * retain loss:
 *   - a group of one packed batch runs once: logits, losses, α, then one backward pass for the
 *     weighted gradient of all its rows;
 *   - otherwise the retain rows run first, into a second gradient buffer (of the masked tensors
 *     only).  Their loss gives α, the buffer is added α times, and the forget rows are added to the
 *     sum.  Both ways are exact, and no forward pass is repeated.
 *
 * With LoRA adapters (lora.h) the gradient of each tensor becomes that of its adapter.  The
 * gradient norm, the step, the moments and the stored weights are then those of the adapters, and
 * the tensors are computed from them.
 *
 * A killed run resumes from its last training state (training_state.h) and gives the same bytes:
 * the state contains everything that the next update depends on.
 *
 * sampler.h defines the rows of an update, divergence_guard.h the divergence test, evaluations.h
 * the evaluations during training, early stopping and checkpoint selection. */
#ifndef DELE_TRAINER_H
#define DELE_TRAINER_H

#include <stdio.h>

#include "base/progress.h"
#include "unlearn/sampler.h"

/* Trains the masked tensors of the model in place. forget is NULL for finetune: retain is then
 * the training set (for an objective that negates, the forget set). retain may be NULL where the
 * objective has no term for it. steps (may be NULL) receives one TSV line per update; when a
 * state is resumed, steps is truncated to what that state had written (open it for appending). */
dele_status dele_train(dele_train_report *report, dele_model *model, const dele_mask *mask,
                       const dele_dataset *forget, const dele_dataset *retain,
                       const dele_train_options *o, FILE *steps, dele_progress *progress,
                       dele_err *err);

#endif
