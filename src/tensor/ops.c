#include "tensor/ops.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* The compiler generates these loops for several generations of x86, and the loader selects one
 * version.  Not with a sanitizer, which is initialised after this selection. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) &&                        \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FOR_EACH_CPU __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define FOR_EACH_CPU
#endif

enum {
    PARALLEL_FROM = 1 << 15
}; /* elements below which a parallel region costs more than it saves */

/* exp as a polynomial of degree 6 on [-ln2/2, ln2/2] and a shifted exponent (Cephes' expf): within
 * 2 ulp of libm.  A loop around it is vectorised (with -fno-trapping-math, which changes no
 * result); a loop around expf is not, without -ffast-math. */
static inline float exp_poly(float x)
{
    x = x > 88.0f ? 88.0f : x < -87.3f ? -87.3f : x;
    float n = rintf(x * 1.44269504088896341f);
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    n = n == n ? n : 0.0f; /* NaN has no exponent to shift; p is NaN already */
    uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/* tanh as Cephes' tanhf: a polynomial of odd degree near 0, where 1 - 2 / (exp 2x + 1) cancels. */
static inline float tanh_poly(float x)
{
    float z = x * x, size = fabsf(x);
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    float near = p * z * x + x, far = copysignf(1.0f - 2.0f / (exp_poly(2 * size) + 1.0f), x);
    return size < 0.625f ? near : far;
}

/* ---- norms ----------------------------------------------------------------------------------- */

FOR_EACH_CPU void rmsnorm_forward(float *y, float *rstd, const float *x, const float *w,
                                  float offset, size_t n, size_t dim, float eps)
{
#pragma omp parallel for if (n * dim > PARALLEL_FROM)
    for (size_t t = 0; t < n; t++) {
        const float *xt = x + t * dim;
        float *yt = y + t * dim;
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t i = 0; i < dim; i++) sum += (double)xt[i] * xt[i];
        float r = (float)(1.0 / sqrt(sum / (double)dim + eps));
        rstd[t] = r;
        for (size_t i = 0; i < dim; i++) yt[i] = w ? xt[i] * r * (w[i] + offset) : xt[i] * r;
    }
}

FOR_EACH_CPU void rmsnorm_backward(float *dx, float *dw, const float *dy, const float *x,
                                   const float *rstd, const float *w, float offset, size_t n,
                                   size_t dim)
{
#pragma omp parallel for if (n * dim > PARALLEL_FROM)
    for (size_t t = 0; t < n; t++) {
        const float *xt = x + t * dim, *dyt = dy + t * dim;
        float *dxt = dx + t * dim, r = rstd[t];
        double along = 0;
#pragma omp simd reduction(+ : along)
        for (size_t i = 0; i < dim; i++)
            along += (double)dyt[i] * (w ? w[i] + offset : 1.0f) * xt[i];
        float shift =
            (float)(along * r * r / (double)dim); /* mean(g ⊙ x̂) r, times x̂ / r = x below */
        for (size_t i = 0; i < dim; i++)
            dxt[i] += r * (dyt[i] * (w ? w[i] + offset : 1.0f) - xt[i] * shift);
    }
    if (!dw) return;
#pragma omp parallel for if (n * dim > PARALLEL_FROM)
    for (size_t i = 0; i < dim; i++) {
        double sum = 0;
        for (size_t t = 0; t < n; t++) sum += (double)dy[t * dim + i] * x[t * dim + i] * rstd[t];
        dw[i] += (float)sum;
    }
}

FOR_EACH_CPU void layernorm_forward(float *y, float *rstd, float *mean, const float *x,
                                    const float *w, const float *b, size_t n, size_t dim, float eps)
{
#pragma omp parallel for if (n * dim > PARALLEL_FROM)
    for (size_t t = 0; t < n; t++) {
        const float *xt = x + t * dim;
        float *yt = y + t * dim;
        double sum = 0, square = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t i = 0; i < dim; i++) sum += xt[i];
        double mu = sum / (double)dim;
#pragma omp simd reduction(+ : square)
        for (size_t i = 0; i < dim; i++) square += (xt[i] - mu) * (xt[i] - mu);
        float r = (float)(1.0 / sqrt(square / (double)dim + eps)), m = (float)mu;
        rstd[t] = r;
        mean[t] = m;
        for (size_t i = 0; i < dim; i++) yt[i] = (xt[i] - m) * r;
        for (size_t i = 0; w && i < dim; i++) yt[i] *= w[i];
        for (size_t i = 0; b && i < dim; i++) yt[i] += b[i];
    }
}

