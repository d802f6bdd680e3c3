/* What a run remembers, on disk, so that another process can go on in its place.
 *
 *   "deleatur VERSION state 2\n"  |  fields, each behind its length (u64)  |  sha256 of all that
 *
 * One walk over the fields both records and plays them, so that they cannot come apart:
 *
 *   void dele_health_remember(dele_health *h, dele_tape *tape) { DELE_REMEMBER(tape, h->window); ... }
 *
 * The file is written aside, synced and moved into place, so that a process killed while it writes leaves the one before.
 * The hash is for what a power cut may leave: it is verified before a single field is played.  The fields have no
 * names: whoever plays must be the same program with the same data and settings, which dele_outdir_resume sees to.  A
 * state of another version, or whose fields have other lengths, is refused, and so is a value that the run cannot have
 * had. */
#ifndef DELE_TAPE_H
#define DELE_TAPE_H

#include "base/file.h"
#include "base/hash.h"

typedef struct {
    dele_writer out; /* recording */
    FILE *in;       /* playing */
    size_t left;    /* bytes to play */
    dele_hash hash;  /* of what was recorded */
    bool failed;    /* a write, or more was asked for than there is */
} dele_tape;

dele_status dele_tape_record(dele_tape *t, const char *path, dele_err *err);
/* DELE_ERR_FORMAT: the file is not whole, nothing in it is to be trusted. */
dele_status dele_tape_play(dele_tape *t, const char *path, dele_err *err);

/* n bytes out of the tape or into it.  Trouble is told by the end. */
void dele_tape_bytes(dele_tape *t, void *data, size_t n);
#define DELE_REMEMBER(tape, x) dele_tape_bytes((tape), &(x), sizeof(x))

/* Values that are used as indices, counts or flags: what is read is held against what is possible, since a file with a
 * right hash may still be another program's. */
void dele_tape_check(dele_tape *t, bool right);                        /* false: the file is refused */
void dele_tape_size(dele_tape *t, size_t *x, size_t most);             /* 0 .. most */
void dele_tape_bool(dele_tape *t, bool *x);
void dele_tape_permutation(dele_tape *t, size_t *p, size_t n);         /* each of 0 .. n - 1 once */

/* How far a table has been written: recording, it is synced; playing, what stands behind is cut off.  NULL: none. */
void dele_tape_table(dele_tape *t, FILE *table);

void dele_tape_abandon(dele_tape *t); /* nothing is written; accepts a zeroed tape */

/* Recording: hashes and moves into place.  Playing: all must have been played. */
dele_status dele_tape_end(dele_tape *t, dele_err *err);

#endif
