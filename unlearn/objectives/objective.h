/* Objectives: the losses that unlearning minimises.
 *
 *   L = s γ · L_forget + α · L_retain          s = −1 for objectives that ascend; γ, α: weights
 *
 * Rows come in loss groups: the rows of a group share one loss.  A group is a whole update, or with
 * --alpha code one micro-batch.  A group may exceed one forward pass; then the objective gets it in
 * several packed batches (packed_batch.h).  `tokens` and `sequences` count the whole group before
 * the first packed batch, so the result does not depend on the division.  A sequence is not
 * divided.
 *
 *   rows     turns logits into gradients of L_forget or L_retain, by the side of each row, each
 *            with weight 1, and adds to the two losses
 *   α        is a number, or a function of the group's retain loss (alpha.h): then the retain rows
 *            run first
 *
 * What an objective may also use, with its cost:
 *   reference_nll    −log p of every forget sequence, and of its alternate, under the model before
 *                    training: one forward pass over them, once; a double per sequence is stored
 *   reference_rows   all logits (or hidden states) of the model before training for the rows of
 *                    these sides.  They are too large to store, so they are computed again for
 *                    every packed batch: half of the forward pass's time again, a second table of
 *                    logits, and a second copy of the trained tensors
 *   alternates       another answer to each forget row: instead of its own, or as a second sequence
 *                    of a pair.  Where none are given, an objective that refuses gets refusals
 *                    sampled from a list
 *   at_layer         hidden states of the residual stream after a layer instead of logits: no layer
 *                    above is computed
 *
 * A new objective is one file and one row of the table in objective.c.  docs/objectives.md has all
 * formulas. */
#ifndef DELE_OBJECTIVE_H
#define DELE_OBJECTIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "unlearn/objectives/alpha.h"

typedef enum { DELE_FORGET, DELE_RETAIN } dele_side;
enum { DELE_ON_FORGET = 1, DELE_ON_RETAIN = 2 }; /* bits of a set of sides */

/* Numbers that objectives have; each is an option of the command. */
/* clang-format off */
#define DELE_SETTINGS(X)                                                                           \
    X(GAMMA,           "gamma",           "weight of the forget loss")                             \
    X(BETA,            "beta",            "npo, dpo, idk-dpo: inverse temperature; undial: "       \
                                          "subtracted from the label's logit; wga, satimp: "       \
                                          "exponent of p")                                         \
    X(DELTA,           "delta",           "simnpo: margin, nats per token")                        \
    X(IMPORTANCE,      "importance",      "satimp: exponent of 1 - p")                             \
    X(SKIP,            "skip",            "labels skipped at the start of each forget output")     \
    X(TRAIN_ON_PROMPT, "train-on-prompt", "1: loss on prompt tokens too, where the objective "     \
                                          "needs no label; 0: on outputs only")                    \
    X(SHIFT_LABELS,    "shift-labels",    "rmu, adaptive-rmu, pdu: 1: positions that predict "     \
                                          "the labels; 0: the labels' own positions")              \
    X(BROADCAST,       "broadcast",       "rmu: 1: weight of a token: mean of 1/length over the "  \
                                          "sequences, as open-unlearning's division broadcasts; "  \
                                          "0: --loss-weights")                                     \
    X(MASK_AS_LABEL,   "mask-as-label",   "undial, with --train-on-prompt 1: 1: the prompt's "     \
                                          "labels are token V-100, the mask's -100 as an index; "  \
                                          "0: its tokens")                                         \
    X(RETAIN_KL,       "retain-kl",       "retain term; 0: the objective's own; 1: KL to the "     \
                                          "model before training; 2: KL at every position of a "   \
                                          "row")                                                   \
    X(LAYER,           "at-layer",        "rmu, adaptive-rmu: layer whose output is steered; "     \
                                          "default: 7/32 or 7/8 of the depth; by default, it "     \
                                          "and the two layers below are trained")                  \
    X(STEERING_COEFF,  "steering-coeff",  "rmu: norm of the control vector; adaptive-rmu: "        \
                                          "relative to the mean norm of hidden states")            \
    X(LAMBDA,          "lambda",          "pdu: initial Lagrange multiplier")                      \
    X(ETA,             "eta",             "pdu: step size of the multiplier")                      \
    X(EPSILON,         "epsilon",         "pdu: allowed retain loss")                              \
    X(DUAL_WARMUP,     "dual-warmup",     "pdu: epochs before the multiplier is updated")
