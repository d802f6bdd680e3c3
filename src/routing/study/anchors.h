/* Published numbers of routing, for a model of the same shape: what the counts in allenai/OLMoE
 * (scripts/routing_output) give for OLMoE-1B-7B.  Two released runs of the same counts differ by up
 * to 0.71 percentage points; so within one point is as near as can be. */
#ifndef DELE_ROUTING_ANCHORS_H
#define DELE_ROUTING_ANCHORS_H

#include "routing/study/study.h"

typedef enum {
    DELE_ANCHOR_SPECIALISATION, /* DS of an expert, top 8 */
    DELE_ANCHOR_ENTROPY,        /* normalised load entropy */
    DELE_ANCHOR_DISTANCE        /* TV of the domain's load and C4's */
} dele_anchor_kind;

typedef struct {
    dele_anchor_kind kind;
    const char *domain;
    int layer, expert; /* expert: of a specialisation */
    double value;
} dele_anchor;

extern const char *const dele_anchor_kind_name[]; /* "domain specialisation", ... */
extern const char *const dele_anchors_model;      /* the model of which they are */

/* The anchors that may be compared with a model of this config; none for other shapes. */
const dele_anchor *dele_anchors_for(size_t *n, const dele_config *config);

/* The measured number of an anchor; NaN where the texts have no domain of that name (upper and
 * lower case are one; "book" is "books", and so on). */
double dele_anchor_measured(const dele_anchor *anchor, const dele_routing_measures *m);

#endif
