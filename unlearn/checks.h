/* Looking at a model while it trains, and which of its states is kept.
 *
 * Before the first update, after every so many and after the last, both sets are scored as they stand in their files: no
 * label is left out, whatever the objective skips.
 *
 *   nll      mean over a set's labels of −log p
 *   exact    share of its rows whose every label is the likeliest behind the ones before it
 *   mmlu     accuracy, continuation style without examples
 *
 * A state is within the budgets when its forget nll is a number, its retain nll is at most `retain_budget` above the start's, and its mmlu at most
 * `mmlu_budget` below.  Training stops after `patience` checks in a row beyond them, and at the first check within them
 * where the forget nll is at least that of the unseen rows, where there are any: beyond that the model would tell by its
 * surprise what it was made to forget (score/membership.h).  Kept is the last state, or the best
 * one: of those checked and within the budgets, the start among them, that with the highest forget nll; of equals the
 * earliest.  Where no state but the start's is within them, or none of those has a higher forget nll, there is no best
 * state: the job fails (job.c) and names the nearest one.
 *
 * The published program of Selective Amnesia keeps the state with the lowest joint loss, −CE_forget + α CE_retain.  That
 * has no lower bound: it falls for as long as the model forgets how to speak, so the state that has gone furthest astray
 * wins, and α differs between the states that are compared.  Here the damage is bounded first. */
#ifndef DELE_CHECKS_H
#define DELE_CHECKS_H

#include <math.h>

#include "score/mmlu.h"
#include "unlearn/dataset.h"
#include "unlearn/objective.h"
#include "unlearn/weights.h"

/* By side, and behind them rows like those to forget that the model never saw. */
enum { DELE_UNSEEN = DELE_RETAIN + 1, DELE_CHECKED_SETS };

typedef struct {
    int every;                 /* updates; 0: never */
    const dele_dataset *set[DELE_CHECKED_SETS]; /* NULL: not looked at */
    const dele_mmlu *mmlu;      /* NULL: not asked */
    double retain_budget, mmlu_budget; /* nats a token; of accuracy; NaN: no such budget */
    int patience;
    bool best;                 /* else the last state is kept */
    FILE *table;               /* a line a check; or NULL */
} dele_check_options;

#define DELE_CHECK_DEFAULTS {.retain_budget = (double)NAN, .mmlu_budget = (double)NAN, .patience = 2}

typedef struct {
    size_t update;
    double nll[DELE_CHECKED_SETS], exact[DELE_CHECKED_SETS], mmlu; /* NaN: not looked at */
    bool within;
} dele_check;

typedef struct {
    const dele_check_options *o;
    const dele_model *model, *moving;
    size_t batch_tokens;
    dele_check start, last, best;
    dele_check nearest;   /* of the states beyond a budget, that with the smallest excess; update 0: none was */
    float **best_weights; /* NULL: not wanted */
    int beyond;           /* checks in a row */
    bool enough, stop;
} dele_checks;

/* moving: what of the model moves, itself or its adapters' table (lora.h); the best of that is kept, in room of the
 * arena's. */
dele_status dele_checks_init(dele_checks *c, const dele_check_options *o, const dele_model *model, const dele_model *moving,
                           const dele_mask *mask, size_t batch_tokens, dele_arena *arena, dele_err *err);

/* Looks at the model after `update` of `updates`, where a check is due; sets stop where training is to end. */
dele_status dele_checks_look(dele_checks *c, size_t update, size_t updates, dele_err *err);

/* What the weights are to be in the end: the best ones are put back, into what moves, where they are wanted. */
const dele_check *dele_checks_choose(const dele_checks *c);

void dele_checks_remember(dele_checks *c, size_t updates, dele_tape *tape); /* updates: of the whole run */

/* How far a state is beyond the budgets, in nats and in accuracy; 0: within, or there is no such budget. */
double dele_check_retain_excess(const dele_check *check, const dele_check *start, const dele_check_options *o);
double dele_check_mmlu_excess(const dele_check *check, const dele_check *start, const dele_check_options *o);

/* One look at one set: mean NLL a label, and the share of exact rows. */
dele_status dele_check_set(double *nll, double *exact, const dele_model *model, const dele_dataset *set, size_t batch_tokens,
                         dele_err *err);

#endif
