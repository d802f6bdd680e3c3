/* cJSON with our manners: parse a file or a line with a sentence on failure, fetch fields by type, write aside. */
#ifndef DELE_JSON_H
#define DELE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "base/file.h"

/* The caller owns the result (cJSON_Delete); NULL with err set on failure.  Text must be valid UTF-8. */
cJSON *dele_json_load(const char *path, dele_err *err);

/* A whole text file in the arena, NUL-terminated; *size may be NULL.  It must be UTF-8 without zero bytes; UTF-8's byte
 * order mark is left out, and a text in UTF-16 or UTF-32 is refused with the way to convert it. */
char *dele_text_read(const char *path, dele_arena *arena, size_t *size, dele_err *err);
/* The bytes of UTF-8's byte order mark at the text's beginning (3 or 0), or that refusal. */
dele_status dele_text_mark(size_t *mark, const char *path, const char *text, size_t n, dele_err *err);

/* Reads one record after another from JSONL, or from a JSON array of objects.  Blank lines are skipped.
 *   dele_records r = {0};
 *   if (!dele_records_open(&r, path, err)) while ((row = dele_records_next(&r, err))) ...
 * row belongs to the reader and lives until the next call; NULL at the end, or on failure with err set.
 * r.line is the 1-based line (JSONL) or index (array) of the row given, for messages "file:line: ...". */
typedef struct {
    const char *path;
    int line;
    struct dele_records_state *state;
} dele_records;

dele_status dele_records_open(dele_records *r, const char *path, dele_err *err);
const cJSON *dele_records_next(dele_records *r, dele_err *err);
void dele_records_close(dele_records *r);

/* The string field `name`, or NULL with err "path:line: no string field "name"". */
const char *dele_record_string(const dele_records *r, const cJSON *row, const char *name, dele_err *err);

dele_status dele_json_save(const char *path, const cJSON *json, dele_err *err); /* pretty-printed, newline at the end */

/* A command's result for --json: on stdout, pretty-printed. */
dele_status dele_json_show(const cJSON *json, dele_err *err);

/* DELE_ERR_MEMORY once any allocation inside cJSON has failed (base/json_memory.c): what was built may lack fields.
 * Every way of a result out of the program asks this.  again forgets it, for tests. */
dele_status dele_json_memory(dele_err *err);
void dele_json_memory_again(void);

/* Valid UTF-8 from first to last byte (no surrogates, no overlong forms)? */
bool dele_utf8_valid(const char *text, size_t n);

/* A double printed so that it reads back the same (%.17g shortened), as a raw cJSON item; null where it is not finite. */
cJSON *dele_json_number(double x);

#endif
