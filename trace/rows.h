/* Facts by columns: what every average, interval and difference of a trace is computed from.
 *
 * A row is one traced fact; its entries are effects (dele_effect_of) of one metric, one for each
 * column of a chart.  A fact with a hole in its row (tokens that it lacks, or that were not asked
 * for) is left out whole, so that all columns of a table speak of the same facts.
 *
 * Two things vary, and each has its interval (95 %, DELE_RESAMPLES draws; base/stat.h has the
 * methods):
 *
 *   facts    n of the n rows are drawn with replacement, each with the mean of its own noise
 *            samples; studentised.  None of fewer than five facts
 *   noise    the rows stay; of each fact's S samples S are drawn with replacement: independently
 *            fact by fact, or the same ones for all facts where these share their noise (ROME's);
 *            percentiles at Student's points.  None where fewer than four draws are free: S - 1 of
 *            each fact, together where they are independent
 *
 * A resample is a row of counts, so all resamples of all columns are one matrix product, [R, n] by
 * [n, C].  Values enter it less a reference (a fact's first sample; the mean over facts), so that
 * float32's error is a millionth of their spread. */
#ifndef DELE_TRACE_ROWS_H
#define DELE_TRACE_ROWS_H

#include "base/random.h"
#include "base/stat.h"
#include "trace/trace.h"

enum { DELE_RESAMPLES = 1000 };

/* Which noise samples each resample takes, drawn once for a trace. */
typedef struct {
    size_t n;      /* samples of all traced facts together */
    size_t *first; /* [trace->n + 1] where a fact's begin; the last is n */
    float *weight; /* [DELE_RESAMPLES, n] how often a sample is drawn, over its fact's number of
                      samples */
    bool several;  /* some fact has two samples or more: else nothing is known of the noise */
    bool shared;   /* sample s is the same noise for every fact */
} dele_draws;

/* Whether all facts of a trace got the same noise. */
bool dele_shares_noise(const dele_trace *trace);

dele_status dele_draws_make(dele_draws *draws, const dele_trace *trace, dele_arena *arena,
                            dele_err *err);

typedef struct {
    size_t n, cols;
    size_t *fact;   /* [n] index into trace->facts, ascending */
    double *effect; /* [n, cols] mean over the fact's samples */
    float *sample;  /* [draws->n, cols] a sample's effect less that of the fact's first; 0 for facts
                       left out */
    double *origin; /* [n, cols] the first sample's effect */
} dele_fact_rows;

/* A chart's effects at a group of tokens, each token counting alike. */
dele_status dele_fact_rows_category(dele_fact_rows *rows, const dele_trace *trace,
                                    const dele_draws *draws, int chart, dele_metric metric,
                                    dele_category category, dele_arena *arena, dele_err *err);

/* At one token a fact and column, drawn (the same ones for all charts and metrics) from those of
 * the prompt that were patched and are neither the subject's nor the last; where there are none,
 * from all patched but the subject's last. */
dele_status dele_fact_rows_random_token(dele_fact_rows *rows, const dele_trace *trace,
                                        const dele_draws *draws, int chart, dele_metric metric,
                                        dele_arena *arena, dele_err *err);

/* One column: each fact's effect at a column of its own, drawn (the same one for all charts of as
 * many columns). */
dele_status dele_fact_rows_random_column(dele_fact_rows *out, const dele_trace *trace,
                                         const dele_draws *draws, const dele_fact_rows *rows,
                                         dele_arena *arena, dele_err *err);

/* a - b over the facts in both; minus_col >= 0: less that column of b at every column. */
dele_status dele_fact_rows_minus(dele_fact_rows *out, const dele_trace *trace,
                                 const dele_draws *draws, const dele_fact_rows *a,
                                 const dele_fact_rows *b, int minus_col, dele_arena *arena,
                                 dele_err *err);

typedef struct {
    size_t n;
    double mean, se;            /* se over facts; NaN for n < 2 */
    dele_interval facts, noise; /* NaN where there is nothing to draw from */
} dele_row_stat;

/* One for each column. */
dele_status dele_fact_rows_stats(dele_row_stat *out, const dele_fact_rows *rows,
                                 const dele_draws *draws, dele_err *err);

/* One row's own intervals over its fact's noise draws, for each column; NaN where these are fewer
 * than five. */
dele_status dele_fact_row_noise(dele_interval *out, const dele_fact_rows *rows, size_t row,
                                int n_samples, const dele_draws *draws, dele_err *err);

/* How often each of n items is drawn when n are, with replacement: count [resamples, n]. */
void dele_resample_counts(float *count, size_t resamples, size_t n, dele_rng *rng);

#endif
