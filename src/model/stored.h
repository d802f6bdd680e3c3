/* A tensor in a file of any format.  A reader opens the file, checks that every tensor is inside
 * it, and lists the tensors by name; dele_model_load takes those that the config requires. */
#ifndef DELE_STORED_H
#define DELE_STORED_H

#include "base/arena.h"
#include "tensor/dtype.h"

typedef struct {
    const char *name, *file;
    dele_dtype dtype;
    const char *other_type; /* its name where it is none of dele_dtype: no weight; NULL otherwise */
    int n_dims;
    size_t dims[4];      /* slowest first, as in HF; unused ones are 1 */
    const uint8_t *data; /* in the file's map */
    size_t n_bytes;
    bool taken;
} dele_stored;

/* Sorts by name; a name that appears twice is an error. */
dele_status dele_stored_sort(dele_stored *list, size_t n, dele_err *err);
dele_stored *dele_stored_find(dele_stored *list, size_t n,
                              const char *name); /* in a sorted list; NULL: none */

/* Whether two tensors of one file share bytes.  order: scratch [n]. */
dele_status dele_stored_disjoint(const dele_stored *list, size_t n, const dele_stored **order,
                                 dele_err *err);

/* The product of dims and the bytes they take; false when they overflow or do not fill whole
 * blocks. */
bool dele_stored_measure(size_t *n_items, size_t *n_bytes, const dele_stored *t);

#endif
