/* items.jsonl: a line an item, in the order of the data, flushed as it is there.  A run that goes on behind another
 * finds that one's whole lines as `old`. */
#ifndef DELE_ITEMS_H
#define DELE_ITEMS_H

#include "base/json.h"

typedef struct {
    FILE *file; /* NULL: nothing is written */
    cJSON **old;
    size_t n_old;
} dele_items;

/* Opens for appending; what is there is read, a last line without its end cut off. */
dele_status dele_items_open(dele_items *items, const char *path, dele_err *err);
/* The line that stands for item i already, or NULL. */
const cJSON *dele_items_old(const dele_items *items, size_t i);
/* Puts the line of item i (taken; written unless it stands already), i counting up; items may be NULL. */
dele_status dele_items_put(dele_items *items, size_t i, cJSON *line, dele_err *err);
/* Whether an unfinished result holds lines of items.jsonl that the next run can go on behind. */
bool dele_items_stand(const dele_outdir *dir);
dele_status dele_items_close(dele_items *items, dele_err *err); /* accepts a zeroed one */

#endif
