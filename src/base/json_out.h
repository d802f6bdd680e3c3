/* JSON that is written: as text, to a file, to stdout. */
#ifndef DELE_JSON_OUT_H
#define DELE_JSON_OUT_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "base/err.h"

/* JSON text, owned by the caller (cJSON_free); NULL: out of memory.  All JSON output goes through
 * this function.  A path need not be UTF-8: its other bytes are written as \udcHH, as by Python's
 * surrogateescape, so that json.loads and os.fsencode restore the path.  Control characters for
 * terminals are escaped (base/text_out.h). */
char *dele_json_text(const cJSON *json, bool pretty);

dele_status dele_json_save(const char *path, const cJSON *json,
                           dele_err *err); /* pretty-printed, newline at the end */

/* A command's result for --json: on stdout, pretty-printed. */
dele_status dele_json_show(const cJSON *json, dele_err *err);

/* A double printed so that it reads back the same (%.17g shortened), as a raw cJSON item; null
 * where it is not finite.  It is text: cJSON_IsNumber does not hold, and there is no valuedouble.
 */
cJSON *dele_json_number(double x);

/* A copy as a reader of the written JSON has it: what dele_json_number wrote is a number.  NULL: no
 * memory. */
cJSON *dele_json_as_read(const cJSON *json);

/* The time as "2026-01-31T23:59:59Z"; NULL: no memory. */
cJSON *dele_json_utc_now(void);

#endif
