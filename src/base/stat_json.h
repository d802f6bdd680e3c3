/* How a result holds an interval: [low, high] under its name, or null and a note beside it. */
#ifndef DELE_STAT_JSON_H
#define DELE_STAT_JSON_H

#include <cjson/cJSON.h>

#include "base/stat.h"

/* "NAME": [low, high], an infinite end as null; or "NAME": null, "NAME_note": why.  n: the items it
 * is over. */
void dele_json_interval(cJSON *object, const char *name, dele_interval x, size_t n);

#endif
