/* The tensors of a file: one or several of the table's, in the form that the family's rows say
 * (families/family.h).  Loaders and savers of both formats go through this view. */
#ifndef DELE_FORM_H
#define DELE_FORM_H

#include "model/model.h"
#include "model/stored.h"

typedef struct {
    const char *name;          /* in the file */
    const dele_tensor *tensor; /* [n] of the table, which lie in it one below the other */
    size_t n;
    size_t rows, cols; /* of all of them together; a vector's items are its rows */
    dele_stored_form form;
    size_t head_dim;
    int n_dims;
    size_t dims[2]; /* in the file, slowest first; dims[1] is 1 for a vector */
} dele_file_tensor;

/* The one that begins with model->tensors[first]; the next begins at first + n. */
dele_file_tensor dele_file_tensor_at(const dele_model *model, size_t first, bool gguf);

/* Whether a tensor of a file has the shape, and a number type that the form allows; an error
 * otherwise. */
dele_status dele_file_check(const dele_file_tensor *f, const dele_stored *stored, dele_err *err);

/* Tensor i of f in the file's data, which has that shape. */
dele_matrix_part dele_file_part(const dele_file_tensor *f, size_t i, const void *data,
                                dele_dtype type);

/* Which row of the file (column, where it is transposed) row `row` of tensor i is.  Not for rows in
 * pairs, of which no larger tensor consists. */
size_t dele_file_row(const dele_file_tensor *f, size_t i, size_t row);

/* ---- writing --------------------------------------------------------------------------------- */

/* The mapped bytes of f where they are what a file of this type holds; NULL: rows must be
 * written. */
const void *dele_file_bytes(const dele_file_tensor *f, dele_dtype type);

/* Rows of the file, of dims[1] items each, to take at a time. */
size_t dele_file_piece(const dele_file_tensor *f);

/* out [n, dims[1]]: rows from .. from + n - 1 of the file.  row: scratch [cols]. */
void dele_file_rows(float *out, const dele_file_tensor *f, size_t from, size_t n, float *row);

#endif
