/* Terms on the routers of a mixture of experts, and on the router that PERFT-R's adapters have,
 * which are added to the loss of an objective.
 *
 *   p = softmax(z)       z [rows, n_experts]: the router logits of a sparse layer
 *
 *   balance   E Σ_e F_e P_e        F_e: how many of a row's top_k choices are expert e, a mean over
 *                                  rows; P_e: the mean of p_e.  At perfect balance it is top_k
 *     concatenated                 the rows of all layers are one set: transformers'
 *                                  load_balancing_loss_func
 *     layers                       the mean of the layers' own losses
 *   z         mean (log Σ_e exp z_e)²             over rows and layers (arXiv 2409.02060)
 *   anchor    Σ_l mean ‖p − a‖²                   over the layers of the targets and the forget
 *                                  rows; a_e = 1 / m for the m targets of the layer, 0 for others
 *                                  (SEUF, arXiv 2411.18797)
 *
 *   adapter balance                the balance of the adapters' router: z its logits, E adapters,
 *                                  of which a row chooses K (PERFT's released training)
 *
 * Rows are all positions of the loss group's sequences, prompts among them.  The choices F are
 * constants of the gradient, which goes through p alone.  F is a mean over the group, so that a
 * group that takes several packed batches needs its choices counted before: dele_router_terms_count
 * in a first forward pass.  Then the division into packed batches changes the result by rounding
 * only.
 *
 * The loss has no weight α or γ: coefficients are of the sum
 *
 *   objective + balance · L_balance + z · L_z + anchor · L_anchor + adapter · L_adapter      */
#ifndef DELE_ROUTER_TERMS_H
#define DELE_ROUTER_TERMS_H

#include "model/expert_list.h"
#include "model/forward.h"

typedef enum { DELE_BALANCE_CONCATENATED, DELE_BALANCE_LAYERS } dele_balance_over;
extern const char *const dele_balance_over_name[]; /* "concatenated", "layers"; NULL */

typedef enum {
    DELE_TERM_BALANCE,
    DELE_TERM_Z,
    DELE_TERM_ANCHOR,
    DELE_TERM_ADAPTER, /* adapter balance */
    DELE_N_ROUTER_TERMS
} dele_term;
extern const char *const dele_term_name[DELE_N_ROUTER_TERMS]; /* columns of steps.tsv */

typedef struct {
    double coefficient[DELE_N_ROUTER_TERMS]; /* 0: there is no such term */
    dele_balance_over over;
    dele_expert_list targets; /* of the anchor */
} dele_router_options;

static inline bool dele_router_terms_on(const dele_router_options *o)
{
    for (int i = 0; i < DELE_N_ROUTER_TERMS; i++)
        if (o->coefficient[i] != 0) return true;
    return false;
}

/* The routers of all sparse layers, or those of their adapters. */
typedef struct {
    dele_site site;
    dele_term balance; /* which term their balance is */
    int n, top_k;      /* experts, or adapters */
    float *x;          /* [n_layers, capacity, n] logits, then their gradient */
    double *chosen;    /* [n_layers, n] how often, in the group */
} dele_term_routers;

typedef struct {
    const dele_router_options *o;
    int lowest;
    size_t n_layers, capacity;        /* sparse layers that are computed; 0: there are no terms */
    int *layer;                       /* [n_layers] */
    dele_term_routers of[2];          /* [n_of] those that have terms */
    size_t n_of, n_patches;           /* patches of a pass: one for each router */
    float *target;                    /* [n_layers, experts] a */
    bool *anchored;                   /* [n_layers] */
    double *sum;                      /* [n_layers, DELE_N_ROUTER_TERMS] of one packed batch */
    size_t rows[2];                   /* of the group, by side */
    bool counted;                     /* the choices of the whole group are */
    double loss[DELE_N_ROUTER_TERMS]; /* of the group so far; not times the coefficients */
} dele_router_terms;

/* Memory for packed batches of at most `rows` rows.  lowest: the lowest layer that trains.  An
 * error where no layer that is computed has experts, or there is a term on adapters' routers, and
 * they have none.  config and o must exist as long as t. */
dele_status dele_router_terms_init(dele_router_terms *t, const dele_router_options *o,
                                   const dele_config *config, size_t rows, int lowest,
                                   dele_arena *arena, dele_err *err);

/* A loss group begins: the rows of both sides. */
void dele_router_terms_begin(dele_router_terms *t, const size_t rows[2]);

/* Patches [n_patches] by which a forward pass over n rows reads the routers' logits. */
void dele_router_terms_read(const dele_router_terms *t, dele_patch *patches, size_t n);

/* After such a pass: counts choices, of a group that takes several packed batches.  After the last
 * one, `counted` is to be set. */
void dele_router_terms_count(dele_router_terms *t, size_t n);

/* After such a pass: adds to the losses; x becomes d loss / d x.  side [n]: DELE_FORGET or
 * DELE_RETAIN of each row. */
void dele_router_terms_gradient(dele_router_terms *t, const uint8_t *side, size_t n);

/* Patches by which the backward pass adds weight times that gradient, of the layers from `lowest`
 * on; returns how many. */
size_t dele_router_terms_add(dele_router_terms *t, dele_patch *patches, double weight, size_t n);

/* The k largest of x [n], the lower index first among equals. */
void dele_largest(int *index, int k, const float *x, int n);

#endif
