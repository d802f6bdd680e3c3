/* safetensors: one file, or shards named by model.safetensors.index.json. */
#ifndef LAC_SAFETENSORS_H
#define LAC_SAFETENSORS_H

#include "base/file.h"
#include "model/model.h"
#include "model/stored.h"

typedef struct {
    lac_stored *tensor; /* sorted by name */
    size_t n;
    lac_map *map;       /* [n_maps] what the tensors' data points into */
    size_t n_maps;
} lac_safetensors;

/* The model of a directory.  Close gives the maps back, and accepts a zeroed struct. */
lac_status lac_safetensors_open(lac_safetensors *st, const char *dir, lac_arena *arena, lac_err *err);
void lac_safetensors_close(lac_safetensors *st);

/* One file with every tensor of the model, "__metadata__": {"format": "pt"}, written aside and moved into place. */
lac_status lac_safetensors_save(const lac_model *model, const char *path, lac_dtype dtype, lac_err *err);

#endif
