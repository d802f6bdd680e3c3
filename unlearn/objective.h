/* Objectives: what training minimises.
 *
 *   L = s γ · L_forget + α · L_retain          s = −1 for those that ascend, γ and α the weights
 *
 * Rows come in groups.  A group is what shares one loss: a whole update, or with --alpha code one
 * micro-batch.  It may be too large for one forward pass, so it reaches the objective in
 * micro-batches; `tokens` and `sequences` count the whole group, known before the first
 * micro-batch, and make the result independent of how it was cut.  A sequence is never cut.
 *
 *   rows     turns logits into gradients of L_forget or L_retain, whichever side a row is on, each
 *            as if its weight were 1, and adds to the two losses;
 *   α        is a number, or follows the group's retain loss (alpha.h): then the retain rows run
 *            first.
 *
 * What else an objective may ask for, each at a price:
 *   reference_nll    −log p of every sequence to forget, and of its alternate, under the model
 *                    before training: one forward pass over them, once; a double a sequence is
 *                    kept;
 *   reference_rows   the logits (or states) of the model before training, for the rows of these
 *                    sides, whole.  Too large to keep, so they are computed again for every
 *                    micro-batch: half as much again of the forward pass's time, one more table of
 *                    logits, and a second copy of the tensors that train (only those);
 *   alternates       another answer to each forget row: in its place, or beside it as a second
 *                    sequence of the pair; where none are given, an objective that refuses has them
 *                    drawn from a list of refusals;
 *   at_layer         states of the residual stream after a layer in the place of logits: nothing
 *                    above is computed.
 *
 * A new objective is one file and one row of the table in objective.c; docs/objectives.md has them
 * all. */
#ifndef DELE_OBJECTIVE_H
#define DELE_OBJECTIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "unlearn/alpha.h"

typedef enum { DELE_FORGET, DELE_RETAIN } dele_side;
enum { DELE_ON_FORGET = 1, DELE_ON_RETAIN = 2 }; /* sets of sides */

/* Numbers that objectives have, as options of the command. */
/* clang-format off */
#define DELE_SETTINGS(X)                                                                           \
    X(GAMMA,           "gamma",           "weight of the forget loss")                             \
    X(BETA,            "beta",            "npo, dpo, idk-dpo: inverse temperature; undial: "       \
                                          "taken from the label's logit; wga, satimp: power of p") \
    X(DELTA,           "delta",           "simnpo: margin, nats a token")                          \
    X(IMPORTANCE,      "importance",      "satimp: power of 1 - p")                                \
    X(SKIP,            "skip",            "first labels of a forget row that carry no loss")       \
    X(TRAIN_ON_PROMPT, "train-on-prompt", "1: train on the prompt too, where the formula names "   \
                                          "no label; 0: on outputs alone")                         \
    X(SHIFT_LABELS,    "shift-labels",    "rmu, adaptive-rmu, pdu: 1: positions that predict the "  \
                                          "labels; 0: the labels' own positions")                  \
    X(BROADCAST,       "broadcast",       "rmu: 1: each token weighs the mean of 1/length over the "\
                                          "sequences, as open-unlearning's division broadcasts; "  \
                                          "0: --loss-weights")                                     \
    X(MASK_AS_LABEL,   "mask-as-label",   "undial, with --train-on-prompt 1: 1: the prompt's "     \
                                          "labels are token V-100, the mask's -100 as an index; "  \
                                          "0: its tokens")                                         \
    X(RETAIN_KL,       "retain-kl",       "the retain term; 0: its own loss; 1: KL to the model "  \
                                          "before training; 2: KL at every position of a row")     \
    X(LAYER,           "at-layer",        "rmu, adaptive-rmu: the layer whose output is "          \
                                          "steered; default 7/32 or 7/8 of the model's layers; "   \
                                          "unless told, it and the two below may change")          \
    X(STEERING_COEFF,  "steering-coeff",  "rmu: norm of the control vector; adaptive-rmu: "        \
                                          "relative to the mean norm of states")                   \
    X(LAMBDA,          "lambda",          "pdu: the multiplier at the start")                      \
    X(ETA,             "eta",             "pdu: step of the multiplier")                           \
    X(EPSILON,         "epsilon",         "pdu: the retain loss that is allowed")                  \
    X(DUAL_WARMUP,     "dual-warmup",     "pdu: epochs before the multiplier moves")
/* clang-format on */

typedef enum {
    DELE_NO_SETTING,
#define X(id, name, help) DELE_##id,
    DELE_SETTINGS(X)
#undef X
        DELE_N_SETTINGS
} dele_setting;

typedef struct {
    dele_setting which;
    double value;
    bool above_zero; /* 0 makes no sense */
} dele_default;

/* What a variant may say of gamma: half of the beta in force. */
#define DELE_HALF_BETA (-0.5)
/* What a default may say of LAYER: that share of the model's layers, until dele_layer_of knows how
 * many there are. */
#define DELE_SHARE_OF_DEPTH(loss_weight) (-(loss_weight))

/* Settings under a name: a published recipe that differs. */
typedef struct {
    const char *name, *alpha; /* alpha NULL: as the objective */
    dele_default settings[6]; /* ends with DELE_NO_SETTING */
} dele_variant;

