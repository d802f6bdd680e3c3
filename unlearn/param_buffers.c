#include "unlearn/param_buffers.h"

#include <string.h>

float **dele_param_buffers_new(const dele_model *model, const dele_mask *mask, bool zeroed,
                               dele_arena *arena, dele_err *err)
{
    float **b = DELE_NEW(arena, float *, model->n_tensors, err);
    for (size_t k = 0; b && k < model->n_tensors; k++) {
        if (!mask->trains[k]) continue;
        b[k] = zeroed ? DELE_NEW(arena, float, dele_n_weights(model, k), err)
                      : dele_alloc_raw(arena, dele_n_weights(model, k), sizeof **b, err);
        if (!b[k]) return NULL;
    }
    return b;
}

void dele_param_buffers_zero(float **buffers, const dele_model *model)
{
    for (size_t k = 0; k < model->n_tensors; k++)
        if (buffers[k]) memset(buffers[k], 0, dele_n_weights(model, k) * sizeof(float));
}

void dele_param_buffers_serialize(float **buffers, const dele_model *model,
                                  dele_training_state *state)
{
    for (size_t k = 0; k < model->n_tensors; k++)
        if (buffers[k])
            dele_training_state_bytes(state, buffers[k], dele_n_weights(model, k) * sizeof(float));
}

void dele_param_buffers_store(float **buffers, const dele_model *model)
{
    for (size_t k = 0; k < model->n_tensors; k++)
        if (buffers[k])
            memcpy(buffers[k], model->tensors[k].data, dele_n_weights(model, k) * sizeof(float));
}

void dele_param_buffers_restore(const dele_model *model, float *const *buffers)
{
    for (size_t k = 0; k < model->n_tensors; k++)
        if (buffers[k])
            memcpy(model->tensors[k].data, buffers[k], dele_n_weights(model, k) * sizeof(float));
}
