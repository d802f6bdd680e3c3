/* What a run remembers, on disk, so that another process can go on in its place.
 *
 *   "lacuna state 1\n"  |  fields, one behind the other  |  sha256 of all that
 *
 * One walk over the fields both records and plays them, so that they cannot come apart:
 *
 *   void lac_deal_remember(lac_deal *d, lac_tape *tape) { LAC_REMEMBER(tape, d->rng); ... }
 *
 * The file is written aside, synced and moved into place, so that a process killed while it writes leaves the one before.
 * The hash is for what a power cut may leave: it is verified before a single field is played.  The fields have no
 * names: whoever plays must be the same program with the same data and settings, which lac_outdir_resume sees to. */
#ifndef LAC_TAPE_H
#define LAC_TAPE_H

#include "base/file.h"
#include "base/hash.h"

typedef struct {
    lac_writer out; /* recording */
    FILE *in;       /* playing */
    size_t left;    /* bytes to play */
    lac_hash hash;  /* of what was recorded */
    bool failed;    /* a write, or more was asked for than there is */
} lac_tape;

lac_status lac_tape_record(lac_tape *t, const char *path, lac_err *err);
/* LAC_ERR_FORMAT: the file is not whole, nothing in it is to be trusted. */
lac_status lac_tape_play(lac_tape *t, const char *path, lac_err *err);

/* n bytes out of the tape or into it.  Trouble is told by the end. */
void lac_tape_bytes(lac_tape *t, void *data, size_t n);
#define LAC_REMEMBER(tape, x) lac_tape_bytes((tape), &(x), sizeof(x))

/* How far a table has been written: recording, it is synced; playing, what stands behind is cut off.  NULL: none. */
void lac_tape_table(lac_tape *t, FILE *table);

void lac_tape_abandon(lac_tape *t); /* nothing is written; accepts a zeroed tape */

/* Recording: hashes and moves into place.  Playing: all must have been played. */
lac_status lac_tape_end(lac_tape *t, lac_err *err);

#endif
