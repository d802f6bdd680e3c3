#include <cblas.h>

#include "tensor/gemm.h"

static void openblas_product(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, float *y, size_t ldy,
                             const float *x, size_t ldx, const float *w, size_t ldw, size_t m,
                             size_t n, size_t k, float beta)
{
    if (m == 0 || n == 0) return;
    cblas_sgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)k, 1.0f, x, (blasint)ldx, w,
                (blasint)ldw, beta, y, (blasint)ldy);
}

void gemm_nt(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t m,
             size_t n, size_t k, float beta)
{
    openblas_product(CblasNoTrans, CblasTrans, y, ldy, x, ldx, w, ldw, m, n, k, beta);
}

void gemm_nn(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t m,
             size_t n, size_t k, float beta)
{
    openblas_product(CblasNoTrans, CblasNoTrans, y, ldy, x, ldx, w, ldw, m, n, k, beta);
}

void gemm_tn(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t m,
             size_t n, size_t k, float beta)
{
    openblas_product(CblasTrans, CblasNoTrans, y, ldy, x, ldx, w, ldw, m, n, k, beta);
}

/* OpenBLAS reorders both matrices in every call, so a packed copy has no use. */
gemm_packed *gemm_pack(const float *w, size_t n, size_t k)
{
    (void)w, (void)n, (void)k;
    return NULL;
}

size_t gemm_packed_bytes(size_t n, size_t k)
{
    (void)n, (void)k;
    return 0;
}

void gemm_packed_free(gemm_packed *w) { (void)w; }

bool gemm_nt_packed(float *y, size_t ldy, const float *x, size_t ldx, const gemm_packed *w,
                    size_t m, float beta)
{
    (void)y, (void)ldy, (void)x, (void)ldx, (void)w, (void)m, (void)beta;
    return false;
}
