/* What a trace of a mixture of experts says of its routes, as means over facts with intervals
 * (rows.h).
 *
 * Does a fact live in the experts or in the route?  A run is given by its input, clean or corrupted
 * embeddings, and by the routes that are forced in all layers and at all tokens, those of the clean
 * or of the corrupted run:
 *
 *                     clean routes                      corrupted routes
 *   clean input       high, the clean run               b
 *   corrupted input   a                                 low, the corrupted run
 *
 *   total effect               high - low
 *   restored by the routes     a - low       routes clean, all else corrupted
 *   lost by the routes         high - b      routes corrupted, all else clean
 *   restored by the input      b - low       all else clean under the corrupted routes
 *   lost by the input          high - a      all else corrupted under the clean routes
 *   interaction                high - a - b + low: what neither has alone
 *
 * "The input" is all that is no route: the experts' outputs and the attention.  Effects of rank and
 * kl, which fall as p rises, have the other sign. */
#ifndef DELE_ROUTE_STATS_H
#define DELE_ROUTE_STATS_H

#include "trace/rows.h"

typedef enum {
    DELE_ROUTES_CLEAN,
    DELE_ROUTES_CORRUPTED,
    DELE_ROUTES_CLEAN_FORCED,
    DELE_ROUTES_CORRUPTED_FORCED,
    DELE_ROUTES_TOTAL, /* the effects begin */
    DELE_ROUTES_RESTORED,
    DELE_ROUTES_LOST,
    DELE_INPUT_RESTORED,
    DELE_INPUT_LOST,
    DELE_ROUTES_INTERACTION,
    DELE_N_ROUTE_QUANTITIES
} dele_route_quantity;
extern const char *const dele_route_quantity_name[DELE_N_ROUTE_QUANTITIES];

typedef struct {
    dele_row_stat quantity[DELE_N_METRICS][DELE_N_ROUTE_QUANTITIES];
    dele_row_stat *unchanged[DELE_N_CATEGORIES]; /* [n_layers] the fraction of a token's experts
                                                    that the corruption leaves; NaN: the layer has
                                                    none */
} dele_route_stats;

/* *stats is NULL where the model is no mixture, no fact was traced, or there are no corrupted runs
 * (ablation). */
dele_status dele_route_statistics(dele_route_stats **stats, const dele_trace *trace,
                                  const dele_draws *draws, dele_arena *arena, dele_err *err);

/* A quantity's mean over the total effect's; NaN where that is 0. */
double dele_route_share(const dele_route_stats *stats, dele_metric metric, dele_route_quantity q);

/* The fraction of its experts that a fact keeps at a group of tokens and a layer, mean over samples
 * and tokens; NaN: it has no such tokens or experts. */
double dele_fact_unchanged(const dele_trace *trace, const dele_traced *fact, dele_category category,
                           int layer);

#endif
