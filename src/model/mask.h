/* A mask: which tensors are trained.  It is a readable file (mask.json) that tracing writes and
 * unlearning reads, in one of two forms:
 *
 *   {"layers": [0,1,2,3,4,5], "parts": ["mlp"]}
 *   {"tensors": ["model.layers.[5-7].mlp.down_proj.weight", ...]}
 *
 * The names in "tensors" are those of the model's files, or shell patterns (*, ?, [5-7]). */
#ifndef DELE_MASK_H
#define DELE_MASK_H

#include "model/model.h"

typedef struct {
    bool *trains; /* [n_tensors] */
    size_t n_tensors, n_trained, n_parameters;
    int lowest; /* the lowest layer with a trained tensor; 0 when the embedding trains; n_layers
                   when only the top */
} dele_mask;

/* layers "0-5,12" or "all"; parts "mlp,attn,router,norm,embed,head" or "all".  What lies
 * in no layer (embedding, final norm, head) is selected by its part alone. */
dele_status dele_mask_parse(dele_mask *mask, const dele_model *model, const char *layers,
                            const char *parts, dele_arena *arena, dele_err *err);
/* patterns: as in mask.json, separated by commas.  One that matches no tensor is an error. */
dele_status dele_mask_match(dele_mask *mask, const dele_model *model, const char *patterns,
                            dele_arena *arena, dele_err *err);
dele_status dele_mask_load(dele_mask *mask, const dele_model *model, const char *path,
                           dele_arena *arena, dele_err *err);

#endif
