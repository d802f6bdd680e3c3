/* Layers in order of their effect, and which of them differ significantly.
 *
 * Layer b has the largest mean effect at the last subject token.  Layer l is *tied* with b unless
 * its paired difference to b is significant, in a test over all pairs of layers at once:
 *
 *   t(k, l) = mean(x_k - x_l) / se(x_k - x_l)                  over the facts
 *   t*(k, l) the same of a resample of facts, about the sample's mean difference and with its own
 *   se
 *   l differs significantly when t(b, l) exceeds the 95 % point of max over k of |t*(k, l)|
 *   (max-t bootstrap)
 *
 * The maximum is over all k, not b alone, because b was selected from the same data.  In at least
 * 95 of 100 samples of facts the truly best layer is then among the tied ones (Hsu's multiple
 * comparisons with the best).  With fewer than five facts there is no test, as there is no interval
 * (base/stat.h), and all layers are tied. */
#ifndef DELE_TRACE_RANKING_H
#define DELE_TRACE_RANKING_H

#include "trace/rows.h"

typedef struct {
    size_t n;     /* facts */
    int n_layers; /* 0: not a chart over layers */
    int best;     /* -1: no facts */
    int *rank;  /* [n_layers] from 1; ties in rank: the lower layer first; 0: the layer has no such
                   cells */
    bool *tied; /* [n_layers] with the best layer, which is tied with itself */
    int n_tied, n_ranked; /* layers tied with the best; all that have a rank */
} dele_ranking;

/* rows: effects, one column for each layer; NaN: the layer has none.  The arena owns rank and tied.
 */
dele_status dele_rank_layers(dele_ranking *ranking, const dele_fact_rows *rows, dele_arena *arena,
                             dele_err *err);

/* "layers 3-7 are not significantly different from the best (5)", "layer 5 is the best,
 * significantly different from all others", "1 fact: no layer is significantly different from the
 * best (5)", "no facts to compare". */
char *dele_ranking_words(const dele_ranking *ranking, dele_arena *arena, dele_err *err);

#endif
