#include "score/suites/semeval.h"

#include <math.h>
#include <string.h>

#include "score/report.h"

bool dele_semeval_mmlu_is_official(const dele_semeval_mmlu *mmlu)
{
    return mmlu->style && !strcmp(mmlu->style, "open-instruct") && mmlu->split &&
           !strcmp(mmlu->split, "test") && mmlu->n == DELE_SEMEVAL_MMLU_N &&
           mmlu->shots == DELE_SEMEVAL_MMLU_SHOTS;
}

dele_semeval dele_semeval_score(double task_aggregate, double auc, const dele_semeval_mmlu *mmlu)
{
    double membership = 1 - 2 * fabs(auc - .5);
    return (dele_semeval){.task_aggregate = task_aggregate,
                          .auc = auc,
                          .membership = membership,
                          .mmlu = *mmlu,
                          .final = (task_aggregate + membership + mmlu->acc) / 3};
}

static void put_mmlu(cJSON *json, const dele_semeval_mmlu *m)
{
    cJSON_AddBoolToObject(json, "mmlu_suffices", m->acc > DELE_SEMEVAL_MMLU_ABOVE);
    cJSON_AddBoolToObject(json, "mmlu_is_official", dele_semeval_mmlu_is_official(m));
    cJSON *of = cJSON_AddObjectToObject(json, "mmlu_of");
    cJSON_AddStringToObject(of, "style", m->style);
    cJSON_AddStringToObject(of, "split", m->split);
    cJSON_AddNumberToObject(of, "shots", m->shots);
    cJSON_AddNumberToObject(of, "n", (double)m->n);
}

cJSON *dele_semeval_json(const dele_semeval *s)
{
    cJSON *json = cJSON_CreateObject();
    dele_put_number(json, "task_aggregate", s->task_aggregate);
    dele_put_number(json, "membership_auc", s->auc);
    dele_put_number(json, "membership", s->membership);
    dele_put_number(json, "mmlu", s->mmlu.acc);
    dele_put_number(json, "final", s->final);
    if (isfinite(s->mmlu.acc)) put_mmlu(json, &s->mmlu);
    return json;
}

static void row(dele_table *t, const char *name, double x)
{
    dele_table_text(t, name);
    dele_table_real(t, "%.4f", x);
    dele_table_row(t);
}

void dele_semeval_table(dele_table *t, const dele_semeval *s)
{
    dele_table_head(t, "measure\tvalue\tof");
    row(t, "task aggregate", s->task_aggregate);
    row(t, "membership AUC", s->auc);
    row(t, "membership score", s->membership);
    if (isfinite(s->mmlu.acc)) {
        dele_table_text(t, "MMLU");
        dele_table_real(t, "%.4f", s->mmlu.acc);
        char of[200]; /* style and split are texts of another result */
        snprintf(of, sizeof of, "%.40s, %.40s split, %zu questions, %d examples", s->mmlu.style,
                 s->mmlu.split, s->mmlu.n, s->mmlu.shots);
        dele_table_text(t, of);
        dele_table_row(t);
    } else {
        row(t, "MMLU", NAN);
    }
    row(t, "final score", s->final);
}
