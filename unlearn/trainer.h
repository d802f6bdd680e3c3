/* The training loop: rows in, changed tensors out.
 *
 *   epoch ─ shuffled rows ─ updates ─ groups ─ micro-batches          one forward and backward a
 *   micro-batch
 *                              │         └ rows that share one loss: the update, or with --alpha
 *                                        code --micro-batch rows
 *                              └ one AdamW step
 *
 * A micro-batch is as many sequences as fit into batch_tokens, laid end to end as segments: nothing
 * is padded.  Labels are counted before a group begins, so every token's weight in the mean is
 * known, and where the group is cut changes the result only by rounding.
 *
 * α must be known before the forget and retain gradients are added up, and it depends on the
 * group's retain loss:
 *   - a group of one micro-batch runs once: logits, losses, α, then the weighted gradient of all
 *     its rows goes down together;
 *   - else the retain rows run first, into a second gradient buffer (of the masked tensors only);
 *     their loss gives α, the buffer is added α times, and the forget rows follow straight into the
 *     sum.  Both ways are exact, and no forward pass is repeated.
 *
 * With adapters (lora.h) the gradient of each tensor becomes that of its adapter; norm, step,
 * moments and what is kept are the adapters', and the tensors follow them.
 *
 * A run killed at any moment resumes from the state it last wrote (training_state.h) to the same
 * bytes: the state has all that the next update depends on.
 *
 * sampler.h says which rows an update gets, divergence_guard.h when a run has diverged,
 * evaluations.h what is looked at on the way, when that ends a run, and which state is kept. */
#ifndef DELE_TRAINER_H
#define DELE_TRAINER_H

#include <stdio.h>

#include "base/progress.h"
#include "unlearn/sampler.h"

/* Trains the masked tensors of the model in place.  forget is NULL when only learning: retain is
 * then what is learnt (and for an objective that negates, what is forgotten).  retain may be NULL
 * where the objective has no term for it.  steps (may be NULL) receives a TSV line an update; where
 * a state is to be resumed, it is cut back to what that state had written (open it for
 * appending). */
dele_status dele_train(dele_train_report *report, dele_model *model, const dele_mask *mask,
                       const dele_dataset *forget, const dele_dataset *retain,
                       const dele_train_options *o, FILE *steps, dele_progress *progress,
                       dele_err *err);

#endif
