#include "model/form.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static bool is_transposed(const dele_file_tensor *f)
{
    return f->form == DELE_FORM_TRANSPOSED || f->form == DELE_FORM_FUSED_TRANSPOSED;
}

static const char *name_in(const dele_tensor *t, bool gguf)
{
    return gguf ? t->gguf_name : t->hf_name;
}

static size_t rows_of(const dele_tensor *t) { return t->vector ? t->cols : t->rows; }

dele_file_tensor dele_file_tensor_at(const dele_model *model, size_t first, bool gguf)
{
    const dele_tensor *t = &model->tensors[first];
    dele_file_tensor f = {.name = name_in(t, gguf),
                          .tensor = t,
                          .cols = t->vector ? 1 : t->cols,
                          .form = gguf ? t->row->gguf_form : t->row->hf_form,
                          .head_dim = (size_t)model->config.head_dim,
                          .n_dims = t->vector ? 1 : 2};
    for (; first + f.n < model->n_tensors && !strcmp(name_in(&t[f.n], gguf), f.name); f.n++)
        f.rows += rows_of(&t[f.n]);
    f.dims[0] = is_transposed(&f) ? f.cols : f.rows;
    f.dims[1] = is_transposed(&f) ? f.rows : f.cols;
    return f;
}

/* Blocks of items run along the rows of the file, and fill them (model/stored.h).  What is read
 * item by item cannot be in blocks: a column, or a paired vector; and no block may reach from one
 * vector of a fused one to the next. */
static bool type_fits(const dele_file_tensor *f, dele_dtype type)
{
    const size_t items = dele_dtype_of(type)->items;
    const bool vector = f->n_dims == 1, one_by_one = f->form == DELE_FORM_PAIRED ||
                                                     f->form == DELE_FORM_BY_HEAD ||
                                                     f->form == DELE_FORM_PLUS_ONE;
    if (items == 1) return true;
    if (is_transposed(f) || (vector && one_by_one)) return false;
    for (size_t i = 0; vector && i + 1 < f->n; i++)
        if (rows_of(&f->tensor[i]) % items) return false;
    return true;
}

dele_status dele_file_check(const dele_file_tensor *f, const dele_stored *stored, dele_err *err)
{
    const bool fits = stored->n_dims == f->n_dims && stored->dims[0] == f->dims[0] &&
                      (f->n_dims == 1 || stored->dims[1] == f->dims[1]);
    char is[100] = "", wanted[60];
    if (stored->other_type)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: %.100s is stored as %.20s; F32, F16 and BF16 are supported",
                         stored->file, f->name, stored->other_type);
    if (fits && type_fits(f, stored->dtype)) return DELE_OK;
    if (fits)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: %s is stored as %s, whose blocks its items cannot be read from",
                         stored->file, f->name, dele_dtype_of(stored->dtype)->name);
    for (int i = 0, at = 0; i < stored->n_dims; i++)
        at += snprintf(is + at, sizeof is - (size_t)at, "%s%zu", i ? ", " : "", stored->dims[i]);
    if (f->n_dims == 1)
        snprintf(wanted, sizeof wanted, "%zu", f->dims[0]);
    else
        snprintf(wanted, sizeof wanted, "%zu, %zu", f->dims[0], f->dims[1]);
    return dele_fail(err, DELE_ERR_FORMAT,
                     "%s: %s has the shape [%s], but the config requires [%s]", stored->file,
                     f->name, is, wanted);
}

/* The first row of tensor i. */
static size_t first_row(const dele_file_tensor *f, size_t i)
{
    size_t before = 0;
    for (size_t j = 0; j < i; j++) before += rows_of(&f->tensor[j]);
    return before;
}

size_t dele_file_row(const dele_file_tensor *f, size_t i, size_t row)
{
    assert(f->form != DELE_FORM_PAIRED);
    if (f->form != DELE_FORM_BY_HEAD) return first_row(f, i) + row;
    return (row / f->head_dim * f->n + i) * f->head_dim + row % f->head_dim;
}

