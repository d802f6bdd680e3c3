/* report.html: a study on one page that needs no network.  docs/recipes.md says what is on it. */
#ifndef DELE_STUDY_REPORT_H
#define DELE_STUDY_REPORT_H

#include "experiments/study/study_scores.h"

/* Of what exists: writes out/report.html, and out/report/ with the tables and pictures behind
 * it. */
dele_status study_report(const study *s, dele_err *err);

#endif
