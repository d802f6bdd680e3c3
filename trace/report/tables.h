/* The tables of a trace. */
#ifndef DELE_TRACE_TABLES_H
#define DELE_TRACE_TABLES_H

#include "trace/report/stats.h"

/* summary.tsv, layers.tsv, mask.json and plots/ *.tsv (the first `pictures` facts and the averages)
 * into an existing directory.  dele_plots_draw (plots/gnuplot.h) makes the pictures. */
dele_status dele_trace_save_tables(const dele_trace *trace, const dele_trace_stats *stats,
                                   const char *dir, int pictures, dele_err *err);

#endif
