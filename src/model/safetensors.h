/* safetensors: one file, or shards named by model.safetensors.index.json. */
#ifndef DELE_SAFETENSORS_H
#define DELE_SAFETENSORS_H

#include "base/file.h"
#include "model/model.h"
#include "model/stored.h"

typedef struct {
    dele_stored *tensor; /* sorted by name */
    size_t n;
    dele_map *map; /* [n_maps] the mapped files that the tensors' data points into */
    size_t n_maps;
} dele_safetensors;

/* Whether a model's directory has weights: in this format, one file or an index, or in PyTorch's
 * own, which open refuses with what to do. */
bool dele_safetensors_there(const char *dir);

/* The tensors of a model's directory.  Close unmaps the files, and accepts a zeroed struct. */
dele_status dele_safetensors_open(dele_safetensors *st, const char *dir, dele_arena *arena,
                                  dele_err *err);
/* The tensors of one file. */
dele_status dele_safetensors_open_file(dele_safetensors *st, const char *file, dele_arena *arena,
                                       dele_err *err);
void dele_safetensors_close(dele_safetensors *st);

/* One file with every tensor of the model, "__metadata__": {"format": "pt"}, written aside and
 * moved into place.  dtype DELE_N_DTYPES: each tensor has the type of its file, and its bytes
 * unless it was trained (dele_model_save). */
dele_status dele_safetensors_save(const dele_model *model, const char *path, dele_dtype dtype,
                                  dele_err *err);

/* The same as model.safetensors in a directory; or, where the data of a file would have more than
 * `limit` bytes (at least 1), as shards with an index, each of at most that size unless it is one
 * tensor.  Weights that an earlier save left there and that this one does not replace are
 * removed. */
dele_status dele_safetensors_save_dir(const dele_model *model, const char *dir, dele_dtype dtype,
                                      size_t limit, dele_err *err);

#endif
