#include "score/report.h"

void dele_put_number(cJSON *object, const char *name, double x)
{
    cJSON_AddItemToObject(object, name, dele_json_number(x));
}

void dele_put_score(cJSON *object, const char *name, double x, double se)
{
    char whole[128];
    snprintf(whole, sizeof whole, "%s_stderr", name);
    dele_put_number(object, name, x);
    dele_put_number(object, whole, se);
}

static void put_interval(cJSON *object, const char *name, double mean, double se)
{
    cJSON *pair = cJSON_AddArrayToObject(object, name);
    for (int side = -1; side <= 1; side += 2) {
        double x = mean + side * 1.959963984540054 * se;
        cJSON_AddItemToArray(pair, dele_json_number(x));
    }
}

cJSON *dele_accuracy_json(const dele_accuracy *a, bool norm)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "n", (double)a->n);
    dele_put_score(json, "acc", a->acc, a->acc_se);
    put_interval(json, "acc_interval", a->acc, a->acc_se);
    if (!norm) return json;
    dele_put_score(json, "acc_norm", a->acc_norm, a->acc_norm_se);
    put_interval(json, "acc_norm_interval", a->acc_norm, a->acc_norm_se);
    return json;
}
