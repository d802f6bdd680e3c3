/* The training state on disk, from which another process resumes a run.
 *
 *   "deleatur VERSION state 2\n"  |  fields, each after its length (u64)  |  sha256 of the above
 *
 * One function per module serialises its fields, for saving and loading alike:
 *
 *   void dele_divergence_guard_serialize(dele_divergence_guard *h, dele_training_state *state)
 *   {
 *       DELE_SERIALIZE(state, h->window); ...
 *   }
 *
 * The file is written aside, synced and moved into place, so a process killed while writing leaves
 * the previous file.  The hash is verified before any field is loaded; it detects a file damaged by
 * a power cut.  The fields have no names: the program, the data and the settings must be the same,
 * which dele_outdir_resume checks.  A state of another version, with fields of other lengths, or
 * with an impossible value is refused. */
#ifndef DELE_TRAINING_STATE_H
#define DELE_TRAINING_STATE_H

#include "base/file_out.h"
#include "base/hash.h"

typedef struct {
    dele_writer out; /* when saving */
    FILE *in;        /* when loading */
    size_t left;     /* bytes left to load */
    dele_hash hash;  /* of the bytes saved so far */
    bool failed;     /* a write failed, or the file is too short or has an impossible value */
} dele_training_state;

dele_status dele_training_state_save(dele_training_state *t, const char *path, dele_err *err);
/* DELE_ERR_FORMAT: the file is damaged; nothing was loaded. */
dele_status dele_training_state_load(dele_training_state *t, const char *path, dele_err *err);

/* Saves or loads n bytes. Errors are reported by dele_training_state_end. */
void dele_training_state_bytes(dele_training_state *t, void *data, size_t n);
#define DELE_SERIALIZE(state, x) dele_training_state_bytes((state), &(x), sizeof(x))

/* Values used as indices, counts or flags. A loaded value is checked against its range, because
 * a file with a valid hash may come from another program. */
void dele_training_state_check(dele_training_state *t, bool right); /* false: the file is refused */
void dele_training_state_size(dele_training_state *t, size_t *x, size_t most); /* 0 .. most */
void dele_training_state_bool(dele_training_state *t, bool *x);
void dele_training_state_permutation(dele_training_state *t, size_t *p,
                                     size_t n); /* each of 0 .. n - 1 once */

/* The length of a table file. Saving syncs the table; loading truncates it to this length. NULL:
 * no table. */
void dele_training_state_table(dele_training_state *t, FILE *table);

void dele_training_state_abandon(
    dele_training_state *t); /* writes nothing; accepts a zeroed state */

/* Saving: writes the hash and moves the file into place. Loading: fails unless every byte was
 * read. */
dele_status dele_training_state_end(dele_training_state *t, dele_err *err);

#endif
