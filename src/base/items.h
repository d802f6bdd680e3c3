/* items.jsonl: a line an item, in the order of the data, flushed as it is there.  A run that goes on behind another
 * finds that one's whole lines as `old`. */
#ifndef LAC_ITEMS_H
#define LAC_ITEMS_H

#include "base/json.h"

typedef struct {
    FILE *file; /* NULL: nothing is written */
    cJSON **old;
    size_t n_old;
} lac_items;

/* Opens for appending; what is there is read, a last line without its end cut off. */
lac_status lac_items_open(lac_items *items, const char *path, lac_err *err);
/* The line that stands for item i already, or NULL. */
const cJSON *lac_items_old(const lac_items *items, size_t i);
/* Puts the line of item i (taken; written unless it stands already), i counting up; items may be NULL. */
lac_status lac_items_put(lac_items *items, size_t i, cJSON *line, lac_err *err);
/* Whether an unfinished result holds lines of items.jsonl that the next run can go on behind. */
bool lac_items_stand(const lac_outdir *dir);
lac_status lac_items_close(lac_items *items, lac_err *err); /* accepts a zeroed one */

#endif
