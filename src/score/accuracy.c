#include "score/accuracy.h"

#include <math.h>

dele_accuracy dele_accuracy_mean(const unsigned char *right, const unsigned char *right_norm,
                                 size_t n)
{
    double sum = 0, sum_norm = 0, N = (double)n;
    for (size_t i = 0; i < n; i++) {
        sum += right[i];
        sum_norm += right_norm[i];
    }
    double acc = sum / N, norm = sum_norm / N;
    /* Σ (x - mean)² = N mean (1 - mean) for x of 0 or 1. */
    return (dele_accuracy){.n = n,
                           .acc = acc,
                           .acc_se = n > 1 ? sqrt(acc * (1 - acc) / (N - 1)) : NAN,
                           .acc_norm = norm,
                           .acc_norm_se = n > 1 ? sqrt(norm * (1 - norm) / (N - 1)) : NAN,
                           .n_effective = N};
}

/* A subject of one question adds 0 · se² = 0. */
static double pooled_term(double n, double se) { return n > 1 ? (n - 1) * n * se * se : 0; }

dele_accuracy dele_accuracy_pool(const dele_accuracy *part, size_t n)
{
    dele_accuracy all = {0};
    double sum = 0, sum_norm = 0, variance = 0, variance_norm = 0;
    for (size_t i = 0; i < n; i++) {
        double size = (double)part[i].n;
        all.n += part[i].n;
        sum += size * part[i].acc;
        sum_norm += size * part[i].acc_norm;
        variance += pooled_term(size, part[i].acc_se);
        variance_norm += pooled_term(size, part[i].acc_norm_se);
    }
    if (all.n == 0) return all;
    double N = (double)all.n, free = N - (double)n;
    all.n_effective = N;
    all.acc = sum / N;
    all.acc_norm = sum_norm / N;
    all.acc_se = free > 0 ? sqrt(variance / free / N) : NAN;
    all.acc_norm_se = free > 0 ? sqrt(variance_norm / free / N) : NAN;
    return all;
}

dele_accuracy dele_accuracy_macro(const dele_accuracy *part, size_t n)
{
    dele_accuracy all = {0};
    double K = (double)n, variance = 0, variance_norm = 0, inverse = 0;
    for (size_t i = 0; i < n; i++) {
        all.n += part[i].n;
        inverse += 1 / (double)part[i].n;
        all.acc += part[i].acc / K;
        all.acc_norm += part[i].acc_norm / K;
        variance += part[i].acc_se * part[i].acc_se;
        variance_norm += part[i].acc_norm_se * part[i].acc_norm_se;
    }
    all.n_effective = K * K / inverse;
    all.acc_se = sqrt(variance) / K;
    all.acc_norm_se = sqrt(variance_norm) / K;
    return all;
}

int dele_argmax(const double *x, int n)
{
    int best = 0;
    for (int c = 1; c < n; c++)
        if (x[c] > x[best]) best = c;
    return best;
}

double dele_characters(const char *text)
{
    double n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}
