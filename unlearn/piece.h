/* A piece: sequences laid end to end for one forward and one backward pass, as their objective wants them.
 *
 *   items ── rows and segments ── forward ──┬── logits, or states of a layer ── objective ── gradient ── backward
 *                                           └── the same of the model before training, where it is asked for
 *
 * Which rows are labelled: those that predict a label; without the first SKIP labels of what is to be forgotten; with
 * the prompt's tokens too on the sides that WHOLE takes whole. */
#ifndef DELE_PIECE_H
#define DELE_PIECE_H

#include "model/forward.h"
#include "model/mask.h"
#include "unlearn/dataset.h"
#include "unlearn/objective.h"

/* A row of a data set on its side; with its alternate as a second sequence where the objective wants one beside. */
typedef struct {
    const dele_sequence *row, *better; /* better NULL: none */
    double reference[2];              /* their NLL before training */
    dele_side side;
} dele_item;

typedef struct {
    const dele_objective *objective;
    const double *settings;
    dele_model view;       /* the model, without the layers above the one that is looked at */
    dele_model before;     /* the same before training; n_tensors 0 where nobody asks for it */
    int lowest;           /* layer that trains */
    size_t batch_tokens, width;
    uint8_t reference_rows; /* set of sides */
    float *steer;         /* [dim] at a layer */

    dele_run run, run_before;
    dele_batch batch;
    dele_segment *segments;
    dele_rows_of *sequences;
    dele_patch *patches;   /* [labels] at a layer: states out, gradients in */
    int *wanted, *wanted_before, *target;
    uint8_t *side;
    double *nll, *share;
    float *x, *reference;   /* [labels, width] */
    size_t n_sequences, n_rows, n_labels; /* laid out */
} dele_piece;

/* Room for the largest piece: batch_tokens rows, or the longest item.  The tables are the arena's, the runs are freed
 * by release.  Copies what the mask trains where the objective compares with the model before. */
dele_status dele_piece_init(dele_piece *p, const dele_model *model, const dele_mask *mask, const dele_objective *objective,
                          const double *settings, size_t batch_tokens, size_t longest, dele_arena *arena, dele_err *err);
void dele_piece_release(dele_piece *p);

/* At a layer: the vector that states are steered to, uniform in [0, 1)^d, of length STEER; where the objective is
 * adaptive, times the mean length of these items' states.  To be called before training. */
dele_status dele_piece_steer(dele_piece *p, uint64_t seed, const dele_item *items, size_t n, dele_err *err);

size_t dele_piece_labels(const dele_piece *p, const dele_item *item); /* of the row, not its alternate */
size_t dele_piece_length(const dele_piece *p, const dele_item *items, size_t n); /* how many fit; at least one */

/* Forward and loss; leaves each side's gradient, of weight 1, in x.  Items of one side stand together. */
dele_status dele_piece_forward(dele_piece *p, double loss[2], const dele_item *items, size_t n, const dele_group *group,
                             dele_err *err);
/* Weighs that gradient and takes it down. */
dele_status dele_piece_backward(dele_piece *p, const double weight[2], float **grads, dele_err *err);

/* NLL of each sequence, summed over its labels. */
dele_status dele_piece_nll(dele_piece *p, double *nll, const dele_sequence *rows, size_t n, dele_err *err);

#endif
