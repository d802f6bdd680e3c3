/* MMLU's scores as JSON and as a table. */
#include "score/mmlu.h"

#include "score/report.h"

cJSON *dele_mmlu_json(const dele_mmlu_scores *scores, const dele_mmlu *data)
{
    bool norm = scores->style == DELE_MMLU_CONTINUATION;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "n", (double)scores->micro.n);
    cJSON_AddItemToObject(json, "micro", dele_accuracy_json(&scores->micro, norm));
    cJSON_AddItemToObject(json, "macro", dele_accuracy_json(&scores->macro, norm));
    cJSON *groups = cJSON_AddObjectToObject(json, "groups");
    for (int g = 0; g < DELE_MMLU_GROUPS; g++)
        if (scores->group[g].n)
            cJSON_AddItemToObject(groups, dele_mmlu_group_name((dele_mmlu_group)g),
                                  dele_accuracy_json(&scores->group[g], norm));
    cJSON *subjects = cJSON_AddObjectToObject(json, "subjects");
    for (size_t i = 0; i < data->n_subjects; i++) {
        cJSON *subject = dele_accuracy_json(&scores->subject[i], norm);
        cJSON_AddStringToObject(subject, "group", dele_mmlu_group_name(data->subject[i].group));
        cJSON_AddItemToObject(subjects, data->subject[i].name, subject);
    }
    return json;
}

static void table_row(FILE *to, const char *name, const dele_accuracy *s, dele_mmlu_style style)
{
    fprintf(to, "%s\t%zu\t%.4f\t%.4f", name, s->n, s->acc, s->acc_se);
    if (style == DELE_MMLU_CONTINUATION) fprintf(to, "\t%.4f\t%.4f", s->acc_norm, s->acc_norm_se);
    fputc('\n', to);
}

void dele_mmlu_table(FILE *to, const dele_mmlu_scores *scores, const dele_mmlu *data)
{
    fprintf(to, "subject\tn\tacc\tstderr%s\n", scores->style == DELE_MMLU_CONTINUATION ? "\tacc_norm\tstderr" : "");
    for (size_t i = 0; i < data->n_subjects; i++)
        table_row(to, data->subject[i].name, &scores->subject[i], scores->style);
    for (int g = 0; g < DELE_MMLU_GROUPS; g++)
        if (scores->group[g].n)
            table_row(to, dele_mmlu_group_name((dele_mmlu_group)g), &scores->group[g], scores->style);
    table_row(to, "macro", &scores->macro, scores->style);
    table_row(to, "micro", &scores->micro, scores->style);
}
