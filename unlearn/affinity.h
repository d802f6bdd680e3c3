/* The affinity of experts to a data set, by which SEUF (arXiv 2411.18797) chooses what to train:
 *
 *   affinity(l, e) = mean over sequences of the mean over their tokens of p_e
 *
 * p = softmax of the router logits of layer l, over all experts, also where the weights of the
 * chosen ones are made to add up to 1.  The experts with the highest affinity are taken over all
 * layers together (ties: the lowest layer, then the lowest expert). */
#ifndef DELE_AFFINITY_H
#define DELE_AFFINITY_H

#include "model/expert_list.h"
#include "unlearn/dataset.h"
#include "unlearn/router_survey.h"

typedef struct {
    int n_layers, n_experts;
    double *of;              /* [n_layers, n_experts]; NaN: the layer has no experts */
    dele_expert_list chosen; /* in order of affinity */
} dele_affinity;

/* Measures it, and chooses the `choose` experts with the highest affinity.  An error where the
 * model has fewer.  The arena owns the tables. */
dele_status dele_affinity_measure(dele_affinity *a, const dele_model *model,
                                  const dele_dataset *set, size_t choose, size_t batch_tokens,
                                  dele_arena *arena, dele_err *err);

/* Writes a TSV table, a line for each expert in order of affinity: layer, expert, affinity, whether
 * it is chosen. */
dele_status dele_affinity_save(const dele_affinity *a, const char *path, dele_err *err);

#endif
