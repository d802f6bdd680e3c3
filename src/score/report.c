#include "score/report.h"

#include <math.h>

#include "base/json_out.h"
#include "base/stat_json.h"

void dele_put_number(cJSON *object, const char *name, double x)
{
    cJSON_AddItemToObject(object, name, dele_json_number(x));
}

void dele_put_text(cJSON *object, const char *name, const char *text)
{
    cJSON_AddItemToObject(object, name, text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

void dele_put_score(cJSON *object, const char *name, double x, double se)
{
    char whole[128];
    snprintf(whole, sizeof whole, "%s_stderr", name);
    dele_put_number(object, name, x);
    dele_put_number(object, whole, se);
}

/* Wilson's interval.  For pooled parts it ignores the stratification, and is therefore wider. */
static void put_interval(cJSON *object, const char *name, double mean, const dele_accuracy *a)
{
    dele_json_interval(object, name,
                       a->n < DELE_LEAST_ITEMS
                           ? (dele_interval){NAN, NAN}
                           : dele_proportion_interval(mean, a->n_effective, 0.95),
                       a->n);
}

cJSON *dele_accuracy_json(const dele_accuracy *a, bool norm)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "n", (double)a->n);
    dele_put_score(json, "acc", a->acc, a->acc_se);
    put_interval(json, "acc_interval", a->acc, a);
    if (!norm) return json;
    dele_put_score(json, "acc_norm", a->acc_norm, a->acc_norm_se);
    put_interval(json, "acc_norm_interval", a->acc_norm, a);
    return json;
}
