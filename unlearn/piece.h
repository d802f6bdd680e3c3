/* A piece: sequences laid end to end for one forward and one backward pass, as their objective wants them.
 *
 *   items ── rows and segments ── forward ──┬── logits, or states of a layer ── objective ── gradient ── backward
 *                                           └── the same of the model before training, where it is asked for
 *
 * Which rows are labelled: those that predict a label; without the first SKIP labels of what is to be forgotten; with
 * the prompt's tokens too on the sides that WHOLE takes whole. */
#ifndef LAC_PIECE_H
#define LAC_PIECE_H

#include "model/forward.h"
#include "model/mask.h"
#include "unlearn/dataset.h"
#include "unlearn/objective.h"

/* A row of a data set on its side; with its alternate as a second sequence where the objective wants one beside. */
typedef struct {
    const lac_sequence *row, *better; /* better NULL: none */
    double reference[2];              /* their NLL before training */
    lac_side side;
} lac_item;

typedef struct {
    const lac_objective *objective;
    const double *settings;
    lac_model view;       /* the model, without the layers above the one that is looked at */
    lac_model before;     /* the same before training; n_tensors 0 where nobody asks for it */
    int lowest;           /* layer that trains */
    size_t batch_tokens, width;
    uint8_t reference_rows; /* set of sides */
    float *steer;         /* [dim] at a layer */

    lac_run run, run_before;
    lac_batch batch;
    lac_segment *segments;
    lac_rows_of *sequences;
    lac_patch *patches;   /* [labels] at a layer: states out, gradients in */
    int *wanted, *wanted_before, *target;
    uint8_t *side;
    double *nll, *share;
    float *x, *reference;   /* [labels, width] */
    size_t n_sequences, n_rows, n_labels; /* laid out */
} lac_piece;

/* Room for the largest piece: batch_tokens rows, or the longest item.  The tables are the arena's, the runs are freed
 * by release.  Copies what the mask trains where the objective compares with the model before. */
lac_status lac_piece_init(lac_piece *p, const lac_model *model, const lac_mask *mask, const lac_objective *objective,
                          const double *settings, size_t batch_tokens, size_t longest, lac_arena *arena, lac_err *err);
void lac_piece_release(lac_piece *p);

/* At a layer: the vector that states are steered to, uniform in [0, 1)^d, of length STEER; where the objective is
 * adaptive, times the mean length of these items' states.  To be called before training. */
lac_status lac_piece_steer(lac_piece *p, uint64_t seed, const lac_item *items, size_t n, lac_err *err);

size_t lac_piece_labels(const lac_piece *p, const lac_item *item); /* of the row, not its alternate */
size_t lac_piece_length(const lac_piece *p, const lac_item *items, size_t n); /* how many fit; at least one */

/* Forward and loss; leaves each side's gradient, of weight 1, in x.  Items of one side stand together. */
lac_status lac_piece_forward(lac_piece *p, double loss[2], const lac_item *items, size_t n, const lac_group *group,
                             lac_err *err);
/* Weighs that gradient and takes it down. */
lac_status lac_piece_backward(lac_piece *p, const double weight[2], float **grads, lac_err *err);

/* NLL of each sequence, summed over its labels. */
lac_status lac_piece_nll(lac_piece *p, double *nll, const lac_sequence *rows, size_t n, lac_err *err);

#endif
