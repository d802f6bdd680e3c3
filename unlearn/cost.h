/* The cost of training, before anything is allocated: what its memory depends on (trainer.h counts
 * it), and floating-point operations. */
#ifndef DELE_COST_H
#define DELE_COST_H

#include "unlearn/trainer.h"

/* Of a planned run: packed batches of mean rows, as full as batch_tokens and an update's tokens
 * make them. */
dele_train_size dele_train_size_of(const dele_train_data *data, const dele_train_options *o,
                                   const dele_train_report *plan);

/* Floating-point operations of a planned run, two per multiplication: forward, backward down to the
 * lowest trained layer, gradients of trained tensors, the head on labelled rows, the model before
 * training where the objective uses it, and evaluations without MMLU.  Element-wise operations are
 * not counted. */
double dele_train_flops(const dele_trainable *trainable, const dele_train_data *data,
                        const dele_train_options *o, const dele_train_report *plan);

#endif
