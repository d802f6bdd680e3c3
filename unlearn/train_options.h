/* What training is told, and what it tells. */
#ifndef DELE_TRAIN_OPTIONS_H
#define DELE_TRAIN_OPTIONS_H

#include "unlearn/adamw.h"
#include "unlearn/dataset.h"
#include "unlearn/evaluations.h"
#include "unlearn/lora.h"
#include "unlearn/objectives/objective.h"
#include "unlearn/schedule.h"

typedef struct {
    const dele_objective *objective;
    const double *settings; /* [DELE_N_SETTINGS] resolved; NULL: the objective's own */
    const dele_dataset
        *alternates; /* row by row beside forget, for an objective that wants them so */
    dele_lora
        *lora; /* adapters that move in the place of the tensors they are beside; NULL: none */
    dele_alpha alpha;
    dele_adamw_rule adamw;  /* its lr is the highest */
    dele_schedule schedule; /* of lr over the run */
    bool by_sequence; /* a loss is the mean of its sequences' own token means; else of all tokens */
    int warmup;       /* updates over which lr rises */
    bool warmup_from_zero; /* the first of them has rate 0, as in transformers */
    bool decay_all; /* weight decay takes norms too; else not, as transformers' Trainer has it */
    int epochs;     /* of every chunk */
    int chunks; /* the forget rows, in their order, in so many parts, one trained after the other */
    int batch;  /* rows an update */
    int retain_ratio;    /* retain rows a forget row */
    bool random_pairs;   /* retain rows drawn with replacement; else in turn from a shuffled
                            permutation */
    int micro_batch;     /* --alpha code: rows a micro-batch */
    size_t batch_tokens; /* rows of one forward pass */
    double clip;         /* norm of the gradient; 0: not clipped */
    double collapse;     /* nats; 0: never */
    dele_evaluation_options evaluations;
    uint64_t seed;
    const char *state; /* file to resume from, and to write the state of the run to; NULL: none */
    double save_every; /* seconds, or nine times what writing took if that is longer; 0: never */
} dele_train_options;

#define DELE_TRAIN_DEFAULTS                                                                        \
    {                                                                                              \
        .alpha = {.mode = DELE_ALPHA_PAPER}, .adamw = DELE_ADAMW_DEFAULTS, .epochs = 5,            \
        .chunks = 1, .batch = 12, .retain_ratio = 1, .micro_batch = 12, .batch_tokens = 1024,      \
        .clip = 1, .collapse = 3, .save_every = 60, .warmup_from_zero = true,                      \
        .evaluations = DELE_EVALUATION_DEFAULTS                                                    \
    }

typedef struct {
    size_t rows, tokens, labels; /* so far */
    double lr, loss[2],
        alpha;   /* of the update: means over its groups, NaN where none has the side */
    double norm; /* of the gradient, before clipping */
} dele_step;

typedef struct {
    size_t rows[2], labels[2];         /* in the sets */
    size_t updates_per_epoch, updates; /* (of the first chunk); in all */
    size_t rows_in_all, tokens_in_all; /* tokens: about, where retain rows do not go round a whole
                                          number of times */
    size_t done;                       /* updates in the weights as they are now */
    dele_evaluation start,
        selected; /* with evaluations: before, and of the weights as they are now */
    dele_evaluation
        nearest; /* with evaluations: the state least beyond a budget; update 0: none was beyond */
    dele_evaluation
        before_after[2];  /* both sets as they stand, scored by the job; NaN: not scored */
    bool stopped, enough; /* before its end; because enough was forgotten, else by a budget */
    dele_step first, last;
    dele_step before; /* where an earlier process left off; zeroed when there was none */
    double seconds;   /* of this process */
} dele_train_report;

#endif
