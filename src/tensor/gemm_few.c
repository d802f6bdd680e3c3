/* Products of few rows with a large matrix, with AVX-512.  Their time is that of reading the matrix
 * (or, of a gradient, of reading and writing it) as much as that of the arithmetic, and a library
 * reorders the matrix first: for few rows that takes as long as the product.  Here the next part of
 * the matrix is fetched while the present one is multiplied, in registers:
 *
 *   nt   y [m,n] = x wᵀ        sums of 16 lanes over all of k: six rows of x by four of w, which is
 *                              read in its own order
 *   nn   y [m,n] = x w         tiles of six rows by 64 columns, which sum SUMMED terms at a time
 *   tn   y [m,n] += xᵀ w       the same tiles of the large matrix y, each read and written once
 *
 * A tile reads its part of w as a panel, [terms, 64] without gaps: the rows of w, often 4 KiB
 * apart, would share a few sets of the cache.  The first tile that needs a panel fills it.
 *
 * The terms of a sum are added in one order, so that no element depends on the number of rows. */
#include "tensor/gemm.h"

enum { LANES = 16, COLUMNS = 64, MOST_ROWS = 128, LEAST = 1 << 16 };

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

enum { SUMMED = 64, PANELS = 1 << 15 /* floats: they stay in the second cache */ };

#define WITH_AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,fma")))
#define INLINE inline __attribute__((always_inline)) /* so that `rows` is a constant */
#define UNROLLED _Pragma("GCC unroll 8")

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* ---- nt -------------------------------------------------------------------------------------- */

/* The sums of the lanes of four. */
static WITH_AVX512 INLINE __m128 sums(__m512 a, __m512 b, __m512 c, __m512 d)
{
    const __m256 w = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1)),
                 x = _mm256_add_ps(_mm512_castps512_ps256(b), _mm512_extractf32x8_ps(b, 1)),
                 y = _mm256_add_ps(_mm512_castps512_ps256(c), _mm512_extractf32x8_ps(c, 1)),
                 z = _mm256_add_ps(_mm512_castps512_ps256(d), _mm512_extractf32x8_ps(d, 1)),
                 all = _mm256_hadd_ps(_mm256_hadd_ps(w, x), _mm256_hadd_ps(y, z));
    return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

