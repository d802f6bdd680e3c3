/* numpy's .npz (a zip of .npy, stored, fixed time stamps: same arrays, same bytes), written and read with libzip. */
#ifndef LAC_NPZ_H
#define LAC_NPZ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

typedef struct lac_npz lac_npz;

lac_npz *lac_npz_open(const char *path, lac_err *err); /* to write; moved into place by close */
lac_status lac_npz_f32(lac_npz *npz, const char *name, const float *data, int n_dims, const size_t *dims, lac_err *err);
lac_status lac_npz_f64(lac_npz *npz, const char *name, const double *data, int n_dims, const size_t *dims, lac_err *err);
lac_status lac_npz_i64(lac_npz *npz, const char *name, const int64_t *data, int n_dims, const size_t *dims, lac_err *err);
lac_status lac_npz_bool(lac_npz *npz, const char *name, bool value, lac_err *err);               /* 0-d */
lac_status lac_npz_strings(lac_npz *npz, const char *name, const char *const *text, size_t n, lac_err *err); /* <U, 1-d */
lac_status lac_npz_string(lac_npz *npz, const char *name, const char *text, lac_err *err);       /* <U, 0-d */
lac_status lac_npz_close(lac_npz *npz, lac_err *err); /* writes; on an earlier failure removes instead */

/* Reading back: arrays of a known type and shape, which are checked; anything else is an error that names the file and
 * the array.  A dimension given as 0 may be anything and is filled in. */
typedef struct lac_npz_in lac_npz_in;

lac_npz_in *lac_npz_in_open(const char *path, lac_err *err);
float *lac_npz_in_f32(lac_npz_in *npz, const char *name, int n_dims, size_t *dims, lac_arena *arena, lac_err *err);
double *lac_npz_in_f64(lac_npz_in *npz, const char *name, int n_dims, size_t *dims, lac_arena *arena, lac_err *err);
int64_t *lac_npz_in_i64(lac_npz_in *npz, const char *name, int n_dims, size_t *dims, lac_arena *arena, lac_err *err);
void lac_npz_in_close(lac_npz_in *npz); /* accepts NULL */

#endif