FOR_EACH_CPU void layernorm_backward(float *dx, float *dw, const float *dy, const float *x,
                                     const float *rstd, const float *mean, const float *w, size_t n,
                                     size_t dim)
{
#pragma omp parallel for if (n * dim > PARALLEL_FROM)
    for (size_t t = 0; t < n; t++) {
        const float *xt = x + t * dim, *dyt = dy + t * dim;
        float *dxt = dx + t * dim, r = rstd[t], m = mean[t];
        double along_1 = 0,
               along_x =
                   0; /* take g, remove its part along 1 and its part along x̂, undo the division */
#pragma omp simd reduction(+ : along_1, along_x)
        for (size_t i = 0; i < dim; i++) {
            float g = w ? dyt[i] * w[i] : dyt[i];
            along_1 += g;
            along_x += (double)g * ((xt[i] - m) * r);
        }
        float shift = (float)(along_1 / (double)dim), scale = (float)(along_x / (double)dim);
        for (size_t i = 0; i < dim; i++)
            dxt[i] += ((w ? dyt[i] * w[i] : dyt[i]) - shift - (xt[i] - m) * r * scale) * r;
    }
    if (!dw) return;
#pragma omp parallel for if (n * dim > PARALLEL_FROM)
    for (size_t i = 0; i < dim; i++) {
        double sum = 0;
        for (size_t t = 0; t < n; t++)
            sum += (double)dy[t * dim + i] * (x[t * dim + i] - mean[t]) * rstd[t];
        dw[i] += (float)sum;
    }
}

/* ---- activations ----------------------------------------------------------------------------- */

/* Of each activation a three functions: a(x), d a(x), d a'(x). */

static inline float sigma(float x) { return 1.0f / (1.0f + exp_poly(-x)); }

static inline float silu(float x) { return x / (1.0f + exp_poly(-x)); }
static inline float silu_times(float d, float x) { return d * x * sigma(x); }
static inline float silu_slope(float d, float x)
{
    float s = sigma(x);
    return d * s * (1.0f + x * (1.0f - s));
}

/* erf as a quotient of polynomials on [-4, 4], where it reaches 1 in float32 (Eigen's): within
 * 5e-7. */
static inline float erf_poly(float x)
{
    x = x > 4.0f ? 4.0f : x < -4.0f ? -4.0f : x;
    float z = x * x, p = -2.72614225801306e-10f, q = -1.45660718464996e-05f;
    p = p * z + 2.77068142495902e-08f;
    p = p * z - 2.10102402082508e-06f;
    p = p * z - 5.69250639462346e-05f;
    p = p * z - 7.34990630326855e-04f;
    p = p * z - 2.95459980854025e-03f;
    p = p * z - 1.60960333262415e-02f;
    q = q * z - 2.13374055278905e-04f;
    q = q * z - 1.68282697438203e-03f;
    q = q * z - 7.37332916720468e-03f;
    q = q * z - 1.42647390514189e-02f;
    return x * p / q;
}

static inline float gelu(float x)
{
    return x * (0.5f + 0.5f * erf_poly(x * 0.707106781186547524f));
}
static inline float gelu_times(float d, float x) { return d * gelu(x); }
static inline float gelu_slope(float d, float x)
{
    float density = 0.398942280401432678f * exp_poly(-0.5f * x * x);
    return d * (0.5f + 0.5f * erf_poly(x * 0.707106781186547524f) + x * density);
}

/* (1 + tanh y) / 2 = σ(2 y). */
static inline float gelu_tanh(float x)
{
    return x * sigma(1.59576912160573071f * (x + 0.044715f * x * x * x));
}
static inline float gelu_tanh_times(float d, float x) { return d * gelu_tanh(x); }
static inline float gelu_tanh_slope(float d, float x)
{
    float s = sigma(1.59576912160573071f * (x + 0.044715f * x * x * x));
    return d * (s + x * s * (1.0f - s) * 1.59576912160573071f * (1.0f + 0.134145f * x * x));
}

/* The four functions of ops.h.  A macro, for the loops are vectorised only around inlined code. */
#define ACTIVATION(name)                                                                           \
    FOR_EACH_CPU void name##_forward(float *h, const float *x, size_t n, size_t width)             \
    {                                                                                              \
        _Pragma(                                                                                   \
            "omp parallel for simd if (parallel : n * width > PARALLEL_FROM)") for (size_t i = 0;  \
                                                                                    i < n * width; \
                                                                                    i++) h[i] =    \
            name(x[i]);                                                                            \
    }                                                                                              \
    FOR_EACH_CPU void name##_backward(float *dx, const float *dh, const float *x, size_t n,        \
                                      size_t width)                                                \
    {                                                                                              \
        _Pragma(                                                                                   \
            "omp parallel for simd if (parallel : n * width > PARALLEL_FROM)") for (size_t i = 0;  \
                                                                                    i < n * width; \
                                                                                    i++) dx[i] =   \
            name##_slope(dh[i], x[i]);                                                             \
    }                                                                                              \
    FOR_EACH_CPU void name##_glu_forward(float *h, const float *x, size_t n, size_t width)         \
    {                                                                                              \
        _Pragma("omp parallel for if (n * width > PARALLEL_FROM)") for (size_t t = 0; t < n; t++)  \
        {                                                                                          \
            const float *g = x + t * 2 * width, *u = g + width;                                    \
            float *ht = h + t * width;                                                             \
            _Pragma("omp simd") for (size_t i = 0; i < width; i++) ht[i] = name(g[i]) * u[i];      \
        }                                                                                          \
    }                                                                                              \
    FOR_EACH_CPU void name##_glu_backward(float *dx, const float *dh, const float *x, size_t n,    \
                                          size_t width)                                            \
    {                                                                                              \
        _Pragma("omp parallel for if (n * width > PARALLEL_FROM)") for (size_t t = 0; t < n; t++)  \
        {                                                                                          \
            const float *g = x + t * 2 * width, *u = g + width, *d = dh + t * width;               \
            float *dg = dx + t * 2 * width, *du = dg + width;                                      \
            _Pragma("omp simd") for (size_t i = 0; i < width; i++)                                 \
            {                                                                                      \
                dg[i] = name##_slope(d[i] * u[i], g[i]);                                           \
                du[i] = name##_times(d[i], g[i]);                                                  \
            }                                                                                      \
        }                                                                                          \
    }
