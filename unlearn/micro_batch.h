/* A micro-batch: sequences laid end to end for one forward and one backward pass, as their
 * objective wants them.
 *
 *   items ── rows and segments ── forward ──┬── logits, or states of a layer ── objective ──
 *   gradient ── backward
 *                                           └── the same of the model before training, where it is
 *                                           asked for
 *
 * Which rows are labelled: those that predict a label; without the first SKIP labels of what is to
 * be forgotten; with the prompt's tokens too on the sides that WHOLE takes whole. */
#ifndef DELE_MICRO_BATCH_H
#define DELE_MICRO_BATCH_H

#include "model/forward.h"
#include "model/mask.h"
#include "unlearn/dataset.h"
#include "unlearn/objective.h"

/* A row of a data set on its side; with its alternate as a second sequence where the objective
 * wants one beside. */
typedef struct {
    const dele_sequence *row, *chosen; /* better NULL: none */
    double reference[2];               /* their NLL before training */
    dele_side side;
} dele_item;

typedef struct {
    const dele_objective *objective;
    const double *settings;
    dele_model view;   /* the model, without the layers above the one that is looked at */
    dele_model before; /* the same before training; n_tensors 0 where nobody asks for it */
    int lowest;        /* layer that trains */
    size_t batch_tokens, width;
    uint8_t reference_rows; /* set of sides */
    float *steer;           /* [d_model] at a layer */

    dele_run run, run_before;
    dele_batch batch;
    dele_segment *segments;
    dele_loss_sequence *sequences;
    dele_patch *patches; /* [labels] at a layer: states out, gradients in */
    int *output_rows, *output_rows_before, *target;
    uint8_t *side;
    double *nll, *loss_weight;
    float *x, *reference;                 /* [labels, width] */
    size_t n_sequences, n_rows, n_labels; /* laid out */
} dele_micro_batch;

/* Room for the largest micro-batch: batch_tokens rows, or the longest item.  The tables are the
 * arena's, the runs are freed by release.  Copies what the mask trains where the objective compares
 * with the model before. */
dele_status dele_micro_batch_init(dele_micro_batch *p, const dele_model *model,
                                  const dele_mask *mask, const dele_objective *objective,
                                  const double *settings, size_t batch_tokens, size_t longest,
                                  dele_arena *arena, dele_err *err);
void dele_micro_batch_release(dele_micro_batch *p);

/* At a layer: the vector that states are steered to, uniform in [0, 1)^d, of length STEER; where
 * the objective is adaptive, times the mean length of these items' states.  To be called before
 * training. */
dele_status dele_micro_batch_steer(dele_micro_batch *p, uint64_t seed, const dele_item *items,
                                   size_t n, dele_err *err);

size_t dele_micro_batch_labels(const dele_micro_batch *p,
                               const dele_item *item); /* of the row, not its alternate */
size_t dele_micro_batch_length(const dele_micro_batch *p, const dele_item *items,
                               size_t n); /* how many fit; at least one */

/* Forward and loss; leaves each side's gradient, of weight 1, in x.  Items of one side are
 * together. */
dele_status dele_micro_batch_forward(dele_micro_batch *p, double loss[2], const dele_item *items,
                                     size_t n, const dele_loss_group *group, dele_err *err);
/* Weighs that gradient and takes it down. */
dele_status dele_micro_batch_backward(dele_micro_batch *p, const double weight[2], float **grads,
                                      dele_err *err);

/* NLL of each sequence, summed over its labels. */
dele_status dele_micro_batch_nll(dele_micro_batch *p, double *nll, const dele_sequence *rows,
                                 size_t n, dele_err *err);

#endif
