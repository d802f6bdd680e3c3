/* The table of suites. */
#ifndef DELE_SUITES_H
#define DELE_SUITES_H

#include "score/suites/suite.h"

/* In the order in which --help and eval's table of options have them. */
#define DELE_SUITES(X) X(mmlu) X(choices) X(qa) X(gsm8k) X(lume) X(tofu) X(membership) X(facts)
extern const dele_suite *const dele_suites[]; /* ends with NULL */
extern const char *const dele_suite_name[];   /* "", then theirs; ends with NULL */

/* "mmlu: what its data is; ...", for --help. */
const char *dele_suite_data_help(dele_arena *arena, dele_err *err);

#endif
