/* items.jsonl: one line for each item, in the order of the data, flushed after each item.  A run
 * that resumes another one reads its complete lines as `old`.  Each line is compared with its item
 * before its numbers are used. */
#ifndef DELE_ITEMS_H
#define DELE_ITEMS_H

#include "base/file_out.h"
#include "base/json.h"

typedef struct {
    FILE *file; /* NULL: nothing is written */
    cJSON **old;
    size_t n_old, n_used; /* lines of the earlier run; items so far, resumed or new */
    char path[1200];
} dele_items;

/* What an item's line holds is described once, field by field: dele_items_json writes the line from
 * that, dele_items_resume compares a line with it and stores its numbers.  What the fields point to
 * belongs to the caller and must exist as long as the description is used.
 *
 *   dele_items_line line = {0};
 *   dele_key_number(&line, "index", 7);             the item's identity: it must be the same
 *   dele_line_real(&line, "p", &score->p, 0, 1);    written; read back, within the bounds
 *   dele_line_text(&line, "generated", text);       written; a resumed line has such a text */
typedef enum {
    DELE_ITEMS_REAL,    /* double */
    DELE_ITEMS_WHOLE,   /* int */
    DELE_ITEMS_BOOL,    /* bool, as true or false */
    DELE_ITEMS_TEXT,    /* const char[], not read back */
    DELE_ITEMS_NUMBERS, /* const double[n], not read back; null where one is not finite */
    DELE_ITEMS_KEY_TEXT,
    DELE_ITEMS_KEY_NUMBER,
    DELE_ITEMS_KEY_BOOL
} dele_items_type;

typedef struct {
    const char *name;
    dele_items_type type;
    union {
        double *real;
        int *whole;
        bool *flag;
        const char *text;
        const double *numbers;
        double number; /* of a key, a truth value as 0 or 1 */
    } of;
    size_t n;         /* of numbers */
    double low, high; /* bounds, both included; both 0: any finite number */
    bool nullable;    /* null is NaN: a score that does not exist is written as null */
} dele_items_field;

enum { DELE_ITEMS_MOST_FIELDS = 24 };

typedef struct {
    dele_items_field field[DELE_ITEMS_MOST_FIELDS];
    size_t n;
} dele_items_line;

/* What identifies the item: index, id, set.  NULL as a text: the item has no such field. */
void dele_key_text(dele_items_line *line, const char *name, const char *text);
void dele_key_number(dele_items_line *line, const char *name, double x);
void dele_key_bool(dele_items_line *line, const char *name, bool x);
/* What was measured: *x is written where the line is, and stored where one is resumed. */
void dele_line_real(dele_items_line *line, const char *name, double *x, double low, double high);
void dele_line_real_or_null(dele_items_line *line, const char *name, double *x, double low,
                            double high);
void dele_line_whole(dele_items_line *line, const char *name, int *x, int low, int high);
void dele_line_bool(dele_items_line *line, const char *name, bool *x);
/* Only written; a resumed line is checked to have the like. */
void dele_line_text(dele_items_line *line, const char *name, const char *text);
void dele_line_numbers(dele_items_line *line, const char *name, const double *x, size_t n);

/* The line as JSON, in the order of its fields; NULL: out of memory. */
cJSON *dele_items_json(const dele_items_line *line);

/* Opens for appending.  Existing lines are read; an incomplete last line is removed. */
dele_status dele_items_open(dele_items *items, const char *path, dele_err *err);
/* Whether there is a line for item i; then its numbers are stored where the fields of `line` point.
 * If it is another item's (a key differs), or a field is not as described, the result is false and
 * err is set.  items may be NULL. */
bool dele_items_resume(dele_items *items, size_t i, const dele_items_line *line, dele_err *err);
/* The existing line of item i, unchecked, or NULL. */
const cJSON *dele_items_previous(const dele_items *items, size_t i);
/* Writes the line of item i (ownership taken), unless it exists already; i must increase by 1 from
 * call to call; items may be NULL. */
dele_status dele_items_put(dele_items *items, size_t i, cJSON *line, dele_err *err);
/* Whether an unfinished result holds lines of items.jsonl that the next run can resume after. */
bool dele_items_resumable(const dele_outdir *dir);
/* Accepts a zeroed one.  Lines after the last item are an error, unless the run has failed
 * already. */
dele_status dele_items_close(dele_items *items, dele_err *err);

#endif