ACTIVATION(silu)
ACTIVATION(gelu)
ACTIVATION(gelu_tanh)

/* ---- the rest -------------------------------------------------------------------------------- */

void rope_angles(float *cos_sin, const float *inv_freq, size_t half, float factor, int first_pos,
                 size_t n)
{
#pragma omp parallel for if (n * half > PARALLEL_FROM / 16)
    for (size_t t = 0; t < n; t++) {
        float *c = cos_sin + t * 2 * half, *s = c + half;
        for (size_t i = 0; i < half; i++) { /* float32, as in the reference implementations */
            float angle = (float)(first_pos + (int)t) * inv_freq[i];
            c[i] = cosf(angle) * factor, s[i] = sinf(angle) * factor;
        }
    }
}

FOR_EACH_CPU void rope(float *x, size_t ld, const float *cos_sin, size_t half, size_t n,
                       size_t n_heads, size_t head_dim, float sign)
{
#pragma omp parallel for if (n * n_heads * head_dim > PARALLEL_FROM)
    for (size_t t = 0; t < n; t++) {
        const float *c = cos_sin + t * 2 * half, *s = c + half;
        for (size_t h = 0; h < n_heads; h++) {
            float *a = x + t * ld + h * head_dim, *b = a + half;
#pragma omp simd
            for (size_t i = 0; i < half; i++) {
                float u = a[i], v = b[i];
                a[i] = u * c[i] - v * (sign * s[i]);
                b[i] = v * c[i] + u * (sign * s[i]);
            }
        }
    }
}

void add(float *y, const float *x, size_t n)
{
#pragma omp parallel for simd if (parallel : n > PARALLEL_FROM)
    for (size_t i = 0; i < n; i++) y[i] += x[i];
}

void bias_forward(float *y, size_t ld, const float *b, size_t n, size_t cols)
{
    if (!b) return;
#pragma omp parallel for if (n * cols > PARALLEL_FROM)
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < cols; i++) y[t * ld + i] += b[i];
}

void bias_backward(float *db, const float *dy, size_t ld, size_t n, size_t cols)
{
    if (!db) return;
#pragma omp parallel for if (n * cols > PARALLEL_FROM)
    for (size_t i = 0; i < cols; i++) {
        double sum = 0;
        for (size_t t = 0; t < n; t++) sum += (double)dy[t * ld + i];
        db[i] += (float)sum;
    }
}

FOR_EACH_CPU void softcap(float *x, size_t n, float scale, float cap)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) x[i] = cap * tanh_poly(x[i] * scale / cap);
}

FOR_EACH_CPU void softcap_backward(float *y, const float *dy, size_t n, float scale, float cap)
{
#pragma omp parallel for simd if (parallel : n > PARALLEL_FROM)
    for (size_t i = 0; i < n; i++) {
        float part = y[i] / cap;
        y[i] = dy[i] * scale * (1.0f - part * part);
    }
}

FOR_EACH_CPU void softmax(float *x, size_t n, float scale)
{
    float top = -INFINITY;
#pragma omp simd reduction(max : top)
    for (size_t i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) {
        x[i] = exp_poly((x[i] - top) * scale);
        sum += x[i];
    }
    float rstd = (float)(1.0 / sum);
    for (size_t i = 0; i < n; i++) x[i] *= rstd;
}

FOR_EACH_CPU double log_sum_exp(const float *x, size_t n)
{
    float top = -INFINITY;
#pragma omp simd reduction(max : top)
    for (size_t i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++) sum += (double)exp_poly(x[i] - top);
    return top + log(sum);
}

size_t argmax(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* Both have an exponent of all ones.  The test is on the bits, so that the loop is vectorised. */
FOR_EACH_CPU bool all_finite(const float *x, size_t n)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bad |= (bits & 0x7f800000) == 0x7f800000;
    }
    return !bad;
}
