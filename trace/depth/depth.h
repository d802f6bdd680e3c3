/* The depth score (UDS): is a fact gone from a model, or only no longer said?
 *
 * Three models of one shape: *full* was taught the facts, *retain* never saw them, *unlearned* was
 * full and shall have forgotten.  A row is a question and its answer, T of whose tokens y are the
 * *entity*: what must be known to say them.  The full model reads question and answer, but behind
 * layer l its states are another model's; the upper layers of the full model, which know how to say
 * the fact, then find in them what that model's lower layers have brought along.
 *
 *   s_M        = (1/T) sum_t log p_M(y_t | question, y_<t)                     nats a token, model
 *              M alone
 *   D1(l)      = s_full - s_full with retain's states behind layer l           what is missing
 *              without the fact
 *   D2(l)      = s_full - s_full with unlearned's states behind layer l        what is missing
 *              after unlearning
 *   UDS(row)   = sum_l D1 clip(D2 / D1, 0, 1)  /  sum_l D1                     over the layers with
 *                                                 D1(l) > threshold
 *
 * and the score is the mean over rows: 0, the unlearned model's states serve as well as the full
 * one's; 1, they are as bad as those of a model that never knew.  "Measuring the depth of LLM
 * unlearning via activation patching" (Lee, Kim, Jo 2026, arXiv 2605.24614) and its code
 * (gnueaj/unlearning-depth-score, compute_uds.py).
 *
 * As published: states are those that leave a decoder layer; they are put in at the rows that
 * predict the entity's tokens (the one before the first to the one before the last) and nowhere
 * else, so that above layer l the full model still attends to its own keys and values of the
 * question; D is a mean over tokens, not a sum; the threshold is 0.05; a row in which no layer
 * passes it has no score and is left out of the mean; a row whose answer does not hold its entity
 * is left out altogether; the entity's first occurrence counts.
 *
 * Chosen here: without a field that names the entity all of the answer's tokens are it (the paper's
 * data set names one in each row; its code has this as an option); prompt and answer are laid out
 * as deleatur finetune lays them out (the paper's "Question: ...\nAnswer:" is --template);
 * positions ALL puts states in at every row instead.  Then nothing of the full model below layer l
 * has a part in the answer.  With ENTITY (the default, and what others' numbers are) the full
 * model's own question rows can still bring the fact above layer l, so that early layers show
 * little.  With either, the last layer's D is the whole difference between two models that share
 * the last norm and the head.
 *
 * Beside it *surface*: the same clipped share at the models' own outputs, clip((s_full -
 * s_unlearned) / (s_full - s_retain), 0, 1), over rows where the denominator passes the threshold.
 * A surface near 1 with a low UDS is a fact that is there and not said.
 *
 * A state put in at layer l makes all below it at that row irrelevant: such a run begins behind
 * layer l, from the other model's states, and reads the full model's own keys and values of the
 * rows before (forward.h: a segment that joins late).  Runs of all layers, both sources and many
 * rows share batches.  States that equal the full model's bit for bit change nothing, and are not
 * run: an unlearned model whose lowest k layers were frozen has D2 = 0 there, exactly.  `reference`
 * computes each layer by a whole pass from the tokens up instead. */
#ifndef DELE_TRACE_DEPTH_H
#define DELE_TRACE_DEPTH_H

#include "base/items.h"
#include "base/progress.h"
#include "base/stat.h"
#include "model/forward.h"
#include "text/chat.h"

enum { DELE_DEPTH_FULL, DELE_DEPTH_RETAIN, DELE_DEPTH_UNLEARNED, DELE_N_DEPTH_MODELS };
extern const char
    *const dele_depth_model_name[DELE_N_DEPTH_MODELS]; /* "full", "retain", "unlearned" */

/* Which rows get another model's states: those that predict the entity's tokens, as published, or
 * all. */
typedef enum { DELE_POSITIONS_ENTITY, DELE_POSITIONS_ALL } dele_depth_positions;
extern const char *const dele_depth_positions_name[]; /* "entity", "all"; NULL */

typedef struct {
    dele_depth_positions positions;
    double threshold;      /* a layer counts where D1 is above it, nats a token */
    dele_chat chat;
    const char *template;  /* what is around the prompt, {} in its place; "": nothing */
    int limit;             /* rows read; 0: all */
    int memory;            /* MiB for states and batches, beside the three models */
    bool reference;
} dele_depth_opts;

