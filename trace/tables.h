/* What the files that write a trace's tables share.  Tables are tab-separated, begin with lines "# ..." that say in words
 * what they hold, then name their columns; what is not a number is left empty. */
#ifndef LAC_TRACE_TABLES_H
#define LAC_TRACE_TABLES_H

#include "base/file.h"
#include "trace/stats.h"

typedef struct {
    const lac_trace *trace;
    const lac_trace_stats *stats;
    const char *dir;
    lac_arena *arena; /* scratch */
    lac_err *err;
} lac_saving;

lac_status lac_table_open(lac_writer *out, const lac_saving *to, const char *name);

/* A tab, and the number if it is one. */
void lac_table_number(FILE *to, double x);
void lac_table_interval(FILE *to, lac_interval interval); /* two of them */

/* A column by name: a layer, or layer.head. */
void lac_table_column(FILE *to, const lac_trace *trace, const lac_chart *chart, int col);

/* effects.tsv, peaks.tsv and plots/peaks_<chart>.tsv (fact_tables.c); differences.tsv (differences.c). */
lac_status lac_save_fact_effects(const lac_saving *to);
lac_status lac_save_peaks(const lac_saving *to);
lac_status lac_save_differences(const lac_saving *to);

/* Where the effect on p is largest. */
typedef struct {
    int col;                /* at the last subject token; -1: it was not patched */
    double effect;
    int any_token, any_col; /* of all cells; -1: none was patched */
    double any_effect;
} lac_peak;

lac_peak lac_peak_of(const lac_trace *trace, const lac_traced *fact, int chart);

#endif
