/* How far the loads of experts are apart, and whether documents of one kind would be as far: of two
 * domains under one model, and of two models on the same tokens.
 *
 * A distance of counts is above 0 by chance alone, the more experts and the fewer tokens, the more;
 * and tokens of a document are alike, so that documents are the unit, not tokens.  So each distance
 * has two companions:
 *
 *   interval    95 %, over documents drawn with replacement (basic bootstrap, base/stat.h), from 0
 *               on where the control does not tell the two sides apart (p >= 0.05).  It is one of
 *               the distance without chance's part, so that it may lie below the value
 *   control     of two domains: the documents' domains are shuffled; of two models: each
 *               document's two routings change sides or do not.  Its mean, its 95th percentile,
 *               and p, the share of shuffles that reach the distance,
 *               (1 + reached) / (1 + shuffles)
 *
 * A domain with fewer than DELE_LEAST_ITEMS documents has no interval; with fewer than
 * DELE_LEAST_SHUFFLED documents in all, or fewer than DELE_LEAST_ITEMS under two models, there is
 * no control.  More than DELE_MOST_UNITS documents of a domain are merged, in their order, into
 * that many. */
#ifndef DELE_ROUTING_CONTRAST_H
#define DELE_ROUTING_CONTRAST_H

#include <stdint.h>

#include "base/stat.h"
#include "routing/routed.h"

enum { DELE_MOST_UNITS = 400, DELE_LEAST_SHUFFLED = 10, DELE_ROUTING_RESAMPLES = 1000 };

/* How often each expert is among the first k, by document (or some merged ones). */
typedef struct {
    size_t n, n_domains;
    int n_layers, n_experts, k;
    int *domain;      /* [n] in ascending order */
    uint32_t *tokens; /* [n] */
    uint32_t *count;  /* [n, n_layers, n_experts] */
} dele_document_counts;

dele_status dele_document_count(dele_document_counts *c, const dele_routed *r, int k,
                                dele_arena *arena, dele_err *err);

typedef struct {
    double value;
    dele_interval interval;          /* NaN: none */
    double control, control_high, p; /* mean, 95th percentile; NaN: no control */
} dele_contrast;

typedef struct {
    size_t n_pairs;          /* of domains: (0, 1), (0, 2), ..., (1, 2), ... */
    dele_contrast *distance; /* [n_pairs, n_layers] */
    dele_contrast *mean;     /* [n_layers] of the pairs' distances; no interval */
    dele_contrast *largest;  /* [n_layers] the largest DS of any expert and domain; no interval */
} dele_domain_contrasts;

/* Distances of all pairs of domains in all layers, with their controls.  shuffles 0: none.  In a
 * layer without experts all is NaN. */
dele_status dele_contrast_domains(dele_domain_contrasts *d, const dele_document_counts *c,
                                  int shuffles, dele_arena *arena, dele_err *err);

/* Distance of two models' loads in layer l over a domain's documents (-1: over all). */
dele_status dele_contrast_models(dele_contrast *d, const dele_document_counts *a,
                                 const dele_document_counts *b, int l, int domain, int shuffles,
                                 dele_err *err);

/* Router saturation (measures.h) of layer l with its interval, BCa over documents; no control. */
dele_status dele_contrast_saturation(dele_contrast *d, const dele_routed *a, const dele_routed *b,
                                     int l, int k, int domain, dele_err *err);

#endif
