/* Pictures of a trace: their titles and notes, and the tables of pictures that show several charts,
 * or a chart's heads, together. */
#ifndef DELE_TRACE_PICTURE_H
#define DELE_TRACE_PICTURE_H

#include "trace/report/stats.h"

/* Text in a picture's table: on one line, with characters that do not print as numbers
 * (base/text_out.h). */
void dele_picture_text(FILE *to, const char *text);

/* "p(Seoul)": the answer without its leading space. */
void dele_picture_answer(FILE *to, const char *answer);

/* A tab and a number; what is not finite is "nan", which gnuplot leaves out. */
void dele_picture_number(FILE *to, double x);
/* A line a layer: its number, the mean and its interval over facts; stat [n_layers]. */
void dele_picture_layers(FILE *to, const dele_row_stat *stat, int n_layers);

/* The lines "# colour", "# xlabel", "# note" and "# model" of a chart's table.  A model is named by
 * the last part of its path; after (may be NULL) names a second one.  only: the fact of a picture
 * with one fact, or NULL. */
void dele_picture_describe(FILE *to, const dele_trace *trace, const dele_trace *after,
                           const dele_chart *chart, const dele_traced *only);

/* The lines "# note" and "# model" of a table that is not of one chart. */
void dele_picture_how(FILE *to, const dele_trace *trace);

/* The line "# hues" of lines for the groups of tokens that there are: a group has its own, whatever
 * others there are. */
void dele_picture_hues(FILE *to, const bool has[DELE_N_CATEGORIES]);

/* "# centre" and "# side" of a map of a fact's scores: p without a patch, and the direction of the
 * effect. */
void dele_picture_centre(FILE *to, const dele_trace *trace, const dele_traced *traced);

/* The range of the mean effects on p over all charts, extended to include 0; and of a fact's
 * scores, extended to include its low (noising: high).  These maps share one scale.  Those of heads
 * and of experts, whose effects are small, have one of their own each, over the two tokens that
 * they are drawn at.  kind: one of these, or any other. */
void dele_picture_effects(double *min, double *max, const dele_trace *trace,
                          const dele_trace_stats *stats, dele_kind kind);
void dele_picture_scores(double *min, double *max, const dele_trace *trace,
                         const dele_traced *traced, dele_kind kind);

/* Writes into dir/plots: severed.tsv (bars of hidden states with and without severed paths),
 * windows_<kind>.tsv (several widths), and layer-by-head maps of head charts,
 * average_head_<tokens>.tsv and <id>_head_<tokens>.tsv for the first `pictures` facts, and the same
 * of expert charts.  There is no table for what was not traced. */
dele_status dele_trace_save_pictures(const dele_trace *trace, const dele_trace_stats *stats,
                                     const char *dir, int pictures, dele_err *err);

#endif
