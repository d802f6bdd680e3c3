/* A traced fact on disk: traces/<id>_<chart>.npz, ROME's arrays under their names and ours beside
 * them.
 *
 *   scores [T, C], low_score, high_score, input_ids, input_tokens, subject_range, answer, window,
 *   correct_prediction, kind
 *   sample_scores, sample_logp, sample_logit_diff, sample_rank, sample_kl    [S, T, C] float32,
 *   NaN: not asked for
 *   low [S, 5], high [5]   float64, in the order p, logp, logit_diff, rank, kl
 *   answer_ids, foil_id, noop
 *
 * What a run reports is read back from these files, so that a run that was interrupted ends with
 * the same bytes. */
#ifndef DELE_TRACE_RECORD_H
#define DELE_TRACE_RECORD_H

#include "trace/trace.h"

bool dele_record_exists(const char *dir, int id, const dele_chart *charts, int n_charts);
dele_status dele_record_save(const char *dir, const dele_traced *traced, const dele_chart *charts,
                             int n_charts, dele_err *err);

/* Fills grid's answer, foil, high, low and values; ids, n_tokens, begin and end must stand there
 * and agree. */
dele_status dele_record_load(dele_traced *traced, const char *dir, const dele_chart *charts,
                             int n_charts, dele_arena *arena, dele_err *err);

/* trace.json: the charts and settings; facts.jsonl: a line a fact. */
dele_status dele_trace_save_facts(const dele_trace *trace, const char *dir, dele_err *err);

/* A whole result read back: what dele_trace_run made, with facts of its own. */
dele_status dele_trace_load(dele_trace *trace, const char *dir, dele_arena *arena, dele_err *err);

#endif
