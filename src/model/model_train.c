/* Memory for tensors that stay in the mapped file: float32 masters of those that train, float32 or
 * packed copies of as many others as a limit allows; and a copy of what trains, for a reference
 * model. */
#include "model/layout.h"

#include <string.h>

/* out [rows, cols]: the weights of a tensor in the file, some of whose pages at a time are held.  A
 * weight that is not finite is an error. */
static dele_status read_and_drop(float *out, const dele_model *model, const dele_tensor *t,
                                 dele_err *err)
{
    const size_t some = 64 * dele_tensor_piece(t); /* 64 MiB */
    const bool whole = t->stored.order != DELE_ROWS_PLAIN;
    const dele_dtype_info *info = dele_dtype_of(t->stored.type);
    dele_matrix_part part = t->stored;
    bool finite = true;
    for (size_t from = 0; from < t->rows && finite; from += part.rows) {
        part.rows = whole || t->rows - from < some ? t->rows - from : some;
        part.data = (const uint8_t *)t->stored.data + from * t->cols / info->items * info->bytes;
        finite = dele_part_rows(out + from * t->cols, &part, t->cols, 0, part.rows);
        dele_model_drop(model, &part, t->cols);
    }
    return finite ? DELE_OK : dele_tensor_finite(model, t, err);
}

/* Float32 memory for a group that has none, with the weights of the file, whose pages are not
 * needed from then on. */
static dele_status widen_group(dele_model *model, dele_tensor *group, size_t n, dele_err *err)
{
    if (group->data) return DELE_OK;
    dele_tensor wide[DELE_MATRIX_PARTS];
    memcpy(wide, group, n * sizeof *group);
    if (dele_group_memory(wide, n, false, &model->copies, err)) return DELE_ERR_MEMORY;
    for (size_t j = 0; j < n && !model->copies.counts; j++) {
        const dele_status status = read_and_drop(wide[j].data, model, &group[j], err);
        if (status) return status;
    }
    for (size_t j = 0; j < n; j++) group[j].data = wide[j].data;
    return DELE_OK;
}

static bool any_of(const bool *trains, size_t i, size_t n)
{
    for (size_t j = i; trains && j < i + n; j++)
        if (trains[j]) return true;
    return false;
}

dele_status dele_model_train(dele_model *model, const bool *trains, dele_err *err)
{
    for (size_t i = 0, n; i < model->n_tensors; i += n) {
        dele_tensor *group = &model->tensors[i];
        n = dele_model_group(model, i);
        if (!any_of(trains, i, n)) continue;
        const dele_status status = widen_group(model, group, n, err);
        if (status) return status;
        for (size_t j = 0; j < n; j++) group[j].trained |= trains[i + j];
    }
    dele_model_point(model);
    return DELE_OK;
}

/* An embedding that is not the head too is in no product: its rows are read from the file. */
static bool only_rows(const dele_model *model, const dele_tensor *group)
{
    return group->slot == DELE_SLOT_EMBED && !model->config.tied;
}

/* A copy that memory is missing for is an error: results without it differ in their last digits,
 * and the same command shall give the same bytes. */
static dele_status no_memory(const dele_model *model, dele_err *err)
{
    return dele_fail(err, DELE_ERR_MEMORY,
                     "%s: there is no memory for the copies of its weights that --memory allows; "
                     "give a smaller --memory",
                     model->path ? model->path : "the model");
}

static dele_status copy_group(dele_model *model, dele_tensor *group, size_t n, dele_err *err)
{
    dele_err own = {0};
    const dele_status status = widen_group(model, group, n, &own);
    if (!status) return DELE_OK;
    return status == DELE_ERR_MEMORY ? no_memory(model, err)
                                     : dele_fail(err, status, "%s", own.msg);
}

dele_status dele_model_widen_some(dele_model *model, size_t bytes, bool plain, size_t *left,
                                  dele_err *err)
{
    for (size_t i = 0, n; i < model->n_tensors; i += n) {
        dele_tensor *group = &model->tensors[i];
        n = dele_model_group(model, i);
        const size_t need = dele_group_floats(group, n) * sizeof(float);
        if (only_rows(model, group) || group->data || need > bytes) continue;
        if (!plain && dele_group_is_plain(group, n)) {
            bytes -= need;
            continue;
        }
        const dele_status status = copy_group(model, group, n, err);
        if (status) return status;
        bytes -= need;
    }
    dele_model_point(model);
    if (left) *left = bytes;
    return DELE_OK;
}

