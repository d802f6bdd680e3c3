#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- UTF-8 (Unicode, table 3-7) -------------------------------------------------------------------------- */

/* Length of the well-formed sequence at s, or 0. */
static size_t utf8_length(const unsigned char *s, size_t n)
{
    unsigned c = s[0], low = 0x80, high = 0xbf; /* bounds of the second byte */
    size_t length;
    if (c < 0x80) return 1;
    if (c < 0xc2 || c > 0xf4) return 0;
    if (c < 0xe0) length = 2;
    else if (c < 0xf0) length = 3;
    else length = 4;
    if (c == 0xe0) low = 0xa0; /* overlong */
    if (c == 0xed) high = 0x9f; /* surrogates */
    if (c == 0xf0) low = 0x90; /* overlong */
    if (c == 0xf4) high = 0x8f; /* beyond U+10FFFF */
    if (length > n || s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < length; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return length;
}

/* Offset of the first byte that is not UTF-8, or n. */
static size_t utf8_good_bytes(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n) {
        size_t length = utf8_length((const unsigned char *)text + i, n - i);
        if (!length) return i;
        i += length;
    }
    return n;
}

bool dele_utf8_valid(const char *text, size_t n)
{
    return utf8_good_bytes(text, n) == n;
}

/* ---- whole files ----------------------------------------------------------------------------------------- */

static int line_of(const char *text, const char *at)
{
    int line = 1;
    for (const char *c = text; c < at; c++) line += *c == '\n';
    return line;
}

