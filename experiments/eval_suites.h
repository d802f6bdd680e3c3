/* What `lacuna eval` can measure: a row a suite. */
#ifndef LAC_EVAL_SUITES_H
#define LAC_EVAL_SUITES_H

#include "base/manifest.h"
#include "model/forward.h"
#include "score/report.h"

/* Everything a suite needs; result is what goes into eval.json beside the options. */
typedef struct {
    const char *model_path, *suite, *data, *out, *split, *style, *subjects, *ids, *chat;
    const char *reference, *retrained, *mmlu_result, *compat, *template; /* NULL where not given */
    int shots, limit, max_new;
    double min_k;
    bool quiet, json, gradnorm;
    lac_model model;
    lac_run run;
    lac_arena arena;
    lac_items items;
    cJSON *result;
} eval_job;

typedef struct {
    const char *name;
    lac_status (*eval)(eval_job *j, lac_err *err);
    bool resumes; /* goes on behind the items of a broken run */
} eval_suite;

/* NULL with err set: there is none of that name. */
const eval_suite *eval_suite_find(const char *name, lac_err *err);

void eval_add_text(eval_job *j, const char *name, const char *value);

/* The files that a suite reads. */
lac_status eval_add_inputs(eval_job *j, lac_manifest *manifest, lac_err *err);

#endif
