/* Large products by oneDNN, whose kernels are generated for the processor at hand; small ones, as attention has by the
 * thousand, by OpenBLAS, which is at them sooner.  Chosen with -DLAC_GEMM=onednn. */
#include <cblas.h>
#include <oneapi/dnnl/dnnl.h>

#include "tensor/gemm.h"

enum { LARGE = 1 << 18 }; /* multiplications from which oneDNN's way in is worth its time */

static void sgemm(char ta, char tb, float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t m,
                  size_t n, size_t k, float beta)
{
    if (m == 0 || n == 0) return;
    if (m * n * k >= LARGE &&
        dnnl_sgemm(ta, tb, (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, 1.0f, x, (dnnl_dim_t)ldx, w, (dnnl_dim_t)ldw, beta,
                   y, (dnnl_dim_t)ldy) == dnnl_success)
        return;
    cblas_sgemm(CblasRowMajor, ta == 'T' ? CblasTrans : CblasNoTrans, tb == 'T' ? CblasTrans : CblasNoTrans, (blasint)m,
                (blasint)n, (blasint)k, 1.0f, x, (blasint)ldx, w, (blasint)ldw, beta, y, (blasint)ldy);
}

void gemm_nt(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t m, size_t n, size_t k,
             float beta)
{
    sgemm('N', 'T', y, ldy, x, ldx, w, ldw, m, n, k, beta);
}

void gemm_nn(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t m, size_t n, size_t k,
             float beta)
{
    sgemm('N', 'N', y, ldy, x, ldx, w, ldw, m, n, k, beta);
}

void gemm_tn(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t m, size_t n, size_t k,
             float beta)
{
    sgemm('T', 'N', y, ldy, x, ldx, w, ldw, m, n, k, beta);
}
