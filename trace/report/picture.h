/* Pictures of a trace: how each says what it shows, and those that put several charts, or a chart's
 * heads, together. */
#ifndef DELE_TRACE_PICTURE_H
#define DELE_TRACE_PICTURE_H

#include "trace/report/stats.h"

/* Text in a picture's table: one line, and what is no printing character shown by its number
 * (base/text_out.h). */
void dele_picture_text(FILE *to, const char *text);

/* "p(Seoul)": the answer without the blank that it begins with. */
void dele_picture_answer(FILE *to, const char *answer);

/* A tab and a number; "nan", which gnuplot is told to leave out, for all that are not numbers. */
void dele_picture_number(FILE *to, double x);

/* The lines "# colour", "# xlabel", "# note" and "# model" of a chart's table; the model by the
 * last part of its path, and the second one too where `after` is not NULL. */
void dele_picture_describe(FILE *to, const dele_trace *trace, const dele_trace *after,
                           const dele_chart *chart, const dele_traced *only);

/* "# centre" and "# side" of a map of a fact's scores: what p is where nothing was patched, and
 * which way the effect goes. */
void dele_picture_centre(FILE *to, const dele_trace *trace, const dele_traced *traced);

/* The range of mean effects on p over all charts, 0 within; and of a fact's scores, its own low
 * (noising: high) within.  Such maps share a scale, but heads, which are many and weak, have one of
 * their own. */
void dele_picture_effects(double *min, double *max, const dele_trace *trace,
                          const dele_trace_stats *stats, bool heads);
void dele_picture_scores(double *min, double *max, const dele_trace *trace,
                         const dele_traced *traced, bool heads);

/* Into dir/plots: severed.tsv (bars of hidden states whole and with a path cut), windows_<kind>.tsv
 * (widths beside each other), and layer by head maps of head charts: average_head_<tokens>.tsv and
 * <id>_head_<tokens>.tsv for the first `pictures` facts.  What was not traced leaves no table. */
dele_status dele_trace_save_pictures(const dele_trace *trace, const dele_trace_stats *stats,
                                     const char *dir, int pictures, dele_err *err);

#endif