dele_status dele_model_widen(dele_model *model, size_t bytes, size_t *left, dele_err *err)
{
    return dele_model_widen_some(model, bytes, true, left, err);
}

/* ---- packed copies --------------------------------------------------------------------------- */

/* The matrix in the order of the library; its rows are widened for it where they are in the file.
 */
static gemm_packed *packed_copy(const dele_matrix *w, dele_arena *scratch)
{
    dele_arena_reset(scratch);
    if (w->wide) return gemm_pack(w->wide, w->rows, w->cols);
    float *rows = dele_alloc_raw(scratch, w->rows, w->cols * sizeof *rows, NULL);
    if (!rows) return NULL;
    matrix_rows(rows, w, 0, w->rows);
    return gemm_pack(rows, w->rows, w->cols);
}

/* Packs the group's matrix, whose pages of the file are not needed from then on.  *packed: the
 * bytes of the copy; 0: there is none. */
static dele_status pack_group(size_t *packed, dele_model *model, dele_matrix *w,
                              const dele_tensor *group, size_t n, size_t bytes, dele_arena *scratch,
                              dele_err *err)
{
    const size_t need = w->packed ? 0 : gemm_packed_bytes(w->rows, w->cols);
    *packed = need <= bytes ? need : 0;
    if (!*packed || model->copies.counts) return DELE_OK;
    if (!(w->packed = packed_copy(w, scratch))) return no_memory(model, err);
    for (size_t j = 0; j < n; j++)
        if (group[j].stored.data) dele_model_drop(model, &group[j].stored, group[j].cols);
    return DELE_OK;
}

/* Whether a pass multiplies some rows of the matrix alone, which no packed copy can: the last layer
 * has keys and values of all rows, queries of those that are read. */
static bool rows_of_it(const dele_model *model, const dele_matrix *w)
{
    return w == &model->layers[model->config.n_layers - 1].attn.qkv;
}

dele_status dele_model_copy(dele_model *model, size_t bytes, size_t *held, dele_err *err)
{
    dele_arena scratch = {0};
    dele_status status = DELE_OK;
    size_t sum = 0;
    for (size_t i = 0, n; i < model->n_tensors && !status; i += n) {
        dele_tensor *group = &model->tensors[i];
        dele_matrix *w = dele_group_matrix(model, group);
        n = dele_model_group(model, i);
        const size_t wide = dele_group_floats(group, n) * sizeof(float);
        size_t packed = 0;
        if (w) status = pack_group(&packed, model, w, group, n, bytes, &scratch, err);
        bytes -= packed;
        sum += packed;
        if (status || (packed && !rows_of_it(model, w))) continue;
        if (w && !group->data && wide <= bytes) {
            status = copy_group(model, group, n, err);
            bytes -= wide;
        }
        sum += dele_group_bytes(group, n);
    }
    dele_arena_release(&scratch);
    dele_model_point(model);
    if (held) *held = sum;
    return status;
}

/* ---- models that share ----------------------------------------------------------------------- */

dele_status dele_model_freeze(dele_model *frozen, const dele_model *model, const bool *trains,
                              dele_arena *arena, dele_err *err)
{
    dele_status status = dele_model_table(frozen, &model->config, arena, err);
    if (status) return status;
    for (size_t i = 0, n; i < model->n_tensors; i += n) {
        dele_tensor *group = &frozen->tensors[i];
        n = dele_model_group(model, i);
        memcpy(group, &model->tensors[i], n * sizeof *group);
        if (!any_of(trains, i, n) || !group->data) continue;
        if (dele_group_memory(group, n, false, arena, err)) return DELE_ERR_MEMORY;
        for (size_t j = 0; j < n && !arena->counts; j++)
            memcpy(group[j].data, model->tensors[i + j].data,
                   group[j].rows * group[j].cols * sizeof *group[j].data);
    }
    dele_model_point(frozen);
    frozen->path = model->path;
    return DELE_OK;
}

dele_status dele_model_counted(dele_model *counted, const dele_model *model, dele_arena *arena,
                               dele_err *err)
{
    dele_status status = dele_model_freeze(counted, model, NULL, arena, err);
    counted->copies.counts = true;
    return status;
}

size_t dele_model_bytes(const dele_model *model)
{
    return dele_group_bytes(model->tensors, model->n_tensors);
}
