/* The routes of a traced fact on disk, in the record of a mixture of experts (record.h):
 *
 *   experts [T, L, k], expert_weights [T, L, k]   of the clean run, in order of probability; -1:
 * the layer has none unchanged_experts [S, T, L]                   the fraction that the corrupted
 * run chooses too forced [S, 2, 5]                              the metrics of the corrupted input
 * under the clean routes, and of the clean input under the corrupted ones */
#ifndef DELE_TRACE_ROUTE_RECORD_H
#define DELE_TRACE_ROUTE_RECORD_H

#include "base/npz.h"
#include "trace/trace.h"

dele_status dele_route_record_put(dele_npz *npz, const dele_grid *grid, const dele_trace *trace,
                                  dele_arena *scratch, dele_err *err);

/* Reads what put wrote into the grid, whose n_tokens and n_samples are in; path: for errors. */
dele_status dele_route_record_take(dele_grid *grid, dele_npz_in *npz, const char *path,
                                   const dele_trace *trace, dele_arena *arena, dele_arena *scratch,
                                   dele_err *err);

/* Whether a score is one that a trace can have; NaN, not measured, is one. */
bool dele_metric_can_be(dele_metric metric, double x);

#endif
