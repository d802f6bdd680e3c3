/* How much a text pulls at the weights: the mean over tensors of ‖∂ loss / ∂ tensor‖₂, loss being
 * the mean over the text's scored tokens.  What a model was trained on pulls less (GradNorm; Wang
 * et al. 2024, as open-unlearning computes it). */
#ifndef DELE_GRADIENT_NORM_H
#define DELE_GRADIENT_NORM_H

#include "score/token_scores.h"

/* Gradients of all tensors: as much memory as the model has.  A zeroed one begins. */
typedef struct {
    float **g; /* [n_tensors] */
    dele_arena arena, scratch;
} dele_gradient_buffers;

dele_status dele_gradient_norm(double *norm, const dele_scored_text *text,
                               dele_gradient_buffers *buffers, dele_run *run,
                               const dele_model *model, dele_err *err);
void dele_gradient_buffers_release(dele_gradient_buffers *buffers);

#endif
