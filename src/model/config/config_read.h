/* What the files that read and write a config.json share.  Readers set r->err, which keeps the
 * first error, and return a value that may be used. */
#ifndef DELE_CONFIG_READ_H
#define DELE_CONFIG_READ_H

#include <cjson/cJSON.h>

#include "base/err.h"
#include "model/families/family.h"

typedef struct {
    const cJSON *json;
    const char *where; /* the path of the file */
    dele_err *err;
} dele_config_reader;

/* The value of a key; NULL: absent or null. */
const cJSON *dele_read_field(const dele_config_reader *r, const char *key);

/* Items of the key's type.  item NULL: the value is absent; NAN there: the key is required. */
int dele_read_size(const dele_config_reader *r, const char *key, const cJSON *item, double absent);
float dele_read_positive(const dele_config_reader *r, const char *key, const cJSON *item,
                         float absent);
float dele_read_factor(const dele_config_reader *r, const char *key, const cJSON *item,
                       float absent); /* at least 0 */
bool dele_read_flag(const dele_config_reader *r, const char *key, const cJSON *item, bool absent);

/* "WHERE: "KEY" WHY" */
dele_status dele_read_refuse(const dele_config_reader *r, const char *key, const char *why);

/* The activation of a name of transformers; false: it is none of those here. */
bool dele_activation_by_name(dele_activation *activation, const char *name);

/* The shortest decimal that reads back as the same float and has the form of a float: 8.0, 1e-05.
 * It is a raw item of cJSON, which would print 8; transformers refuses an integer where it expects
 * a float. */
cJSON *dele_float_json(float x);

#endif
