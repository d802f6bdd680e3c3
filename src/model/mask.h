/* Which tensors may move.  A mask is a readable file (mask.json) that tracing writes and unlearning reads:
 *   {"layers": [0,1,2,3,4,5], "parts": ["mlp"]}    or    {"tensors": ["model.layers.[5-7].mlp.down_proj.weight", ...]}
 * where names are as the model's files have them, or patterns of them as a shell has them (*, ?, [5-7]). */
#ifndef LAC_MASK_H
#define LAC_MASK_H

#include "model/model.h"

typedef struct {
    bool *trains; /* [n_tensors] */
    size_t n_tensors, n_trained, n_parameters;
    int lowest; /* the lowest layer with a trained tensor; 0 when the embedding trains; n_layers when only the top */
} lac_mask;

/* layers "0-5,12" or "all"; parts "mlp,attn,norm,embed,head" or "all".  embed and head ignore layers. */
lac_status lac_mask_parse(lac_mask *mask, const lac_model *model, const char *layers, const char *parts,
                          lac_arena *arena, lac_err *err);
/* patterns: as in mask.json, separated by commas.  One that matches no tensor is an error. */
lac_status lac_mask_match(lac_mask *mask, const lac_model *model, const char *patterns, lac_arena *arena, lac_err *err);
lac_status lac_mask_load(lac_mask *mask, const lac_model *model, const char *path, lac_arena *arena, lac_err *err);

#endif
