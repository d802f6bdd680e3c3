#include "unlearn/weights.h"

#include <string.h>

float **dele_beside_new(const dele_model *model, const dele_mask *mask, bool zeroed, dele_arena *arena, dele_err *err)
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

void dele_beside_zero(float **beside, const dele_model *model)
{
    for (size_t k = 0; k < model->n_tensors; k++)
        if (beside[k]) memset(beside[k], 0, dele_n_weights(model, k) * sizeof(float));
}

void dele_beside_remember(float **beside, const dele_model *model, dele_tape *tape)
{
    for (size_t k = 0; k < model->n_tensors; k++)
        if (beside[k]) dele_tape_bytes(tape, beside[k], dele_n_weights(model, k) * sizeof(float));
}

void dele_beside_keep(float **beside, const dele_model *model)
{
    for (size_t k = 0; k < model->n_tensors; k++)
        if (beside[k]) memcpy(beside[k], model->tensors[k].data, dele_n_weights(model, k) * sizeof(float));
}

void dele_beside_put_back(const dele_model *model, float *const *beside)
{
    for (size_t k = 0; k < model->n_tensors; k++)
        if (beside[k]) memcpy(model->tensors[k].data, beside[k], dele_n_weights(model, k) * sizeof(float));
}
