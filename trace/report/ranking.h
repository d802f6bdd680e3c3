/* Layers in order of effect, and which of them differ significantly.
 *
 * Layer b has the largest mean effect at the last subject token.  Layer l is *tied* with it unless
 * its paired difference to b is too large for l to be the best in truth, all other layers
 * considered at once:
 *
 *   t(k, l) = mean(x_k - x_l) / se(x_k - x_l)                  over the facts
 *   t*(k, l) the same of a resample of facts, about the sample's mean difference and with its own
 *   se
 *   l differs significantly when t(b, l) exceeds the 95 % point of max over k of |t*(k, l)|
 *   (max-t bootstrap)
 *
 * The maximum over all k, not over b alone, pays for b having been chosen by looking.  So of many
 * facts sets in at least 95 of 100 the truly best layer is among those tied (Hsu's comparisons with
 * the best).  With fewer than five facts nothing is told, as no interval is given (base/stat.h),
 * and all layers are tied. */
#ifndef DELE_TRACE_RANKING_H
#define DELE_TRACE_RANKING_H

#include "trace/rows.h"

typedef struct {
    size_t n;     /* facts */
    int n_layers; /* 0: not a chart over layers */
    int best;     /* -1: no facts */
    int *rank;    /* [n_layers] from 1; the lower layer first among equals */
    bool *tied;   /* [n_layers] with the best, which is tied with itself */
    int n_tied;
} dele_ranking;

/* rows: effects with a column a layer. */
dele_status dele_rank_layers(dele_ranking *ranking, const dele_fact_rows *rows, dele_arena *arena,
                             dele_err *err);

/* "layers 3-7 are not significantly different from the best (5)", "layer 5 is the best,
 * significantly different from all others", "1 fact: no layer is significantly different from the
 * best (5)", "no facts to compare". */
char *dele_ranking_words(const dele_ranking *ranking, dele_arena *arena, dele_err *err);

#endif
