/* The rounds of an answer: who writes what. */
#ifndef DELE_NUDGE_ROUNDS_H
#define DELE_NUDGE_ROUNDS_H

#include "nudge/job.h"

/* By text, and by ids of one vocabulary: all rounds; result->stop and ->rounds. */
dele_status dele_nudge_by_text(dele_nudge_job *j, dele_err *err);
dele_status dele_nudge_by_tokens(dele_nudge_job *j, dele_err *err);

#endif
