/* Two results of eval beside each other: every score that both hold, and the items that turned. */
#ifndef DELE_COMPARE_RESULTS_H
#define DELE_COMPARE_RESULTS_H

#include "experiments/compare/compare_items.h"

/* NaN where a number is not there. */
typedef struct {
    const char *score; /* its path, as a recipe's table has it: forget.prompt.top1 */
    double n, before, before_error, after, after_error;
} compare_row;

typedef struct {
    compare_row *row;
    size_t n;
    paired items;
} compared;

/* before, after: directories of results of one suite (or their eval.json).  subjects: mmlu's too.
 * flips: a file to write, or NULL.  Results whose counts differ were made from different items, and
 * are refused. */
dele_status compare_results(compared *result, const char *before, const char *after, bool subjects,
                            const char *flips, dele_arena *arena, dele_err *err);

#endif
