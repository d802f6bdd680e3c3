/* A traced fact on disk: traces/<id>_<chart>.npz, ROME's arrays under their names and ours beside them.
 *
 *   scores [T, C], low_score, high_score, input_ids, input_tokens, subject_range, answer, window, correct_prediction, kind
 *   sample_scores, sample_logp, sample_logit_diff, sample_rank, sample_kl    [S, T, C] float32, NaN: not asked for
 *   low [S, 5], high [5]   float64, in the order p, logp, logit_diff, rank, kl
 *   answer_ids, foil_id, noop
 *
 * What a run reports is read back from these files, so that a run that was interrupted ends with the same bytes. */
#ifndef LAC_TRACE_RECORD_H
#define LAC_TRACE_RECORD_H

#include "trace/trace.h"

bool lac_record_exists(const char *dir, int id, const lac_chart *charts, int n_charts);
lac_status lac_record_save(const char *dir, const lac_traced *traced, const lac_chart *charts, int n_charts, lac_err *err);

/* Fills grid's answer, foil, high, low and values; ids, n_tokens, begin and end must stand there and agree. */
lac_status lac_record_load(lac_traced *traced, const char *dir, const lac_chart *charts, int n_charts, lac_arena *arena,
                           lac_err *err);

/* trace.json: the charts and settings; facts.jsonl: a line a fact. */
lac_status lac_trace_save_facts(const lac_trace *trace, const char *dir, lac_err *err);

/* A whole result read back: what lac_trace_run made, with facts of its own. */
lac_status lac_trace_load(lac_trace *trace, const char *dir, lac_arena *arena, lac_err *err);

#endif
