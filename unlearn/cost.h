/* The cost of training, estimated from the shapes before anything is allocated: memory and
 * floating-point operations.
 *
 *   weights      4 bytes each, trained or not
 *   copies       per trained tensor: gradient, two moments, the last good weights.  One more copy
 *                each for a loss group in several packed batches whose α needs its retain loss, for
 *                the model before training where the objective uses it, and for the best
 *                checkpoint.  With adapters: two instead of the four (the gradient, and W0), and
 *                five or six (with the best checkpoint) of the adapters' size
 *   activations  of the largest packed batch: buffers of the forward and the backward pass at one
 *                layer, the stored activations of every layer from the lowest trained one up, and
 *                logits (or hidden states) of every row, twice with reference_rows */
#ifndef DELE_COST_H
#define DELE_COST_H

#include "unlearn/train_options.h"

typedef struct {
    size_t weights, copies, activations, total; /* bytes */
    int n_copies;
} dele_train_memory;

/* longest: ids of the longest item (a row and its alternate); tokens: mean per update. */
dele_train_memory dele_train_memory_of(const dele_trainable *trainable, const dele_train_options *o,
                                       size_t longest, size_t tokens);

/* Floating-point operations of a planned run, two per multiplication: forward, backward down to the
 * lowest trained layer, gradients of trained tensors, the head on labelled rows, the model before
 * training where the objective uses it, and evaluations without MMLU.  Element-wise operations are
 * not counted. */
double dele_train_flops(const dele_trainable *trainable, const dele_train_data *data,
                        const dele_train_options *o, const dele_train_report *plan);

#endif
