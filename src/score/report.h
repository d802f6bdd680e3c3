/* How scores are written: numbers that may be missing, accuracies, and items.jsonl. */
#ifndef LAC_REPORT_H
#define LAC_REPORT_H

#include <stdio.h>

#include "base/json.h"
#include "score/accuracy.h"

/* name: x, or null where x is not a number. */
void lac_put_number(cJSON *object, const char *name, double x);
/* The same, and name_stderr: se. */
void lac_put_score(cJSON *object, const char *name, double x, double se);

/* n, acc with error and 95 % interval; acc_norm where so wished. */
cJSON *lac_accuracy_json(const lac_accuracy *a, bool norm);

/* items.jsonl: a line an item, in the order of the data, flushed as it is scored.  A run that goes on behind another
 * finds that one's whole lines as `old`. */
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
lac_status lac_items_close(lac_items *items, lac_err *err); /* accepts a zeroed one */

#endif
