/* The tensors of a file: one or several of the table's, in the form that the family's rows say
 * (families/family.h).  Loaders and savers of both formats go through this view:
 *
 *     for (size_t i = 0; i < model->n_tensors; i = f.next)
 *         f = dele_file_tensor_at(model, i, kind);
 *
 * Where a file has one tensor for all experts of a layer, the tensors of the table that lie in it
 * are not next to each other: of each expert the table has gate, up and down. */
#ifndef DELE_FORM_H
#define DELE_FORM_H

#include "model/model.h"
#include "model/stored.h"

/* Whose names and forms: those of directories, of directories that hold the experts of a layer as
 * one tensor (dele_stacked_row), of GGUF. */
typedef enum { DELE_FILE_HF, DELE_FILE_STACKED, DELE_FILE_GGUF } dele_file_kind;

typedef struct {
    char name[96];             /* in the file; "": a GGUF does not have the tensor */
    const dele_tensor *tensor; /* the first of the n tensors of the table that lie in it, one below
                                * the other: dele_file_member */
    size_t n, run, step; /* `run` of them follow one another in the table; the next run, of the
                          * next expert, begins `step` tensors after */
    size_t next;         /* where in the table the file's next tensor begins */
    bool stacked;        /* of all experts of a layer */
    size_t rows, cols;   /* of all of them together; a vector's items are its rows */
    dele_stored_form form;
    size_t head_dim;
    int n_dims;
    size_t dims[3];       /* in the file, slowest first */
    size_t height, width; /* the file's rows, of `width` items each */
} dele_file_tensor;

/* The one whose first tensor is model->tensors[first]; the next begins at its `next`. */
dele_file_tensor dele_file_tensor_at(const dele_model *model, size_t first, dele_file_kind kind);

/* How many of them hold the tensors of the table. */
size_t dele_file_tensors(const dele_model *model, dele_file_kind kind);

/* Tensor i of f, and its place in the table, where `first` is that of the first. */
static inline size_t dele_file_place(const dele_file_tensor *f, size_t i)
{
    return i / f->run * f->step + i % f->run;
}
static inline const dele_tensor *dele_file_member(const dele_file_tensor *f, size_t i)
{
    return f->tensor + dele_file_place(f, i);
}

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

/* Rows of the file to take at a time. */
size_t dele_file_piece(const dele_file_tensor *f);

/* out [n, width]: rows from .. from + n - 1 of the file.  row: scratch [cols]. */
void dele_file_rows(float *out, const dele_file_tensor *f, size_t from, size_t n, float *row);

#endif
