/* The sampler: which rows an update gets.
 *
 *   epoch ─ shuffled rows ─ updates ─ loss groups     the rows of a loss group share one loss: the
 *                                                     update, or with --alpha code --micro-batch
 *                                                     rows
 *
 * Every forget row occurs once per epoch.  Updates differ by at most one forget row, so that no
 * small last batch gets too much weight.  Each forget row comes with `retain_ratio` retain rows
 * within --batch.  They are taken in turn from a shuffled permutation, or each is drawn with
 * replacement (as open-unlearning pairs them).  Without a retain set the batch has forget rows
 * only.
 *
 * Sequential unlearning (SUGD, arXiv 2503.02443): the forget rows are divided into chunks in file
 * order.  Each chunk is trained for all epochs before the next one, with new moments and its own
 * learning-rate schedule.  A plain run is one chunk.  The authors' program uses 7 retain rows per
 * forget row, a chunk of 32 for 7 epochs, and a row's mean NLL times −1 or 0.5 (--loss-weights
 * sequences --objective grad-diff --alpha 3.5 --retain-ratio 7 is that sum, divided).  It does not
 * shuffle, and a chunk has the same retain rows in each of its epochs.
 *
 * --alpha code follows the published program of Selective Amnesia.  Forget and retain rows are
 * shuffled together in every epoch and divided into micro-batches regardless of side.  The last
 * micro-batch of an epoch has fewer rows and the same weight.  An update is batch/micro
 * micro-batches, counted across epochs:
 *
 *   epoch 0                  epoch 1
 *   ■■■ ■■■ ■■■ ■■■ ■■■ ■    ■■■ ■■■ ■■■ ■■■ ■■■ ■       16 rows, --micro-batch 3 --batch 12
 *   └── update 0 ─┘ └─ update 1 ───┘ └─ update 2 ─┘       an update has the epoch of its first
 *                                                        micro-batch
 *
 * An epoch has as many updates as fit completely, at least one.  A micro-batch is a loss group; one
 * forward pass of it is a packed batch (packed_batch.h). */
#ifndef DELE_SAMPLER_H
#define DELE_SAMPLER_H

#include "base/random.h"
#include "unlearn/packed_batch.h"
#include "unlearn/train_options.h"
#include "unlearn/training_state.h"

/* Checks the options and counts sets, updates and rows without training. */
dele_status dele_train_plan(dele_train_report *plan, const dele_train_data *data,
                            const dele_train_options *o, dele_err *err);

/* Ids of the longest item: a row and its alternate. */
size_t dele_longest_item(const dele_train_data *data);

typedef struct {
    const dele_train_options *o;
    const dele_train_data *data;
    const double *nll_before[2]; /* [forget rows] NLL of the row and of its alternate before
                                    training; or NULL */
    dele_rng rng;
    size_t *permutation[2], *joint_permutation; /* shuffled rows; in the joint one, indices from the
                                                   forget set's size on are retain rows */
    size_t drawn;                               /* retain rows so far */
    size_t update;                              /* the next update */
    dele_item *items;                           /* [largest update] */
    size_t *end;                                /* [largest number of groups] */
} dele_sampler;

/* The rows of an update. */
typedef struct {
    dele_item *items;
    size_t n;
    const size_t *end; /* [n_groups] end of each group's items */
    size_t n_groups;
    double loss_weight; /* of a group's gradient in the update */
    int epoch;          /* counted across chunks */
    size_t step, steps; /* the update's index in its chunk, and the chunk's updates */
} dele_update_batch;

/* Data and options must have passed dele_train_plan, and must exist as long as the sampler.  The
 * arena owns the tables. */
dele_status dele_sampler_init(dele_sampler *d, const dele_train_data *data,
                              const dele_train_options *o, dele_arena *arena, dele_err *err);

/* The rows of the next update; valid until the next call. */
dele_update_batch dele_sampler_next(dele_sampler *d);

/* The rows of the first update, without advancing. Call it before dele_sampler_next. */
dele_update_batch dele_sampler_peek(dele_sampler *d);

void dele_sampler_serialize(dele_sampler *d, size_t updates,
                            dele_training_state *state); /* updates: of the whole run */

#endif
