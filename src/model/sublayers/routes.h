/* Routes: which experts each row was given to, in every layer of a mixture of experts, and by what
 * their outputs were multiplied.  A pass records them (dele_batch) or follows given ones
 * (dele_segment). */
#ifndef DELE_ROUTES_H
#define DELE_ROUTES_H

#include "base/arena.h"
#include "model/families/family.h"

typedef struct {
    size_t n_rows, capacity; /* rows in use, rows of memory */
    int n_layers, n_experts, top_k;
    int *experts;   /* [capacity, n_layers, top_k] in order of router probability, the lowest index
                     * first among equals; -1: the layer has none, or did not compute the row */
    float *weights; /* [capacity, n_layers, top_k]; 0 where the expert is -1 */
} dele_routes;

/* No rows yet.  An error where the model has no experts. */
dele_status dele_routes_init(dele_routes *routes, const dele_config *config, size_t capacity,
                             dele_arena *arena, dele_err *err);

/* Of one row and layer: [top_k] each. */
static inline int *dele_route_experts(const dele_routes *r, size_t row, int layer)
{
    return r->experts + (row * (size_t)r->n_layers + (size_t)layer) * (size_t)r->top_k;
}
static inline float *dele_route_weights(const dele_routes *r, size_t row, int layer)
{
    return r->weights + (row * (size_t)r->n_layers + (size_t)layer) * (size_t)r->top_k;
}

/* |a ∩ b| of two lists of k experts, none of which occurs twice in a list. */
int dele_common_experts(const int *a, const int *b, int k);

#endif
