/* Tables of a routing study: for stdout, for files, and for the page. */
#ifndef DELE_ROUTING_TABLES_H
#define DELE_ROUTING_TABLES_H

#include "base/table.h"
#include "routing/study/anchors.h"

/* A model's name in tables and pictures: the last part of its path. */
const char *dele_routing_model_name(char buffer[128], const char *path);

/* Texts: name, documents, tokens, and the models' mean losses; after: NULL for one model. */
void dele_routing_texts_table(dele_table *t, const dele_routing_texts *texts,
                              const dele_routing_measures *m, const dele_routing_measures *after);

/* A line a layer: entropy, largest domain specialisation, mean distance of domains with its
 * control, largest co-activation, vocabulary specialisation of top-1 experts. */
void dele_routing_layers_table(dele_table *t, const dele_routing_measures *m);

/* A line for each pair of domains and layer: the distance of loads, interval, control. */
void dele_routing_pairs_table(dele_table *t, const dele_routing_measures *m);

/* A line for each layer, domain and expert: counts and shares, of the top k and of the top 1. */
void dele_routing_experts_table(dele_table *t, const dele_routing_measures *m);

/* The `most` pairs of experts of each layer with the largest co-activation. */
dele_status dele_routing_coactivation_table(dele_table *t, const dele_routing_measures *m, int most,
                                            dele_err *err);

/* Of each layer, kind of id and expert, the first `most` ids (top-1 experts) with their texts. */
dele_status dele_routing_vocabulary_table(dele_table *t, const dele_routing_measures *m, int most,
                                          const dele_tokenizer *tokenizer, dele_err *err);

/* Saturation and distance of two models: a line for each layer and domain, the last of all.
 * all_only: only those lines. */
void dele_routing_comparison_table(dele_table *t, const dele_routing_comparison *c, bool all_only);

/* Published numbers beside measured ones. */
void dele_routing_anchors_table(dele_table *t, const dele_anchor *anchor, size_t n,
                                const dele_routing_measures *m);

#endif
