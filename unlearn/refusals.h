/* Refusals: a plain text file with one refusal per line.  Blank lines and lines that begin with #
 * do not count.
 *
 * One refusal is drawn for each row, from a random stream of its own, so that the same seed, list
 * and rows give the same refusals whatever else uses the seed.  The lines that were drawn are
 * recorded for the manifest.  A list may instead hold one text for each row (alternates.h), and
 * returns them in order. */
#ifndef DELE_REFUSALS_H
#define DELE_REFUSALS_H

#include "base/file.h"
#include "base/random.h"

typedef struct {
    const char *path;
    const char **text; /* [n] */
    int *line;         /* [n] line of the file, from 1 */
    bool *joined;      /* [n] the text follows its prompt without a space; NULL: none does */
    size_t n;
    bool in_turn; /* row k gets text k; else a drawn one */
    int *drawn;   /* [n_drawn] lines, in the order of drawing */
    size_t n_drawn, capacity;
    dele_rng rng;
} dele_refusals;

/* Reads a list of refusals.  The arena owns everything. */
dele_status dele_refusals_open(dele_refusals *r, const char *path, uint64_t seed, dele_arena *arena,
                               dele_err *err);

/* The text for the next row, and whether it is joined.  NULL: out of memory, or every text of a
 * list with one text per row has been returned. */
const char *dele_refusals_draw(dele_refusals *r, bool *joined, dele_arena *arena, dele_err *err);

#endif
