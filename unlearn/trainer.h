/* The training loop: rows in, changed tensors out.
 *
 *   epoch ─ shuffled rows ─ updates ─ groups ─ pieces          one forward and backward a piece
 *                              │         └ rows that share one loss: the update, or with --alpha code --micro rows
 *                              └ one AdamW step
 *
 * A piece is as many sequences as fit into batch_tokens, laid end to end as segments: nothing is padded.  Labels are
 * counted before a group begins, so every token's weight in the mean is known, and where the group is cut changes the
 * result only by rounding.
 *
 * α must be known before the forget and retain gradients are added up, and it depends on the group's retain loss:
 *   - a group of one piece runs once: logits, losses, α, then the weighted gradient of all its rows goes down together;
 *   - else the retain rows run first, into a second gradient buffer (of the masked tensors only); their loss gives α,
 *     the buffer is added α times, and the forget rows follow straight into the sum.  Both ways are exact, and no
 *     forward pass is repeated.
 *
 * Rows of an epoch.  Every forget row is seen once, shared out so that the updates differ by at most one row (no small
 * last batch with too much weight).  Beside them stand batch/2 retain rows, drawn round and round from a shuffled
 * deck; where there are no retain rows, forget rows take their places.  With --alpha code, forget and retain rows are one
 * shuffled pool, micro-batches are cut from it without regard to side, and the left-over ones count as the full ones do,
 * as in the published program.
 *
 * Divergence.  Before each step the weights that just gave a finite loss are kept aside.  A loss or gradient that is
 * not finite, or a kept-side loss (retain; all when learning) whose mean over the last eight updates exceeds that of
 * the first update by `collapse` nats, stops the run with LAC_ERR_DIVERGED; the weights go back to the last kept. */
#ifndef LAC_TRAINER_H
#define LAC_TRAINER_H

#include <stdio.h>

#include "base/progress.h"
#include "base/random.h"
#include "unlearn/adamw.h"
#include "unlearn/piece.h"

typedef struct {
    const lac_objective *objective;
    const double *settings; /* [LAC_N_SETTINGS] resolved; NULL: the objective's own */
    const lac_dataset *alternates; /* row by row beside forget, for an objective that wants them so */
    lac_alpha alpha;
    lac_adamw_rule adamw; /* its lr is the highest */
    bool constant_lr;     /* else it falls linearly to 0 over the run */
    int warmup;           /* updates over which lr rises */
    int epochs;
    int batch;            /* rows an update */
    int micro;            /* --alpha code: rows a micro-batch */
    size_t batch_tokens;  /* rows of one forward pass */
    double clip;          /* norm of the gradient; 0: not clipped */
    double collapse;      /* nats; 0: never */
    uint64_t seed;
} lac_train_options;

#define LAC_TRAIN_DEFAULTS                                                                                        \
    {.alpha = {.mode = LAC_ALPHA_PAPER}, .adamw = LAC_ADAMW_DEFAULTS, .epochs = 5, .batch = 12, .micro = 12,      \
     .batch_tokens = 1024, .clip = 1, .collapse = 3}

typedef struct {
    size_t rows, tokens, labels;       /* so far */
    double lr, loss[2], alpha;         /* of the update: means over its groups, NaN where none has the side */
    double norm;                       /* of the gradient, before clipping */
} lac_step;

typedef struct {
    size_t rows[2], labels[2];         /* in the sets */
    size_t updates_per_epoch, updates; /* in all */
    size_t rows_in_all;
    size_t done;                       /* updates in the weights as they are now */
    lac_step first, last;
    double seconds;
} lac_train_report;

/* What would be done, without doing it: sets, updates, rows. */
lac_status lac_train_plan(lac_train_report *plan, const lac_dataset *forget, const lac_dataset *retain,
                          const lac_train_options *o, lac_err *err);

/* Trains the masked tensors of the model in place.  forget is NULL when only learning: retain is then what is learnt (and
 * for an objective that negates, what is forgotten).  retain may be NULL where the objective has no term for it.
 * steps (may be NULL) receives a TSV line an update. */
lac_status lac_train(lac_train_report *report, lac_model *model, const lac_mask *mask, const lac_dataset *forget,
                     const lac_dataset *retain, const lac_train_options *o, FILE *steps, lac_progress *progress,
                     lac_err *err);

#endif
