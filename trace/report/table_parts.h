/* Parts of all tables of a trace.  Tables are tab-separated.  Lines that begin with # describe the
 * table, the next line has the names of columns, and a field that is not a number is empty. */
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

/* A tab, and the number if it is finite; the two bounds of an interval likewise. */
void dele_table_number(FILE *to, double x);
void dele_table_interval(FILE *to, dele_interval interval);

/* The name of a column: its layer, or layer.head, or layer.expert. */
void dele_table_column(FILE *to, const dele_trace *trace, const dele_chart *chart, int col);

#endif
