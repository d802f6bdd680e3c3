/* results_lm_eval.json: a result of eval in the shape of lm-evaluation-harness's results, for what
 * reads those. */
#ifndef DELE_LM_EVAL_RESULTS_H
#define DELE_LM_EVAL_RESULTS_H

#include "base/json.h"

/* Out of eval.json: `results` with a task for each object of it that holds scores ("mmlu_anatomy";
 * keys "acc,none", "acc_stderr,none"), and beside it `configs`, `versions`, `n-shot`,
 * `higher_is_better`, `n-samples`, `group_subtasks` and `config`.  The caller's (cJSON_Delete);
 * NULL: out of memory. */
cJSON *lm_eval_results(const cJSON *eval);

#endif
