#include "score/semeval.h"

#include <math.h>

#include "score/report.h"

lac_semeval lac_semeval_score(double task_aggregate, double auc, double mmlu)
{
    double membership = 1 - 2 * fabs(auc - .5);
    return (lac_semeval){.task_aggregate = task_aggregate,
                         .auc = auc,
                         .membership = membership,
                         .mmlu = mmlu,
                         .final = (task_aggregate + membership + mmlu) / 3};
}

cJSON *lac_semeval_json(const lac_semeval *s)
{
    cJSON *json = cJSON_CreateObject();
    lac_put_number(json, "task_aggregate", s->task_aggregate);
    lac_put_number(json, "membership_auc", s->auc);
    lac_put_number(json, "membership", s->membership);
    lac_put_number(json, "mmlu", s->mmlu);
    lac_put_number(json, "final", s->final);
    if (isfinite(s->mmlu)) cJSON_AddBoolToObject(json, "mmlu_suffices", s->mmlu >= LAC_SEMEVAL_MMLU_LEAST);
    return json;
}

static void row(FILE *to, const char *name, double x)
{
    if (isfinite(x)) fprintf(to, "%s\t%.4f\n", name, x);
    else fprintf(to, "%s\t-\n", name);
}

void lac_semeval_table(FILE *to, const lac_semeval *s)
{
    row(to, "task aggregate", s->task_aggregate);
    row(to, "membership AUC", s->auc);
    row(to, "membership score", s->membership);
    row(to, "MMLU", s->mmlu);
    row(to, "final score", s->final);
}
