/* items.jsonl: a line an item, in the order of the data, flushed as it is there.  A run that
 * resumes another finds that one's whole lines as `old`; each is held against its item before its
 * numbers are used. */
#ifndef DELE_ITEMS_H
#define DELE_ITEMS_H

#include "base/json.h"

typedef struct {
    FILE *file; /* NULL: nothing is written */
    cJSON **old;
    size_t n_old, n_used; /* lines that were there; items so far, resumed or put */
    char path[1200];
} dele_items;

/* A number (whole: one that an int holds), or a truth value as 0 or 1, that a resumed line must
 * have. */
typedef enum { DELE_ITEMS_REAL, DELE_ITEMS_WHOLE, DELE_ITEMS_BOOL } dele_items_type;
typedef struct {
    const char *name;
    double *value; /* out */
    dele_items_type type;
    double low, high; /* bounds, both included; both 0: any finite number */
    bool nullable;    /* null is NaN, as it is written where a score does not exist */
} dele_items_field;

/* Opens for appending; what is there is read, a last line without its end cut off. */
dele_status dele_items_open(dele_items *items, const char *path, dele_err *err);
/* Whether there is a line for item i; false, too, with err set, where that line is not this item's:
 * every field of `key` (taken; what tells the item from others: index, id, set) must be in it with
 * the same value, and every one of fields[n], as described.  Its numbers go to their values.  items
 * may be NULL. */
bool dele_items_resume(dele_items *items, size_t i, cJSON *key, const dele_items_field *fields,
                       size_t n, dele_err *err);
/* The line that is there for item i, unchecked, or NULL. */
const cJSON *dele_items_previous(const dele_items *items, size_t i);
/* Puts the line of item i (taken; written unless it stands already), i counting up; items may be
 * NULL. */
dele_status dele_items_put(dele_items *items, size_t i, cJSON *line, dele_err *err);
/* Whether an unfinished result holds lines of items.jsonl that the next run can resume after. */
bool dele_items_resumable(const dele_outdir *dir);
/* Accepts a zeroed one.  Lines behind the last item of a run without an error are one. */
dele_status dele_items_close(dele_items *items, dele_err *err);

#endif
