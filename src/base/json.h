/* JSON that is read, by cJSON: files and lines are parsed with an error message, fields are fetched
 * by type.
 *
 * Every file with one of these is refused: bytes that are not UTF-8, U+0000 in a string, half of a
 * surrogate pair, a control character inside a string, a key that appears twice in an object. */
#ifndef DELE_JSON_H
#define DELE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "base/arena.h"

/* The caller owns the result (cJSON_Delete); NULL with err set on failure. */
cJSON *dele_json_load(const char *path, dele_err *err);

/* A whole text file in the arena, NUL-terminated; *size may be NULL.  It must be UTF-8 without zero
 * bytes.  UTF-8's byte order mark is skipped.  For UTF-16 and UTF-32 the error says how to convert
 * the file. */
char *dele_text_read(const char *path, dele_arena *arena, size_t *size, dele_err *err);
/* The size of UTF-8's byte order mark at the text's beginning (3 or 0), or the same error for
 * UTF-16 and UTF-32. */
dele_status dele_text_mark(size_t *mark, const char *path, const char *text, size_t n,
                           dele_err *err);

/* The same for JSON that deleatur wrote: \udcHH in a string is the byte 0xHH, as dele_json_text
 * writes it. */
cJSON *dele_json_load_result(const char *path, dele_err *err);
/* Parses one value of n bytes; path and `line` are its place, for messages. */
cJSON *dele_json_parse_result(const char *path, int line, const char *text, size_t n,
                              dele_err *err);

/* Reads one record after another from JSONL, or from a JSON array of objects.  Blank lines are
 * skipped.
 *   dele_records r = {0};
 *   if (!dele_records_open(&r, path, err)) while ((row = dele_records_next(&r, err))) ...
 * row belongs to the reader and is valid until the next call; NULL at the end, or on failure with
 * err set.  r.line is the 1-based line (JSONL) or index (array) of that row, for messages
 * "file:line: ...".  Numbers of 2^53 and more are raw items (cJSON_IsRaw) with their original
 * digits: cJSON_IsNumber is false for them, and they print exactly.  pass_on, set before open, is
 * for commands that copy rows: U+0000 and halves of surrogate pairs become U+FFFD in the value, and
 * are unchanged in dele_record_text. */
typedef struct {
    const char *path;
    int line;
    bool pass_on;
    struct dele_records_state *state;
} dele_records;

dele_status dele_records_open(dele_records *r, const char *path, dele_err *err);
const cJSON *dele_records_next(dele_records *r, dele_err *err);
void dele_records_close(dele_records *r);

/* The last row, byte for byte as in the file, but on one line: line feeds between values, and the
 * blanks around them, become one blank. */
char *dele_record_text(const dele_records *r, dele_arena *arena, dele_err *err);

/* The string field `name`, or NULL with err "path:line: no string field "name"". */
const char *dele_record_string(const dele_records *r, const cJSON *row, const char *name,
                               dele_err *err);

/* A key that any object of the tree has twice, or NULL; n log n in its keys.  *failed becomes true
 * where memory ends.  What dele_json_load returns has none. */
const char *dele_json_key_twice(const cJSON *json, bool *failed);

/* Whether the bytes are valid UTF-8 (no surrogates, no overlong forms). */
bool dele_utf8_valid(const char *text, size_t n);

/* A field of an object: NULL where it is missing; of dele_json_string, where it is no text. */
cJSON *dele_json_get(const cJSON *object, const char *name);
const char *dele_json_string(const cJSON *object, const char *name);

/* NULL where the field is missing or null; a flag is then `otherwise`. */
const cJSON *dele_json_given(const cJSON *object, const char *name);
bool dele_json_flag(const cJSON *object, const char *name, bool otherwise);

/* An integer in the range of int; false: it is not. */
bool dele_json_int(int *x, const cJSON *item);

/* An id as text: a string unchanged, a number with all its digits; NULL for another type (err not
 * set), or on failure. */
char *dele_json_id(const cJSON *item, dele_arena *arena, dele_err *err);

#endif
