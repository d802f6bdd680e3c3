#include "unlearn/weights.h"

#include <string.h>

float **lac_beside_new(const lac_model *model, const lac_mask *mask, bool zeroed, lac_arena *arena, lac_err *err)
{
    float **b = LAC_NEW(arena, float *, model->n_tensors, err);
    for (size_t k = 0; b && k < model->n_tensors; k++) {
        if (!mask->trains[k]) continue;
        b[k] = zeroed ? LAC_NEW(arena, float, lac_n_weights(model, k), err)
                      : lac_alloc_raw(arena, lac_n_weights(model, k), sizeof **b, err);
        if (!b[k]) return NULL;
    }
    return b;
}

void lac_beside_zero(float **beside, const lac_model *model)
{
    for (size_t k = 0; k < model->n_tensors; k++)
        if (beside[k]) memset(beside[k], 0, lac_n_weights(model, k) * sizeof(float));
}

void lac_beside_remember(float **beside, const lac_model *model, lac_tape *tape)
{
    for (size_t k = 0; k < model->n_tensors; k++)
        if (beside[k]) lac_tape_bytes(tape, beside[k], lac_n_weights(model, k) * sizeof(float));
}

void lac_beside_keep(float **beside, const lac_model *model)
{
    for (size_t k = 0; k < model->n_tensors; k++)
        if (beside[k]) memcpy(beside[k], model->tensors[k].data, lac_n_weights(model, k) * sizeof(float));
}

void lac_beside_put_back(const lac_model *model, float *const *beside)
{
    for (size_t k = 0; k < model->n_tensors; k++)
        if (beside[k]) memcpy(model->tensors[k].data, beside[k], lac_n_weights(model, k) * sizeof(float));
}
