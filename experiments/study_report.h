/* report.html: a study on one page that needs no network.  docs/recipes.md says what is on it. */
#ifndef LAC_STUDY_REPORT_H
#define LAC_STUDY_REPORT_H

#include "experiments/study_scores.h"

/* Of what stands: writes out/report.html, and out/report/ with the tables and pictures behind it. */
lac_status study_report(const study *s, lac_err *err);

#endif
