/* What training costs, worked out from the shapes before anything is asked for: memory, and
 * operations.
 *
 *   weights      4 bytes each, trained or not
 *   copies       of what trains: gradient, two moments, the last good weights; one more each for a
 *                group in several micro-batches whose α waits for its retain loss, for the model
 *                before training where an objective looks back at it, and for the best checked
 *                state.  With adapters two in the place of the four: the gradient, and what they
 *                add to; and five, or six with the best state, of the adapters' size
 *   activations  of the largest micro-batch: what the pass and the backward pass use at a layer,
 *                what is kept of every layer from the lowest trained one up, logits (or states) of
 *                every row, twice where those before are needed */
#ifndef DELE_COST_H
#define DELE_COST_H

#include "model/mask.h"
#include "unlearn/train_options.h"

typedef struct {
    size_t weights, copies, activations, total; /* bytes */
    int n_copies;
} dele_train_memory;

/* longest: ids of the longest item (a row and its alternate); tokens: of an update, about. */
dele_train_memory dele_train_memory_of(const dele_model *model, const dele_mask *mask,
                                       const dele_train_options *o, size_t longest, size_t tokens);

/* Floating-point operations of a whole training, two for each multiplication: forward, backward
 * down to the lowest trained layer, the gradients of what trains, the head on the labels' rows, the
 * model before training where an objective looks back at it, checks without MMLU.  forget or retain
 * may be NULL.  Element-wise work is not counted. */
double dele_train_flops(const dele_model *model, const dele_mask *mask, const dele_train_options *o,
                        const dele_train_report *plan, const dele_dataset *forget,
                        const dele_dataset *retain);

#endif
