#include "base/json.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/foreign.h"
#include "base/json_memory.h"
#include "base/texts.h"

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

/* Offset of the first byte that is not UTF-8, or n. */
static size_t utf8_good_bytes(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n) {
        size_t length = dele_utf8_sequence(text + i, n - i, NULL);
        if (!length) return i;
        i += length;
    }
    return n;
}

bool dele_utf8_valid(const char *text, size_t n) { return utf8_good_bytes(text, n) == n; }

static int line_of(const char *text, const char *at)
{
    int line = 1;
    for (const char *c = text; c < at; c++) line += *c == '\n';
    return line;
}

dele_status dele_text_mark(size_t *mark, const char *path, const char *text, size_t n,
                           dele_err *err)
{
    static const struct {
        const char *bytes, *name;
        size_t n;
    } marks[] = {{"\xef\xbb\xbf", NULL, 3},
                 {"\xff\xfe\0\0", "UTF-32", 4},
                 {"\0\0\xfe\xff", "UTF-32", 4},
                 {"\xff\xfe", "UTF-16", 2},
                 {"\xfe\xff", "UTF-16", 2}};
    *mark = 0;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (n < marks[i].n || memcmp(text, marks[i].bytes, marks[i].n)) continue;
        if (marks[i].name)
            return dele_fail(err, DELE_ERR_FORMAT,
                             "%s: a text in %s; convert it to UTF-8 (iconv -f %s -t UTF-8)", path,
                             marks[i].name, marks[i].name);
        *mark = marks[i].n;
        break;
    }
    return DELE_OK;
}

static dele_status check_text(const char *path, const char *text, size_t n, dele_err *err)
{
    size_t good = utf8_good_bytes(text, n);
    if (good < n)
        return dele_fail(err, DELE_ERR_FORMAT,
                         "%s:%d: byte 0x%02x is not UTF-8; convert the file to UTF-8", path,
                         line_of(text, text + good), (unsigned char)text[good]);
    const char *nul = memchr(text, '\0', n);
    if (nul)
        return dele_fail(err, DELE_ERR_FORMAT, "%s:%d: a zero byte; this is not text", path,
                         line_of(text, nul));
    return DELE_OK;
}

char *dele_text_read(const char *path, dele_arena *arena, size_t *size, dele_err *err)
{
    size_t n = 0, mark = 0;
    char *text = dele_file_read(path, arena, &n, err);
    const char *foreign = text ? dele_foreign_data(text, n) : NULL;
    if (foreign) {
        dele_fail(err, DELE_ERR_FORMAT, "%s %s", path, foreign);
        return NULL;
    }
    if (!text || dele_text_mark(&mark, path, text, n, err) || check_text(path, text, n, err))
        return NULL;
    if (size) *size = n - mark;
    return text + mark;
}

/* ---- one value ------------------------------------------------------------------------------- */

/* The treatment of escapes that cJSON's strings cannot hold.  These strings end at U+0000 and are
 * UTF-8, so that they can hold neither U+0000 nor half of a surrogate pair. */
typedef enum {
    READ_STRICTLY,  /* neither: refused */
    READ_RESULT,    /* JSON of deleatur: \udcHH is the byte 0xHH of a path (dele_json_text) */
    READ_TO_PASS_ON /* both become U+FFFD in the value; the row's own bytes are passed on */
} reading;

/* The four hexadecimal digits at s, or -1. */
static long hex4(const char *s)
{
    long value = 0;
    for (int i = 0; i < 4; i++) {
        const char c = s[i];
        const int digit = c >= '0' && c <= '9'                 ? c - '0'
                          : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                               : -1;
        if (digit < 0) return -1;
        value = 16 * value + digit;
    }
    return value;
}

/* Whether the escape \uXXXX at s begins a surrogate pair. */
static bool is_pair(const char *s, long value)
{
    if (value < 0xd800 || value > 0xdbff || s[6] != '\\' || s[7] != 'u') return false;
    const long low = hex4(s + 8);
    return low >= 0xdc00 && low <= 0xdfff;
}

/* Rewrites the strings of a JSON text (terminated; in place, never longer), so that cJSON can hold
 * them.  Returns NULL, or the error with *at set to its place. */
