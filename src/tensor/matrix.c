#include "tensor/matrix.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

/* Rows that are widened at a time.  A tile of a thousand columns is a megabyte: it stays in the
 * cache between its widening and its product. */
enum { TILE_ROWS = 256, PARALLEL_FROM = 1 << 15 };

/* ---- reading rows ---------------------------------------------------------------------------- */

static const uint8_t *item_at(const dele_matrix_part *part, size_t item)
{
    const dele_dtype_info *info = dele_dtype_of(part->type);
    return (const uint8_t *)part->data + item / info->items * info->bytes;
}

/* Where the file holds row `row` of a part whose heads are interleaved. */
static size_t paired_row(size_t row, size_t head_dim)
{
    const size_t half = head_dim / 2, head = row / head_dim, in_head = row % head_dim;
    return head * head_dim + 2 * (in_head % half) + in_head / half;
}

/* Where the file holds row `row` of a part whose heads lie between those of others. */
static size_t row_by_three(size_t row, size_t head_dim)
{
    return row / head_dim * 3 * head_dim + row % head_dim;
}

/* Rows that lie one by one in the file. */
static bool read_one_by_one(float *out, const dele_matrix_part *part, size_t cols, size_t from,
                            size_t n)
{
    size_t (*const row_of)(size_t, size_t) =
        part->order == DELE_ROWS_PAIRED ? paired_row : row_by_three;
    bool finite = true;
#pragma omp parallel for reduction(&& : finite) if (n * cols > PARALLEL_FROM)
    for (size_t i = 0; i < n; i++)
        finite = dele_dtype_read(out + i * cols, item_at(part, row_of(from + i, part->step) * cols),
                                 part->type, cols) &&
                 finite;
    return finite;
}

/* A column of the part is a run of the file: it is read some items at a time and scattered. */
static bool read_transposed(float *out, const dele_matrix_part *part, size_t cols, size_t from,
                            size_t n)
{
    enum { SOME = 64 };
    bool finite = true;
    assert(dele_dtype_of(part->type)->items == 1);
#pragma omp parallel for reduction(&& : finite) if (n * cols > PARALLEL_FROM)
    for (size_t c = 0; c < cols; c++)
        for (size_t done = 0, m; done < n; done += m) {
            float run[SOME];
            m = n - done < SOME ? n - done : SOME;
            finite =
                dele_dtype_read(run, item_at(part, c * part->step + from + done), part->type, m) &&
                finite;
            for (size_t i = 0; i < m; i++) out[(done + i) * cols + c] = run[i];
        }
    return finite;
}

bool dele_part_rows(float *out, const dele_matrix_part *part, size_t cols, size_t from, size_t n)
{
    assert(from + n <= part->rows);
    bool finite = true;
    switch (part->order) {
    case DELE_ROWS_PLAIN:
        return dele_dtype_read(out, item_at(part, from * cols), part->type, n * cols);
    case DELE_ROWS_PAIRED:
    case DELE_ROWS_BY_THREE:
        return read_one_by_one(out, part, cols, from, n);
    case DELE_ROWS_TRANSPOSED:
        return read_transposed(out, part, cols, from, n);
    case DELE_ROWS_PLUS_ONE:
        finite = dele_dtype_read(out, item_at(part, from * cols), part->type, n * cols);
        for (size_t i = 0; i < n * cols; i++) out[i] -= 1;
        break;
    }
    return finite;
}

bool dele_part_finite(const dele_matrix_part *part, size_t cols)
{
    /* runs of the file that hold the part and nothing else */
    const size_t n = part->order == DELE_ROWS_TRANSPOSED ? cols
                     : part->order == DELE_ROWS_BY_THREE ? part->rows / part->step
                                                         : 1,
                 step = part->order == DELE_ROWS_TRANSPOSED ? part->step : 3 * part->step * cols;
    for (size_t i = 0; i < n; i++)
        if (!dele_dtype_finite(item_at(part, i * step), part->type, part->rows * cols / n))
            return false;
    return true;
}

