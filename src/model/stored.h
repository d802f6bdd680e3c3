/* A tensor as it stands in a file, whichever kind of file it is.  A reader opens the file, checks that every tensor
 * lies inside it, and lists them by name; lac_model_load takes from the list what the config expects. */
#ifndef LAC_STORED_H
#define LAC_STORED_H

#include "base/arena.h"
#include "tensor/dtype.h"

typedef struct {
    const char *name, *file;
    lac_dtype dtype;
    int n_dims;
    size_t dims[4];      /* slowest first, as in HF; unused ones are 1 */
    const uint8_t *data; /* in the file's map */
    size_t n_bytes;
    bool taken;
} lac_stored;

/* Sorts by name; a name that stands twice is an error. */
lac_status lac_stored_sort(lac_stored *list, size_t n, lac_err *err);
lac_stored *lac_stored_find(lac_stored *list, size_t n, const char *name); /* in a sorted list; NULL: none */

/* Do two tensors of one file share bytes?  order: scratch [n]. */
lac_status lac_stored_disjoint(const lac_stored *list, size_t n, const lac_stored **order, lac_err *err);

/* The product of dims and the bytes they take; false when they overflow or do not fill whole blocks. */
bool lac_stored_measure(size_t *n_items, size_t *n_bytes, const lac_stored *t);

#endif