typedef struct {
    size_t tokens[2], sequences[2]; /* by side; tokens are labelled ones; alternates beside are
                                       counted in neither */
    double inverse_lengths[2];      /* sums of 1 / labels of a sequence, for BROADCAST */
    bool by_sequence; /* a side's mean is over its sequences' own token means; else over all its
                         tokens */
    int epoch;
} dele_loss_group;

/* One sequence of a micro-batch. */
typedef struct {
    dele_side side;
    bool chosen;      /* the alternate of the sequence before it */
    size_t first, n;  /* its labelled rows */
    double reference; /* its NLL before training, with reference_nll */
} dele_loss_sequence;

/* The labelled rows of one micro-batch, those of a sequence side by side. */
typedef struct {
    size_t n, width;
    float *x;         /* [n, width] in: logits, of vocabulary width, or states; out: d loss / d x */
    float *reference; /* [n, width] the same before training, on the sides asked for; may be written
                         over */
    double *nll;      /* [n] room for −log p(target) */
    const int *target;         /* [n] */
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
    bool ascends;         /* L_forget is to grow */
    bool retain_optional; /* no term for them: their loss is shown, and guards against a collapse */
    bool pooled;          /* weights by tokens: one mean over both sides */
    bool negates;         /* what was learnt is subtracted at the end, GAMMA times */
    bool reference_nll, at_layer;
    bool
        adaptive; /* STEER counts in mean lengths of the states of the first update's forget rows */
    bool refuses; /* refusals will do for alternates; else answers of retain rows (alternates.h) */
    uint8_t reference_rows, train_on_prompt; /* sets of sides; whole: those that --train-on-prompt 1
                                                takes with their prompts */
    uint8_t own_positions; /* set of sides that --shift-labels 0 takes at the labels' own positions;
                              their loss looks at no target */
    dele_alternates alternates;
    const char *alpha;        /* default weight of the retain loss; NULL: it has none */
    dele_default settings[10]; /* those it has, as published; ends with DELE_NO_SETTING */
    dele_variant variants[4]; /* ends with a NULL name */
} dele_objective;

/* The table of objectives, by alphabet; ce, which only learns, last. */
/* clang-format off */
#define DELE_OBJECTIVES(X)                                                                                   \
    X(adaptive_rmu) X(ceu) X(dpo) X(grad_ascent) X(grad_diff) X(idk) X(idk_dpo) X(joint) X(kl) X(npo) X(pdu) \
    X(rmu) X(satimp) X(simnpo) X(task_vector) X(undial) X(wga) X(ce)
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

/* By name; a wrong one is told which there are. */
const dele_objective *dele_objective_find(const char *name, dele_err *err);
const dele_objective *
dele_objective_at(size_t k); /* the k-th that forgets, by alphabet; NULL behind the last */

/* Settings in force: the objective's, the variant's (name may be NULL), then those given (not NaN)
 * in settings, which receives all of them; those that the objective lacks stay NaN.  alpha: text of
 * --alpha or NULL in, its reading out.  One given that the objective lacks is refused by name. */
dele_status dele_objective_resolve(double settings[DELE_N_SETTINGS], dele_alpha *alpha,
                                   const char **alpha_text, const dele_objective *objective,
                                   const char *variant, dele_err *err);
void dele_objective_defaults(double settings[DELE_N_SETTINGS], const dele_objective *objective);
extern const char *const dele_setting_names[DELE_N_SETTINGS];

/* LAYER as a layer of a model of so many: as given, or a default's share of them, rounded, the last
 * at most. */
int dele_layer_of(double setting, int n_layers);

/* The two weights, once the group's retain loss is known.  Where they do not depend on it
 * (weights_wait false) it is not looked at. */
bool dele_side_weights_wait(const dele_objective *objective, const dele_alpha *alpha);
void dele_side_weights(double weight[2], const dele_objective *objective, const double *settings,
                       dele_alpha *alpha, double retain_loss, const dele_loss_group *group);

/* ---- what objectives share (objective_common.c) ---------------------------------------------- */

/* Weight of row i in its side's mean: 1 / tokens, or with --loss-weights sequences 1 / (sequences ·
 * the row's own sequence's labels).  Objectives that are means over sequences already (npo, simnpo,
 * dpo) are none the wiser. */
double dele_loss_weight(const dele_loss_batch *rows, size_t i);

/* Cross-entropy, the mean of each side: logits become (softmax − onehot) · share. */
void dele_ce_rows(double loss[2], const dele_loss_batch *rows);
void dele_ce_side(double loss[2], const dele_loss_batch *rows, dele_side side);

/* The retain rows by cross-entropy, or by KL to the model before where RETAIN_KL is 1. */
void dele_retain_rows(double loss[2], const dele_loss_batch *rows);

/* KL(p_before ‖ p), a token mean over the side's rows. */
void dele_kl_side(double loss[2], const dele_loss_batch *rows, dele_side side);

/* Fills nll for the rows of a side; logits stay. */
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
 * softmax(z) and, where wanted, the entropy of softmax(q).  q is written over. */
double dele_soft_cross_entropy(float *z, float *q, size_t width, double slope, double *entropy);

#endif