void matrix_rows(float *out, const dele_matrix *w, size_t from, size_t n)
{
    if (w->wide) {
        memcpy(out, w->wide + from * w->cols, n * w->cols * sizeof *out);
        return;
    }
    size_t first = 0; /* of the part, in the matrix */
    for (size_t i = 0; i < w->n_parts && n; i++) {
        const dele_matrix_part *part = &w->part[i];
        if (from < first + part->rows) {
            size_t m = first + part->rows - from < n ? first + part->rows - from : n;
            dele_part_rows(out, part, w->cols, from - first, m);
            out += m * w->cols, from += m, n -= m;
        }
        first += part->rows;
    }
}

const float *dele_matrix_plain(const dele_matrix *w)
{
    const uint8_t *next = w->n_parts ? w->part[0].data : NULL;
    if ((uintptr_t)next % _Alignof(float)) return NULL;
    for (size_t i = 0; i < w->n_parts; i++) {
        const dele_matrix_part *part = &w->part[i];
        if (part->type != DELE_DTYPE_F32 || part->order != DELE_ROWS_PLAIN || part->data != next)
            return NULL;
        next += part->rows * w->cols * sizeof(float);
    }
    return w->n_parts ? w->part[0].data : NULL;
}

/* ---- products -------------------------------------------------------------------------------- */

size_t linear_tile(const dele_matrix *w)
{
    if (w->wide) return 0;
    return (w->rows < TILE_ROWS ? w->rows : TILE_ROWS) * w->cols;
}

void linear_rows_forward(float *y, size_t ldy, float beta, const float *x, size_t ldx, size_t n,
                         const dele_matrix *w, size_t from, size_t rows, float *tile)
{
    const size_t k = w->cols;
    if (w->wide) {
        gemm_nt(y, ldy, x, ldx, w->wide + from * k, k, n, rows, k, beta);
        return;
    }
    for (size_t done = 0, m; done < rows; done += m) {
        m = rows - done < TILE_ROWS ? rows - done : TILE_ROWS;
        matrix_rows(tile, w, from + done, m);
        gemm_nt(y + done, ldy, x, ldx, tile, k, n, m, k, beta);
    }
}

void linear_forward(float *y, size_t ldy, float beta, const float *x, size_t ldx, size_t n,
                    const dele_matrix *w, float *tile)
{
    if (gemm_nt_packed(y, ldy, x, ldx, w->packed, n, beta)) return;
    linear_rows_forward(y, ldy, beta, x, ldx, n, w, 0, w->rows, tile);
}

void linear_backward(float *dx, size_t lddx, const float *dy, size_t ldy, size_t n,
                     const dele_matrix *w, float *tile)
{
    const size_t k = w->cols;
    if (w->wide) {
        gemm_nn(dx, lddx, dy, ldy, w->wide, k, n, k, w->rows, 0.0f);
        return;
    }
    for (size_t done = 0, m; done < w->rows; done += m) {
        m = w->rows - done < TILE_ROWS ? w->rows - done : TILE_ROWS;
        matrix_rows(tile, w, done, m);
        gemm_nn(dx, lddx, dy + done, ldy, tile, k, n, k, m, done ? 1.0f : 0.0f);
    }
}

void linear_weight_backward(float *dw, const float *dy, size_t ldy, const float *x, size_t n,
                            size_t rows, size_t cols)
{
    if (dw) gemm_tn(dw, cols, dy, ldy, x, cols, rows, cols, n, 1.0f);
}

void linear_few_forward(float *y, size_t ldy, const float *x, size_t ldx, size_t n,
                        const dele_matrix *w, float *tile)
{
    if (w->wide && !w->packed && gemm_nt_few(y, ldy, x, ldx, w->wide, w->cols, n, w->rows, w->cols))
        return;
    linear_forward(y, ldy, 0, x, ldx, n, w, tile);
}

void linear_few_backward(float *dx, size_t lddx, const float *dy, size_t ldy, size_t n,
                         const dele_matrix *w, float *tile)
{
    if (w->wide && gemm_nn_few(dx, lddx, dy, ldy, w->wide, w->cols, n, w->cols, w->rows)) return;
    linear_backward(dx, lddx, dy, ldy, n, w, tile);
}

void linear_few_weight_backward(float *dw, const float *dy, size_t ldy, const float *x, size_t n,
                                size_t rows, size_t cols)
{
    if (dw && gemm_tn_few(dw, cols, dy, ldy, x, cols, rows, cols, n)) return;
    linear_weight_backward(dw, dy, ldy, x, n, rows, cols);
}
