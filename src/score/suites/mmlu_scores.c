/* MMLU's scores as JSON and as a table. */
#include "score/suites/mmlu.h"

#include "score/report.h"

void dele_mmlu_json(cJSON *json, const dele_mmlu_scores *scores, const dele_mmlu *data)
{
    bool norm = scores->style == DELE_MMLU_CONTINUATION;
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
}

static void table_row(dele_table *t, const char *name, const dele_accuracy *s,
                      dele_mmlu_style style)
{
    dele_table_text(t, name);
    dele_table_cell(t, "%zu", s->n);
    dele_table_real(t, "%.4f", s->acc);
    dele_table_real(t, "%.4f", s->acc_se);
    if (style == DELE_MMLU_CONTINUATION) {
        dele_table_real(t, "%.4f", s->acc_norm);
        dele_table_real(t, "%.4f", s->acc_norm_se);
    }
    dele_table_row(t);
}

void dele_mmlu_table(dele_table *t, const dele_mmlu_scores *scores, const dele_mmlu *data)
{
    dele_table_head(t, scores->style == DELE_MMLU_CONTINUATION
                           ? "subject\tn\tacc\tacc_stderr\tacc_norm\tacc_norm_stderr"
                           : "subject\tn\tacc\tacc_stderr");
    for (size_t i = 0; i < data->n_subjects; i++)
        table_row(t, data->subject[i].name, &scores->subject[i], scores->style);
    for (int g = 0; g < DELE_MMLU_GROUPS; g++)
        if (scores->group[g].n)
            table_row(t, dele_mmlu_group_name((dele_mmlu_group)g), &scores->group[g],
                      scores->style);
    table_row(t, "macro", &scores->macro, scores->style);
    table_row(t, "micro", &scores->micro, scores->style);
}
