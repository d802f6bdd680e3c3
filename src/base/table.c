#include "base/table.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/text_out.h"
#include "base/texts.h"

static void put(dele_table *t, char *text, bool number)
{
    if (!text || t->err.code) return; /* the reason is in err */
    if (t->n == t->room) {
        const size_t more = t->room ? 2 * t->room : 64;
        dele_table_entry *cells = DELE_NEW(&t->arena, dele_table_entry, more, &t->err);
        if (!cells) return;
        if (t->n) memcpy(cells, t->cell, t->n * sizeof *cells);
        t->cell = cells;
        t->room = more;
    }
    t->cell[t->n++] = (dele_table_entry){text, number};
}

void dele_table_head(dele_table *t, const char *names)
{
    assert(!t->n);
    for (const char *name = names; name; t->columns++) {
        const size_t length = strcspn(name, "\t");
        put(t, dele_strndup(&t->arena, name, length, &t->err), false);
        name = name[length] ? name + length + 1 : NULL;
    }
}

void dele_table_text(dele_table *t, const char *text)
{
    put(t, dele_text_shown(text, DELE_TEXT_CELL, &t->arena, &t->err), false);
}

void dele_table_cell(dele_table *t, const char *format, ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put(t, dele_strdup(&t->arena, text, &t->err), true);
}

void dele_table_real(dele_table *t, const char *format, double x)
{
    char text[400] = ""; /* a double has up to 309 digits in front of the point */
    if (isfinite(x)) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, format, x);
#pragma GCC diagnostic pop
    } else if (!isnan(x)) {
        snprintf(text, sizeof text, "%s", x > 0 ? "inf" : "-inf");
    }
    put(t, dele_strdup(&t->arena, text, &t->err), true);
}

void dele_table_row(dele_table *t)
{
    if (t->err.code) return;
    assert(t->columns &&
           (t->n % t->columns || t->n > t->columns)); /* one cell to as many as the head has */
    while (t->n % t->columns && !t->err.code) put(t, dele_strdup(&t->arena, "", &t->err), false);
}

dele_table_form dele_table_form_of(bool csv)
{
    return csv ? DELE_TABLE_CSV : isatty(STDOUT_FILENO) ? DELE_TABLE_ALIGNED : DELE_TABLE_TSV;
}

static void put_csv(FILE *to, const char *text)
{
    if (!strpbrk(text, ",\"")) {
        fputs(text, to);
        return;
    }
    fputc('"', to);
    for (; *text; text++) {
        if (*text == '"') fputc('"', to);
        fputc(*text, to);
    }
    fputc('"', to);
}

/* Columns of a terminal: one for each character, which is right except for wide and combining
 * ones. */
static size_t width_of(const char *text) { return dele_utf8_count(text, strlen(text)); }

static void print_aligned(dele_table *t, FILE *to)
{
    size_t *widest = DELE_NEW(&t->arena, size_t, t->columns, &t->err);
    bool *numbers = DELE_NEW(&t->arena, bool, t->columns, &t->err);
    for (size_t i = 0; !t->err.code && i < t->n; i++) {
        const size_t width = width_of(t->cell[i].text), column = i % t->columns;
        if (width > widest[column]) widest[column] = width;
        numbers[column] |= t->cell[i].number;
    }
    for (size_t i = 0; !t->err.code && i < t->n; i++) {
        const size_t column = i % t->columns;
        const int blanks = (int)(widest[column] - width_of(t->cell[i].text));
        const bool last = column + 1 == t->columns;
        if (numbers[column]) fprintf(to, "%*s", blanks, "");
        fputs(t->cell[i].text, to);
        if (last)
            fputc('\n', to);
        else
            fprintf(to, "%*s", 2 + (numbers[column] ? 0 : blanks), "");
    }
}

dele_status dele_table_print(dele_table *t, FILE *to, dele_table_form form, dele_err *err)
{
    if (!t->err.code && form == DELE_TABLE_ALIGNED) print_aligned(t, to);
    const dele_status status =
        t->err.code ? dele_fail(err, t->err.code, "%s", t->err.msg) : DELE_OK;
    for (size_t i = 0; !status && form != DELE_TABLE_ALIGNED && i < t->n; i++) {
        if (form == DELE_TABLE_CSV)
            put_csv(to, t->cell[i].text);
        else
            fputs(t->cell[i].text, to);
        const bool last = i % t->columns + 1 == t->columns;
        fputs(!last                    ? form == DELE_TABLE_CSV ? "," : "\t"
              : form == DELE_TABLE_CSV ? "\r\n"
                                       : "\n",
              to);
    }
    dele_arena_release(&t->arena);
    *t = (dele_table){0};
    return status;
}
