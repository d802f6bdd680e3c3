/* One line of progress: task, amount done, speed, remaining time.
 *
 *   unlearn  120/400 rows  3.4 rows/s  1 min 22 s left   forget 3.91  retain 1.07
 *
 * Redrawn at most five times a second on a terminal; else a line each tenth of the way.  Goes to
 * stderr.  A NULL progress prints nothing, so that the library needs no check. */
#ifndef DELE_PROGRESS_H
#define DELE_PROGRESS_H

#include <stdbool.h>
#include <stdio.h>

typedef struct {
    FILE *to;                                 /* NULL: silent */
    const char *what;                         /* "mmlu", "trace" */
    const char *unit;                         /* "questions", "cells" */
    double total, done, from, started, shown; /* from: done before the clock started */
    int tenth;
    bool tty;
} dele_progress;

/* Starts the clock.  to == NULL gives a silent one. */
void dele_progress_begin(dele_progress *p, FILE *to, const char *what, const char *unit,
                         double total);
/* Sets the amount that an earlier process did: the clock starts here.  p may be NULL. */
void dele_progress_from(dele_progress *p, double done);
/* Sets how much is done; note (may be NULL) is appended to the line. */
void dele_progress_set(dele_progress *p, double done, const char *note);
void dele_progress_end(dele_progress *p); /* the last line, with the whole time */

double dele_now(void);                              /* seconds, monotonic */
void dele_print_duration(FILE *to, double seconds); /* "4.2 s", "1 min 22 s", "3 h 05 min" */

#endif
