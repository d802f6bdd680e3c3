/* The harness (lm_eval 0.4) names a number "METRIC,FILTER"; ours are filtered by nothing, which is
 * "none" there, but for the two of gsm8k.  A score without an error has the text "N/A" for it, as
 * there.  Tasks are named by their place in eval.json: the suite and the keys on the way, those
 * that only hold others (sets, subjects, ...) left out. */
#include "experiments/compare/lm_eval_results.h"

#include <string.h>

#include "base/texts.h"

static bool is_one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(name, *list)) return true;
    return false;
}

/* Settings and counts, which are no scores. */
static bool is_score(const cJSON *item)
{
    static const char *const others[] = {"n",           "limit",      "shots",          "max_new",
                                         "members",     "nonmembers", "cut_at_max_new", "left_out",
                                         "n_retrained", NULL};
    const bool number =
        cJSON_IsNumber(item) || (cJSON_IsRaw(item) && strcmp(item->valuestring, "null") != 0);
    return item->string && *item->string && number && strcmp(item->string, "stderr") != 0 &&
           !dele_ends_with(item->string, "_stderr") && !is_one_of(item->string, others);
}

typedef struct {
    cJSON *results, *configs, *versions, *shots, *better, *samples;
    const cJSON *eval;
} writer;

/* A number of ours, which may be raw, as an item of its own. */
static cJSON *copy_number(const cJSON *item)
{
    return item ? cJSON_Duplicate(item, false) : cJSON_CreateString("N/A");
}

/* The name in the harness of a score of ours. */
static const char *filtered_name(const char **filter, const char *metric)
{
    static const char *const filtered[][3] = {
        {"exact_match_strict", "exact_match", "strict-match"},
        {"exact_match_flexible", "exact_match", "flexible-extract"}};
    *filter = "none";
    for (size_t i = 0; i < sizeof filtered / sizeof *filtered; i++)
        if (!strcmp(metric, filtered[i][0])) {
            *filter = filtered[i][2];
            return filtered[i][1];
        }
    return metric;
}

/* Adds a metric and its standard error as "METRIC,FILTER" and "METRIC_stderr,FILTER".  The harness
 * also records whether higher is better; that is left out for metrics whose direction is not
 * known. */
static void put_metric(cJSON *task, cJSON *better, const char *score, const cJSON *value,
                       const cJSON *error)
{
    const char *filter, *metric = filtered_name(&filter, score);
    static const char *const higher[] = {"acc",         "acc_norm",      "exact_match",
                                         "contains",    "rougeL_recall", "p",
                                         "p_answer",    "top1",          "reciprocal_rank",
                                         "probability", "model_utility", "last_number",
                                         NULL},
                             *const lower[] = {"rank_median", NULL};
    char key[128];
    snprintf(key, sizeof key, "%.80s,%s", metric, filter);
    cJSON_AddItemToObject(task, key, copy_number(value));
    snprintf(key, sizeof key, "%.80s_stderr,%s", metric, filter);
    const bool known = error && !(cJSON_IsRaw(error) && !strcmp(error->valuestring, "null")) &&
                       !cJSON_IsNull(error);
    cJSON_AddItemToObject(task, key, copy_number(known ? error : NULL));
    if (dele_json_get(better, metric)) return;
    if (is_one_of(metric, higher))
        cJSON_AddBoolToObject(better, metric, true);
    else if (is_one_of(metric, lower))
        cJSON_AddBoolToObject(better, metric, false);
}

/* Adds one task: its metrics under results, and the entries under configs, versions, n-shot,
 * higher_is_better and n-samples that the harness's readers expect for each task. */
