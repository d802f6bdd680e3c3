/* gemm_nt for few rows of x, with AVX-512.  A library's product reorders w first, which for few
 * rows takes as long as the product.  Here w is read once, in its own order: four rows of it meet
 * up to six rows of x in registers, while the next four are fetched.
 *
 *   y [m,n]     x rows i .. i + 5, w rows j .. j + 3: 24 sums of 16 lanes, over all of k
 *
 * The lanes of a sum are added in one order, so that no element depends on m. */
#include "tensor/gemm.h"

enum { LANES = 16, MOST_ROWS = 128, LEAST = 1 << 16 };

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define WITH_AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,fma")))
#define UNROLLED _Pragma("GCC unroll 8")

/* The sums of the lanes of four. */
static inline WITH_AVX512 __attribute__((always_inline)) __m128 sums(__m512 a, __m512 b, __m512 c,
                                                                     __m512 d)
{
    const __m256 w = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1)),
                 x = _mm256_add_ps(_mm512_castps512_ps256(b), _mm512_extractf32x8_ps(b, 1)),
                 y = _mm256_add_ps(_mm512_castps512_ps256(c), _mm512_extractf32x8_ps(c, 1)),
                 z = _mm256_add_ps(_mm512_castps512_ps256(d), _mm512_extractf32x8_ps(d, 1)),
                 all = _mm256_hadd_ps(_mm256_hadd_ps(w, x), _mm256_hadd_ps(y, z));
    return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

/* `rows` rows of x, a constant after inlining, and four of w.  next: a row to be fetched meanwhile,
 * or NULL. */
static inline WITH_AVX512 __attribute__((always_inline)) void
block(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw, size_t k,
      const float *next, const int rows)
{
    __m512 sum[6][4];
    UNROLLED for (int i = 0; i < rows; i++) UNROLLED for (int j = 0; j < 4; j++) sum[i][j] =
        _mm512_setzero_ps();
    for (size_t p = 0; p < k; p += LANES) {
        __m512 b[4];
        if (next) _mm_prefetch((const char *)(next + p), _MM_HINT_T0);
        UNROLLED for (int j = 0; j < 4; j++) b[j] = _mm512_loadu_ps(w + (size_t)j * ldw + p);
        UNROLLED for (int i = 0; i < rows; i++)
        {
            const __m512 a = _mm512_loadu_ps(x + (size_t)i * ldx + p);
            UNROLLED for (int j = 0; j < 4; j++) sum[i][j] = _mm512_fmadd_ps(a, b[j], sum[i][j]);
        }
    }
    UNROLLED for (int i = 0; i < rows; i++)
        _mm_storeu_ps(y + (size_t)i * ldy, sums(sum[i][0], sum[i][1], sum[i][2], sum[i][3]));
}

static WITH_AVX512 void product(float *y, size_t ldy, const float *x, size_t ldx, const float *w,
                                size_t ldw, size_t m, size_t n, size_t k)
{
    const size_t blocks = (m + 5) / 6;
    for (size_t j = 0; j < n; j += 4)
        for (size_t b = 0; b < blocks; b++) {
            const size_t i = m * b / blocks, rows = m * (b + 1) / blocks - i;
            const float *next = b < 4 && j + 4 + b < n ? w + (j + 4 + b) * ldw : NULL,
                        *xi = x + i * ldx, *wj = w + j * ldw;
            float *yij = y + i * ldy + j;
            switch (rows) {
            case 6:
                block(yij, ldy, xi, ldx, wj, ldw, k, next, 6);
                break;
            case 5:
                block(yij, ldy, xi, ldx, wj, ldw, k, next, 5);
                break;
            case 4:
                block(yij, ldy, xi, ldx, wj, ldw, k, next, 4);
                break;
            case 3:
                block(yij, ldy, xi, ldx, wj, ldw, k, next, 3);
                break;
            case 2:
                block(yij, ldy, xi, ldx, wj, ldw, k, next, 2);
                break;
            default:
                block(yij, ldy, xi, ldx, wj, ldw, k, next, 1);
            }
        }
}

static bool has_kernel(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}
#else
static void product(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw,
                    size_t m, size_t n, size_t k)
{
    (void)y, (void)ldy, (void)x, (void)ldx, (void)w, (void)ldw, (void)m, (void)n, (void)k;
}
static bool has_kernel(void) { return false; }
#endif

bool gemm_nt_few(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw,
                 size_t m, size_t n, size_t k)
{
    if (m == 0 || m > MOST_ROWS || n % 4 || k % LANES || n * k < LEAST || !has_kernel())
        return false;
    product(y, ldy, x, ldx, w, ldw, m, n, k);
    return true;
}
