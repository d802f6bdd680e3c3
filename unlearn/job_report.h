/* What a job says: its plan before, its result after, and what of it goes into the manifest. */
#ifndef LAC_UNLEARN_JOB_REPORT_H
#define LAC_UNLEARN_JOB_REPORT_H

#include "unlearn/job.h"

/* On stderr: sets, updates, tokens, what trains, memory. */
void lac_job_say_plan(const lac_job *job, const lac_model *model, const lac_mask *mask, const lac_dataset *forget,
                      const lac_dataset *retain);

/* On stdout, as text or JSON. */
void lac_job_say_result(const lac_common *common, const lac_job *job, const lac_train_report *r, bool two_sides);

/* Of the manifest; the caller owns it.  trouble: why it ended early, or no code. */
cJSON *lac_job_training_json(const lac_job *job, const lac_mask *mask, const lac_train_report *report,
                             const lac_err *trouble);

#endif