dele_matrix_part dele_file_part(const dele_file_tensor *f, size_t i, const void *data,
                                dele_dtype type)
{
    const dele_dtype_info *info = dele_dtype_of(type);
    const size_t row = f->form == DELE_FORM_BY_HEAD ? i * f->head_dim : first_row(f, i),
                 item = is_transposed(f) ? row : row * f->cols;
    dele_matrix_part part = {.data = (const uint8_t *)data + item / info->items * info->bytes,
                             .type = type,
                             .rows = rows_of(&f->tensor[i])};
    if (is_transposed(f)) part.order = DELE_ROWS_TRANSPOSED, part.step = f->rows;
    if (f->form == DELE_FORM_PAIRED) part.order = DELE_ROWS_PAIRED, part.step = f->head_dim;
    if (f->form == DELE_FORM_BY_HEAD) part.order = DELE_ROWS_BY_THREE, part.step = f->head_dim;
    if (f->form == DELE_FORM_PLUS_ONE) part.order = DELE_ROWS_PLUS_ONE;
    return part;
}

/* ---- writing --------------------------------------------------------------------------------- */

const void *dele_file_bytes(const dele_file_tensor *f, dele_dtype type)
{
    const void *data = f->tensor->stored.data;
    for (size_t i = 0; data && i < f->n; i++) {
        const dele_matrix_part want = dele_file_part(f, i, data, type), *is = &f->tensor[i].stored;
        if (f->tensor[i].trained || is->data != want.data || is->type != want.type ||
            is->order != want.order || is->step != want.step)
            return NULL;
    }
    return data;
}

/* A row of a transposed file is a column of all tensors, each of which is read whole. */
size_t dele_file_piece(const dele_file_tensor *f)
{
    enum { ITEMS = 1 << 18 };
    const size_t some = f->dims[1] < ITEMS ? ITEMS / f->dims[1] : 1;
    return is_transposed(f) || f->dims[0] < some ? f->dims[0] : some;
}

/* Rows of one tensor in the order of the table.  Vectors are in memory. */
static void tensor_rows(float *out, const dele_tensor *t, size_t from, size_t n)
{
    assert(!t->vector || t->data);
    if (t->vector)
        memcpy(out, t->data + from, n * sizeof *out);
    else
        dele_tensor_rows(out, t, from, n);
}

/* Row 2 i + s of a head in the file is its row s hd/2 + i. */
static void paired_rows(float *out, const dele_file_tensor *f, size_t from, size_t n)
{
    const size_t half = f->head_dim / 2;
    for (size_t k = 0; k < n; k++) {
        const size_t row = from + k, in_head = row % f->head_dim;
        tensor_rows(out + k * f->cols, f->tensor, row - in_head + in_head % 2 * half + in_head / 2,
                    1);
    }
}

/* Of each head the file has `head_dim` rows of each tensor. */
static void rows_by_head(float *out, const dele_file_tensor *f, size_t from, size_t n)
{
    const size_t step = f->n * f->head_dim;
    for (size_t k = 0; k < n; k++) {
        const size_t row = from + k, in_step = row % step;
        tensor_rows(out + k * f->cols, &f->tensor[in_step / f->head_dim],
                    row / step * f->head_dim + in_step % f->head_dim, 1);
    }
}

/* Rows of a transposed file: columns of each tensor, whose rows are read one after the other. */
static void columns(float *out, const dele_file_tensor *f, size_t from, size_t n, float *row)
{
    for (size_t i = 0, at = 0; i < f->n; i++)
        for (size_t r = 0; r < f->tensor[i].rows; r++, at++) {
            tensor_rows(row, &f->tensor[i], r, 1);
            for (size_t c = 0; c < n; c++) out[c * f->rows + at] = row[from + c];
        }
}

void dele_file_rows(float *out, const dele_file_tensor *f, size_t from, size_t n, float *row)
{
    if (is_transposed(f)) {
        columns(out, f, from, n, row);
        return;
    }
    if (f->form == DELE_FORM_PAIRED) {
        paired_rows(out, f, from, n);
        return;
    }
    if (f->form == DELE_FORM_BY_HEAD) {
        rows_by_head(out, f, from, n);
        return;
    }
    if (f->form == DELE_FORM_PLUS_ONE) {
        tensor_rows(out, f->tensor, from, n);
        for (size_t k = 0; k < n * f->cols; k++) out[k] += 1;
        return;
    }
    for (size_t i = 0, first = 0; i < f->n && n; first += rows_of(&f->tensor[i++])) {
        const size_t end = first + rows_of(&f->tensor[i]), m = end - from < n ? end - from : n;
        if (from >= end) continue;
        tensor_rows(out, &f->tensor[i], from - first, m);
        out += m * f->cols, from += m, n -= m;
    }
}
