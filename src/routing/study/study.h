/* A study of routing: all measures (measures.h, vocabulary.h, contrast.h) of one model over texts,
 * and of other models against it. */
#ifndef DELE_ROUTING_STUDY_H
#define DELE_ROUTING_STUDY_H

#include "routing/contrast.h"
#include "routing/measures.h"
#include "routing/study/texts.h"
#include "routing/vocabulary.h"

/* How co-activation and vocabulary specialisation are counted: as defined, or as the released code
 * does. */
typedef enum { DELE_ROUTING_AS_DEFINED, DELE_ROUTING_AS_RELEASED } dele_routing_compat;
extern const char *const dele_routing_compat_name[]; /* "none", ...; NULL */

typedef struct {
    dele_routing_compat compat;
    int min_count; /* occurrences from which on an id counts for vocabulary specialisation */
    int shuffles;  /* of the controls; 0: none */
} dele_routing_opts;

#define DELE_ROUTING_DEFAULTS ((dele_routing_opts){.min_count = 10, .shuffles = 200})

/* The two sizes of a token's set of experts: the model's own, and 1. */
enum { DELE_TOP_K, DELE_TOP_1, DELE_N_SETS };

/* Of one layer; sparse is false, and the rest empty, where it has no experts. */
typedef struct {
    bool sparse;
    uint64_t *together, *alone; /* [E, E], [E]: co-activation */
    dele_vocabulary vocabulary[DELE_N_VOCABULARIES][DELE_N_SETS];
    double entropy;         /* of the load over all domains */
    double *domain_entropy; /* [n_domains] */
} dele_routing_layer;

typedef struct {
    const char *path;
    dele_routed routed;
    dele_expert_counts count[DELE_N_SETS];
    dele_document_counts documents;
    dele_domain_contrasts domains;
    dele_routing_layer *layer; /* [n_layers] */
    double *loss;              /* [n_domains + 1] mean -log p of the counted tokens' next ids, in
                                * nats; the last: of all.  NaN: unknown */
} dele_routing_measures;

/* Of one layer and two models. */
typedef struct {
    dele_contrast *saturation[DELE_N_SETS]; /* [n_domains + 1] each; the last: all domains */
    dele_contrast *distance;                /* [n_domains + 1] of the loads */
} dele_routing_change;

typedef struct {
    const dele_routing_measures *before, *after;
    dele_routing_change *layer; /* [n_layers] */
} dele_routing_comparison;

/* Measures m->routed, whose routes are known. */
dele_status dele_routing_measure(dele_routing_measures *m, const dele_routing_opts *o, int vocab,
                                 dele_arena *arena, dele_err *err);

/* The two must be comparable (routed.h). */
dele_status dele_routing_compare(dele_routing_comparison *c, const dele_routing_measures *before,
                                 const dele_routing_measures *after, const dele_routing_opts *o,
                                 dele_arena *arena, dele_err *err);

static inline int dele_set_size(const dele_routing_measures *m, int set)
{
    return set == DELE_TOP_1 ? 1 : m->routed.routes.top_k;
}

/* Layers of a mixture, for pictures and tables that show a few: the first, the middle and the last
 * of those that have experts, without repetition.  Returns how many. */
int dele_routing_some_layers(int layer[3], const dele_routing_measures *m);

/* CA(i, j). */
double dele_coactivation(const dele_routing_measures *m, int layer, int i, int j);
/* The largest of a layer, and whose it is; NaN, and -1 both, where no two experts are active
 * together. */
double dele_coactivation_largest(int *i, int *j, const dele_routing_measures *m, int layer);

/* The expert with the largest DS of a layer, over the domains; false: there is none. */
typedef struct {
    int expert;
    size_t domain;
    double share;
} dele_most_specialised;
bool dele_routing_most_specialised(dele_most_specialised *most, const dele_routing_measures *m,
                                   int layer);

#endif
