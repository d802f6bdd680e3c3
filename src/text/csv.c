/* CSV through libcsv.
 *
 * Two options of libcsv are set.  Blanks around a field are part of it (RFC 4180, 2.4; by default
 * libcsv trims them).  A quote inside an unquoted field, or a quote that is never closed, is an
 * error.
 *
 * The file is parsed one line at a time, so that the line on which a row begins is known: a line
 * that starts outside of any row starts the next one. */
#include "text/csv.h"

#include "base/foreign.h"

#include <csv.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

enum { CSV_BETWEEN_ROWS = 0 }; /* libcsv's pstate where no row has begun */

typedef struct {
    dele_csv *csv;
    const char *path;
    dele_arena *arena;
    dele_err *err;
    size_t n_fields, cap_fields, cap_rows; /* fields so far, in all rows */
    size_t in_row;
    int row_line;
    bool failed;
} csv_reader;

static int no_blank_is_trimmed(unsigned char c)
{
    (void)c;
    return 0;
}

/* Doubles an array in the arena.  The old copy stays in the arena and costs at most as much
 * again. */
static void *grown(csv_reader *r, const void *old, size_t n, size_t *cap, size_t size)
{
    size_t wanted = *cap ? *cap * 2 : 1024;
    void *fresh = dele_alloc(r->arena, wanted, size, r->err);
    if (!fresh) return NULL;
    if (n) memcpy(fresh, old, n * size);
    *cap = wanted;
    return fresh;
}

/* libcsv's callback for a field.  A callback cannot stop the parser, so after a failure it does
 * nothing. */
static void take_field(void *text, size_t n, void *reader)
{
    csv_reader *r = reader;
    if (r->failed) return;
    if (n && memchr(text, 0, n)) {
        dele_fail(r->err, DELE_ERR_FORMAT, "%s:%d: a field holds a NUL byte; is this a text file?",
                  r->path, r->row_line);
        r->failed = true;
        return;
    }
    if (r->n_fields == r->cap_fields) {
        void *fresh = grown(r, r->csv->field, r->n_fields, &r->cap_fields, sizeof *r->csv->field);
        if (!fresh) {
            r->failed = true;
            return;
        }
        r->csv->field = fresh;
    }
    char *copy = dele_strndup(r->arena, text ? text : "", n, r->err);
    r->failed = !copy;
    r->csv->field[r->n_fields++] = copy;
    r->in_row++;
}

/* libcsv's callback for the end of a row: all rows have the same number of columns. */
static void take_row(int end, void *reader)
{
    csv_reader *r = reader;
    dele_csv *csv = r->csv;
    (void)end;
    if (r->failed) return;
    if (r->in_row != csv->n_columns) {
        dele_fail(r->err, DELE_ERR_FORMAT,
                  "%s:%d: a line has %zu fields instead of %zu; check its quotes and commas",
                  r->path, r->row_line, r->in_row, csv->n_columns);
        r->failed = true;
        return;
    }
    if (csv->n_rows == r->cap_rows) {
        void *fresh = grown(r, csv->line, csv->n_rows, &r->cap_rows, sizeof *csv->line);
        if (!fresh) {
            r->failed = true;
            return;
        }
        csv->line = fresh;
    }
    csv->line[csv->n_rows++] = r->row_line;
    r->in_row = 0;
}

static dele_status parse(csv_reader *r, struct csv_parser *parser, const char *text, size_t size)
{
    int line = 0;
    size_t mark;
    if (dele_text_mark(&mark, r->path, text, size, r->err)) return r->err->code;
    for (size_t at = mark; at < size && !r->failed;) {
        const char *newline = memchr(text + at, '\n', size - at);
        size_t n = newline ? (size_t)(newline - (text + at)) + 1 : size - at;
        if (line < INT_MAX) line++;
        if (parser->pstate == CSV_BETWEEN_ROWS) r->row_line = line;
        if (csv_parse(parser, text + at, n, take_field, take_row, r) != n)
            return dele_fail(r->err, DELE_ERR_FORMAT,
                             "%s:%d: %s; a field that holds a quote is in quotes itself, "
                             "the inner ones doubled",
                             r->path, line, csv_strerror(csv_error(parser)));
        at += n;
    }
    if (!r->failed && csv_fini(parser, take_field, take_row, r))
        return dele_fail(r->err, DELE_ERR_FORMAT,
                         "%s:%d: the quote that opens here is never closed", r->path, r->row_line);
    return r->failed ? r->err ? r->err->code : DELE_ERR_FORMAT : DELE_OK;
}

dele_status dele_csv_load(dele_csv *csv, const char *path, size_t n_columns, dele_arena *arena,
                          dele_err *err)
{
    dele_err own = {0};
    *csv = (dele_csv){.n_columns = n_columns};
    csv_reader r = {.csv = csv, .path = path, .arena = arena, .err = err ? err : &own};
    dele_map map = {0};
    dele_status status = dele_map_open(&map, path, r.err);
    if (status) return status;
    const char *foreign = dele_foreign_data(map.data, map.size);
    if (foreign) {
        dele_map_close(&map);
        return dele_fail(r.err, DELE_ERR_FORMAT, "%s %s", path, foreign);
    }

    struct csv_parser parser;
    if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI)) {
        dele_map_close(&map);
        return dele_fail(r.err, DELE_ERR_MEMORY, "%s: out of memory while reading it", path);
    }
    csv_set_space_func(&parser, no_blank_is_trimmed);
    status = parse(&r, &parser, (const char *)map.data, map.size);
    csv_free(&parser);
    dele_map_close(&map);
    return status;
}
