/* dele_model_layout in steps, for the loaders: they compare the table with the file before any
 * memory is allocated.  A config with wrong sizes then fails with a tensor's name, and not for lack
 * of memory. */
#ifndef DELE_LAYOUT_H
#define DELE_LAYOUT_H

#include "model/model.h"

/* Names and shapes, data still NULL. */
dele_status dele_model_table(dele_model *model, const dele_config *config, dele_arena *arena,
                             dele_err *err);
/* How many tensors from i on share a product, and so their memory: q, k and v, gate and up.  i must
 * be the first of them. */
size_t dele_model_group(const dele_model *model, size_t i);

/* Describes the tensors of PERFT's adapters in a layer and moves *to after them; to NULL: counts
 * them.  Returns their number: 0 where there are none. */
size_t dele_describe_perft(dele_tensor **to, const dele_config *config, int layer);

/* One allocation for a group of tensors; their data point into it.  zeroed, or not written. */
dele_status dele_group_memory(dele_tensor *group, size_t n, bool zeroed, dele_arena *arena,
                              dele_err *err);

size_t dele_group_floats(const dele_tensor *group, size_t n);
size_t dele_group_bytes(const dele_tensor *group, size_t n); /* as dele_model_bytes */

/* The matrix of a layer that begins with the tensor of that slot (and expert); NULL: a vector, or a
 * tensor that follows another in its matrix in every family. */
dele_matrix *dele_layer_matrix(dele_layer *layer, dele_slot first, int expert);

/* The matrix that the group makes for products; NULL: of vectors, and of an embedding that is not
 * the head too. */
dele_matrix *dele_group_matrix(dele_model *model, const dele_tensor *group);

/* Whether the group's matrix is plain float32 in the file (tensor/matrix.h). */
bool dele_group_is_plain(const dele_tensor *group, size_t n);

/* The matrices and vectors of layers, embed and head, from the tensors' memory.  Keeps packed
 * copies. */
void dele_model_point(dele_model *model);

/* The file's pages of a tensor that has been copied are not needed for now (dele_map_drop). */
void dele_model_drop(const dele_model *model, const dele_matrix_part *stored, size_t cols);

/* Refuses a model's directory that contains a link to a file outside it, a device, a pipe, or a
 * text file larger than any model's.  Files that a copy of the model would contain are checked
 * too. */
dele_status dele_model_check_files(const char *dir, dele_err *err);

#endif