static const char *prepare_strings(char *text, reading how, const char **at)
{
    char *to = text;
    bool inside = false;
    for (const char *from = text; *from;) {
        *at = from;
        size_t n = 1;
        if (*from == '"')
            inside = !inside;
        else if (inside && (unsigned char)*from < ' ')
            return "a control character inside a string; write it as \\n, \\t or \\u";
        else if (inside && *from == '\\' && from[1] == 'u') {
            const long value = hex4(from + 2);
            const bool pair = is_pair(from, value),
                       half = !pair && value >= 0xd800 && value <= 0xdfff;
            n = pair ? 12 : value < 0 ? 1 : 6;
            if ((half || value == 0) && how == READ_TO_PASS_ON) {
                memcpy(to, "\\ufffd", 6);
                to += 6, from += 6;
                continue;
            }
            if (half && how == READ_RESULT && value >= 0xdc80 && value <= 0xdcff) {
                *to++ = (char)(value & 0xff);
                from += 6;
                continue;
            }
            if (half) return "half of a surrogate pair in a string; this is not text";
            if (value == 0) return "U+0000 in a string; remove it";
        } else if (inside && *from == '\\' && from[1])
            n = 2;
        memmove(to, from, n);
        to += n, from += n;
    }
    *to = '\0';
    return NULL;
}

/* A key that an object (with n members) has twice, or NULL; n log n.  *failed: out of memory. */
static const char *key_twice(const cJSON *object, size_t n, bool *failed)
{
    const char **name = n > 1 ? malloc(n * sizeof *name) : NULL, *twice = NULL;
    *failed |= n > 1 && !name;
    if (!name) return NULL;
    size_t k = 0;
    for (const cJSON *item = object->child; item; item = item->next) name[k++] = item->string;
    qsort(name, n, sizeof *name, dele_by_text);
    for (size_t i = 1; i < n && !twice; i++)
        if (!strcmp(name[i - 1], name[i])) twice = name[i];
    free(name);
    return twice;
}

/* cJSON bounds the depth. */
const char *dele_json_key_twice(const cJSON *json, bool *failed)
{
    const char *twice = NULL;
    size_t n = 0;
    for (const cJSON *item = json->child; item && !twice; item = item->next, n++)
        if (item->child) twice = dele_json_key_twice(item, failed);
    return twice || !cJSON_IsObject(json) ? twice : key_twice(json, n, failed);
}

/* The beginning of the next number outside of strings, from s on; *end is its end. */
static const char *next_number(const char *s, const char **end)
{
    for (; *s; s++) {
        if (*s == '"')
            for (s++; *s && *s != '"'; s++) s += *s == '\\' && s[1];
        else if (*s == '-' || (*s >= '0' && *s <= '9')) {
            *end = s + strspn(s, "+-.0123456789eE");
            return s;
        }
        if (!*s) break;
    }
    return NULL;
}

/* Numbers of 2^53 and more, which a double cannot represent exactly, become raw items with their
 * original digits: they print and compare exactly, and cJSON_IsNumber is false for them.  false:
 * out of memory. */
static bool keep_large_numbers(cJSON *json, const char **text)
{
    if (cJSON_IsNumber(json)) {
        const char *end = NULL, *from = next_number(*text, &end);
        if (!from) return true; /* never: the tree came from this text */
        *text = end;
        if (fabs(json->valuedouble) < 9007199254740992.0) return true;
        if (!(json->valuestring = cJSON_malloc((size_t)(end - from) + 1))) return false;
        memcpy(json->valuestring, from, (size_t)(end - from));
        json->valuestring[end - from] = '\0';
        json->type = cJSON_Raw;
    }
    for (cJSON *item = json->child; item; item = item->next)
        if (!keep_large_numbers(item, text)) return false;
    return true;
}

/* Parses one whole value (text: terminated; changed); on failure the message has the line, `line`
 * being the first line of text. */
static cJSON *parse(const char *path, char *text, int line, reading how, dele_err *err)
{
    const char *at = NULL, *wrong = prepare_strings(text, how, &at);
    if (wrong) {
        dele_fail(err, DELE_ERR_FORMAT, "%s:%d: %s", path, line - 1 + line_of(text, at), wrong);
        return NULL;
    }
    cJSON *json = cJSON_ParseWithOpts(text, &at, true);
    if (dele_json_memory(err)) {
        cJSON_Delete(json);
        return NULL;
    }
    if (!json) {
        line += at ? line_of(text, at) - 1 : 0;
        if (!at || !*at)
            dele_fail(err, DELE_ERR_FORMAT, "%s:%d: the JSON ends before it is complete", path,
                      line);
        else
            dele_fail(err, DELE_ERR_FORMAT, "%s:%d: not JSON near \"%.24s\"", path, line, at);
        return NULL;
    }
    bool failed = false;
    const char *twice = dele_json_key_twice(json, &failed);
    if (twice)
        dele_fail(err, DELE_ERR_FORMAT, "%s:%d: the key \"%.100s\" appears twice in one object",
                  path, line, twice);
    else if (failed)
        dele_fail(err, DELE_ERR_MEMORY, "out of memory while reading %s", path);
    else
        return json;
    cJSON_Delete(json);
    return NULL;
}

