/* What the passes are given: rows and segments, without padding, patches, and the gradients that
 * are wanted.
 *
 * A row is one token at one position.  A segment is a sequence of rows at positions first_pos ..
 * first_pos + n_rows - 1.  A segment may continue a parent, a KV cache: keys and values computed
 * before, read-only, shared by any number of segments.  Rows of all segments are stacked; "row" in
 * patches, outputs and results counts through the whole batch.  The pass goes layer by layer: each
 * weight is read once for the batch.  A segment may start late, at start_layer, from given residual
 * states (the stream as it enters that layer); segments come in order of start_layer, so that the
 * live rows of a layer are always a prefix of the batch.
 *
 * Where dynamic scaling makes the rotation grow with the sequence (model/config/rotation.h), each
 * segment is rotated for its own length, as if it were alone.  A longer sequence than the model was
 * trained on then has other states from its first row on, so that it cannot continue a cache, but
 * for generation (keep == parent): as in transformers' generate, kept keys stay as they were
 * rotated when they were new, and its states are not those of one pass. */
#ifndef DELE_BATCH_H
#define DELE_BATCH_H

#include <stdint.h>

#include "model/model.h"

/* A KV cache: keys (rotated) and values of positions first_pos .. first_pos + n_rows - 1; earlier
 * ones are the parent's. */
typedef struct dele_kv {
    const struct dele_kv *parent;
    int first_pos, n_rows, capacity;
    size_t kv_dim;
    float *k, *v; /* [n_layers, capacity, kv_dim] */
} dele_kv;

/* An empty KV cache for `capacity` positions from first_pos on, in the arena; it is filled by
 * passes that keep it.  parent (NULL: none) must outlive it. */
dele_status dele_kv_init(dele_kv *kv, const dele_config *config, const dele_kv *parent,
                         int first_pos, int capacity, dele_arena *arena, dele_err *err);

/* Bytes of an arena for a KV cache, counted by dele_kv_init. */
size_t dele_kv_bytes(const dele_config *config, int capacity);

typedef struct {
    const int *tokens; /* [n_rows] ids, or NULL where states are given */
    int n_rows, first_pos;
    int n_after;           /* tokens of the text after the last row, from which nothing is wanted:
                            * they count where the rotation grows with the text */
    const dele_kv *parent; /* positions 0 .. first_pos - 1 are read from it and its parents; NULL
                              when first_pos is 0 */
    dele_kv *keep; /* new keys and values are written there as well; may be the parent itself; NULL:
                      no */
    int start_layer; /* 0, or where the segment starts, from states; n_layers: only the last norm is
                        left */
    const float *states;       /* [n_rows, d_model] or NULL */
    const dele_routes *forced; /* row t takes the experts and weights of row forced_at + t there
                                  instead of its router's; a layer whose first expert there is -1
                                  is routed freely; NULL: all are */
    size_t forced_at;
} dele_segment;

typedef enum { DELE_REPLACE, DELE_ADD, DELE_SCALE, DELE_READ } dele_patch_op;

enum { DELE_ALL_HEADS = 1 << 30, DELE_ALL_EXPERTS = 1 << 30 }; /* in place of a head, an expert */

/* An operation on a site of a layer, at a run of rows: row .. row + n_rows - 1. */
typedef struct {
    int layer, row, n_rows; /* n_rows 0: one row */
    dele_site site;
    dele_patch_op op;
    int head;           /* HEAD_OUT only: one head, or DELE_ALL_HEADS */
    int expert;         /* EXPERT_OUT only: one expert; to READ, DELE_ALL_EXPERTS chosen */
    const float *value; /* [n_rows, width] in: REPLACE, ADD; SCALE reads value[0] */
    float *seen;        /* [n_rows, width] out: READ.  width: head_dim for one head, q_dim for all
                         * heads, n_experts for ROUTER_LOGITS, adapters for ADAPTER_LOGITS, else
                         * d_model */
} dele_patch;

static inline size_t dele_patch_rows(const dele_patch *p)
{
    return p->n_rows > 1 ? (size_t)p->n_rows : 1;
}

typedef struct {
    const dele_segment *segments;
    size_t n_segments;
    const dele_patch
        *patches; /* in any order; a patch of which a row is not computed is an error */
    size_t n_patches;
    const int *output_rows; /* rows whose final state (after the last norm) is returned */
    size_t n_output_rows;
    uint64_t dropout; /* seed of the dropout of PERFT's adapters, with keep_for_backward; 0: none */
    bool keep_for_backward; /* activations from layer `lowest` up are kept; needs segments without
                               parents */
    int lowest;
    dele_routes *routes; /* out: the route of each row of the batch, of capacity for all; NULL: not
                            recorded */
} dele_batch;

/* Gradients: one buffer for each tensor, NULL where frozen, and the requested gradients of states.
 * The backward pass goes down to the lowest layer that needs it, no further than the batch's
 * `lowest`. */
typedef struct {
    float **g;               /* [n_tensors]; NULL: everything is frozen */
    const dele_patch *reads; /* op READ: d loss / d the site's value at (layer, rows, head) is
                                written to `seen` */
    size_t n_reads;          /* a read that applies to no row is an error, as for patches */
    const dele_patch *adds;  /* op ADD at RESID_POST, ROUTER_LOGITS or ADAPTER_LOGITS: d loss / d
                              * the state there, of a loss on states: `value` is added to its
                              * gradient */
    size_t n_adds;           /* an addition that applies to no row is an error */
} dele_grads;

/* Tokens of the text of which the segment is a part, from its begin on. */
int dele_segment_text(const dele_segment *segment);

/* Counts the batch's rows, and holds segments, routes, patches and output rows against them and the
 * model: what would otherwise read or write outside an array is an error. */
dele_status dele_batch_check(size_t *n_rows, const dele_batch *batch, const dele_config *config,
                             dele_err *err);

#endif
