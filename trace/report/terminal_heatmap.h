/* Heatmaps in the terminal. */
#ifndef DELE_TRACE_TERMINAL_HEATMAP_H
#define DELE_TRACE_TERMINAL_HEATMAP_H

#include <stdio.h>

#include "trace/report/compare.h"
#include "trace/report/stats.h"

/* Of one traced fact, and of the averages. */
void dele_trace_print_heatmap(FILE *to, const dele_trace *trace, const dele_traced *traced,
                              int chart);
void dele_trace_print_average(FILE *to, const dele_trace *trace, const dele_trace_stats *stats,
                              int chart);

/* One pair's maps side by side on a common scale. */
void dele_comparison_print_heatmaps(FILE *to, const dele_comparison *comparison, size_t pair,
                                    int chart);

#endif
