#include "score/suites/suites.h"

#include <string.h>

#include "score/suites/choice_sets.h"
#include "score/suites/facts_suite.h"
#include "score/suites/gsm8k.h"
#include "score/suites/lume.h"
#include "score/suites/membership.h"
#include "score/suites/mmlu.h"
#include "score/suites/qa.h"
#include "score/suites/tofu.h"

const dele_suite *const dele_suites[] = {
#define X(name) &dele_suite_##name,
    DELE_SUITES(X)
#undef X
        NULL};

const char *const dele_suite_name[] = {"",
#define X(name) #name,
                                       DELE_SUITES(X)
#undef X
                                           NULL};

const char *dele_suite_data_help(dele_arena *arena, dele_err *err)
{
    const char *text = "";
    for (size_t i = 0; text && dele_suites[i]; i++) {
        const dele_suite *suite = dele_suites[i], *next = dele_suites[i + 1];
        if (next && !strcmp(suite->data, next->data)) /* both names before the common text */
            text = dele_printf(arena, err, "%s%s, ", text, suite->name);
        else
            text = dele_printf(arena, err, "%s%s: %s%s", text, suite->name, suite->data,
                               next ? "; " : "");
    }
    return text;
}
