/* What a job says: its plan before, its result after, and what of it goes into the manifest. */
#ifndef DELE_UNLEARN_JOB_REPORT_H
#define DELE_UNLEARN_JOB_REPORT_H

#include "unlearn/job.h"

/* On stderr: sets, updates, tokens, what trains, memory. */
void dele_job_print_plan(const dele_job *job, const dele_model *model, const dele_mask *mask,
                         const dele_dataset *forget, const dele_dataset *retain);

/* On stdout, as text or JSON. */
void dele_job_print_result(const dele_common *common, const dele_job *job,
                           const dele_train_report *r, bool two_sides);

/* That nothing was forgotten, by the forget set's loss, and what to change; or that there was
 * nothing to forget.  In the arena; NULL: neither. */
const char *dele_job_warning(const dele_job *job, const dele_train_report *r, dele_arena *arena,
                             dele_err *err);

/* Of the manifest; the caller owns it.  trouble: why it ended early, or no code. */
cJSON *dele_job_training_json(const dele_job *job, const dele_mask *mask,
                              const dele_train_report *report, const dele_err *trouble);

#endif
