#include "option/option_table.h"

#include <stdio.h>
#include <string.h>

#include "base/json_out.h"

const dele_option *dele_option_first(const dele_option *o)
{
    while (o && o->name && o->type == DELE_OPT_GROUP) o++;
    return o && o->name ? o : NULL;
}

const dele_option *dele_option_next(const dele_option *o) { return dele_option_first(o + 1); }

bool dele_option_differs(const dele_option *o, const void *settings, const void *defaults,
                         size_t size)
{
    static const size_t size_of[] = {
        [DELE_OPT_STRING] = sizeof(const char *), [DELE_OPT_INT] = sizeof(int),
        [DELE_OPT_U64] = sizeof(uint64_t),        [DELE_OPT_DOUBLE] = sizeof(double),
        [DELE_OPT_BOOL] = sizeof(bool),           [DELE_OPT_CHOICE] = sizeof(unsigned)};
    const char *value = o->value, *begin = settings;
    if (value < begin || value >= begin + size) return false;
    const char *usual = (const char *)defaults + (value - begin);
    if (o->type != DELE_OPT_STRING) return memcmp(value, usual, size_of[o->type]) != 0;
    const char *text = *(const char *const *)o->value, *other;
    memcpy(&other, usual, sizeof other);
    return text && other ? strcmp(text, other) != 0 : text != other;
}

const char *dele_option_word(const dele_option *o)
{
    unsigned index;
    memcpy(&index, o->value, sizeof index);
    return o->choices[index];
}

void dele_option_words(char *text, size_t size, const dele_option *o, const char *between)
{
    size_t n = 0;
    *text = 0;
    for (const char *const *word = o->choices; *word; word++)
        if (**word && n < size)
            n += (size_t)snprintf(text + n, size - n, "%s%s", n ? between : "", *word);
}

cJSON *dele_option_value_json(const dele_option *o)
{
    switch (o->type) {
    case DELE_OPT_STRING: {
        const char *text = *(const char **)o->value;
        return text ? cJSON_CreateString(text) : cJSON_CreateNull();
    }
    case DELE_OPT_INT:
        return cJSON_CreateNumber(*(int *)o->value);
    case DELE_OPT_U64: {
        char text[24];
        snprintf(text, sizeof text, "%llu", (unsigned long long)*(uint64_t *)o->value);
        return cJSON_CreateRaw(text);
    }
    case DELE_OPT_DOUBLE:
        return dele_json_number(*(double *)o->value);
    case DELE_OPT_BOOL:
        return cJSON_CreateBool(*(bool *)o->value);
    case DELE_OPT_CHOICE:
        return cJSON_CreateString(dele_option_word(o));
    case DELE_OPT_GROUP:
        break;
    }
    return NULL;
}

cJSON *dele_options_json(const dele_usage *usage)
{
    cJSON *json = cJSON_CreateObject();
    for (const dele_option *o = dele_option_first(usage->options); json && o;
         o = dele_option_next(o)) {
        cJSON *value = dele_option_value_json(o);
        if (!cJSON_AddItemToObject(json, o->name, value)) {
            cJSON_Delete(value);
            cJSON_Delete(json);
            return NULL;
        }
    }
    return json;
}
