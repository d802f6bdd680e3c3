/* Pictures: the tables that they are drawn from, and the one call of gnuplot.
 *
 * A table for a picture is a .tsv whose first lines are comments:
 *
 *   # plot heatmap.gp                 the script in plots/ that draws it
 *   # title The tower is in       any number of variables that the script reads, "# name value"
 *   0 <tab> The* <tab> 0 <tab> 0.01   the rows, as the script's head describes them
 *
 * A directory of tables can therefore be drawn again at any time (deleatur plot DIR).  To change
 * the look of pictures, edit a copy of plots/ and name the directory that holds it in
 * DELEATUR_SHARE.
 *
 * Results may have been downloaded, so no name and no text is ever part of gnuplot's commands.
 * gnuplot works in a temporary directory on copies: t3.tsv, the rows; v3.tsv, the variables;
 * p3.svg, the picture.  Its commands have a number and the names of our own scripts.  Texts are
 * data: columns of those files, with every special byte written as an octal escape, which gnuplot
 * decodes once when it reads a column.  Pictures are then moved into place. */
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
 * NULL) counts them.  The same tables give the same bytes.  After a table that cannot be drawn the
 * others are drawn all the same, and the first such table is the error.  DELE_ERR_UNSUPPORTED:
 * gnuplot or its scripts are not installed. */
dele_status dele_plots_draw(const char *dir, dele_drawn *drawn, dele_err *err);

#endif
