/* Buffers beside the tensors that train, one each, NULL where a tensor is frozen: gradients, moments, copies. */
#ifndef LAC_WEIGHTS_H
#define LAC_WEIGHTS_H

#include "model/mask.h"
#include "unlearn/tape.h"

static inline size_t lac_n_weights(const lac_model *model, size_t tensor)
{
    return model->tensors[tensor].rows * model->tensors[tensor].cols;
}

/* [n_tensors] in the arena. */
float **lac_beside_new(const lac_model *model, const lac_mask *mask, bool zeroed, lac_arena *arena, lac_err *err);
void lac_beside_zero(float **beside, const lac_model *model);

void lac_beside_remember(float **beside, const lac_model *model, lac_tape *tape);

/* The weights into the buffers, and back. */
void lac_beside_keep(float **beside, const lac_model *model);
void lac_beside_put_back(const lac_model *model, float *const *beside);

#endif
