/* Pictures: tables that say how they are drawn, and the one call of gnuplot.
 *
 * A table for a picture is a .tsv whose first lines are comments:
 *
 *   # plot heatmap.gp                 the script in plots/ that draws it
 *   # title The tower is in       any number of variables that the script reads, "# name value"
 *   0 <tab> The* <tab> 0 <tab> 0.01   the rows, as the script's head describes them
 *
 * so that a directory of tables can be drawn again at any time (deleatur plot DIR).  To change how
 * pictures look, edit a copy of plots/ and name the directory that holds it in DELEATUR_SHARE.
 *
 * Results may come from strangers, so no name and no text ever is a part of gnuplot's commands.
 * gnuplot works in a temporary directory of ours on copies: t3.tsv, the rows; v3.tsv, the
 * variables; p3.svg, the picture.  What it is told is a number and the names of our own scripts.
 * Texts are data: columns of those files, every special byte of them written as an octal escape,
 * which gnuplot undoes once when it reads a column.  Pictures are moved into place by us. */
#ifndef DELE_GNUPLOT_H
#define DELE_GNUPLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

typedef struct {
    size_t n;    /* tables drawn */
    bool no_pdf; /* this gnuplot cannot write PDF */
} dele_drawn;

/* Draws every such table in dir, as NAME.svg, NAME.png and NAME.pdf beside NAME.tsv; *drawn (may be
 * NULL) says what came of it.  The same tables give the same bytes.  A table that cannot be drawn
 * does not keep the others from it; the first such one is the error.  DELE_ERR_UNSUPPORTED: gnuplot
 * or its scripts are not there. */
dele_status dele_plots_draw(const char *dir, dele_drawn *drawn, dele_err *err);

#endif
