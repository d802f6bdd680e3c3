#include "unlearn/adamw.h"

#include <math.h>

enum { PIECES = 64 };

void dele_adamw_step(float *p, float *m, float *v, const float *g, size_t n,
                     const dele_adamw_rule *rule, long t)
{
    const double correction1 = 1 - pow(rule->beta1, (double)t),
                 correction2 = 1 - pow(rule->beta2, (double)t);
    const float keep = (float)(1 - rule->lr * rule->weight_decay),
                step = (float)(rule->lr / correction1);
    const float b2 = (float)rule->beta2, rest1 = (float)(1 - rule->beta1),
                rest2 = (float)(1 - rule->beta2);
    const float root2 = (float)sqrt(correction2), eps = (float)rule->eps;
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < n; i++) {
        m[i] += rest1 * (g[i] - m[i]);
        v[i] = b2 * v[i] + rest2 * g[i] * g[i];
        p[i] = p[i] * keep - step * (m[i] / (sqrtf(v[i]) / root2 + eps));
    }
}

double dele_sum_squares(const float *g, size_t n)
{
    double piece[PIECES];
#pragma omp parallel for schedule(static)
    for (int k = 0; k < PIECES; k++) {
        size_t begin = n / PIECES * (size_t)k,
               end = k + 1 == PIECES ? n : n / PIECES * (size_t)(k + 1);
        double sum = 0;
        for (size_t i = begin; i < end; i++) sum += (double)g[i] * g[i];
        piece[k] = sum;
    }
    double sum = 0;
    for (int k = 0; k < PIECES; k++) sum += piece[k];
    return sum;
}

double dele_clip_factor(double norm, double max_norm)
{
    if (!(max_norm > 0)) return 1;
    double factor = max_norm / (norm + 1e-6);
    return factor < 1 ? factor : 1;
}

void dele_add_scaled(float *y, const float *x, double a, size_t n)
{
    const float f = (float)a;
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < n; i++) y[i] += f * x[i];
}

void dele_scale(float *y, double a, size_t n)
{
    const float f = (float)a;
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < n; i++) y[i] *= f;
}