/* clang-format on */

typedef enum {
    DELE_NO_SETTING,
#define X(id, name, help) DELE_##id,
    DELE_SETTINGS(X) DELE_N_SETTINGS
#undef X
} dele_setting;

typedef struct {
    dele_setting which;
    double value;
    bool above_zero; /* 0 makes no sense */
} dele_default;

/* A variant's gamma that means half of beta. */
#define DELE_HALF_BETA (-0.5)
/* A default LAYER that means a fraction of the model's depth; dele_layer_of resolves it. */
#define DELE_FRACTION_OF_DEPTH(fraction) (-(fraction))

/* A published implementation with other settings. */
typedef struct {
    const char *name, *alpha; /* alpha NULL: as the objective */
    dele_default settings[6]; /* ends with DELE_NO_SETTING */
} dele_variant;

typedef struct {
    size_t tokens[2], sequences[2]; /* by side; tokens: labels; alternates beside a row
                                       are not counted */
    double inverse_lengths[2];      /* sums of 1 / labels of a sequence, for BROADCAST */
    bool by_sequence; /* a side's loss is the mean of its sequences' token means; else the mean
                         over all its tokens */
    int epoch;
} dele_loss_group;

/* One sequence of a packed batch. */
typedef struct {
    dele_side side;
    bool chosen;      /* the alternate of the sequence before it */
    size_t first, n;  /* its labelled rows */
    double reference; /* its NLL before training, with reference_nll */
} dele_loss_sequence;

/* The labelled rows of one packed batch; those of a sequence are adjacent. */
typedef struct {
    size_t n, width;
    float *x;          /* [n, width] in: logits (width: vocabulary) or states; out: d loss / d x */
    float *reference;  /* [n, width] the same before training, for reference_rows; may be
                          overwritten */
    double *nll;       /* [n] out: −log p(target) */
    const int *target; /* [n] */
    const uint8_t *side;       /* [n] dele_side */
    const double *loss_weight; /* [n] weight of a row in its side's mean; NULL: the mean is over the
                                  side's tokens */
    const dele_loss_sequence *sequence; /* [n_sequences] */
    size_t n_sequences;
    const dele_loss_group *group;
    const double *settings; /* [DELE_N_SETTINGS] */
    const float *steer;     /* [width] at a layer: where forget states are steered to */
} dele_loss_batch;

typedef enum {
    DELE_ALTERNATES_NONE,
    DELE_ALTERNATES_IN_PLACE,
    DELE_ALTERNATES_BESIDE
} dele_alternates;

typedef struct dele_objective {
    const char *name, *summary, *source; /* summary: the formula on one line, for --help */
    void (*rows)(double loss[2], const dele_loss_batch *rows);
    bool needs_forget;    /* false: it learns the one set it is given */
    bool ascends;         /* L_forget is maximised */
    bool retain_optional; /* no retain term: the retain loss is reported and guards against collapse
                           */
    bool pooled;          /* one token mean over both sides */
    bool negates;         /* task vector: the learnt change is subtracted at the end, GAMMA times */
    bool reference_nll, at_layer;
    bool adaptive; /* STEERING_COEFF is relative to the mean norm of the first update's forget
                      states */
    bool refuses;  /* alternates may be refusals; else answers of retain rows (alternates.h) */
    uint8_t reference_rows, train_on_prompt; /* sets of sides; train_on_prompt: where
                                                --train-on-prompt 1 applies */
    uint8_t own_positions; /* sides whose loss, with --shift-labels 0, is taken at the labels' own
                              positions; it uses no target */
    dele_alternates alternates;
    const char *alpha;         /* default weight of the retain loss; NULL: no such term */
    dele_default settings[10]; /* published values; ends with DELE_NO_SETTING */
    dele_variant variants[4];  /* ends with a NULL name */
} dele_objective;

