/* cJSON with our manners: parse a file or a line with a sentence on failure, fetch fields by type, write aside. */
#ifndef LAC_JSON_H
#define LAC_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "base/file.h"

/* The caller owns the result (cJSON_Delete); NULL with err set on failure.  Text must be valid UTF-8. */
cJSON *lac_json_load(const char *path, lac_err *err);

/* Reads one record after another from JSONL, or from a JSON array of objects.  Blank lines are skipped.
 *   lac_records r = {0};
 *   if (!lac_records_open(&r, path, err)) while ((row = lac_records_next(&r, err))) ...
 * row belongs to the reader and lives until the next call; NULL at the end, or on failure with err set.
 * r.line is the 1-based line (JSONL) or index (array) of the row given, for messages "file:line: ...". */
typedef struct {
    const char *path;
    int line;
    struct lac_records_state *state;
} lac_records;

lac_status lac_records_open(lac_records *r, const char *path, lac_err *err);
const cJSON *lac_records_next(lac_records *r, lac_err *err);
void lac_records_close(lac_records *r);

/* The string field `name`, or NULL with err "path:line: no string field "name"". */
const char *lac_record_string(const lac_records *r, const cJSON *row, const char *name, lac_err *err);

lac_status lac_json_save(const char *path, const cJSON *json, lac_err *err); /* pretty-printed, newline at the end */

/* A command's result for --json: on stdout, pretty-printed. */
lac_status lac_json_show(const cJSON *json, lac_err *err);

/* Valid UTF-8 from first to last byte (no surrogates, no overlong forms)? */
bool lac_utf8_valid(const char *text, size_t n);

/* A double printed so that it reads back the same (%.17g shortened), as a raw cJSON item; null where it is not finite. */
cJSON *lac_json_number(double x);

#endif
