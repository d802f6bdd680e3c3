/* Buffers beside the tensors that train, one each, NULL where a tensor is frozen: gradients,
 * moments, copies. */
#ifndef DELE_PARAM_BUFFERS_H
#define DELE_PARAM_BUFFERS_H

#include "model/mask.h"
#include "unlearn/training_state.h"

static inline size_t dele_n_weights(const dele_model *model, size_t tensor)
{
    return model->tensors[tensor].rows * model->tensors[tensor].cols;
}

/* [n_tensors] in the arena. */
float **dele_param_buffers_new(const dele_model *model, const dele_mask *mask, bool zeroed,
                               dele_arena *arena, dele_err *err);
void dele_param_buffers_zero(float **buffers, const dele_model *model);

void dele_param_buffers_serialize(float **buffers, const dele_model *model,
                                  dele_training_state *state);

/* The weights into the buffers, and back. */
void dele_param_buffers_store(float **buffers, const dele_model *model);
void dele_param_buffers_restore(const dele_model *model, float *const *buffers);

#endif
