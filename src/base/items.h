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

/* A field that a resumed line must have, whether the score uses it or not: a number (whole: an
 * integer in the range of int), a truth value as 0 or 1, a text, or an array of numbers (null where
 * one is not finite). */
typedef enum {
    DELE_ITEMS_REAL,
    DELE_ITEMS_WHOLE,
    DELE_ITEMS_BOOL,
    DELE_ITEMS_TEXT,
    DELE_ITEMS_NUMBERS
} dele_items_type;
typedef struct {
    const char *name;
    double *value; /* out; NULL: only looked at, as texts and arrays are */
    dele_items_type type;
    double low, high; /* bounds, both included; both 0: any finite number */
    bool nullable;    /* null is NaN: a score that does not exist is written as null */
} dele_items_field;

/* Opens for appending.  Existing lines are read; an incomplete last line is removed. */
dele_status dele_items_open(dele_items *items, const char *path, dele_err *err);
/* Whether there is a line for item i.  If that line belongs to another item, the result is false
 * and err is set: every field of `key` (ownership taken; the identity of the item: index, id, set)
 * must be in the line with the same value, and every one of fields[n] as described.  The line's
 * numbers are stored in the fields' values.  items may be NULL. */
bool dele_items_resume(dele_items *items, size_t i, cJSON *key, const dele_items_field *fields,
                       size_t n, dele_err *err);
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
