/* Sparse upcycling: a dense model as a mixture of experts (Komatsuzaki et al., arXiv 2212.05055).
 *
 *   MLP of layer l  ──>  experts 0 .. n - 1 of layer l, each a copy of it
 *                        router [n, d_model], N(0, router_std)
 *
 * The weights of the chosen experts add up to 1, so the mixture computes what the dense model does,
 * to rounding, whatever its routers choose: until it is trained, or where `noise` made the copies
 * differ.  The mixture's family is dele_family.upcycled of the dense one's.  What its config.json
 * cannot express is refused by name. */
#ifndef DELE_UPCYCLE_H
#define DELE_UPCYCLE_H

#include "model/model.h"

typedef struct {
    int experts, top_k;
    double router_std;
    double noise; /* each weight of an expert is multiplied by 1 + noise N(0, 1); 0: copies */
    int seed;
} dele_upcycle_options;

/* clang-format off */
#define DELE_UPCYCLE_DEFAULTS .experts = 8, .top_k = 2, .router_std = 0.02
/* clang-format on */

/* Whether the options are in range; else DELE_ERR_USAGE. */
dele_status dele_upcycle_check(const dele_upcycle_options *o, dele_err *err);

/* The mixture as a table of tensors that point into the files of `dense`, which stays open.  It is
 * for dele_model_save_as, which copies them piece by piece: only the routers have memory.  All of
 * it is the arena's; nothing has to be released.  DELE_ERR_USAGE: the options; else the model
 * cannot be upcycled. */
dele_status dele_upcycle(dele_model *mixture, const dele_model *dense,
                         const dele_upcycle_options *o, dele_arena *arena, dele_err *err);

#endif
