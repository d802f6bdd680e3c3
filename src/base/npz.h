/* numpy's .npz (a zip of .npy, stored, fixed time stamps: same arrays, same bytes), written and
 * read with libzip. */
#ifndef DELE_NPZ_H
#define DELE_NPZ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

typedef struct dele_npz dele_npz;

dele_npz *dele_npz_open(const char *path, dele_err *err); /* to write; moved into place by close */
dele_status dele_npz_f32(dele_npz *npz, const char *name, const float *data, int n_dims,
                         const size_t *dims, dele_err *err);
dele_status dele_npz_f64(dele_npz *npz, const char *name, const double *data, int n_dims,
                         const size_t *dims, dele_err *err);
dele_status dele_npz_i64(dele_npz *npz, const char *name, const int64_t *data, int n_dims,
                         const size_t *dims, dele_err *err);
dele_status dele_npz_i32(dele_npz *npz, const char *name, const int32_t *data, int n_dims,
                         const size_t *dims, dele_err *err);
dele_status dele_npz_bool(dele_npz *npz, const char *name, bool value, dele_err *err); /* 0-d */
dele_status dele_npz_strings(dele_npz *npz, const char *name, const char *const *text, size_t n,
                             dele_err *err); /* <U, 1-d */
dele_status dele_npz_string(dele_npz *npz, const char *name, const char *text,
                            dele_err *err); /* <U, 0-d */
dele_status dele_npz_close(dele_npz *npz,
                           dele_err *err); /* writes; on an earlier failure removes instead */

/* Reading arrays of a known type and shape, which are checked.  Anything else is an error that
 * names the file and the array; memory is allocated after the check.  A dimension given as 0 may be
 * any size up to 2^20 and is filled in. */
typedef struct dele_npz_in dele_npz_in;

dele_npz_in *dele_npz_in_open(const char *path, dele_err *err);
bool dele_npz_in_has(dele_npz_in *npz, const char *name); /* an array of that name, of any type */
float *dele_npz_in_f32(dele_npz_in *npz, const char *name, int n_dims, size_t *dims,
                       dele_arena *arena, dele_err *err);
double *dele_npz_in_f64(dele_npz_in *npz, const char *name, int n_dims, size_t *dims,
                        dele_arena *arena, dele_err *err);
int64_t *dele_npz_in_i64(dele_npz_in *npz, const char *name, int n_dims, size_t *dims,
                         dele_arena *arena, dele_err *err);
int32_t *dele_npz_in_i32(dele_npz_in *npz, const char *name, int n_dims, size_t *dims,
                         dele_arena *arena, dele_err *err);
void dele_npz_in_close(dele_npz_in *npz); /* accepts NULL */

#endif
