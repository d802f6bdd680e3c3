/* A mask: which tensors are trained.  It is a readable file (mask.json) that tracing writes and
 * unlearning reads, in one of three forms:
 *
 *   {"layers": [0,1,2,3,4,5], "parts": ["mlp"]}
 *   {"tensors": ["model.layers.[5-7].mlp.down_proj.weight", ...]}
 *   {"experts": ["3:17", "5:2"], "parts": ["router"]}
 *
 * The names in "tensors" are those of the model's files, or shell patterns (*, ?, [5-7]).  An
 * expert is LAYER:EXPERT; its own tensors train, and "parts", which may be left out, says what else
 * does in the layers of the experts. */
#ifndef DELE_MASK_H
#define DELE_MASK_H

#include "model/expert_list.h"
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
/* Experts alone, and parts (NULL: none) in their layers.  The part mlp, of which all experts are,
 * is an error. */
dele_status dele_mask_experts(dele_mask *mask, const dele_model *model,
                              const dele_expert_list *experts, const char *parts, dele_arena *arena,
                              dele_err *err);
/* patterns: as in mask.json, separated by commas.  One that matches no tensor is an error. */
dele_status dele_mask_match(dele_mask *mask, const dele_model *model, const char *patterns,
                            dele_arena *arena, dele_err *err);
dele_status dele_mask_load(dele_mask *mask, const dele_model *model, const char *path,
                           dele_arena *arena, dele_err *err);

#endif
