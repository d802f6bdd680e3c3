/* One forward pass at work: the state that its parts share, its memory, and the tables that are
 * filled before the first layer.  Private to forward.c and forward_*.c. */
#ifndef DELE_FORWARD_PASS_H
#define DELE_FORWARD_PASS_H

#include "model/activations.h"
#include "model/batch.h"
#include "model/run.h"

/* Of a row in the MLP of a layer. */
typedef enum { DELE_ROW_PLAIN, DELE_ROW_REQUIRED, DELE_ROW_PRUNED } dele_row_use;

/* One pass's working state. */
typedef struct {
    const dele_model *m;
    const dele_config *c;
    const dele_batch *batch;
    dele_run *run;
    size_t n_rows, d_model, q_dim, kv_dim, qkv_dim;
    size_t *first;            /* [n_segments + 1] first row of each segment */
    const dele_patch **patch; /* [n_patches] in order of layer and site */
    size_t next_patch;
    dele_row_use *skip_mask; /* [rows] of this layer's MLP: DELE_ROW_PRUNED where a patch replaces
                                its output */
    float *x, *xn, *out;     /* [rows, d_model] the stream, its norm, a sublayer's output */
    float *held; /* [rows, d_model] attention's output while the MLP reads the layer's input;
                  * NULL unless the residual is parallel */
    float *h;    /* [rows, d_ff] of a dense layer */
    dele_moe_scratch moe;     /* of a sparse one */
    dele_perft_scratch perft; /* of its adapters */
    size_t *block_row; /* [rows] in the batch, of each row that a sparse layer's MLP is given */
    dele_layer_activations shared; /* of all layers that are not kept for the backward pass */
    bool pruned;                   /* in the last layer: the stream holds the tails alone */
    size_t *tail; /* [n_segments] rows that compacting drops from each segment's start; or NULL */
    size_t *dropped, *segment; /* [n_segments] memory of tail; [rows] the segment of each row */
    int *compact_index;        /* [rows] a row's index after compacting, -1: dropped */
    dele_kv_span *spans;       /* of all segments, parents first */
    size_t *first_span;        /* [n_segments + 1] */
    const dele_kv **span_kv;   /* the KV cache of each parent span, NULL for a segment's own rows */
    float *inv_freq;           /* [pairs] */
    struct dele_activations *saved;
} dele_forward_pass;

/* A row of the batch in the stream as it is now; -1: it is not computed here. */
static inline int dele_live_row(const dele_forward_pass *p, size_t row, size_t live)
{
    const int at = p->pruned ? p->compact_index[row] : (int)row;
    return at >= 0 && (size_t)at < live ? at : -1;
}

/* A pass without memory; the run's is taken back. */
dele_forward_pass dele_forward_begin(dele_run *run, const dele_config *config);

/* What the memory of the pass over its batch depends on. */
dele_pass_size dele_forward_size(const dele_forward_pass *p);

/* The pass's memory, which depends on the size alone: dele_forward_bytes runs this to count. */
dele_status dele_forward_lay_out(dele_forward_pass *p, const dele_pass_size *size, dele_err *err);

/* For the MLP of one layer alone, of n rows outside a batch. */
dele_status dele_forward_lay_layer_mlp(dele_forward_pass *p, int layer, size_t n, dele_err *err);

/* The first row of each segment, the positions, the angles of the rotations, the tails and the
 * spans of the segments. */
void dele_forward_prepare(dele_forward_pass *p);

#endif
