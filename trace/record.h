/* A traced fact on disk: traces/<id>_<chart>.npz, with ROME's arrays under ROME's names, and
 * others.
 *
 *   scores [T, C], low_score, high_score, input_ids, input_tokens, subject_range, answer, window,
 *   correct_prediction, kind
 *   sample_scores, sample_logp, sample_logit_diff, sample_rank, sample_kl    [S, T, C] float32,
 *   NaN: not patched
 *   low [S, 5], high [5]   float64, in the order p, logp, logit_diff, rank, kl
 *   answer_ids, foil_id, noop; of a mixture of experts its routes (route_record.h)
 *
 * A run reports what it has read back from these files, so that a resumed run gives the same
 * bytes. */
#ifndef DELE_TRACE_RECORD_H
#define DELE_TRACE_RECORD_H

#include "trace/trace.h"

/* Whether the records of all charts are there. */
bool dele_record_exists(const char *dir, int id, const dele_chart *charts, int n_charts);
/* trace: charts and layers. */
dele_status dele_record_save(const char *dir, const dele_traced *traced, const dele_trace *trace,
                             dele_err *err);

/* Fills the grid's answer, foil, high, low and values.  Its ids, n_tokens, begin and end are in,
 * and must agree with the record. */
dele_status dele_record_load(dele_traced *traced, const char *dir, const dele_trace *trace,
                             dele_arena *arena, dele_err *err);

/* Writes trace.json (charts and settings) and facts.jsonl (a line for each fact). */
dele_status dele_trace_save_facts(const dele_trace *trace, const char *dir, dele_err *err);

/* Reads a result back, as dele_trace_run made it.  The arena owns everything, the facts too. */
dele_status dele_trace_load(dele_trace *trace, const char *dir, dele_arena *arena, dele_err *err);

#endif
