/* A run: the memory of passes over a model, and what they count. */
#ifndef DELE_RUN_H
#define DELE_RUN_H

#include "model/model.h"

/* A run owns its memory and reuses it: results are valid until its next forward pass. */
typedef struct dele_run {
    dele_arena arena;
    dele_arena tile_arena; /* of `tile` alone */
    float *tile;           /* [n_tile] for matrices that are not wide (tensor/matrix.h) */
    size_t n_tile;
    float *final; /* [n_output_rows, d_model] */
    size_t n_rows;
    size_t patches_applied;
    double row_layers; /* rows times layers computed since the run began */
    double flops; /* of matrix products and attention since then: two for each multiplication */
    struct dele_activations *saved; /* what backward needs */
} dele_run;

void dele_run_release(dele_run *run); /* accepts a zeroed run, which is also how one begins */

/* run->tile for all matrices of the model.  The passes call it.  Bytes of its arena. */
dele_status dele_run_tile(dele_run *run, const dele_model *model, dele_err *err);
size_t dele_tile_bytes(const dele_model *model);

/* What the memory of a pass depends on, beside the config. */
typedef struct {
    size_t n_rows, n_segments, n_output_rows, n_patches;
    size_t n_spans;       /* of all segments: their own rows, and each parent and parent's parent */
    size_t longest;       /* keys of the longest segment */
    size_t n_expert_rows; /* of patches at EXPERT_OUT, in the layer that has most of them */
    bool keep_for_backward;
    int lowest;
} dele_pass_size;

#endif
