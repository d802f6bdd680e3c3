/* The trainable parameters of a run: the masked tensors of a model, changed in place, or the
 * adapters of these tensors (lora.h).  The struct only points: model, mask and adapters belong to
 * the caller. */
#ifndef DELE_TRAINABLE_H
#define DELE_TRAINABLE_H

#include "unlearn/lora.h"

typedef struct {
    dele_model *model;
    const dele_mask *mask;
    dele_lora *lora; /* adapters of the masked tensors; NULL: the tensors themselves are trained */
} dele_trainable;

/* The table of tensors that the optimizer updates: the model, or its adapters' table. */
static inline dele_model *dele_trainable_tensors(const dele_trainable *t)
{
    return t->lora ? &t->lora->table : t->model;
}

#endif
