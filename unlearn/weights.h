/* Buffers beside the tensors that train, one each, NULL where a tensor is frozen: gradients, moments, copies. */
#ifndef DELE_WEIGHTS_H
#define DELE_WEIGHTS_H

#include "model/mask.h"
#include "unlearn/tape.h"

static inline size_t dele_n_weights(const dele_model *model, size_t tensor)
{
    return model->tensors[tensor].rows * model->tensors[tensor].cols;
}

/* [n_tensors] in the arena. */
float **dele_beside_new(const dele_model *model, const dele_mask *mask, bool zeroed, dele_arena *arena, dele_err *err);
void dele_beside_zero(float **beside, const dele_model *model);

void dele_beside_remember(float **beside, const dele_model *model, dele_tape *tape);

/* The weights into the buffers, and back. */
void dele_beside_keep(float **beside, const dele_model *model);
void dele_beside_put_back(const dele_model *model, float *const *beside);

#endif
