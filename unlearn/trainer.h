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
 * With terms on the routers of a mixture (router_terms.h), which depend on the choices of all rows
 * of a group, a group of several packed batches has a forward pass before the others instead: it
 * counts the choices, and gives α.
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

#include "unlearn/sampler.h"
#include "unlearn/train_options.h"

/* Trains the trainable parameters in place.  output may be NULL: then no record is written and
 * nothing is resumed.  On DELE_ERR_DIVERGED the weights are the last good ones.  Everything that
 * the arguments point to belongs to the caller. */
dele_status dele_train(dele_train_report *report, const dele_trainable *trainable,
                       const dele_train_data *data, const dele_train_options *o,
                       const dele_train_output *output, dele_err *err);

/* What a run's memory depends on beside the trainable parameters and the options: its largest
 * packed batch, and the mean tokens of an update. */
typedef struct {
    size_t rows, sequences, labels;
    size_t longest; /* ids of the longest item: a row and its alternate */
    size_t tokens;
} dele_train_size;

/* Bytes of training, counted by the code that lays it out.
 *
 *   weights       as they are read: float32 masters of what trains, and of all others the file or
 *                 their copies
 *   buffers       beside what trains: gradient, two moments, the last good weights, copies for the
 *                 objective, for alpha and for the best checkpoint, adapters; tables and logits of
 *                 the packed batch
 *   activations   of the forward and backward pass of the largest packed batch, of the model before
 *                 training where the objective uses it, and of an evaluation */
typedef struct {
    size_t weights, buffers, activations, total;
} dele_train_memory;

dele_status dele_train_count(dele_train_memory *memory, const dele_trainable *trainable,
                             const dele_train_options *o, const dele_train_size *size,
                             dele_err *err);

#endif