dele_status dele_text_mark(size_t *mark, const char *path, const char *text, size_t n, dele_err *err)
{
    static const struct {
        const char *bytes, *name;
        size_t n;
    } marks[] = {{"\xef\xbb\xbf", NULL, 3}, {"\xff\xfe\0\0", "UTF-32", 4}, {"\0\0\xfe\xff", "UTF-32", 4},
                 {"\xff\xfe", "UTF-16", 2}, {"\xfe\xff", "UTF-16", 2}};
    *mark = 0;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (n < marks[i].n || memcmp(text, marks[i].bytes, marks[i].n)) continue;
        if (marks[i].name)
            return dele_fail(err, DELE_ERR_FORMAT, "%s: a text in %s; convert it to UTF-8 (iconv -f %s -t UTF-8)", path,
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
        return dele_fail(err, DELE_ERR_FORMAT, "%s:%d: byte 0x%02x is not UTF-8; convert the file to UTF-8", path,
                        line_of(text, text + good), (unsigned char)text[good]);
    const char *nul = memchr(text, '\0', n);
    if (nul) return dele_fail(err, DELE_ERR_FORMAT, "%s:%d: a zero byte; this is not text", path, line_of(text, nul));
    return DELE_OK;
}

char *dele_text_read(const char *path, dele_arena *arena, size_t *size, dele_err *err)
{
    size_t n = 0, mark = 0;
    char *text = dele_file_read(path, arena, &n, err);
    if (!text || dele_text_mark(&mark, path, text, n, err) || check_text(path, text, n, err)) return NULL;
    if (size) *size = n - mark;
    return text + mark;
}

/* Parses one whole value; on failure says at which line of `whole` (the text of the file) and near what. */
static cJSON *parse(const char *path, const char *whole, const char *text, int first_line, dele_err *err)
{
    const char *end = NULL;
    cJSON *json = cJSON_ParseWithOpts(text, &end, true);
    if (json && !dele_json_memory(err)) return json;
    cJSON_Delete(json);
    if (dele_json_memory(err)) return NULL;
    int line = whole ? line_of(whole, end) : first_line;
    if (!end || !*end)
        dele_fail(err, DELE_ERR_FORMAT, "%s:%d: the JSON ends before it is complete", path, line);
    else
        dele_fail(err, DELE_ERR_FORMAT, "%s:%d: not JSON near \"%.24s\"", path, line, end);
    return NULL;
}

cJSON *dele_json_load(const char *path, dele_err *err)
{
    dele_arena arena = {0};
    char *text = dele_text_read(path, &arena, NULL, err);
    cJSON *json = text ? parse(path, text, text, 1, err) : NULL;
    dele_arena_release(&arena);
    return json;
}

dele_status dele_json_save(const char *path, const cJSON *json, dele_err *err)
{
    char *text = json && !dele_json_memory(err) ? cJSON_Print(json) : NULL;
    if (!text) return dele_fail(err, DELE_ERR_MEMORY, "out of memory while writing %s", path);
    dele_writer out = {0};
    dele_status status = dele_writer_open(&out, path, err);
    if (!status) {
        fprintf(out.stream, "%s\n", text); /* errors stay in the stream until commit asks */
        status = dele_writer_commit(&out, err);
    }
    cJSON_free(text);
    return status;
}

dele_status dele_json_show(const cJSON *json, dele_err *err)
{
    char *text = json && !dele_json_memory(err) ? cJSON_Print(json) : NULL;
    if (!text) return dele_fail(err, DELE_ERR_MEMORY, "out of memory while printing the result");
    puts(text); /* a full disk behind a redirection is main's to notice */
    cJSON_free(text);
    return DELE_OK;
}

cJSON *dele_json_number(double x)
{
    char text[40] = "null"; /* JSON has no NaN and no infinity */
    for (int digits = 15; isfinite(x) && digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    return cJSON_CreateRaw(text);
}

/* ---- records --------------------------------------------------------------------------------------------- */

struct dele_records_state {
    dele_arena arena;
    char *cursor; /* JSONL: the next line, NULL for an array */
    int line;     /* JSONL: lines read, blank ones among them */
    cJSON *array; /* all of it, or NULL */
    cJSON *next;  /* of the array */
    cJSON *row;   /* JSONL: the row given last */
};

dele_status dele_records_open(dele_records *r, const char *path, dele_err *err)
{
    *r = (dele_records){.path = path};
    struct dele_records_state *s = r->state = calloc(1, sizeof *s);
    if (!s) return dele_fail(err, DELE_ERR_MEMORY, "out of memory while opening %s", path);
    char *text = dele_text_read(path, &s->arena, NULL, err);
    dele_status status = text ? DELE_OK : DELE_ERR_FILE;
    if (!status) {
        const char *first = text + strspn(text, " \t\r\n");
        if (*first != '[') {
            s->cursor = text;
            return DELE_OK;
        }
        s->array = parse(path, text, text, 1, err);
        if (s->array) {
            s->next = s->array->child;
            return DELE_OK;
        }
        status = DELE_ERR_FORMAT;
    }
    dele_records_close(r);
    return err ? err->code : status;
}

static const cJSON *next_line(dele_records *r, dele_err *err)
{
    struct dele_records_state *s = r->state;
    cJSON_Delete(s->row);
    s->row = NULL;
    while (*s->cursor) {
        char *line = s->cursor, *end = strchr(line, '\n');
        s->cursor = end ? end + 1 : line + strlen(line);
        if (end) *end = '\0';
        s->line++;
        if (!line[strspn(line, " \t\r")]) continue;
        r->line = s->line;
        return s->row = parse(r->path, NULL, line, r->line, err);
    }
    return NULL;
}

const cJSON *dele_records_next(dele_records *r, dele_err *err)
{
    struct dele_records_state *s = r->state;
    if (!s) return NULL;
    const cJSON *row;
    if (s->array) {
        row = s->next;
        if (row) {
            s->next = s->next->next;
            r->line++;
        }
    } else {
        row = next_line(r, err);
    }
    if (row && !cJSON_IsObject(row)) {
        dele_fail(err, DELE_ERR_FORMAT, "%s:%d: an object {...} is wanted as a record", r->path, r->line);
        return NULL;
    }
    return row;
}

void dele_records_close(dele_records *r)
{
    if (r->state) {
        cJSON_Delete(r->state->array);
        cJSON_Delete(r->state->row);
        dele_arena_release(&r->state->arena);
        free(r->state);
    }
    r->state = NULL;
}

const char *dele_record_string(const dele_records *r, const cJSON *row, const char *name, dele_err *err)
{
    const cJSON *field = cJSON_GetObjectItemCaseSensitive(row, name);
    if (cJSON_IsString(field)) return field->valuestring;
    dele_fail(err, DELE_ERR_DATA, "%s:%d: no string field \"%s\"", r->path, r->line, name);
    return NULL;
}
