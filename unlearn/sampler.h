/* Which rows an update gets.
 *
 *   epoch ─ shuffled rows ─ updates ─ groups          a group is what shares one loss: the update,
 *                                                     or with --alpha code --micro-batch rows
 *
 * Every forget row is seen once an epoch, shared out so that the updates differ by at most one row
 * (no small last batch with too much weight).  Beside them are retain rows, `retain_ratio` a forget
 * row (what is left of the batch), drawn in turn from a shuffled permutation, or each again from
 * all of them (open-unlearning's pairing); where there are no retain rows, forget rows take their
 * places.
 *
 * Sequential unlearning (SUGD, arXiv 2503.02443): the forget rows come in chunks, in the order of
 * their file, and each is trained for all its epochs before the next begins, with fresh moments and
 * a schedule of its own.  A plain run is one chunk.  Its authors' program takes 7 retain rows a
 * forget row, a chunk of 32 for 7 epochs, a row's mean NLL times −1 or 0.5 (--loss-weights
 * sequences --objective grad-diff --alpha 3.5 --retain-ratio 7 is that sum, divided); there rows
 * are not shuffled, and a chunk sees the same retain rows in each of its epochs.
 *
 * With --alpha code it is as the published program has it.  Forget and retain rows are one pool,
 * shuffled in every epoch, from which micro-batches are cut without regard to side, the last of an
 * epoch with fewer rows, and each counts the same.  An update is batch/micro of them, counted on
 * across epochs:
 *
 *   epoch 0                  epoch 1
 *   ■■■ ■■■ ■■■ ■■■ ■■■ ■    ■■■ ■■■ ■■■ ■■■ ■■■ ■         16 rows, --micro-batch 3 --batch 12
 *   └── update 0 ─┘ └─ update 1 ───┘ └─ update 2 ─┘        and its epoch is that of its first
 *                                                          micro-batch
 *
 * There are as many updates an epoch as fit in whole, at least one; the run ends with the last,
 * wherever that is. */
#ifndef DELE_SAMPLER_H
#define DELE_SAMPLER_H

#include "base/random.h"
#include "unlearn/micro_batch.h"
#include "unlearn/train_options.h"
#include "unlearn/training_state.h"

/* What would be done, without doing it: sets, updates, rows.  forget and retain as dele_train takes
 * them. */
dele_status dele_train_plan(dele_train_report *plan, const dele_dataset *forget,
                            const dele_dataset *retain, const dele_train_options *o, dele_err *err);

typedef struct {
    const dele_train_options *o;
    const dele_dataset *set[2]; /* by side; forget may be NULL */
    const double *
        nll_before[2]; /* [forget rows] of the row and of its alternate, before training; or NULL */
    dele_rng rng;
    size_t *permutation[2], *joint_permutation; /* rows, shuffled; the pool's from the forget set's
                                                   size on are retain rows */
    size_t drawn;                               /* retain rows so far */
    size_t update;                              /* the next one */
    dele_item *items;                           /* [most an update has] */
    size_t *end;                                /* [most groups it has] */
} dele_sampler;

/* The rows of an update. */
typedef struct {
    dele_item *items;
    size_t n;
    const size_t *end; /* [n_groups] behind the last item of each group */
    size_t n_groups;
    double loss_weight; /* of a group's gradient in the update's */
    int epoch;          /* counted on over chunks */
    size_t step, steps; /* the update's number in its chunk, and how many that has */
} dele_update_batch;

/* Sets and options that dele_train_plan has passed.  Tables are the arena's. */
dele_status dele_sampler_init(dele_sampler *d, const dele_dataset *forget,
                              const dele_dataset *retain, const dele_train_options *o,
                              dele_arena *arena, dele_err *err);

/* The rows of the next update; valid until the next call. */
dele_update_batch dele_sampler_next(dele_sampler *d);

/* Those of the first one, without sampling them: to be asked for before any is sampled. */
dele_update_batch dele_sampler_peek(dele_sampler *d);

void dele_sampler_serialize(dele_sampler *d, size_t updates,
                            dele_training_state *state); /* updates: of the whole run */

#endif
