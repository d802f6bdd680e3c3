/* The gradient norm of a text: the mean over tensors of ‖∂ loss / ∂ tensor‖₂, where loss is the
 * mean over the text's scored tokens.  Texts of the training set have a lower norm (GradNorm; Wang
 * et al. 2024, as open-unlearning computes it). */
#ifndef DELE_GRADIENT_NORM_H
#define DELE_GRADIENT_NORM_H

#include "score/token_scores.h"

/* Gradients of all tensors, as large as the model.  Initialise to zero. */
typedef struct {
    float **g; /* [n_tensors] */
    dele_arena arena, scratch;
} dele_gradient_buffers;

dele_status dele_gradient_norm(double *norm, const dele_scored_text *text,
                               dele_gradient_buffers *buffers, dele_run *run,
                               const dele_model *model, dele_err *err);
void dele_gradient_buffers_release(dele_gradient_buffers *buffers);

#endif
