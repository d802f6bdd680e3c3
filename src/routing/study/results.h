/* What a routing study leaves in its directory, beside the page and the pictures:
 *
 *   routing.json         all measures by layer, of each model and of each against the first
 *   texts.tsv, layers.tsv, pairs.tsv, experts.tsv, coactivation.tsv, vocabulary.tsv
 *   measures.npz         domains [D]; count, count_top1 [D, layers, E]; coactivation [layers, E, E]
 *   tokens.npz           (tokens_file.h)
 *   against_N/           the same of the N-th other model, from 1, and comparison.tsv */
#ifndef DELE_ROUTING_RESULTS_H
#define DELE_ROUTING_RESULTS_H

#include "base/json.h"
#include "routing/study/tables.h"

typedef struct {
    const dele_routing_opts *opts;
    const dele_routing_texts *texts;
    const dele_routing_measures *model;
    const dele_routing_comparison *against; /* [n_against] */
    size_t n_against;
    const dele_config *config;
    const dele_tokenizer *tokenizer;
    const char *route_from; /* NULL: the model's own routes */
} dele_routing_study;

/* routing.json; NULL: no memory. */
cJSON *dele_routing_json(const dele_routing_study *s);

/* Writes tables and arrays into dir, which exists and is empty but for what the page and the
 * pictures put there. */
dele_status dele_routing_save(const dele_routing_study *s, const char *dir, dele_err *err);

#endif
