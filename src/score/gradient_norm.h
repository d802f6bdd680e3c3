/* How much a text pulls at the weights: the mean over tensors of ‖∂ loss / ∂ tensor‖₂, loss being the mean over the text's
 * scored tokens.  What a model was trained on pulls less (GradNorm; Wang et al. 2024, as open-unlearning computes it). */
#ifndef LAC_GRADIENT_NORM_H
#define LAC_GRADIENT_NORM_H

#include "score/token_scores.h"

/* Gradients of all tensors: as much memory as the model has.  A zeroed one begins. */
typedef struct {
    float **g; /* [n_tensors] */
    lac_arena arena, scratch;
} lac_gradient_room;

lac_status lac_gradient_norm(double *norm, const lac_scored_text *text, lac_gradient_room *room, lac_run *run,
                             const lac_model *model, lac_err *err);
void lac_gradient_room_release(lac_gradient_room *room);

#endif
