/* cJSON with our manners: parse a file or a line with a sentence on failure, fetch fields by type,
 * write aside.
 *
 * What is refused in every file: bytes that are not UTF-8, U+0000 in a string, half of a surrogate
 * pair, a control character inside a string, and an object with one key twice. */
#ifndef DELE_JSON_H
#define DELE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "base/file.h"
#include "base/text_out.h"

/* The caller owns the result (cJSON_Delete); NULL with err set on failure. */
cJSON *dele_json_load(const char *path, dele_err *err);

/* A whole text file in the arena, NUL-terminated; *size may be NULL.  It must be UTF-8 without zero
 * bytes; UTF-8's byte order mark is left out, and a text in UTF-16 or UTF-32 is refused with the
 * way to convert it. */
char *dele_text_read(const char *path, dele_arena *arena, size_t *size, dele_err *err);
/* The bytes of UTF-8's byte order mark at the text's beginning (3 or 0), or that refusal. */
dele_status dele_text_mark(size_t *mark, const char *path, const char *text, size_t n,
                           dele_err *err);

/* The same for JSON that deleatur wrote: \udcHH in a string is the byte 0xHH, as dele_json_text
 * writes it. */
cJSON *dele_json_load_result(const char *path, dele_err *err);
/* One value of n bytes, `line` being where it is in path, for messages. */
cJSON *dele_json_parse_result(const char *path, int line, const char *text, size_t n,
                              dele_err *err);

/* JSON text, the caller's (cJSON_free); NULL: out of memory.  All JSON of ours is written through
 * here.  A path need not be UTF-8: its other bytes are written as \udcHH, as Python's
 * surrogateescape has it, so that json.loads and os.fsencode give the path back.  Controls that a
 * terminal would obey are escaped (base/text_out.h). */
char *dele_json_text(const cJSON *json, bool pretty);

/* Reads one record after another from JSONL, or from a JSON array of objects.  Blank lines are
 * skipped.
 *   dele_records r = {0};
 *   if (!dele_records_open(&r, path, err)) while ((row = dele_records_next(&r, err))) ...
 * row belongs to the reader and lives until the next call; NULL at the end, or on failure with err
 * set.  r.line is the 1-based line (JSONL) or index (array) of the row given, for messages
 * "file:line: ...".  Numbers of 2^53 and more are raw items (cJSON_IsRaw) with the digits as
 * written: no number to a reader, exact in print.  pass_on, set before open, is for commands that
 * pass rows on: U+0000 and halves of surrogate pairs are U+FFFD in the value, and kept in
 * dele_record_text. */
typedef struct {
    const char *path;
    int line;
    bool pass_on;
    struct dele_records_state *state;
} dele_records;

dele_status dele_records_open(dele_records *r, const char *path, dele_err *err);
const cJSON *dele_records_next(dele_records *r, dele_err *err);
void dele_records_close(dele_records *r);

/* The row given last, byte for byte as the file has it, on one line: line feeds between values, and
 * the blanks around them, are one blank. */
char *dele_record_text(const dele_records *r, dele_arena *arena, dele_err *err);

/* The string field `name`, or NULL with err "path:line: no string field "name"". */
const char *dele_record_string(const dele_records *r, const cJSON *row, const char *name,
                               dele_err *err);

dele_status dele_json_save(const char *path, const cJSON *json,
                           dele_err *err); /* pretty-printed, newline at the end */

/* A command's result for --json: on stdout, pretty-printed. */
dele_status dele_json_show(const cJSON *json, dele_err *err);

/* DELE_ERR_MEMORY once any allocation inside cJSON has failed (base/json_memory.c): what was built
 * may lack fields.  Every way of a result out of the program asks this.  again forgets it, for
 * tests. */
dele_status dele_json_memory(dele_err *err);
void dele_json_memory_failed(
    void); /* records one of our own: something that goes into a result could not be had */
void dele_json_memory_again(void);

/* Valid UTF-8 from first to last byte (no surrogates, no overlong forms)? */
bool dele_utf8_valid(const char *text, size_t n);

/* A whole number that an int holds; false: it is not one. */
bool dele_json_int(int *x, const cJSON *item);

/* An id as text: a string as it is, a number with all its digits; NULL where it is neither (err not
 * set), or on failure. */
char *dele_json_id(const cJSON *item, dele_arena *arena, dele_err *err);

/* A double printed so that it reads back the same (%.17g shortened), as a raw cJSON item; null
 * where it is not finite. */
cJSON *dele_json_number(double x);

#endif
