/* A training run: its data, where its record goes, its options and its report.
 *
 * The structs only point.  Everything that they point to belongs to the caller and must exist until
 * dele_train (trainer.h) returns. */
#ifndef DELE_TRAIN_OPTIONS_H
#define DELE_TRAIN_OPTIONS_H

#include <stdio.h>

#include "base/progress.h"
#include "unlearn/adamw.h"
#include "unlearn/dataset.h"
#include "unlearn/evaluations.h"
#include "unlearn/objectives/objective.h"
#include "unlearn/router_terms.h"
#include "unlearn/schedule.h"

/* The data sets.  For finetune, the forget set is NULL and the retain set is the training set (for
 * an objective that negates, the rows to forget). */
typedef struct {
    const dele_dataset *set[2];     /* by side; the retain set may be NULL where the objective has
                                       no term for it */
    const dele_dataset *alternates; /* row i is the alternate of forget row i, for an objective that
                                       compares the two; else NULL */
    dele_evaluation_data evaluation; /* what is evaluated during training */
} dele_train_data;

/* Where the record of a run goes.  Tables are written line by line.  When a training state is
 * resumed, they are truncated to what that state had written, so they must be open for appending.
 */
typedef struct {
    FILE *steps;       /* a TSV line per update; or NULL */
    FILE *evaluations; /* a TSV line per evaluation; or NULL */
    const char *state; /* file of the training state, which is resumed where it exists; or NULL */
    dele_progress *progress; /* counts rows; or NULL */
} dele_train_output;

/* The mean that a loss is: over all tokens, or over sequences of their token means. */
typedef enum { DELE_LOSS_BY_TOKENS, DELE_LOSS_BY_SEQUENCES } dele_loss_weights;
extern const char *const dele_loss_weights_name[]; /* "tokens", "sequences"; NULL */

/* How retain rows are chosen: in turn from a shuffled permutation, or drawn with replacement. */
typedef enum { DELE_PAIRING_PERMUTATION, DELE_PAIRING_RANDOM } dele_pairing;
extern const char *const dele_pairing_name[]; /* "permutation", "random"; NULL */

typedef struct {
    const dele_objective *objective;
    const double *settings; /* [DELE_N_SETTINGS] resolved; NULL: the objective's defaults */
    dele_alpha alpha;       /* weight of the retain loss */
    dele_adamw_rule adamw;  /* its lr is the peak learning rate */
    dele_schedule schedule; /* of the learning rate over the run */
    dele_loss_weights loss_weights;
    int warmup;            /* updates in which the learning rate rises */
    bool warmup_from_zero; /* the first of these updates has rate 0, as in transformers */
    bool decay_all;        /* weight decay includes norms; transformers' Trainer excludes them */
    int epochs;            /* of each chunk */
    int chunks;            /* parts of the forget set, in file order, trained one after the other */
    int batch;             /* rows per update */
    int retain_ratio;      /* retain rows per forget row */
    dele_pairing pairing;
    int micro_batch;     /* with --alpha code: rows per micro-batch */
    size_t batch_tokens; /* token positions per forward pass */
    double clip;         /* maximum norm of the gradient; 0: no clipping */
    double collapse;     /* rise of the retain loss, in nats, that stops the run; 0: none does */
    dele_router_options router; /* terms on the routers of a mixture of experts */
    int router_projection; /* directions of the retain set's router inputs along which routers do
                              not move (router_projection.h); 0: none */
    dele_evaluation_options evaluations;
    uint64_t seed;
    double save_every; /* seconds between training states, or nine times what saving one took if
                          that is longer; 0: none is saved */
} dele_train_options;

#define DELE_TRAIN_DEFAULTS                                                                        \
    {                                                                                              \
        .alpha = {.mode = DELE_ALPHA_PAPER}, .adamw = DELE_ADAMW_DEFAULTS, .epochs = 5,            \
        .chunks = 1, .batch = 12, .retain_ratio = 1, .micro_batch = 12, .batch_tokens = 1024,      \
        .clip = 1, .collapse = 3, .save_every = 60, .warmup_from_zero = true,                      \
        .evaluations = DELE_EVALUATION_DEFAULTS                                                    \
    }

/* The settings in force: the options', or where they have none the objective's defaults. */
static inline void dele_train_settings(double settings[DELE_N_SETTINGS],
                                       const dele_train_options *o)
{
    if (!o->settings) dele_objective_defaults(settings, o->objective);
    for (int k = 0; o->settings && k < DELE_N_SETTINGS; k++) settings[k] = o->settings[k];
}

/* An update, and the run up to it. */
typedef struct {
    size_t rows, tokens, labels; /* of the run so far */
    double lr;
    double loss[2],
        alpha; /* means over the update's loss groups; NaN where no group has the side */
    double router[DELE_N_ROUTER_TERMS]; /* means over the update's loss groups, of the terms that
                                           there are; not times their coefficients */
    double norm;                        /* of the gradient, before clipping */
} dele_step;

typedef struct {
    size_t rows[2], labels[2];         /* in the data sets, by side */
    size_t updates_per_epoch, updates; /* of the first chunk; of the run */
    size_t rows_in_all, tokens_in_all; /* of the run; tokens are estimated where retain rows are not
                                          used a whole number of times */
    size_t done;                       /* updates in the present weights */
    dele_evaluation start, selected; /* with evaluations: before training; of the present weights */
    dele_evaluation nearest;         /* with evaluations: the state with the smallest excess over
                                        a budget; update 0: none exceeded one */
    dele_evaluation before_after[2]; /* both sets before and after training, scored by job.c; NaN:
                                        not scored */
    bool stopped, enough;  /* ended early; because the forget NLL reached the holdout NLL, otherwise
                              by a budget */
    dele_step first, last; /* the first update and the latest one */
    dele_step before;      /* the update from which this process resumed; zeros: none */
    double kept[2]; /* with router_projection: the smallest and the largest share of the inputs'
                       second moment that the directions of a router hold */
    size_t buffers; /* bytes beside the weights, before activations: as dele_train_count counts */
    double seconds; /* of this process */
} dele_train_report;

#endif
