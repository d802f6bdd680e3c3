/* Eigenvectors of a symmetric matrix. */
#ifndef DELE_EIGEN_H
#define DELE_EIGEN_H

#include "base/arena.h"

/* vectors [m, n]: the orthonormal eigenvectors of the m largest eigenvalues of the symmetric a [n,
 * n], the largest first; values [m].  a is overwritten. */
dele_status dele_eigen_top(double *vectors, double *values, size_t m, double *a, size_t n,
                           dele_err *err);

#endif
