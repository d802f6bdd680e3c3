/* What the files that write a trace's tables share.  Tables are tab-separated, begin with lines "#
 * ..." that say in words what they hold, then name their columns; what is not a number is left
 * empty. */
#ifndef DELE_TRACE_TABLE_PARTS_H
#define DELE_TRACE_TABLE_PARTS_H

#include "base/file_out.h"
#include "trace/report/stats.h"

typedef struct {
    const dele_trace *trace;
    const dele_trace_stats *stats;
    const char *dir;
    dele_arena *arena; /* scratch */
    dele_err *err;
} dele_saving;

dele_status dele_table_open(dele_writer *out, const dele_saving *to, const char *name);

/* A tab, and the number if it is one. */
void dele_table_number(FILE *to, double x);
void dele_table_interval(FILE *to, dele_interval interval); /* two of them */

/* A column by name: a layer, or layer.head. */
void dele_table_column(FILE *to, const dele_trace *trace, const dele_chart *chart, int col);

#endif
