/* Tables of facts by columns, from which every average, interval and difference of a trace is
 * computed.
 *
 * A row is one traced fact; its entries are effects (dele_effect_of) of one metric, one for each
 * column of a chart.  A fact that lacks an entry (tokens that it has not, or that were not patched)
 * is left out of the table, so that all columns are over the same facts.  Columns that no fact has,
 * layers without experts in a mixture, are NaN.
 *
 * There are two sources of variation, each with an interval (95 %, DELE_RESAMPLES resamples;
 * base/stat.h has the methods):
 *
 *   facts    n of the n rows are drawn with replacement, each with the mean of its own noise
 *            samples; studentised.  No interval for fewer than five facts
 *   noise    the rows are fixed; of each fact's S samples, S are drawn with replacement:
 *            independently for each fact, or the same ones for all facts where these share their
 *            noise (ROME's); percentiles at Student's points.  No interval with fewer than four
 *            degrees of freedom: S − 1 for each fact, added up where facts are independent
 *
 * A resample is a row of counts, so all resamples of all columns are one matrix product, [R, n] by
 * [n, C].  A reference is subtracted from the values first (a fact's first sample; the mean over
 * facts), so that the float32 error is a millionth of their spread. */
#ifndef DELE_TRACE_ROWS_H
#define DELE_TRACE_ROWS_H

#include "base/random.h"
#include "base/stat.h"
#include "trace/trace.h"

enum { DELE_RESAMPLES = 1000 };

/* The noise samples of each resample, drawn once for a trace. */
typedef struct {
    size_t n;      /* samples of all traced facts together */
    size_t *first; /* [trace->n + 1] index of each fact's first sample; the last entry is n */
    float *weight; /* [DELE_RESAMPLES, n] how often a sample is drawn, over its fact's number of
                      samples */
    bool several;  /* some fact has two samples or more; else there is no interval over noise */
    bool shared;   /* sample s is the same noise for every fact */
} dele_draws;

dele_status dele_draws_make(dele_draws *draws, const dele_trace *trace, dele_arena *arena,
                            dele_err *err);

typedef struct {
    size_t n, cols;
    size_t *fact;   /* [n] index into trace->facts, ascending */
    double *effect; /* [n, cols] mean over the fact's samples; NaN: no fact has the column */
    float *sample;  /* [draws->n, cols] a sample's effect − that of the fact's first sample; 0 for
                       facts left out */
    double *origin; /* [n, cols] the first sample's effect */
} dele_fact_rows;

/* A chart's effects, as means over a group of tokens. */
dele_status dele_fact_rows_category(dele_fact_rows *rows, const dele_trace *trace,
                                    const dele_draws *draws, int chart, dele_metric metric,
                                    dele_category category, dele_arena *arena, dele_err *err);

/* A control: the effects at one random token for each fact and column, the same for all charts and
 * metrics.  It is one of the patched tokens that are neither the subject's nor the prompt's last;
 * where there is none, any patched token but the subject's last. */
dele_status dele_fact_rows_random_token(dele_fact_rows *rows, const dele_trace *trace,
                                        const dele_draws *draws, int chart, dele_metric metric,
                                        dele_arena *arena, dele_err *err);

/* A control with one column: each fact's effect at a random column, the same for all charts with as
 * many columns. */
dele_status dele_fact_rows_random_column(dele_fact_rows *out, const dele_trace *trace,
                                         const dele_draws *draws, const dele_fact_rows *rows,
                                         dele_arena *arena, dele_err *err);

/* a − b over the facts in both; minus_col >= 0: every column of a − that column of b. */
dele_status dele_fact_rows_minus(dele_fact_rows *out, const dele_trace *trace,
                                 const dele_draws *draws, const dele_fact_rows *a,
                                 const dele_fact_rows *b, int minus_col, dele_arena *arena,
                                 dele_err *err);

typedef struct {
    size_t n;
    double mean, se;            /* se over facts; NaN for n < 2 */
    dele_interval facts, noise; /* NaN: no interval */
} dele_row_stat;

/* One for each column. */
dele_status dele_fact_rows_stats(dele_row_stat *out, const dele_fact_rows *rows,
                                 const dele_draws *draws, dele_err *err);

/* The intervals of one row over its fact's noise samples, for each column; NaN for fewer than five
 * samples. */
dele_status dele_fact_row_noise(dele_interval *out, const dele_fact_rows *rows, size_t row,
                                int n_samples, const dele_draws *draws, dele_err *err);

/* For each resample of n items, drawn with replacement, how often each item is drawn:
 * count [resamples, n]. */
void dele_resample_counts(float *count, size_t resamples, size_t n, dele_rng *rng);

#endif
