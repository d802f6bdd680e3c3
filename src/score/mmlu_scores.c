/* Means over questions, subjects and groups, with their standard errors, and how they are shown.
 *
 *   subject   mean, sd(n-1)/√n
 *   group     over its questions; √( Σ (nᵢ-1) nᵢ seᵢ² / (N-K) / N ), N questions in K subjects
 *   macro     the plain mean of the subjects' means, √(Σ seᵢ²)/K
 *
 * One question has no standard error: NaN here, null in JSON. */
#include "score/mmlu.h"

#include <math.h>

lac_mmlu_score lac_mmlu_mean(const unsigned char *right, const unsigned char *right_norm, size_t n)
{
    double sum = 0, sum_norm = 0, N = (double)n;
    for (size_t i = 0; i < n; i++) {
        sum += right[i];
        sum_norm += right_norm[i];
    }
    double acc = sum / N, norm = sum_norm / N;
    /* Σ (x - mean)² = N mean (1 - mean) for x of 0 or 1. */
    return (lac_mmlu_score){.n = n,
                            .acc = acc,
                            .acc_se = n > 1 ? sqrt(acc * (1 - acc) / (N - 1)) : NAN,
                            .acc_norm = norm,
                            .acc_norm_se = n > 1 ? sqrt(norm * (1 - norm) / (N - 1)) : NAN};
}

/* A subject of one question adds 0 · se² = 0, whatever its se. */
static double pooled_term(double n, double se)
{
    return n > 1 ? (n - 1) * n * se * se : 0;
}

lac_mmlu_score lac_mmlu_pool(const lac_mmlu_score *score, size_t n)
{
    lac_mmlu_score all = {0};
    double sum = 0, sum_norm = 0, variance = 0, variance_norm = 0;
    for (size_t i = 0; i < n; i++) {
        double size = (double)score[i].n;
        all.n += score[i].n;
        sum += size * score[i].acc;
        sum_norm += size * score[i].acc_norm;
        variance += pooled_term(size, score[i].acc_se);
        variance_norm += pooled_term(size, score[i].acc_norm_se);
    }
    if (all.n == 0) return all;
    double N = (double)all.n, free = N - (double)n;
    all.acc = sum / N;
    all.acc_norm = sum_norm / N;
    all.acc_se = free > 0 ? sqrt(variance / free / N) : NAN;
    all.acc_norm_se = free > 0 ? sqrt(variance_norm / free / N) : NAN;
    return all;
}

lac_mmlu_score lac_mmlu_macro(const lac_mmlu_score *score, size_t n)
{
    lac_mmlu_score all = {0};
    double K = (double)n, variance = 0, variance_norm = 0;
    for (size_t i = 0; i < n; i++) {
        all.n += score[i].n;
        all.acc += score[i].acc / K;
        all.acc_norm += score[i].acc_norm / K;
        variance += score[i].acc_se * score[i].acc_se;
        variance_norm += score[i].acc_norm_se * score[i].acc_norm_se;
    }
    all.acc_se = sqrt(variance) / K;
    all.acc_norm_se = sqrt(variance_norm) / K;
    return all;
}

static void add_number(cJSON *object, const char *name, double x)
{
    if (isfinite(x)) cJSON_AddItemToObject(object, name, lac_json_number(x));
    else cJSON_AddNullToObject(object, name);
}

static void add_interval(cJSON *object, const char *name, double mean, double se)
{
    cJSON *pair = cJSON_AddArrayToObject(object, name);
    for (int side = -1; side <= 1; side += 2) {
        double x = mean + side * 1.959963984540054 * se;
        cJSON_AddItemToArray(pair, isfinite(x) ? lac_json_number(x) : cJSON_CreateNull());
    }
}

static cJSON *score_json(const lac_mmlu_score *s, lac_mmlu_style style)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "n", (double)s->n);
    add_number(json, "acc", s->acc);
    add_number(json, "acc_stderr", s->acc_se);
    add_interval(json, "acc_interval", s->acc, s->acc_se);
    if (style == LAC_MMLU_LETTERS) return json;
    add_number(json, "acc_norm", s->acc_norm);
    add_number(json, "acc_norm_stderr", s->acc_norm_se);
    add_interval(json, "acc_norm_interval", s->acc_norm, s->acc_norm_se);
    return json;
}

cJSON *lac_mmlu_json(const lac_mmlu_scores *scores, const lac_mmlu *data)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "n", (double)scores->micro.n);
    cJSON_AddItemToObject(json, "micro", score_json(&scores->micro, scores->style));
    cJSON_AddItemToObject(json, "macro", score_json(&scores->macro, scores->style));
    cJSON *groups = cJSON_AddObjectToObject(json, "groups");
    for (int g = 0; g < LAC_MMLU_GROUPS; g++)
        if (scores->group[g].n)
            cJSON_AddItemToObject(groups, lac_mmlu_group_name((lac_mmlu_group)g),
                                  score_json(&scores->group[g], scores->style));
    cJSON *subjects = cJSON_AddObjectToObject(json, "subjects");
    for (size_t i = 0; i < data->n_subjects; i++) {
        cJSON *subject = score_json(&scores->subject[i], scores->style);
        cJSON_AddStringToObject(subject, "group", lac_mmlu_group_name(data->subject[i].group));
        cJSON_AddItemToObject(subjects, data->subject[i].name, subject);
    }
    return json;
}

static void table_row(FILE *to, const char *name, const lac_mmlu_score *s, lac_mmlu_style style)
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
