/* Evaluation during training, early stopping and checkpoint selection.
 *
 * Before the first update, after every `eval_every` updates and after the last one, the data sets
 * are scored as they are in their files: no label is left out, whatever the objective skips.
 *
 *   nll      mean over a set's labels of −log p
 *   exact    fraction of a set's rows whose every label is the most likely token
 *   mmlu     accuracy, continuation style, zero-shot
 *   routes   of a mixture of experts: share of a set's routes that are those before training, a
 * mean over layers (route_drift.h)
 *
 * A state is within the budgets when its forget NLL is a number, its retain NLL is at most
 * `retain_budget` above that of the start, and its MMLU accuracy is at most `mmlu_budget` below.
 *
 * Training stops early after `patience` consecutive evaluations beyond a budget.  It also stops at
 * the first evaluation within the budgets whose forget NLL is at least the holdout NLL, where there
 * is a holdout set: with a higher loss than on rows that were never trained on, the model would
 * reveal by its loss which rows it was made to forget (score/suites/membership.h).
 *
 * Checkpoint selection takes the last state, or the best one: of the evaluated states within the
 * budgets, the start included, the one with the highest forget NLL (ties: the earliest).  Where no
 * state after the start is within the budgets and has a higher forget NLL, there is no best state:
 * the job fails (job.c) and names the nearest one.
 *
 * The published program of Selective Amnesia selects the state with the lowest joint loss,
 * −CE_forget + α CE_retain.  That loss has no lower bound: it falls for as long as the model loses
 * its language, so the most damaged state is selected, and α differs between the states that are
 * compared.  Here the damage is bounded first. */
#ifndef DELE_EVALUATIONS_H
#define DELE_EVALUATIONS_H

#include <math.h>
#include <stdio.h>

#include "score/suites/mmlu.h"
#include "unlearn/dataset.h"
#include "unlearn/objectives/objective.h"
#include "unlearn/param_buffers.h"
#include "unlearn/route_drift.h"
#include "unlearn/trainable.h"

/* The evaluated sets: those of the two sides, and the holdout set: rows like the forget rows, never
 * trained on. */
enum { DELE_HOLDOUT = DELE_RETAIN + 1, DELE_EVALUATED_SETS };

/* What is evaluated; all of it belongs to the caller.  The routes of a set are recorded by its
 * first evaluation, which has to be that of the model before training. */
typedef struct {
    const dele_dataset *set[DELE_EVALUATED_SETS];  /* NULL: not evaluated */
    dele_route_drift *routes[DELE_EVALUATED_SETS]; /* NULL: routes are not compared */
    const dele_mmlu *mmlu;                         /* NULL: not evaluated */
} dele_evaluation_data;

/* Checkpoint selection: which state's weights are the result. */
typedef enum { DELE_SELECT_LAST, DELE_SELECT_BEST } dele_select;
extern const char *const dele_select_name[]; /* "last", "best"; NULL */

typedef struct {
    int eval_every;                    /* updates between evaluations; 0: no evaluations */
    double retain_budget, mmlu_budget; /* in nats per token; in accuracy; NaN: no such budget */
    int patience; /* consecutive evaluations beyond a budget after which training stops */
    dele_select select;
} dele_evaluation_options;

#define DELE_EVALUATION_DEFAULTS                                                                   \
    {                                                                                              \
        .retain_budget = (double)NAN, .mmlu_budget = (double)NAN, .patience = 2                    \
    }

typedef struct {
    size_t update;
    double nll[DELE_EVALUATED_SETS], exact[DELE_EVALUATED_SETS], mmlu; /* NaN: not evaluated */
    double routes[DELE_EVALUATED_SETS];                                /* NaN: not compared */
    bool within;
} dele_evaluation;

typedef struct {
    const dele_evaluation_options *o;
    const dele_evaluation_data *data;
    const dele_model *model;  /* what is evaluated */
    const dele_model *params; /* what is trained: the model, or the table of its adapters */
    size_t batch_tokens;
    FILE *table; /* a TSV line per evaluation; the caller sets it after init, or leaves it NULL */
    dele_evaluation start, last, best;
    dele_evaluation nearest; /* of the states beyond a budget, the one with the smallest excess;
                                update 0: there is none */
    float **best_weights;    /* of params; NULL: the last state is selected */
    int beyond;              /* consecutive evaluations beyond a budget */
    bool enough, stop;       /* the forget NLL reached the holdout NLL; training is to end */
} dele_evaluations;

/* An evaluation without a score. */
dele_evaluation dele_evaluation_none(size_t update);

/* Evaluates `data` with forward passes of batch_tokens positions.  The arena owns the best weights;
 * everything else belongs to the caller and must exist as long as c. */
dele_status dele_evaluations_init(dele_evaluations *c, const dele_evaluation_options *o,
                                  const dele_evaluation_data *data, const dele_trainable *trainable,
                                  size_t batch_tokens, dele_arena *arena, dele_err *err);

/* Evaluates the model after `update` of `updates`, where an evaluation is due; sets stop where
 * training is to end. */
dele_status dele_evaluations_run(dele_evaluations *c, size_t update, size_t updates, dele_err *err);

/* The evaluation of the selected state.  Where that is the best one, its weights are restored. */
const dele_evaluation *dele_evaluations_select(const dele_evaluations *c);

/* updates: of the whole run. */
void dele_evaluations_serialize(dele_evaluations *c, size_t updates, dele_training_state *state);

/* How far a state is beyond a budget, in nats and in accuracy; 0: within it, or there is no such
 * budget; infinite for a score that is not a number. */
double dele_retain_excess(const dele_evaluation *check, const dele_evaluation *start,
                          const dele_evaluation_options *o);
double dele_mmlu_excess(const dele_evaluation *check, const dele_evaluation *start,
                        const dele_evaluation_options *o);

/* Evaluates one set: mean NLL per label, and the fraction of exact rows; routes (or NULL) has its
 * next evaluation. */
dele_status dele_evaluate_set(double *nll, double *exact, dele_route_drift *routes,
                              const dele_model *model, const dele_dataset *set, size_t batch_tokens,
                              dele_err *err);

/* Bytes that it takes with passes of this size. */
size_t dele_evaluate_bytes(const dele_model *model, const dele_pass_size *size);

/* Scores the sets [0, n_sets) of data, those that are not NULL. */
dele_status dele_evaluate_sets(dele_evaluation *score, const dele_evaluation_data *data, int n_sets,
                               const dele_model *model, size_t batch_tokens, dele_err *err);

#endif
