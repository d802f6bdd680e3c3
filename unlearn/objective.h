/* Objectives: what training minimises.
 *
 *   L = w_forget · L_forget + w_retain · L_retain
 *
 * Rows come in groups.  A group is what shares one loss: a whole update, or with --alpha code one micro-batch.  It may
 * be too large for one forward pass, so it reaches the objective in pieces; `tokens` and `sequences` count the whole
 * group, known before the first piece, and make the result independent of how it was cut.
 *
 *   rows     turns logits into gradients of L_forget or L_retain, whichever side a row is on, each as if its weight
 *            were 1, and adds to the two losses;
 *   weigh    gives the two weights once the group's retain loss is known (retain rows run first).  Where the weights do
 *            not depend on it (weights_wait false), it is called before the group.
 *
 * A new objective is one file and one row of the table in objective.c. */
#ifndef LAC_OBJECTIVE_H
#define LAC_OBJECTIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "unlearn/alpha.h"

typedef enum { LAC_FORGET, LAC_RETAIN } lac_side;

typedef struct {
    size_t tokens[2], sequences[2]; /* by side; tokens are labelled ones */
    int epoch;
} lac_group;

/* The labelled rows of one piece.  n_sequences sequences, each wholly in this piece, its rows side by side. */
typedef struct {
    size_t n, vocab;
    float *logits;        /* [n, vocab] in; out: d loss / d logits */
    double *nll;          /* [n] out: -log p(target) */
    const int *target;    /* [n] */
    const int *sequence;  /* [n] index within the piece */
    const uint8_t *side;  /* [n] lac_side */
    const lac_group *group;
} lac_rows;

typedef struct lac_objective {
    const char *name, *summary;
    bool needs_forget;
    void (*rows)(double loss[2], const lac_rows *rows);
    bool (*weights_wait)(const lac_alpha *alpha);
    void (*weigh)(double weight[2], lac_alpha *alpha, double retain_loss, const lac_group *group);
} lac_objective;

extern const lac_objective lac_objective_ce, lac_objective_joint;

/* By name; a wrong one is told which there are. */
const lac_objective *lac_objective_find(const char *name, lac_err *err);

/* Cross-entropy, shared by objectives: logits become (softmax − onehot) / tokens of the row's side. */
void lac_ce_rows(double loss[2], const lac_rows *rows);

#endif