#define DELE_DEPTH_DEFAULTS ((dele_depth_opts){.threshold = 0.05, .template = "", .memory = DELE_DEFAULT_MEMORY})

typedef struct {
    int line;             /* in the file */
    const char *id;       /* the row's own, or NULL */
    const char *entity;   /* as text */
    const int *ids;       /* [n_ids] prompt and answer, up to the entity's end */
    int n_ids, first;     /* the entity's tokens are ids[first .. n_ids - 1] */
    const char *left_out; /* why nothing was measured, or NULL */

    double s[DELE_N_DEPTH_MODELS];      /* mean log p of the entity's tokens, each model alone */
    double *delta[DELE_N_DEPTH_MODELS]; /* [n_layers] with retain's and with unlearned's states;
                                           [FULL] is NULL */
    int counting;                       /* layers above the threshold */
    double uds, surface; /* NaN: no layer counts; s_full - s_retain is not above the threshold */
} dele_depth_row;

typedef struct {
    dele_depth_opts opts;
    const char *path; /* of the rows */
    int n_layers;
    dele_depth_row *rows; /* [n] */
    size_t n;
} dele_depth;

/* Whether the options are ones that can be, before any model is loaded. */
dele_status dele_depth_check(const dele_depth_opts *opts, dele_err *err);

/* One shape in all three (DELE_ERR_DATA says what differs); the full one has a tokenizer. */
dele_status dele_depth_check_models(const dele_model *const models[DELE_N_DEPTH_MODELS],
                                    dele_err *err);

/* Rows by text/row_texts.h; "entity" or "answer_span" in a row is the part of the answer that
 * counts.  Every model that has a tokenizer must cut each row as the full one's does (else
 * DELE_ERR_DATA, by line).  A row that cannot be measured keeps the reason. */
dele_status dele_depth_read(dele_depth *depth, const char *path,
                            const dele_model *const models[DELE_N_DEPTH_MODELS],
                            const dele_depth_opts *opts, dele_arena *arena, dele_err *err);

/* Measures the rows, in groups that depend on the rows and the options alone; a group's lines go to
 * `items` (may be NULL) when it is done, and those that stand there already are taken from it.  A
 * row made by hand needs ids, n_ids and first. */
dele_status dele_depth_run(dele_depth *depth, const dele_model *const models[DELE_N_DEPTH_MODELS],
                           dele_items *items, dele_progress *progress, dele_arena *arena,
                           dele_err *err);

/* counting, uds and surface from s and delta. */
void dele_depth_score(dele_depth_row *row, int n_layers, double threshold);

/* A row's line in items.jsonl (the caller owns it); and s and delta back from it, false with err
 * set where the line of that index is not this row's. */
cJSON *dele_depth_line(const dele_depth_row *row, size_t index, int n_layers);
bool dele_depth_resume(dele_depth_row *row, dele_items *items, size_t index, int n_layers,
                       dele_err *err);

/* ---- over rows ------------------------------------------------------------------------------- */

typedef struct {
    dele_stat stat;
    dele_interval ci; /* 95 %, bootstrap over rows */
} dele_depth_mean;

typedef struct {
    dele_depth_mean delta[DELE_N_DEPTH_MODELS]; /* [FULL] is not used */
    size_t counting;                            /* rows in which the layer counts */
    double erased; /* sum of D1 clip(D2 / D1, 0, 1) over sum of D1, over those rows; NaN: none */
} dele_depth_layer;

typedef struct {
    size_t n_measured, n_left_out; /* rows with and without deltas */
    dele_depth_mean uds,
        surface; /* over the rows that have one; those without a counting layer have no uds */
    dele_depth_mean s[DELE_N_DEPTH_MODELS];
    dele_depth_layer *layers; /* [n_layers] */
} dele_depth_stats;

dele_status dele_depth_statistics(dele_depth_stats *stats, const dele_depth *depth,
                                  dele_arena *arena, dele_err *err);

/* depth.json's content (the caller owns it), DIR/plots/depth.tsv (plots/ must exist), and the table
 * for reading. */
cJSON *dele_depth_json(const dele_depth *depth, const dele_depth_stats *stats);
dele_status dele_depth_save_table(const dele_depth *depth, const dele_depth_stats *stats,
                                  const char *dir, dele_err *err);
void dele_depth_print(FILE *to, const dele_depth *depth, const dele_depth_stats *stats);

#endif