/* ---- whole files ----------------------------------------------------------------------------- */

static cJSON *load(const char *path, reading how, dele_err *err)
{
    dele_arena arena = {0};
    char *text = dele_text_read(path, &arena, NULL, err);
    cJSON *json = text ? parse(path, text, 1, how, err) : NULL;
    dele_arena_release(&arena);
    return json;
}

cJSON *dele_json_load(const char *path, dele_err *err) { return load(path, READ_STRICTLY, err); }
cJSON *dele_json_load_result(const char *path, dele_err *err)
{
    return load(path, READ_RESULT, err);
}

cJSON *dele_json_parse_result(const char *path, int line, const char *text, size_t n, dele_err *err)
{
    dele_arena arena = {0};
    char *copy = memchr(text, '\0', n) ? NULL : dele_strndup(&arena, text, n, err);
    cJSON *json = NULL;
    if (copy)
        json = parse(path, copy, line, READ_RESULT, err);
    else
        dele_fail(err, DELE_ERR_FORMAT, "%s:%d: a zero byte; this is not text", path, line);
    dele_arena_release(&arena);
    return json;
}

cJSON *dele_json_get(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

const char *dele_json_string(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(dele_json_get(object, name));
}

const cJSON *dele_json_given(const cJSON *object, const char *name)
{
    const cJSON *item = dele_json_get(object, name);
    return cJSON_IsNull(item) ? NULL : item;
}

bool dele_json_flag(const cJSON *object, const char *name, bool otherwise)
{
    const cJSON *item = dele_json_given(object, name);
    return item ? cJSON_IsTrue(item) : otherwise;
}

bool dele_json_int(int *x, const cJSON *item)
{
    const double value = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    if (!(value >= INT_MIN && value <= INT_MAX) || value != floor(value)) return false;
    *x = (int)value;
    return true;
}

char *dele_json_id(const cJSON *item, dele_arena *arena, dele_err *err)
{
    if (cJSON_IsString(item) || cJSON_IsRaw(item))
        return dele_strdup(arena, item->valuestring, err);
    return cJSON_IsNumber(item) ? dele_printf(arena, err, "%.17g", item->valuedouble) : NULL;
}

/* ---- records --------------------------------------------------------------------------------- */

/* Both forms are read value by value, so that a row's own bytes are available: a line of JSONL, or
 * an element of an array. */
struct dele_records_state {
    dele_arena arena, scratch; /* the file; the last row */
    char *text, *cursor;       /* the file; the next position */
    bool array, ended;
    int line;            /* lines, or elements, read */
    const char *counted; /* an array: the position up to which file_line line feeds are counted */
    int file_line;
    const char *from; /* the last row's bytes */
    size_t n;
    cJSON *row;
};

static const char *const blanks = " \t\r\n";

dele_status dele_records_open(dele_records *r, const char *path, dele_err *err)
{
    const bool pass_on = r->pass_on;
    *r = (dele_records){.path = path, .pass_on = pass_on};
    struct dele_records_state *s = r->state = calloc(1, sizeof *s);
    if (!s) return dele_fail(err, DELE_ERR_MEMORY, "out of memory while opening %s", path);
    char *text = dele_text_read(path, &s->arena, NULL, err);
    if (!text) {
        dele_records_close(r);
        return err ? err->code : DELE_ERR_FILE;
    }
    s->text = text;
    s->counted = text;
    const char *first = text + strspn(text, blanks);
    s->array = *first == '[';
    s->cursor = s->array ? (char *)first + 1 : text;
    return DELE_OK;
}

/* The end of the value at s: after its closing bracket, or at the next comma, bracket or blank. */
static const char *end_of_value(const char *s)
{
    int depth = 0;
    for (; *s; s++) {
        if (*s == '"') {
            for (s++; *s && *s != '"'; s++) s += *s == '\\' && s[1];
            if (!*s) break;
        } else if (*s == '{' || *s == '[')
            depth++;
        else if (*s == '}' || *s == ']') {
            if (depth <= 1) return depth ? s + 1 : s;
            depth--;
        }
        if (!depth && (s[1] == ',' || s[1] == ']' || !s[1] || strchr(blanks, s[1]))) return s + 1;
    }
    return s;
}

/* Sets from and n to the next line that is not blank; false at the end. */
static bool next_line(struct dele_records_state *s)
{
    while (*s->cursor) {
        s->from = s->cursor;
        s->n = strcspn(s->from, "\n");
        s->cursor += s->n + (s->from[s->n] == '\n');
        s->line++;
        const size_t lead = strspn(s->from, " \t\r");
        s->from += lead < s->n ? lead : s->n;
        s->n -= lead < s->n ? lead : s->n;
        while (s->n && strchr(" \t\r", s->from[s->n - 1])) s->n--;
        if (s->n) return true;
    }
    return false;
}

/* Sets from and n to the next element of the array; false at its end, or with err set. */
static bool next_element(dele_records *r, dele_err *err)
{
    struct dele_records_state *s = r->state;
    s->cursor += strspn(s->cursor, blanks);
    const bool first = !s->line, closes = *s->cursor == ']' && !s->ended;
    if (s->ended) return false;
    if (!closes && !first && *s->cursor == ',')
        s->cursor += 1 + strspn(s->cursor + 1, blanks);
    else if (closes) {
        s->ended = true;
        s->cursor += 1 + strspn(s->cursor + 1, blanks);
        if (*s->cursor)
            dele_fail(err, DELE_ERR_FORMAT, "%s:%d: not JSON near \"%.24s\"", r->path,
                      line_of(s->text, s->cursor), s->cursor);
        return false;
    } else if (!first && *s->cursor) {
        dele_fail(err, DELE_ERR_FORMAT, "%s:%d: not JSON near \"%.24s\"", r->path,
                  line_of(s->text, s->cursor), s->cursor);
        return false;
    }
    s->from = s->cursor;
    s->n = (size_t)(end_of_value(s->from) - s->from);
    s->cursor += s->n;
    s->line++;
    if (s->n) return true;
    if (*s->from)
        dele_fail(err, DELE_ERR_FORMAT, "%s:%d: not JSON near \"%.24s\"", r->path,
                  line_of(s->text, s->from), s->from);
    else
        dele_fail(err, DELE_ERR_FORMAT, "%s:%d: the JSON ends before it is complete", r->path,
                  line_of(s->text, s->from));
    return false;
}

/* Whether a number of the tree is one for keep_large_numbers. */
static bool has_large_number(const cJSON *json)
{
    if (cJSON_IsNumber(json)) return !(fabs(json->valuedouble) < 9007199254740992.0);
    for (const cJSON *item = json->child; item; item = item->next)
        if (has_large_number(item)) return true;
    return false;
}

const cJSON *dele_records_next(dele_records *r, dele_err *err)
{
    struct dele_records_state *s = r->state;
    if (!s) return NULL;
    cJSON_Delete(s->row);
    s->row = NULL;
    if (!(s->array ? next_element(r, err) : next_line(s))) return NULL;
    r->line = s->line;
    dele_arena_reset(&s->scratch);
    char *copy = dele_strndup(&s->scratch, s->from, s->n, err);
    if (!copy) return NULL;
    if (s->array) {
        s->file_line += line_of(s->counted, s->from) - 1;
        s->counted = s->from;
    }
    const int line = s->array ? 1 + s->file_line : s->line;
    s->row = parse(r->path, copy, line, r->pass_on ? READ_TO_PASS_ON : READ_STRICTLY, err);
    if (!s->row) return NULL;
    const char *numbers = copy;
    if (has_large_number(s->row) && !keep_large_numbers(s->row, &numbers)) {
        dele_fail(err, DELE_ERR_MEMORY, "out of memory while reading %s", r->path);
        return NULL;
    }
    if (cJSON_IsObject(s->row)) return s->row;
    dele_fail(err, DELE_ERR_FORMAT, "%s:%d: a record must be an object {...}", r->path, r->line);
    return NULL;
}

char *dele_record_text(const dele_records *r, dele_arena *arena, dele_err *err)
{
    const struct dele_records_state *s = r->state;
    char *text = dele_strndup(arena, s->from, s->n, err);
    if (!text) return NULL;
    char *to = text;
    for (const char *from = text;
         *from;) { /* line feeds be between values alone, with what indents the next line */
        const size_t n = strspn(from, blanks);
        if (n && memchr(from, '\n', n))
            *to++ = ' ', from += n;
        else
            *to++ = *from++;
    }
    *to = '\0';
    return text;
}

void dele_records_close(dele_records *r)
{
    if (r->state) {
        cJSON_Delete(r->state->row);
        dele_arena_release(&r->state->scratch);
        dele_arena_release(&r->state->arena);
        free(r->state);
    }
    r->state = NULL;
}

const char *dele_record_string(const dele_records *r, const cJSON *row, const char *name,
                               dele_err *err)
{
    const cJSON *field = cJSON_GetObjectItemCaseSensitive(row, name);
    if (cJSON_IsString(field)) return field->valuestring;
    dele_fail(err, DELE_ERR_DATA, "%s:%d: no string field \"%s\"", r->path, r->line, name);
    return NULL;
}
