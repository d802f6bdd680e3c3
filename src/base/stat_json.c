#include "base/stat_json.h"

#include <stdio.h>

#include "base/json_out.h"

void dele_json_interval(cJSON *object, const char *name, dele_interval x, size_t n)
{
    char note[128], text[64] = "no interval: not defined for these items";
    if (dele_interval_known(x)) {
        cJSON *pair = cJSON_AddArrayToObject(object, name);
        cJSON_AddItemToArray(pair, dele_json_number(x.low));
        cJSON_AddItemToArray(pair, dele_json_number(x.high));
        return;
    }
    snprintf(note, sizeof note, "%s_note", name);
    if (n < DELE_LEAST_ITEMS)
        snprintf(text, sizeof text, "no interval: fewer than %d items", DELE_LEAST_ITEMS);
    cJSON_AddNullToObject(object, name);
    cJSON_AddStringToObject(object, note, text);
}
