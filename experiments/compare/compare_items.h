/* Two results item by item: which answers turned, and whether so uneven a turning is chance
 * (McNemar's exact test). */
#ifndef DELE_COMPARE_ITEMS_H
#define DELE_COMPARE_ITEMS_H

#include "base/json.h"

typedef struct {
    const char *name; /* "all", or a set, or facts' split; after these "all acc_norm", ... */
    size_t n, correct_to_incorrect, incorrect_to_correct, both_right;
    double p; /* two-sided */
} paired_row;

typedef struct {
    paired_row *row; /* the first is "all" where there are several */
    size_t n_rows;
} paired;

/* Of DIR/items.jsonl on both sides; of choices by acc, and by acc_norm where the items have such a
 * pick.  Where one is missing, or the suite's items are not right or wrong, n_rows is 0.  flips: a
 * file to write, a line a question that turned (by acc); or NULL. */
dele_status paired_read(paired *result, const char *suite, const char *before, const char *after,
                        const char *flips, dele_arena *arena, dele_err *err);

#endif
