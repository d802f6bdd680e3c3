#include "unlearn/objective.h"

#include <stdio.h>
#include <string.h>

static const lac_objective *const objectives[] = {
    &lac_objective_joint,
    &lac_objective_ce,
};

const lac_objective *lac_objective_find(const char *name, lac_err *err)
{
    char known[256] = "";
    for (size_t k = 0; k < sizeof objectives / sizeof *objectives; k++) {
        if (!strcmp(objectives[k]->name, name)) return objectives[k];
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", k ? ", " : "", objectives[k]->name);
    }
    lac_fail(err, LAC_ERR_USAGE, "--objective %s is not one of: %s", name, known);
    return NULL;
}
