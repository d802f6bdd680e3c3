/* Refusals: a plain text file, one to a line.  Blank lines and those that begin with # do not count.
 *
 * One is drawn for each row by a stream of its own, so that the same seed, list and rows give the same refusals
 * whatever else the seed is used for.  What was drawn is kept, for the manifest. */
#ifndef LAC_REFUSALS_H
#define LAC_REFUSALS_H

#include "base/file.h"
#include "base/random.h"

typedef struct {
    const char *path;
    const char **text; /* [n] */
    int *line;         /* [n] where each stands in the file, from 1 */
    size_t n;
    int *drawn;        /* [n_drawn] lines, in the order of drawing */
    size_t n_drawn, capacity;
    lac_rng rng;
} lac_refusals;

lac_status lac_refusals_open(lac_refusals *r, const char *path, uint64_t seed, lac_arena *arena, lac_err *err);

/* The next one; NULL where memory ended. */
const char *lac_refusals_draw(lac_refusals *r, lac_arena *arena, lac_err *err);

#endif
