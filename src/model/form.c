#include "model/form.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static bool is_transposed(const dele_file_tensor *f)
{
    return f->form == DELE_FORM_TRANSPOSED || f->form == DELE_FORM_FUSED_TRANSPOSED;
}

static size_t rows_of(const dele_tensor *t) { return t->vector ? t->cols : t->rows; }

static const dele_stacked_row *stacked_row(const dele_tensor *t, const dele_family *family,
                                           dele_file_kind kind)
{
    for (size_t i = 0; kind == DELE_FILE_STACKED && i < family->n_stacked; i++)
        if (family->stacked[i].slot == t->slot) return &family->stacked[i];
    return NULL;
}

enum { NAME = sizeof((dele_file_tensor){0}.name) };

static void name_in(char name[NAME], const dele_tensor *t, const dele_family *family,
                    dele_file_kind kind)
{
    const dele_stacked_row *row = stacked_row(t, family, kind);
    if (row)
        dele_tensor_name(name, NAME, row->hf, t->layer, t->expert);
    else
        snprintf(name, NAME, "%s", kind == DELE_FILE_GGUF ? t->gguf_name : t->hf_name);
}

/* How many tensors from the first on have its name and are of its expert, if of one. */
static size_t run_at(const dele_model *model, size_t first, dele_file_kind kind)
{
    const dele_tensor *t = &model->tensors[first];
    char name[NAME], next[NAME];
    size_t n = 1;
    name_in(name, t, model->config.family, kind);
    for (; first + n < model->n_tensors && t[n].expert == t->expert; n++) {
        name_in(next, &t[n], model->config.family, kind);
        if (strcmp(name, next) != 0) break;
    }
    return n;
}

static bool of_experts(const dele_model *model, size_t at, int layer)
{
    return at < model->n_tensors && dele_slot_of_expert(model->tensors[at].slot) &&
           model->tensors[at].layer == layer;
}

/* The members: the tensors after the first that have its name, and of one of all experts the same
 * of each expert.  The table has the tensors of expert 0, then those of expert 1, and so on. */
static void find_members(dele_file_tensor *f, const dele_model *model, size_t first,
                         dele_file_kind kind)
{
    const dele_tensor *t = &model->tensors[first];
    const size_t run = run_at(model, first, kind), n_experts = (size_t)model->config.n_experts;
    size_t begin = first, end = first;
    f->n = f->run = f->step = run;
    f->next = first + run;
    f->stacked = dele_slot_of_expert(t->slot) &&
                 (kind == DELE_FILE_GGUF || stacked_row(t, model->config.family, kind));
    if (!f->stacked) return;
    assert(t->expert == 0);
    while (begin && of_experts(model, begin - 1, t->layer)) begin--;
    while (of_experts(model, end, t->layer)) end++;
    f->step = (end - begin) / n_experts;
    f->n = run * n_experts;
    if (f->next == begin + f->step) f->next = end;
}

dele_file_tensor dele_file_tensor_at(const dele_model *model, size_t first, dele_file_kind kind)
{
    const dele_tensor *t = &model->tensors[first];
    dele_file_tensor f = {.tensor = t,
                          .cols = t->vector ? 1 : t->cols,
                          .form = kind == DELE_FILE_GGUF ? t->row->gguf_form : t->row->hf_form,
                          .head_dim = (size_t)model->config.head_dim,
                          .n_dims = t->vector ? 1 : 2};
    name_in(f.name, t, model->config.family, kind);
    find_members(&f, model, first, kind);
    for (size_t i = 0; i < f.n; i++) f.rows += rows_of(dele_file_member(&f, i));
    f.height = is_transposed(&f) ? f.cols : f.rows;
    f.width = is_transposed(&f) ? f.rows : f.cols;
    if (f.form == DELE_FORM_ROW) f.n_dims = 2, f.height = 1, f.width = f.rows;
    const size_t n_stacked = f.stacked ? f.n / f.run : 1,
                 dims[] = {n_stacked, f.height / n_stacked, f.width};
    if (f.stacked) f.n_dims++;
    memcpy(f.dims, f.stacked ? dims : dims + 1, (size_t)f.n_dims * sizeof *dims);
    return f;
}

size_t dele_file_tensors(const dele_model *model, dele_file_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < model->n_tensors; n++) i = dele_file_tensor_at(model, i, kind).next;
    return n;
}

/* Blocks of items run along the rows of the file, and fill them (model/stored.h).  What is read
 * item by item cannot be in blocks: a column, or a paired vector; and no block may reach from one
 * vector of a fused one to the next. */
