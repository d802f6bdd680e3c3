/* Evaluating a model while it trains, and checkpoint selection.
 *
 * Before the first update, after every so many and after the last, both sets are scored as they are
 * in their files: no label is left out, whatever the objective skips.
 *
 *   nll      mean over a set's labels of −log p
 *   exact    share of its rows whose every label is the most likely after the ones before it
 *   mmlu     accuracy, continuation style without examples
 *
 * A state is within the budgets when its forget nll is a number, its retain nll is at most
 * `retain_budget` above the start's, and its mmlu at most `mmlu_budget` below.  Training stops
 * after `patience` evaluations in a row beyond them, and at the first evaluation within them where
 * the forget nll is at least that of the holdout rows, where there are any: beyond that the model
 * would tell by its surprise what it was made to forget (score/membership.h).  Kept is the last
 * state, or the best one: of those checked and within the budgets, the start among them, that with
 * the highest forget nll; of equals the earliest.  Where no state but the start's is within them,
 * or none of those has a higher forget nll, there is no best state: the job fails (job.c) and names
 * the nearest one.
 *
 * The published program of Selective Amnesia keeps the state with the lowest joint loss, −CE_forget
 * + α CE_retain.  That has no lower bound: it falls for as long as the model forgets how to speak,
 * so the state that has gone furthest astray wins, and α differs between the states that are
 * compared.  Here the damage is bounded first. */
#ifndef DELE_EVALUATIONS_H
#define DELE_EVALUATIONS_H

#include <math.h>

#include "score/mmlu.h"
#include "unlearn/dataset.h"
#include "unlearn/objectives/objective.h"
#include "unlearn/param_buffers.h"

/* By side, and behind them rows like the forget rows that the model never saw. */
enum { DELE_HOLDOUT = DELE_RETAIN + 1, DELE_EVALUATED_SETS };

typedef struct {
    int eval_every;                               /* updates; 0: never */
    const dele_dataset *set[DELE_EVALUATED_SETS]; /* NULL: not evaluated */
    const dele_mmlu *mmlu;                        /* NULL: not asked */
    double retain_budget, mmlu_budget; /* nats a token; of accuracy; NaN: no such budget */
    int patience;
    bool best;   /* else the last state is kept */
    FILE *table; /* a line an evaluation; or NULL */
} dele_evaluation_options;

#define DELE_EVALUATION_DEFAULTS                                                                   \
    {                                                                                              \
        .retain_budget = (double)NAN, .mmlu_budget = (double)NAN, .patience = 2                    \
    }

typedef struct {
    size_t update;
    double nll[DELE_EVALUATED_SETS], exact[DELE_EVALUATED_SETS], mmlu; /* NaN: not evaluated */
    bool within;
} dele_evaluation;

typedef struct {
    const dele_evaluation_options *o;
    const dele_model *model, *moving;
    size_t batch_tokens;
    dele_evaluation start, last, best;
    dele_evaluation nearest; /* of the states beyond a budget, that with the smallest excess; update
                                0: none was */
    float **best_weights;    /* NULL: not wanted */
    int beyond;              /* evaluations in a row */
    bool enough, stop;
} dele_evaluations;

/* moving: what of the model moves, itself or its adapters' table (lora.h); the best of that is
 * kept, in room of the arena's. */
dele_status dele_evaluations_init(dele_evaluations *c, const dele_evaluation_options *o,
                                  const dele_model *model, const dele_model *moving,
                                  const dele_mask *mask, size_t batch_tokens, dele_arena *arena,
                                  dele_err *err);

/* Evaluates the model after `update` of `updates`, where an evaluation is due; sets stop where
 * training is to end. */
dele_status dele_evaluations_run(dele_evaluations *c, size_t update, size_t updates, dele_err *err);

/* What the weights are to be in the end: the best ones are put back, into what moves, where they
 * are wanted. */
const dele_evaluation *dele_evaluations_select(const dele_evaluations *c);

void dele_evaluations_serialize(dele_evaluations *c, size_t updates,
                                dele_training_state *state); /* updates: of the whole run */

/* How far a state is beyond the budgets, in nats and in accuracy; 0: within, or there is no such
 * budget. */
double dele_retain_excess(const dele_evaluation *check, const dele_evaluation *start,
                                const dele_evaluation_options *o);
double dele_mmlu_excess(const dele_evaluation *check, const dele_evaluation *start,
                              const dele_evaluation_options *o);

/* Evaluates one set: mean NLL a label, and the share of exact rows. */
dele_status dele_evaluate_set(double *nll, double *exact, const dele_model *model,
                              const dele_dataset *set, size_t batch_tokens, dele_err *err);

#endif
