#include "model/run.h"

#include "model/layout.h"

void dele_run_release(dele_run *run)
{
    dele_arena_release(&run->arena);
    dele_arena_release(&run->tile_arena);
    *run = (dele_run){0};
}

dele_status dele_run_tile(dele_run *run, const dele_model *model, dele_err *err)
{
    size_t most = linear_tile(&model->head);
    for (size_t i = 0; i < model->n_tensors; i++) {
        const dele_tensor *t = &model->tensors[i];
        const dele_matrix *w =
            t->layer < 0 ? NULL : dele_layer_matrix(&model->layers[t->layer], t->slot, t->expert);
        if (w && linear_tile(w) > most) most = linear_tile(w);
    }
    if (most <= run->n_tile) return DELE_OK;
    dele_arena_release(&run->tile_arena);
    run->n_tile = 0;
    run->tile = dele_alloc_raw(&run->tile_arena, most, sizeof *run->tile, err);
    if (!run->tile) return DELE_ERR_MEMORY;
    run->n_tile = most;
    return DELE_OK;
}

size_t dele_tile_bytes(const dele_model *model)
{
    dele_run counted = {.tile_arena = {.counts = true}};
    dele_status status = dele_run_tile(&counted, model, NULL);
    const size_t bytes = counted.tile_arena.used;
    dele_run_release(&counted);
    return status ? SIZE_MAX : bytes;
}
