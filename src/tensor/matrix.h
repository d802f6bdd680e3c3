/* Weight matrices in the number type of their file, and the only products with them.
 *
 *   matrix [rows, cols]   [ part 0 | part 1 | part 2 ]   from top to bottom, as q, k, v
 *
 * A part is a tensor of a mapped file, or float32 memory.  Products read it in one of three ways:
 *
 *   packed   a copy in the order of the matrix library (gemm.h), for forward products of all rows
 *   wide     [rows, cols] in float32: memory of what trains, a copy, or the file itself
 *   tiles    neither: some hundred rows at a time are widened into the caller's tile
 *
 * Results agree to rounding.  Copies are made by dele_model_widen and dele_model_copy
 * (model/model.h). */
#ifndef DELE_MATRIX_H
#define DELE_MATRIX_H

#include "tensor/dtype.h"
#include "tensor/gemm.h"

typedef enum {
    DELE_ROWS_PLAIN,  /* row after row */
    DELE_ROWS_PAIRED, /* of each head of `step` rows, row s step/2 + i is stored as row 2 i + s */
    DELE_ROWS_TRANSPOSED, /* column after column, `step` items from one to the next; not for types
                           * with blocks */
    DELE_ROWS_BY_THREE,   /* of each head of `step` rows, row i is stored as row i of a run of
                           * 3 `step`: between them are the rows of two other parts */
    DELE_ROWS_PLUS_ONE    /* row after row, 1 added to each item; not for types with blocks */
} dele_row_order;

typedef struct {
    const void *data; /* its first item, at any address */
    dele_dtype type;
    size_t rows;
    dele_row_order order;
    size_t step;
} dele_matrix_part;

enum { DELE_MATRIX_PARTS = 3 };

typedef struct {
    size_t rows, cols;
    dele_matrix_part part[DELE_MATRIX_PARTS]; /* their rows add up to rows */
    size_t n_parts;
    const float *wide;   /* NULL: there is none */
    gemm_packed *packed; /* NULL: there is none */
} dele_matrix;

/* The parts as one float32 matrix where they already lie in memory as one; NULL otherwise. */
const float *dele_matrix_plain(const dele_matrix *w);

/* out [n, cols]: rows from .. from + n - 1 of a part, in float32; whether all of them are finite.
 * cols: the part's. */
bool dele_part_rows(float *out, const dele_matrix_part *part, size_t cols, size_t from, size_t n);

/* Whether all numbers of a part are finite. */
bool dele_part_finite(const dele_matrix_part *part, size_t cols);

/* out [n, cols]: rows from .. from + n - 1 of the matrix, in float32. */
void matrix_rows(float *out, const dele_matrix *w, size_t from, size_t n);

/* Floats of the tile that products with w need; 0 where w is wide. */
size_t linear_tile(const dele_matrix *w);

/* linear      y = x wᵀ + beta y         x [n, cols]  y [n, rows]
 *   backward  dx = dy w                 dy [n, rows]  dx [n, cols]
 *             dw += dyᵀ x               dw [rows, cols], NULL where frozen
 *
 * ldx and the other leading dimensions are floats from one row to the next.  tile: linear_tile(w)
 * floats, may be NULL where that is 0. */
void linear_forward(float *y, size_t ldy, float beta, const float *x, size_t ldx, size_t n,
                    const dele_matrix *w, float *tile);
void linear_backward(float *dx, size_t lddx, const float *dy, size_t ldy, size_t n,
                     const dele_matrix *w, float *tile);
void linear_weight_backward(float *dw, const float *dy, size_t ldy, const float *x, size_t n,
                            size_t rows, size_t cols);

/* The same on the calling thread where x has few rows: for experts, of which each thread has its
 * own.  beta is 0. */
void linear_few_forward(float *y, size_t ldy, const float *x, size_t ldx, size_t n,
                        const dele_matrix *w, float *tile);
void linear_few_backward(float *dx, size_t lddx, const float *dy, size_t ldy, size_t n,
                         const dele_matrix *w, float *tile);
void linear_few_weight_backward(float *dw, const float *dy, size_t ldy, const float *x, size_t n,
                                size_t rows, size_t cols);

/* linear_forward with the rows from .. from + rows - 1 of w alone; y [n, rows]. */
void linear_rows_forward(float *y, size_t ldy, float beta, const float *x, size_t ldx, size_t n,
                         const dele_matrix *w, size_t from, size_t rows, float *tile);

#endif
