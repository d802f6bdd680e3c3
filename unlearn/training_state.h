/* The training state on disk, so that another process can go on in its place.
 *
 *   "deleatur VERSION state 2\n"  |  fields, each behind its length (u64)  |  sha256 of all that
 *
 * One walk over the fields both saves and loads them, so that they cannot come apart:
 *
 *   void dele_divergence_guard_serialize(dele_divergence_guard *h, dele_training_state *state) {
 *   DELE_SERIALIZE(state, h->window); ... }
 *
 * The file is written aside, synced and moved into place, so that a process killed while it writes
 * leaves the one before.  The hash is for what a power cut may leave: it is verified before a
 * single field is loaded.  The fields have no names: whoever loads must be the same program with
 * the same data and settings, which dele_outdir_resume sees to.  A state of another version, or
 * whose fields have other lengths, is refused, and so is a value that the run cannot have had. */
#ifndef DELE_TRAINING_STATE_H
#define DELE_TRAINING_STATE_H

#include "base/file.h"
#include "base/hash.h"

typedef struct {
    dele_writer out; /* recording */
    FILE *in;        /* playing */
    size_t left;     /* bytes to play */
    dele_hash hash;  /* of what was recorded */
    bool failed;     /* a write, or more was asked for than there is */
} dele_training_state;

dele_status dele_training_state_save(dele_training_state *t, const char *path, dele_err *err);
/* DELE_ERR_FORMAT: the file is not whole, nothing in it is to be trusted. */
dele_status dele_training_state_load(dele_training_state *t, const char *path, dele_err *err);

/* n bytes out of the file or into it.  Trouble is told by the end. */
void dele_training_state_bytes(dele_training_state *t, void *data, size_t n);
#define DELE_SERIALIZE(state, x) dele_training_state_bytes((state), &(x), sizeof(x))

/* Values that are used as indices, counts or flags: what is read is held against what is possible,
 * since a file with a right hash may still be another program's. */
void dele_tape_check(dele_training_state *t, bool right); /* false: the file is refused */
void dele_tape_size(dele_training_state *t, size_t *x, size_t most); /* 0 .. most */
void dele_tape_bool(dele_training_state *t, bool *x);
void dele_tape_permutation(dele_training_state *t, size_t *p,
                           size_t n); /* each of 0 .. n - 1 once */

/* How far a table has been written: saving, it is synced; loading, what follows is cut off.  NULL:
 * none. */
void dele_training_state_table(dele_training_state *t, FILE *table);

void dele_training_state_abandon(
    dele_training_state *t); /* nothing is written; accepts a zeroed state */

/* Saving: hashes and moves into place.  Loading: all must have been read. */
dele_status dele_training_state_end(dele_training_state *t, dele_err *err);

#endif
