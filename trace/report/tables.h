/* What the files that write a trace's tables share.  Tables are tab-separated, begin with lines "#
 * ..." that say in words what they hold, then name their columns; what is not a number is left
 * empty. */
#ifndef DELE_TRACE_TABLES_H
#define DELE_TRACE_TABLES_H

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

/* effects.tsv, peaks.tsv and plots/peaks_<chart>.tsv (fact_tables.c); differences.tsv
 * (differences.c). */
dele_status dele_save_fact_effects(const dele_saving *to);
dele_status dele_save_peaks(const dele_saving *to);
dele_status dele_save_differences(const dele_saving *to);

/* Where the effect on p is largest. */
typedef struct {
    int col; /* at the last subject token; -1: it was not patched */
    double effect;
    int any_token, any_col; /* of all cells; -1: none was patched */
    double any_effect;
} dele_peak;

dele_peak dele_peak_of(const dele_trace *trace, const dele_traced *fact, int chart);

#endif
