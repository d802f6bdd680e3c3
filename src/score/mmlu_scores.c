/* MMLU's scores as JSON and as a table. */
#include "score/mmlu.h"

#include "score/report.h"

cJSON *lac_mmlu_json(const lac_mmlu_scores *scores, const lac_mmlu *data)
{
    bool norm = scores->style == LAC_MMLU_CONTINUATION;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "n", (double)scores->micro.n);
    cJSON_AddItemToObject(json, "micro", lac_accuracy_json(&scores->micro, norm));
    cJSON_AddItemToObject(json, "macro", lac_accuracy_json(&scores->macro, norm));
    cJSON *groups = cJSON_AddObjectToObject(json, "groups");
    for (int g = 0; g < LAC_MMLU_GROUPS; g++)
        if (scores->group[g].n)
            cJSON_AddItemToObject(groups, lac_mmlu_group_name((lac_mmlu_group)g),
                                  lac_accuracy_json(&scores->group[g], norm));
    cJSON *subjects = cJSON_AddObjectToObject(json, "subjects");
    for (size_t i = 0; i < data->n_subjects; i++) {
        cJSON *subject = lac_accuracy_json(&scores->subject[i], norm);
        cJSON_AddStringToObject(subject, "group", lac_mmlu_group_name(data->subject[i].group));
        cJSON_AddItemToObject(subjects, data->subject[i].name, subject);
    }
    return json;
}

static void table_row(FILE *to, const char *name, const lac_accuracy *s, lac_mmlu_style style)
{
    fprintf(to, "%s\t%zu\t%.4f\t%.4f", name, s->n, s->acc, s->acc_se);
    if (style == LAC_MMLU_CONTINUATION) fprintf(to, "\t%.4f\t%.4f", s->acc_norm, s->acc_norm_se);
    fputc('\n', to);
}

void lac_mmlu_table(FILE *to, const lac_mmlu_scores *scores, const lac_mmlu *data)
{
    fprintf(to, "subject\tn\tacc\tstderr%s\n", scores->style == LAC_MMLU_CONTINUATION ? "\tacc_norm\tstderr" : "");
    for (size_t i = 0; i < data->n_subjects; i++)
        table_row(to, data->subject[i].name, &scores->subject[i], scores->style);
    for (int g = 0; g < LAC_MMLU_GROUPS; g++)
        if (scores->group[g].n)
            table_row(to, lac_mmlu_group_name((lac_mmlu_group)g), &scores->group[g], scores->style);
    table_row(to, "macro", &scores->macro, scores->style);
    table_row(to, "micro", &scores->micro, scores->style);
}
