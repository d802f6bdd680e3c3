/* A trace as one HTML file that needs no network: page.html, the template plots/page.html with the
 * result's numbers.
 *
 * The page has every average of summary.tsv and, for as many facts as fit into DELE_PAGE_BYTES,
 * every cell: its mean score over the noise samples as a float32, and the half-width of its
 * effect's 95 % interval over them (Student's t) as the upper half of a float32.  Further facts are
 * listed without maps, and the page says so. */
#ifndef DELE_TRACE_PAGE_H
#define DELE_TRACE_PAGE_H

#include "trace/report/compare.h"

enum { DELE_PAGE_BYTES = 10 << 20 }; /* of cells, as they are in the file */

/* Writes dir/page.html. */
dele_status dele_trace_page(const dele_trace *trace, const dele_trace_stats *stats, const char *dir,
                            dele_err *err);

/* The same of two traces, their maps side by side. */
dele_status dele_comparison_page(const dele_comparison *comparison, const char *dir, dele_err *err);

#endif
