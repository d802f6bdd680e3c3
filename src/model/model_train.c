/* Float32 memory for tensors that stay in the mapped file: of those that train, and of as many
 * others as a limit allows; and a copy of what trains, for a reference model. */
#include "model/layout.h"

#include <string.h>

/* Float32 memory for a group that has none, with the weights of the file, whose pages are not
 * needed from then on. */
static dele_status widen_group(dele_model *model, dele_tensor *group, size_t n, dele_err *err)
{
    if (group->data) return DELE_OK;
    dele_tensor wide[DELE_MATRIX_PARTS];
    memcpy(wide, group, n * sizeof *group);
    if (dele_group_memory(wide, n, false, &model->copies, err)) return DELE_ERR_MEMORY;
    for (size_t j = 0; j < n; j++) {
        if (!model->copies.counts) {
            dele_tensor_rows(wide[j].data, &group[j], 0, group[j].rows);
            dele_model_drop(model, &group[j].stored, group[j].cols);
        }
        group[j].data = wide[j].data;
    }
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
        if (widen_group(model, group, n, err)) return DELE_ERR_MEMORY;
        for (size_t j = 0; j < n; j++) group[j].trained |= trains[i + j];
    }
    dele_model_point(model);
    return DELE_OK;
}

size_t dele_model_widen(dele_model *model, size_t bytes)
{
    for (size_t i = 0, n; i < model->n_tensors; i += n) {
        dele_tensor *group = &model->tensors[i];
        n = dele_model_group(model, i);
        const size_t need = dele_group_floats(group, n) * sizeof(float);
        if (dele_group_is_wide(group, n) || need > bytes || widen_group(model, group, n, NULL))
            continue;
        bytes -= need;
    }
    dele_model_point(model);
    return bytes;
}

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
