/* What the tests of objectives share: the sizes and the numbers of their fixtures. */
#ifndef DELE_TESTS_OBJECTIVE_CASES_H
#define DELE_TESTS_OBJECTIVE_CASES_H

#include "claims.h"

#include "base/json.h"

enum { MOST_ROWS = 20, WIDTH = 11, VOCAB = 40, N_ROWS = 6, LENGTH = 8, FIRST = 4 };

static inline double number(const cJSON *object, const char *name)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static inline size_t floats(float *x, const cJSON *object, const char *name)
{
    size_t n = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(object, name)) x[n++] =
        (float)item->valuedouble;
    return n;
}

static inline const cJSON *case_named(const cJSON *file, const char *name)
{
    const cJSON *c;
    cJSON_ArrayForEach(
        c,
        cJSON_GetObjectItem(file, "cases")) if (!strcmp(cJSON_GetObjectItem(c, "name")->valuestring,
                                                        name)) return c;
    return NULL;
}

static inline bool near(double got, double want, double floor_of)
{
    return fabs(got - want) <= 1e-4 * fabs(want) + floor_of;
}

#endif