/* `rows` rows of x and four of w.  Meanwhile `fetched` floats from `next` on are fetched. */
static WITH_AVX512 INLINE void dot_block(float *y, size_t ldy, const float *x, size_t ldx,
                                         const float *w, size_t ldw, size_t k, const float *next,
                                         size_t fetched, const int rows)
{
    __m512 sum[6][4];
    UNROLLED for (int i = 0; i < rows; i++) UNROLLED for (int j = 0; j < 4; j++) sum[i][j] =
        _mm512_setzero_ps();
    for (size_t p = 0; p < k; p += LANES) {
        __m512 b[4];
        if (p < fetched) _mm_prefetch((const char *)(next + p), _MM_HINT_T1);
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

static WITH_AVX512 void product_nt(float *y, size_t ldy, const float *x, size_t ldx, const float *w,
                                   size_t ldw, size_t m, size_t n, size_t k)
{
    const size_t blocks = (m + 5) / 6, share = least(4 * k / blocks / LANES * LANES, k);
    for (size_t j = 0; j < n; j += 4)
        for (size_t b = 0; b < blocks; b++) {
            const size_t i = m * b / blocks, rows = m * (b + 1) / blocks - i,
                         fetched = j + 4 < n && b * share < 4 * k ? share : 0;
            const float *xi = x + i * ldx, *wj = w + j * ldw,
                        *next = fetched ? wj + 4 * ldw + b * share : w;
            float *yij = y + i * ldy + j;
            switch (rows) {
            case 6:
                dot_block(yij, ldy, xi, ldx, wj, ldw, k, next, fetched, 6);
                break;
            case 5:
                dot_block(yij, ldy, xi, ldx, wj, ldw, k, next, fetched, 5);
                break;
            case 4:
                dot_block(yij, ldy, xi, ldx, wj, ldw, k, next, fetched, 4);
                break;
            case 3:
                dot_block(yij, ldy, xi, ldx, wj, ldw, k, next, fetched, 3);
                break;
            case 2:
                dot_block(yij, ldy, xi, ldx, wj, ldw, k, next, fetched, 2);
                break;
            default:
                dot_block(yij, ldy, xi, ldx, wj, ldw, k, next, fetched, 1);
            }
        }
}

/* ---- nn and tn ------------------------------------------------------------------------------- */

/* A tile: y [rows, 64] = Σ_p a_ip panel_p, or += where it adds, with a_ip = a[i row + p term].
 * Meanwhile `fetched` rows from `next` on are fetched. */
typedef struct {
    float *y;
    size_t ldy;
    bool adds;
    const float *a;
    size_t row, term;
    float *panel; /* [terms, 64] */
    size_t terms;
    const float *from; /* where the tile that fills the panel reads it; NULL: it is filled */
    size_t ld_from;
    const float *next;
    size_t ld_next, fetched;
} tile;

static WITH_AVX512 INLINE void tile_of(const tile *t, const bool fills, const int rows)
{
    __m512 sum[6][4];
    const float *a = t->a, *from = t->from;
    float *panel = t->panel;
    UNROLLED for (int i = 0; i < rows; i++) UNROLLED for (int v = 0; v < 4; v++) sum[i][v] =
        _mm512_setzero_ps();
    for (size_t p = 0; p < t->terms; p++, a += t->term, panel += COLUMNS) {
        __m512 b[4];
        if (p < t->fetched)
            UNROLLED for (int v = 0; v < 4; v++)
                _mm_prefetch((const char *)(t->next + p * t->ld_next + v * LANES), _MM_HINT_T0);
        UNROLLED for (int v = 0; v < 4; v++)
        {
            b[v] = _mm512_loadu_ps((fills ? from : panel) + v * LANES);
            if (fills) _mm512_store_ps(panel + v * LANES, b[v]);
        }
        if (fills) from += t->ld_from;
        UNROLLED for (int i = 0; i < rows; i++)
        {
            const __m512 x = _mm512_set1_ps(a[(size_t)i * t->row]);
            UNROLLED for (int v = 0; v < 4; v++) sum[i][v] = _mm512_fmadd_ps(x, b[v], sum[i][v]);
        }
    }
    UNROLLED for (int i = 0; i < rows; i++) UNROLLED for (int v = 0; v < 4; v++)
    {
        float *y = t->y + (size_t)i * t->ldy + v * LANES;
        _mm512_storeu_ps(y, t->adds ? _mm512_add_ps(_mm512_loadu_ps(y), sum[i][v]) : sum[i][v]);
    }
}

static WITH_AVX512 INLINE void tile_of_rows(const tile *t, const bool fills, size_t rows)
{
    switch (rows) {
    case 6:
        tile_of(t, fills, 6);
        break;
    case 5:
        tile_of(t, fills, 5);
        break;
    case 4:
        tile_of(t, fills, 4);
        break;
    case 3:
        tile_of(t, fills, 3);
        break;
    case 2:
        tile_of(t, fills, 2);
        break;
    default:
        tile_of(t, fills, 1);
    }
}

static WITH_AVX512 void multiply(const tile *t, size_t rows)
{
    if (t->from)
        tile_of_rows(t, true, rows);
    else
        tile_of_rows(t, false, rows);
}

static void product_nn(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw,
                       size_t m, size_t n, size_t k)
{
    _Alignas(64) float panel[SUMMED * COLUMNS];
    const size_t blocks = (m + 5) / 6;
    for (size_t p = 0, terms; p < k; p += terms) {
        terms = least(k - p, SUMMED);
        for (size_t j = 0; j < n; j += COLUMNS) {
            const size_t next_j = j + COLUMNS < n ? j + COLUMNS : 0,
                         next_p = next_j ? p : p + terms, left = least(k - next_p, SUMMED);
            for (size_t b = 0; b < blocks; b++) {
                const size_t i = m * b / blocks, fetch = left * b / blocks;
                const tile t = {.y = y + i * ldy + j,
                                .ldy = ldy,
                                .adds = p > 0,
                                .a = x + i * ldx + p,
                                .row = ldx,
                                .term = 1,
                                .panel = panel,
                                .terms = terms,
                                .from = b ? NULL : w + p * ldw + j,
                                .ld_from = ldw,
                                .next = left ? w + (next_p + fetch) * ldw + next_j : w,
                                .ld_next = ldw,
                                .fetched = left * (b + 1) / blocks - fetch};
                multiply(&t, m * (b + 1) / blocks - i);
            }
        }
    }
}

static void product_tn(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw,
                       size_t m, size_t n, size_t k)
{
    _Alignas(64) float panel[PANELS];
    float a[MOST_ROWS * 6];
    const size_t blocks = (m + 5) / 6, some = PANELS / k / COLUMNS * COLUMNS;
    for (size_t from = 0; from < n; from += some) {
        const size_t columns = least(n - from, some);
        for (size_t b = 0; b < blocks; b++) {
            const size_t i = m * b / blocks, rows = m * (b + 1) / blocks - i;
            for (size_t p = 0; p < k; p++)
                for (size_t r = 0; r < rows; r++) a[p * 6 + r] = x[p * ldx + i + r];
            for (size_t j = 0; j < columns; j += COLUMNS) {
                /* the tile after the next one, which may belong to later rows */
                const size_t ahead = j + 2 * COLUMNS, row = i + ahead / columns * rows;
                const bool more = row + rows <= m;
                const tile t = {.y = y + i * ldy + from + j,
                                .ldy = ldy,
                                .adds = true,
                                .a = a,
                                .row = 1,
                                .term = 6,
                                .panel = panel + j * k,
                                .terms = k,
                                .from = b ? NULL : w + from + j,
                                .ld_from = ldw,
                                .next = more ? y + row * ldy + from + ahead % columns : y,
                                .ld_next = ldy,
                                .fetched = more ? rows : 0};
                multiply(&t, rows);
            }
        }
    }
}

static bool has_kernel(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}
#else
static void product_nt(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw,
                       size_t m, size_t n, size_t k)
{
    (void)y, (void)ldy, (void)x, (void)ldx, (void)w, (void)ldw, (void)m, (void)n, (void)k;
}
static void product_nn(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw,
                       size_t m, size_t n, size_t k)
{
    (void)y, (void)ldy, (void)x, (void)ldx, (void)w, (void)ldw, (void)m, (void)n, (void)k;
}
static void product_tn(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw,
                       size_t m, size_t n, size_t k)
{
    (void)y, (void)ldy, (void)x, (void)ldx, (void)w, (void)ldw, (void)m, (void)n, (void)k;
}
static bool has_kernel(void) { return false; }
#endif

/* rows: how many there are; large: items of the large matrix. */
static bool fits(size_t rows, size_t large)
{
    return rows > 0 && rows <= MOST_ROWS && large >= LEAST && has_kernel();
}

bool gemm_nt_few(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw,
                 size_t m, size_t n, size_t k)
{
    if (n % 4 || k % LANES || !fits(m, n * k)) return false;
    product_nt(y, ldy, x, ldx, w, ldw, m, n, k);
    return true;
}

bool gemm_nn_few(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw,
                 size_t m, size_t n, size_t k)
{
    if (n % COLUMNS || !fits(m, n * k)) return false;
    product_nn(y, ldy, x, ldx, w, ldw, m, n, k);
    return true;
}

bool gemm_tn_few(float *y, size_t ldy, const float *x, size_t ldx, const float *w, size_t ldw,
                 size_t m, size_t n, size_t k)
{
    if (n % COLUMNS || !fits(k, m * n)) return false;
    product_tn(y, ldy, x, ldx, w, ldw, m, n, k);
    return true;
}
