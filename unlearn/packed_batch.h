/* A packed batch: sequences laid end to end, without padding, for one forward and one backward pass
 * of gradient accumulation.  Not to be confused with --micro-batch of --alpha code, which is a loss
 * group (sampler.h); a loss group may need several packed batches.
 *
 *   items ─ rows and segments ─ forward ─┬─ logits, or hidden states of a layer ─ objective ─
 *                                        │  gradient ─ backward
 *                                        └─ the same of the model before training, where the
 *                                           objective needs it
 *
 * Labelled rows are those that predict a label.  The first SKIP labels of forget outputs are left
 * out.  With TRAIN_ON_PROMPT the prompt's tokens are labels too, on the sides that allow it. */
#ifndef DELE_PACKED_BATCH_H
#define DELE_PACKED_BATCH_H

#include "model/forward.h"
#include "model/mask.h"
#include "unlearn/dataset.h"
#include "unlearn/objectives/objective.h"
#include "unlearn/router_terms.h"

/* A row of a data set with its side, and its alternate as a second sequence where the objective
 * needs pairs. */
typedef struct {
    const dele_sequence *row, *chosen; /* chosen NULL: no alternate */
    double reference[2];               /* their NLL before training */
    const float *weight;               /* [ids of the row] of its labels; NULL: 1 */
    dele_side side;
} dele_item;

typedef struct {
    const dele_objective *objective;
    const double *settings;            /* [DELE_N_SETTINGS] resolved */
    size_t batch_tokens;               /* token positions of a forward pass */
    size_t longest;                    /* ids of the longest item: a row and its alternate */
    size_t labels;                     /* the most labels of a pass; 0: as many as positions */
    const dele_router_options *router; /* terms on routers; NULL, or all 0: there are none */
} dele_packed_batch_options;

/* A model's forward pass over the sequences of a packed batch. */
typedef struct {
    dele_model model; /* without the layers above at_layer */
    dele_run run;
    int *output_rows; /* [labels] */
    float *x;         /* [labels, width] logits, or hidden states of a layer */
} dele_packed_pass;

typedef struct {
    const dele_objective *objective;
    const double *settings;
    size_t batch_tokens, width; /* width: of x; the vocabulary, or at a layer d_model */
    int lowest;                 /* the lowest layer that is trained */
    uint8_t reference_rows;     /* set of sides whose rows the model before training computes too */
    float *steer;               /* [d_model] at a layer */

    dele_packed_pass now;    /* of the model that is trained */
    dele_packed_pass before; /* of the model before training; n_tensors 0: not needed */
    uint64_t dropout;        /* of the next forward pass for training: dele_batch.dropout */
    dele_batch batch;
    dele_segment *segments;
    dele_loss_sequence *sequences;
    dele_router_terms router; /* n_layers 0: there are no terms on routers */
    dele_patch *patches; /* [labels] at a layer: read states, add gradients; and those of router */
    uint8_t *row_side;   /* [rows] with terms on routers */
    int *output_rows, *target;
    uint8_t *side;
    double *nll, *loss_weight;
    double *label_weight; /* [n_labels] of items that have weights */
    bool weighted;        /* some label of the packed batch has another weight than 1 */
    size_t n_sequences, n_rows, n_labels; /* of the current packed batch */
} dele_packed_batch;

/* Allocates for the largest packed batch: batch_tokens positions, or the longest item.  The arena
 * owns the tables, release frees the runs; model and settings belong to the caller and must exist
 * until then.  Where the objective uses the model before training, the trained tensors are
 * copied. */
dele_status dele_packed_batch_init(dele_packed_batch *p, const dele_model *model,
                                   const dele_mask *mask, const dele_packed_batch_options *o,
                                   dele_arena *arena, dele_err *err);
void dele_packed_batch_release(dele_packed_batch *p);

/* Bytes that the forward and backward passes of such a batch take beside the arena: n_output_rows
 * are the labels, all else is as of the pass. */
size_t dele_packed_batch_bytes(const dele_packed_batch *p, dele_pass_size size);

/* RMU's control vector: uniform in [0, 1)^d, scaled to norm STEERING_COEFF; for adaptive RMU
 * times the mean norm of these items' hidden states. Call it before training. */
dele_status dele_packed_batch_steer(dele_packed_batch *p, uint64_t seed, const dele_item *items,
                                    size_t n, dele_err *err);

/* Labels of an item's row, without its alternate; rows of the forward pass, with it. */
size_t dele_packed_batch_labels(const dele_packed_batch *p, const dele_item *item);
size_t dele_packed_batch_rows(const dele_packed_batch *p, const dele_item *item);

/* The number of items that fit into one packed batch; at least 1. */
size_t dele_packed_batch_length(const dele_packed_batch *p, const dele_item *items, size_t n);

/* Forward pass and loss; now.x receives each side's gradient with weight 1.  Items of one side must
 * be adjacent.  loss [2] is added to, and so are the losses of router, whose group must have
 * begun. */
dele_status dele_packed_batch_forward(dele_packed_batch *p, double loss[2], const dele_item *items,
                                      size_t n, const dele_loss_group *group, dele_err *err);

/* Multiplies that gradient by the side weights, and that of the terms on routers by theirs, and
 * adds its backward pass to grads. */
dele_status dele_packed_batch_backward(dele_packed_batch *p, const double weight[2],
                                       double router_weight, float **grads, dele_err *err);

/* A forward pass for its losses and the router's choices alone: what a group in several packed
 * batches needs to know before its gradient (router_terms.h). */
dele_status dele_packed_batch_survey(dele_packed_batch *p, double loss[2], const dele_item *items,
                                     size_t n, const dele_loss_group *group, dele_err *err);

/* NLL of each sequence, summed over its labels. */
dele_status dele_packed_batch_nll(dele_packed_batch *p, double *nll, const dele_sequence *rows,
                                  size_t n, dele_err *err);

#endif
