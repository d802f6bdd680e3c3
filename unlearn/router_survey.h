/* What the routers of a model read or say, over all positions of a data set. */
#ifndef DELE_ROUTER_SURVEY_H
#define DELE_ROUTER_SURVEY_H

#include "model/forward.h"
#include "unlearn/dataset.h"

typedef struct {
    bool inputs;         /* what the router reads [n, d_model]; else its logits [n, n_experts] */
    const bool *layers;  /* [n_layers] those that are wanted; NULL: all that have experts */
    size_t batch_tokens; /* positions of a forward pass */
    /* Called for each sequence in turn with its n positions' values in a layer (one for each id
     * that the context has room for): as many calls as there are wanted layers. */
    dele_status (*seen)(void *data, size_t sequence, int layer, const float *x, size_t n,
                        dele_err *err);
    void *data;
} dele_router_survey;

/* One forward pass over the set, in packed batches. */
dele_status dele_router_survey_run(const dele_router_survey *survey, const dele_model *model,
                                   const dele_dataset *set, dele_err *err);

#endif
