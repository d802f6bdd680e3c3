/* Refusals: a plain text file, one to a line.  Blank lines and those that begin with # do not
 * count.
 *
 * One is drawn for each row by a stream of its own, so that the same seed, list and rows give the
 * same refusals whatever else the seed is used for.  What was drawn is kept, for the manifest.  A
 * list may also hold a text for each row, chosen for it (alternates.h): those are given in turn. */
#ifndef DELE_REFUSALS_H
#define DELE_REFUSALS_H

#include "base/file.h"
#include "base/random.h"

typedef struct {
    const char *path;
    const char **text; /* [n] */
    int *line;         /* [n] where each is in the file, from 1 */
    bool *joined;      /* [n] nothing is between the prompt and this one; NULL: none is so */
    size_t n;
    bool in_turn; /* the k-th row gets the k-th, in the place of one drawn */
    int *drawn;   /* [n_drawn] lines, in the order of drawing */
    size_t n_drawn, capacity;
    dele_rng rng;
} dele_refusals;

dele_status dele_refusals_open(dele_refusals *r, const char *path, uint64_t seed, dele_arena *arena,
                               dele_err *err);

/* The next one, and whether it is joined; NULL where memory ended, or texts in turn. */
const char *dele_refusals_draw(dele_refusals *r, bool *joined, dele_arena *arena, dele_err *err);

#endif
