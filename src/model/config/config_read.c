#include "model/config/config_read.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

dele_status dele_read_refuse(const dele_config_reader *r, const char *key, const char *why)
{
    return dele_fail(r->err, DELE_ERR_UNSUPPORTED, "%s: \"%s\" %s", r->where, key, why);
}

const cJSON *dele_read_field(const dele_config_reader *r, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(r->json, key);
    return cJSON_IsNull(item) ? NULL : item;
}

int dele_read_size(const dele_config_reader *r, const char *key, const cJSON *item, double absent)
{
    if (!item && !isnan(absent)) return (int)absent;
    double x = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (x < 1 || x > 1 << 30 || x != floor(x)) {
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be a positive integer", r->where, key);
        return 0;
    }
    return (int)x;
}

float dele_read_positive(const dele_config_reader *r, const char *key, const cJSON *item,
                         float fallback)
{
    if (!item) return fallback;
    double x = cJSON_IsNumber(item) ? item->valuedouble : 0;
    if (!(x >= (double)FLT_MIN && x <= (double)FLT_MAX)) {
        dele_fail(r->err, DELE_ERR_FORMAT,
                  "%s: \"%s\" must be a positive number (in the range of float32)", r->where, key);
        return fallback;
    }
    return (float)x;
}

float dele_read_factor(const dele_config_reader *r, const char *key, const cJSON *item,
                       float fallback)
{
    if (!item) return fallback;
    const double x = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (x >= 0 && x <= (double)FLT_MAX) return (float)x;
    dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be a number of at least 0", r->where, key);
    return fallback;
}

bool dele_read_flag(const dele_config_reader *r, const char *key, const cJSON *item, bool fallback)
{
    if (item && !cJSON_IsBool(item))
        dele_fail(r->err, DELE_ERR_FORMAT, "%s: \"%s\" must be true or false", r->where, key);
    return item ? cJSON_IsTrue(item) : fallback;
}

/* transformers' names (activations.py).  Those that differ in how the same function is computed are
 * one here. */
bool dele_activation_by_name(dele_activation *activation, const char *name)
{
    static const struct {
        const char *name;
        dele_activation is;
    } names[] = {{"silu", DELE_SILU},
                 {"swish", DELE_SILU},
                 {"gelu", DELE_GELU},
                 {"gelu_python", DELE_GELU},
                 {"gelu_new", DELE_GELU_TANH},
                 {"gelu_pytorch_tanh", DELE_GELU_TANH},
                 {"gelu_python_tanh", DELE_GELU_TANH},
                 {"gelu_accurate", DELE_GELU_TANH},
                 {"gelu_fast", DELE_GELU_TANH}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i].name, name)) {
            *activation = names[i].is;
            return true;
        }
    return false;
}

cJSON *dele_float_json(float x)
{
    char text[40];
    if (x == floorf(x) && fabsf(x) < 1e9f) {
        snprintf(text, sizeof text, "%.1f", (double)x);
        return cJSON_CreateRaw(text);
    }
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x) break;
    }
    return cJSON_CreateRaw(text);
}