static void put_task(const writer *w, const char *name, const cJSON *object)
{
    cJSON *task = cJSON_CreateObject(), *better = cJSON_CreateObject();
    const char *measure = dele_json_string(object, "measure"); /* LUME's rows name theirs */
    cJSON_AddStringToObject(task, "alias", name);
    for (const cJSON *item = object->child; item; item = item->next) {
        char error[160];
        if (!is_score(item)) continue;
        snprintf(error, sizeof error, "%.120s_stderr", item->string);
        const char *metric = measure && !strcmp(item->string, "score") ? measure : item->string;
        const cJSON *se = dele_json_get(object, error);
        put_metric(task, better, metric, item, se ? se : dele_json_get(object, "stderr"));
    }
    const cJSON *n = dele_json_get(object, "n"), *shots = dele_json_get(w->eval, "shots");
    cJSON *config = cJSON_CreateObject(), *samples = cJSON_CreateObject();
    cJSON_AddStringToObject(config, "task", name);
    cJSON_AddItemToObject(config, "num_fewshot",
                          shots ? copy_number(shots) : cJSON_CreateNumber(0));
    cJSON_AddItemToObject(w->results, name, task);
    cJSON_AddItemToObject(w->better, name, better);
    cJSON_AddItemToObject(w->configs, name, config);
    cJSON_AddStringToObject(w->versions, name, DELE_VERSION);
    cJSON_AddItemToObject(w->shots, name, shots ? copy_number(shots) : cJSON_CreateNumber(0));
    if (!n) {
        cJSON_Delete(samples);
        return;
    }
    cJSON_AddItemToObject(samples, "original", copy_number(n));
    cJSON_AddItemToObject(samples, "effective", copy_number(n));
    cJSON_AddItemToObject(w->samples, name, samples);
}

/* Every object and element with scores, itself first.  eval.json is ours, and few levels deep. */
static void put_tasks(const writer *w, const char *name, const cJSON *object, int depth)
{
    static const char *const holders[] = {"sets",    "subjects", "groups", "scores",
                                          "attacks", "micro",    NULL},
                             *const by[] = {"split", "task", "type", NULL};
    bool any = false;
    if (depth > 8) return;
    for (const cJSON *item = object->child; item && !any; item = item->next) any = is_score(item);
    if (any && cJSON_IsObject(object) && !dele_json_get(w->results, name))
        put_task(w, name, object);
    for (const cJSON *item = object->child; item; item = item->next) {
        char inner[512];
        if (!cJSON_IsObject(item) && !cJSON_IsArray(item)) continue;
        const bool plain = item->string && !is_one_of(item->string, holders);
        int used = snprintf(inner, sizeof inner, "%.200s%s%.200s", name, plain ? "_" : "",
                            plain ? item->string : "");
        for (size_t k = 0; !item->string && by[k]; k++) {
            const char *word = dele_json_string(item, by[k]);
            if (word && used >= 0 && (size_t)used < sizeof inner)
                used += snprintf(inner + used, sizeof inner - (size_t)used, "_%.60s", word);
        }
        put_tasks(w, inner, item, depth + 1);
    }
}

cJSON *lm_eval_results(const cJSON *eval)
{
    cJSON *json = cJSON_CreateObject();
    const char *suite = dele_json_string(eval, "suite"), *model = dele_json_string(eval, "model");
    const cJSON *limit = dele_json_get(eval, "limit");
    writer w = {.results = cJSON_AddObjectToObject(json, "results"),
                .configs = cJSON_AddObjectToObject(json, "configs"),
                .versions = cJSON_AddObjectToObject(json, "versions"),
                .shots = cJSON_AddObjectToObject(json, "n-shot"),
                .better = cJSON_AddObjectToObject(json, "higher_is_better"),
                .samples = cJSON_AddObjectToObject(json, "n-samples"),
                .eval = eval};
    cJSON *config = cJSON_AddObjectToObject(json, "config");
    cJSON_AddObjectToObject(json, "group_subtasks");
    if (!w.results || !w.samples || !config) {
        cJSON_Delete(json);
        return NULL;
    }
    cJSON_AddStringToObject(config, "model", "deleatur");
    cJSON_AddStringToObject(config, "model_args", model ? model : "");
    if (cJSON_IsNumber(limit) && limit->valuedouble > 0)
        cJSON_AddNumberToObject(config, "limit", limit->valuedouble);
    else
        cJSON_AddNullToObject(config, "limit");
    put_tasks(&w, suite ? suite : "eval", eval, 0);
    return json;
}