static bool type_fits(const dele_file_tensor *f, dele_dtype type)
{
    const size_t items = dele_dtype_of(type)->items;
    const bool vector = f->tensor->vector, one_by_one = f->form == DELE_FORM_PAIRED ||
                                                        f->form == DELE_FORM_BY_HEAD ||
                                                        f->form == DELE_FORM_PLUS_ONE;
    if (items == 1) return true;
    if (is_transposed(f) || (vector && one_by_one)) return false;
    for (size_t i = 0; vector && i + 1 < f->n; i++)
        if (rows_of(dele_file_member(f, i)) % items) return false;
    return true;
}

/* A vector that directories have as a row may be one in a GGUF too: llama.cpp's converter does not
 * change the shape, and its loader reads both. */
static bool fits_shape(const dele_file_tensor *f, const dele_stored *stored)
{
    if (f->n_dims == 1 && f->tensor->row->hf_form == DELE_FORM_ROW && stored->n_dims == 2)
        return stored->dims[0] == 1 && stored->dims[1] == f->dims[0];
    bool fits = stored->n_dims == f->n_dims;
    for (int i = 0; i < f->n_dims && fits; i++) fits = stored->dims[i] == f->dims[i];
    return fits;
}

static void shape_text(char *text, size_t size, const size_t *dims, int n)
{
    text[0] = 0;
    for (int i = 0, at = 0; i < n; i++)
        at += snprintf(text + at, size - (size_t)at, "%s%zu", i ? ", " : "", dims[i]);
}

dele_status dele_file_check(const dele_file_tensor *f, const dele_stored *stored, dele_err *err)
{
    const bool fits = fits_shape(f, stored);
    char is[100], wanted[100];
    if (stored->other_type)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: %.100s is stored as %.20s; F32, F16 and BF16 are supported",
                         stored->file, f->name, stored->other_type);
    if (fits && type_fits(f, stored->dtype)) return DELE_OK;
    if (fits)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: %s is stored as %s, whose blocks its items cannot be read from",
                         stored->file, f->name, dele_dtype_of(stored->dtype)->name);
    shape_text(is, sizeof is, stored->dims, stored->n_dims);
    shape_text(wanted, sizeof wanted, f->dims, f->n_dims);
    return dele_fail(err, DELE_ERR_FORMAT,
                     "%s: %s has the shape [%s], but the config requires [%s]", stored->file,
                     f->name, is, wanted);
}

/* The first row of tensor i. */
static size_t first_row(const dele_file_tensor *f, size_t i)
{
    size_t before = 0;
    for (size_t j = 0; j < i; j++) before += rows_of(dele_file_member(f, j));
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
                             .rows = rows_of(dele_file_member(f, i))};
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
        const dele_tensor *t = dele_file_member(f, i);
        const dele_matrix_part want = dele_file_part(f, i, data, type), *is = &t->stored;
        if (t->trained || is->data != want.data || is->type != want.type ||
            is->order != want.order || is->step != want.step)
            return NULL;
    }
    return data;
}

/* A row of a transposed file is a column of all tensors, each of which is read whole. */
size_t dele_file_piece(const dele_file_tensor *f)
{
    enum { ITEMS = 1 << 18 };
    const size_t some = f->width < ITEMS ? ITEMS / f->width : 1;
    return is_transposed(f) || f->height < some ? f->height : some;
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
        tensor_rows(out + k * f->cols, dele_file_member(f, in_step / f->head_dim),
                    row / step * f->head_dim + in_step % f->head_dim, 1);
    }
}

/* Rows of a transposed file: columns of each tensor, whose rows are read one after the other. */
static void columns(float *out, const dele_file_tensor *f, size_t from, size_t n, float *row)
{
    for (size_t i = 0, at = 0; i < f->n; i++)
        for (size_t r = 0; r < dele_file_member(f, i)->rows; r++, at++) {
            tensor_rows(row, dele_file_member(f, i), r, 1);
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
    from = from * f->width / f->cols, n = n * f->width / f->cols; /* a vector's items are rows */
    for (size_t i = 0, first = 0; i < f->n && n; i++) {
        const dele_tensor *t = dele_file_member(f, i);
        const size_t end = first + rows_of(t), m = end - from < n ? end - from : n;
        if (from < end) {
            tensor_rows(out, t, from - first, m);
            out += m * f->cols, from += m, n -= m;
        }
        first = end;
    }
}
