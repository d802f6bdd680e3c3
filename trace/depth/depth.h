/* The unlearning depth score (UDS): is a fact removed from a model, or only not generated any more?
 *
 * Three models of one shape: *full* was trained on the facts, *retain* never saw them, *unlearned*
 * is full after unlearning.  A row is a question and its answer, T of whose tokens y are the
 * *entity*: the part that only the fact tells.  The full model reads question and answer with the
 * states after layer l replaced by another model's; its upper layers, which can decode the fact,
 * then find in these states what the other model's lower layers contribute.
 *
 *   s_M        = (1/T) sum_t log p_M(y_t | question, y_<t)                     nats per token,
 *              model M alone
 *   D1(l)      = s_full − s_full with retain's states after layer l           the loss without the
 *              fact
 *   D2(l)      = s_full − s_full with unlearned's states after layer l        the loss after
 *              unlearning
 *   UDS(row)   = sum_l D1 clip(D2 / D1, 0, 1)  /  sum_l D1                     over the layers with
 *                                                 D1(l) > threshold
 *
 * The score is the mean over rows.  0: the unlearned model's states serve as well as the full
 * one's; 1: they serve no better than those of a model that never knew the fact.  "Measuring the
 * depth of LLM unlearning via activation patching" (Lee, Kim, Jo 2026, arXiv 2605.24614) and its
 * code (gnueaj/unlearning-depth-score, compute_uds.py).
 *
 * As published: states are outputs of decoder layers; they are replaced at the rows that predict
 * the entity's tokens (from the token before the first to the one before the last) and nowhere
 * else, so that above layer l the full model still attends to its own KV cache of the question; D
 * is a mean over tokens, not a sum; the threshold is 0.05; a row without a layer above it has no
 * score and is left out of the mean; a row whose answer does not contain its entity is left out
 * altogether; the entity's first occurrence counts.
 *
 * Chosen here: without a field that names the entity, all of the answer's tokens are it (the
 * paper's data set names one in each row; its code has this as an option); prompt and answer are
 * tokenised as by deleatur finetune (the paper's "Question: ...\nAnswer:" is --template);
 * positions ALL replaces states at every row, so that nothing of the full model below layer l has a
 * part in the answer.  With ENTITY (the default, and what published numbers use) the full model's
 * own question rows can still carry the fact above layer l, so that early layers show little.  With
 * either, the last layer's D is the whole difference between two models that share the last norm
 * and the head.
 *
 * The *surface* score is the same clipped ratio at the models' own outputs, clip((s_full −
 * s_unlearned) / (s_full − s_retain), 0, 1), over rows whose denominator is above the threshold.  A
 * surface near 1 with a low UDS is a fact that is stored and not generated.
 *
 * A state that is replaced at layer l makes the layers below it at that row irrelevant: such a run
 * starts after layer l, from the other model's states, and reads the full model's KV cache of the
 * rows before (forward.h: a segment that starts late).  Runs of all layers, both sources and many
 * rows share batches.  States that equal the full model's bit for bit change nothing, and are not
 * run: an unlearned model whose lowest k layers were frozen has D2 = 0 there, exactly.  `reference`
 * computes each layer by full forward passes from the embedding instead. */
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
    double threshold; /* D1 above which a layer counts, in nats per token */
    dele_chat chat;
    const char *template; /* text around the prompt, which replaces {}; "": none */
    int limit;            /* most rows; 0: all */
    int memory;           /* MiB for states and batches, beside the three models */
    bool reference;
} dele_depth_opts;

#define DELE_DEPTH_DEFAULTS                                                                        \
    ((dele_depth_opts){.threshold = 0.05, .template = "", .memory = DELE_DEFAULT_MEMORY})

typedef struct {
    int line;             /* in the file */
    const char *id;       /* the row's own, or NULL */
    const char *entity;   /* as text */
    const int *ids;       /* [n_ids] prompt and answer, up to the entity's end */
    int n_ids, first;     /* the entity's tokens are ids[first .. n_ids - 1] */
    const char *left_out; /* the reason why it was not measured; NULL: it was */

    double s[DELE_N_DEPTH_MODELS];      /* mean log p of the entity's tokens, each model alone */
    double *delta[DELE_N_DEPTH_MODELS]; /* [n_layers] D1 with retain's states, D2 with unlearned's;
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

/* Checks the options before a model is loaded. */
dele_status dele_depth_check(const dele_depth_opts *opts, dele_err *err);

/* Checks that the three models have one shape (the error names what differs), and that the full one
 * has a tokenizer. */
dele_status dele_depth_check_models(const dele_model *const models[DELE_N_DEPTH_MODELS],
                                    dele_err *err);

/* Reads rows by text/row_texts.h; "entity" or "answer_span" in a row is the part of the answer that
 * is scored.  Every model that has a tokenizer must tokenise each row as the full one's does
 * (DELE_ERR_DATA names the line).  A row that cannot be measured has the reason.  The arena owns
 * the rows. */
dele_status dele_depth_read(dele_depth *depth, const char *path,
                            const dele_model *const models[DELE_N_DEPTH_MODELS],
                            const dele_depth_opts *opts, dele_arena *arena, dele_err *err);

/* Measures the rows, in groups that depend on rows and options only.  A group's lines are written
 * to `items` (may be NULL) when it is done; rows whose lines are there already are read from it.  A
 * row that does not come from dele_depth_read needs ids, n_ids and first. */
dele_status dele_depth_run(dele_depth *depth, const dele_model *const models[DELE_N_DEPTH_MODELS],
                           dele_items *items, dele_progress *progress, dele_arena *arena,
                           dele_err *err);

/* counting, uds and surface from s and delta. */
void dele_depth_score(dele_depth_row *row, int n_layers, double threshold);

/* A row's line in items.jsonl (the caller owns it); and s and delta read back from it: false where
 * there is none, and with err set where the line of that index is another row's. */
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
    dele_depth_mean uds, surface;  /* over the rows that have one */
    dele_depth_mean s[DELE_N_DEPTH_MODELS];
    dele_depth_layer *layers; /* [n_layers] */
} dele_depth_stats;

dele_status dele_depth_statistics(dele_depth_stats *stats, const dele_depth *depth,
                                  dele_arena *arena, dele_err *err);

/* The content of depth.json (the caller owns it); DIR/plots/depth.tsv (plots/ must exist); and the
 * result as text. */
cJSON *dele_depth_json(const dele_depth *depth, const dele_depth_stats *stats);
dele_status dele_depth_save_table(const dele_depth *depth, const dele_depth_stats *stats,
                                  const char *dir, dele_err *err);
void dele_depth_print(FILE *to, const dele_depth *depth, const dele_depth_stats *stats);

#endif