/* The table of objectives in alphabetical order; ce, which only learns, is last. */
/* clang-format off */
#define DELE_OBJECTIVES(X)                                                                  \
    X(adaptive_rmu) X(ceu) X(dpo) X(grad_ascent) X(grad_diff) X(idk) X(idk_dpo) X(joint)   \
    X(kl) X(npo) X(pdu) X(rmu) X(satimp) X(simnpo) X(task_vector) X(undial) X(wga) X(ce)
/* clang-format on */

#define X(name) extern const dele_objective dele_objective_##name;
DELE_OBJECTIVES(X)
#undef X
enum {
    DELE_N_OBJECTIVES = 0
#define X(name) +1
    DELE_OBJECTIVES(X)
#undef X
};

/* By name; the error for an unknown name lists all names. */
const dele_objective *dele_objective_find(const char *name, dele_err *err);
const dele_objective *
dele_objective_at(size_t k); /* the k-th that forgets, in alphabetical order; NULL after the last */

/* Resolves the settings: the objective's defaults, then the variant's (its name may be NULL), then
 * the given ones (not NaN) in `settings`, which receives the result.  Settings that the objective
 * does not have stay NaN; a given one of these is refused by name.  alpha_text in: text of --alpha
 * or NULL; out: the text in force, parsed into alpha. */
dele_status dele_objective_resolve(double settings[DELE_N_SETTINGS], dele_alpha *alpha,
                                   const char **alpha_text, const dele_objective *objective,
                                   const char *variant, dele_err *err);
void dele_objective_defaults(double settings[DELE_N_SETTINGS], const dele_objective *objective);
extern const char *const dele_setting_names[DELE_N_SETTINGS];

/* The layer that LAYER means in a model of n_layers: as given, or the default's fraction of the
 * depth, rounded, at most the last layer. */
int dele_layer_of(double setting, int n_layers);

/* The two weights of a group.  Where they depend on its retain loss (dele_side_weights_wait is
 * true), that loss must be known. */
bool dele_side_weights_wait(const dele_objective *objective, const dele_alpha *alpha);
void dele_side_weights(double weight[2], const dele_objective *objective, const double *settings,
                       dele_alpha *alpha, double retain_loss, const dele_loss_group *group);

/* ---- what objectives share (objective_common.c) ---------------------------------------------- */

/* Weight of row i in its side's mean: 1 / tokens, or with --loss-weights sequences 1 / (sequences ·
 * labels of the row's sequence).  Objectives that are means over sequences (npo, simnpo, dpo) do
 * not use it. */
double dele_loss_weight(const dele_loss_batch *rows, size_t i);

/* Cross-entropy, the mean of each side: logits become (softmax − onehot) · weight. */
void dele_ce_rows(double loss[2], const dele_loss_batch *rows);
void dele_ce_side(double loss[2], const dele_loss_batch *rows, dele_side side);

/* The retain term: cross-entropy, or KL to the model before training where RETAIN_KL is 1. */
void dele_retain_rows(double loss[2], const dele_loss_batch *rows);

/* KL(p_before ‖ p), a token mean over the side's rows. */
void dele_kl_side(double loss[2], const dele_loss_batch *rows, dele_side side);

/* Fills nll for the rows of a side; logits are unchanged. */
void dele_nll_side(const dele_loss_batch *rows, dele_side side);
double
dele_nll_of(const dele_loss_batch *rows,
            const dele_loss_sequence *sequence); /* sum over the sequence, after dele_nll_side */

/* Row i's logits become the gradient of slope · NLL_i. */
void dele_nll_gradient(const dele_loss_batch *rows, size_t i, double slope);
void dele_nll_gradients(const dele_loss_batch *rows, const dele_loss_sequence *sequence,
                        double slope); /* of all its rows */

/* −log σ(x), and σ(x), for any x. */
double dele_minus_log_sigmoid(double x);
double dele_sigmoid(double x);

/* z becomes slope · (softmax(z) − softmax(q)); returns the cross-entropy −Σ softmax(q) log
 * softmax(z) and, where entropy is not NULL, the entropy of softmax(q).  q is overwritten. */
double dele_soft_cross_entropy(float *z, float *q, size_t width, double slope, double *entropy);

#endif
