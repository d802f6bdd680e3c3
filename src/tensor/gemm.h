/* The matrix product, and the only interface to a BLAS.  Row-major float32 with leading dimensions,
 * so that a head, or the gate half of a fused product, is a view and not a copy.
 *
 *   gemm_nt   y [m,n] = x [m,k]  w [n,k]ᵀ + beta y       a linear layer; scores q kᵀ
 *   gemm_nn   y [m,n] = x [m,k]  w [k,n]  + beta y       its gradient down; mixing values
 *   gemm_tn   y [m,n] = x [k,m]ᵀ w [k,n]  + beta y       its gradient to the weights
 *
 * Called inside a parallel region they run on the calling thread (OpenBLAS's OpenMP build). */
#ifndef DELE_GEMM_H
#define DELE_GEMM_H

#include <stdbool.h>
#include <stddef.h>

void gemm_nt(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t m,
             size_t n, size_t k, float beta);
void gemm_nn(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t m,
             size_t n, size_t k, float beta);
void gemm_tn(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t m,
             size_t n, size_t k, float beta);

/* The same on the calling thread where one matrix is large and the other two have few rows: of nt
 * and nn, with beta 0, w is the large one, and m is small; of tn, with beta 1, it is y, and k is
 * small.  The large matrix is read (and written) once, and fetched ahead.
 * No element depends on how few the rows are.  False: not for this processor or these sizes; y is
 * unchanged. */
bool gemm_nt_few(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw,
                 size_t m, size_t n, size_t k);
bool gemm_nn_few(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw,
                 size_t m, size_t n, size_t k);
bool gemm_tn_few(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw,
                 size_t m, size_t n, size_t k);

/* A packed copy of a matrix w [n, k] for products with many x: it has the order in which the
 * products read it, so that no call reorders it.  It does not follow changes of w.  NULL: the
 * backend has no packed copies, or there was no memory for it. */
typedef struct gemm_packed gemm_packed;
gemm_packed *gemm_pack(const float *w, size_t n, size_t k);
size_t gemm_packed_bytes(size_t n, size_t k); /* of such a copy; 0: there is none */
void gemm_packed_free(gemm_packed *w);        /* accepts NULL */

/* gemm_nt with a packed w.  False: it failed or w is NULL, and y is unchanged. */
bool gemm_nt_packed(float *y, size_t ldy, const float *x, size_t ldx, const gemm_packed *w,
                    size_t m, float beta);

/* Floating-point operations a second of gemm_nt on this machine, the best of eight products of this
 * size; 0: no memory for them. */
double gemm_rate(size_t m, size_t n, size_t k);

#endif
