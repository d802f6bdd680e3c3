/* What a job prints: its plan before, its result after; and what of it goes into the manifest. */
#ifndef DELE_UNLEARN_JOB_REPORT_H
#define DELE_UNLEARN_JOB_REPORT_H

#include "unlearn/job_options.h"
#include "unlearn/trainer.h"

/* On stderr: sets, updates, tokens, what trains, memory. */
void dele_job_print_plan(const dele_job *job, const dele_trainable *trainable,
                         const dele_train_data *data);

/* A job that has ended, as the report sees it.  Everything belongs to the caller. */
typedef struct {
    const dele_job *job;
    const dele_trainable *trainable;
    const dele_train_data *data;
    const dele_train_report *report;
    const dele_err *trouble; /* why training ended early; code 0: it did not */
} dele_job_result;

/* On stdout, as text or JSON. */
void dele_job_print_result(const dele_job_result *result, const dele_common *common);

/* "training" of the manifest; the caller owns it. */
cJSON *dele_job_training_json(const dele_job_result *result);

#endif
