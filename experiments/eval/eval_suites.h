/* What `deleatur eval` can measure: a row a suite. */
#ifndef DELE_EVAL_SUITES_H
#define DELE_EVAL_SUITES_H

#include "model/forward.h"
#include "option/manifest.h"
#include "score/report.h"

/* Everything a suite needs; result is what goes into eval.json beside the options. */
typedef struct {
    const char *model_path, *suite, *data, *out;
    const char *split, *style, *subjects, *ids, *chat; /* these too: NULL where not given */
    const char *reference, *retrained, *mmlu_result, *compat, *template;
    int shots, limit, max_new; /* shots -1, the others 0 where not given */
    double min_k;
    bool quiet, json, csv, gradnorm;
    int n_tables; /* printed so far */
    dele_model model;
    dele_run run;
    dele_arena arena;
    dele_items items;
    cJSON *result;
} eval_job;

enum { EVAL_MOST_OPTIONS = 8 };

typedef struct {
    const char *name;
    dele_status (*eval)(eval_job *j, dele_err *err);
    bool resumes;                           /* resumes after the items of an interrupted run */
    const char *options[EVAL_MOST_OPTIONS]; /* those that it has beside --data, --limit and --out;
                                               ends with NULL */
} eval_suite;

/* NULL with err set: there is none of that name. */
const eval_suite *eval_suite_find(const char *name, dele_err *err);

/* An option that was given and that the suite does not have is refused by name. */
dele_status eval_check_options(const eval_job *j, const eval_suite *suite, dele_err *err);

void eval_add_text(eval_job *j, const char *name, const char *value);

/* The files that a suite reads. */
dele_status eval_add_inputs(eval_job *j, dele_manifest *manifest, dele_err *err);

#endif
