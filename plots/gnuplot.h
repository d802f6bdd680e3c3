/* Pictures: tables that say how they are drawn, and the one call of gnuplot.
 *
 * A table for a picture is a .tsv whose first lines are comments:
 *
 *   # plot heatmap.gp                 the script in plots/ that draws it
 *   # title The tower stands in       any number of variables that the script reads, "# name value"
 *   0 <tab> The* <tab> 0 <tab> 0.01   the rows, as the script's head describes them
 *
 * so that a directory of tables can be drawn again at any time (deleatur plot DIR), or by hand:
 *
 *   gnuplot -e "table='average_mlp.tsv'" plots/heatmap.gp
 *
 * Each script writes NAME.svg, NAME.png and NAME.pdf beside NAME.tsv; a gnuplot without cairo leaves the PDF out. */
#ifndef DELE_GNUPLOT_H
#define DELE_GNUPLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

typedef struct {
    size_t n;    /* tables drawn */
    bool no_pdf; /* this gnuplot cannot write PDF */
} dele_drawn;

/* Draws every such table in dir; *drawn (may be NULL) says what came of it.  The same tables give the same bytes.
 * DELE_ERR_UNSUPPORTED: gnuplot or its scripts are not there. */
dele_status dele_plots_draw(const char *dir, dele_drawn *drawn, dele_err *err);

#endif
