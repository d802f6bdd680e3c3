/* Tables with a line for each fact. */
#ifndef DELE_TRACE_FACT_TABLES_H
#define DELE_TRACE_FACT_TABLES_H

#include "trace/report/table_parts.h"

/* effects.tsv; peaks.tsv and plots/peaks_<chart>.tsv. */
dele_status dele_save_fact_effects(const dele_saving *to);
dele_status dele_save_peaks(const dele_saving *to);

/* The cells of a fact's map with the largest effect on p. */
typedef struct {
    int col; /* at the last subject token; -1: it was not patched */
    double effect;
    int any_token, any_col; /* of all cells; -1: none was patched */
    double any_effect;
} dele_peak;

dele_peak dele_peak_of(const dele_trace *trace, const dele_traced *fact, int chart);

#endif
