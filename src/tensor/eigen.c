#include "tensor/eigen.h"

#include <limits.h>

/* LAPACK's eigensolver by relatively robust representations, which OpenBLAS has; the trailing sizes
 * are the lengths of the three texts, as Fortran passes them. */
extern void dsyevr_(const char *jobz, const char *range, const char *uplo, const int *n, double *a,
                    const int *lda, const double *vl, const double *vu, const int *il,
                    const int *iu, const double *abstol, int *m, double *w, double *z,
                    const int *ldz, int *isuppz, double *work, const int *lwork, int *iwork,
                    const int *liwork, int *info, size_t, size_t, size_t);

/* Called twice, the first time for the size of its scratch.  It gives ascending values. */
dele_status dele_eigen_top(double *vectors, double *values, size_t m, double *a, size_t n,
                           dele_err *err)
{
    if (m < 1 || m > n || n > INT_MAX / 32)
        return dele_fail(err, DELE_ERR_DATA, "%zu eigenvectors of a matrix of %zu rows", m, n);
    const int size = (int)n, first = size - (int)m + 1, ask = -1;
    const double none = 0, tolerance = 0;
    int found = 0, info = 0, least_iwork = 0;
    double least_work = 0;
    dele_arena arena = {0};
    double *w = DELE_NEW(&arena, double, n, err), *z = DELE_NEW(&arena, double, m *n, err);
    int *support = DELE_NEW(&arena, int, 2 * n, err);
    if (w && z && support)
        dsyevr_("V", "I", "L", &size, a, &size, &none, &none, &first, &size, &tolerance, &found, w,
                z, &size, support, &least_work, &ask, &least_iwork, &ask, &info, 1, 1, 1);
    const int n_work = (int)least_work;
    double *work = DELE_NEW(&arena, double, (size_t)n_work + 1, err);
    int *iwork = DELE_NEW(&arena, int, (size_t)least_iwork + 1, err);
    dele_status status = w && z && support && work && iwork ? DELE_OK : DELE_ERR_MEMORY;
    if (!status && !info)
        dsyevr_("V", "I", "L", &size, a, &size, &none, &none, &first, &size, &tolerance, &found, w,
                z, &size, support, work, &n_work, iwork, &least_iwork, &info, 1, 1, 1);
    if (!status && (info || found != (int)m))
        status = dele_fail(err, DELE_ERR_DATA,
                           "the eigenvectors of a matrix of %zu rows were not found (LAPACK says "
                           "%d): are its values finite?",
                           n, info);
    for (size_t i = 0; i < m && !status; i++) {
        values[i] = w[m - 1 - i];
        for (size_t j = 0; j < n; j++) vectors[i * n + j] = z[(m - 1 - i) * n + j];
    }
    dele_arena_release(&arena);
    return status;
}
