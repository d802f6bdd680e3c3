/* numpy's legacy RandomState, bit for bit.
 *
 * ROME's causal tracing corrupts a prompt with numpy.random.RandomState(1).randn(...), so the
 * published numbers can only be reproduced with the same draws.  numpy has frozen this generator
 * (NEP 19): MT19937 (Matsumoto & Nishimura 1998), doubles from 53 of 64 bits, normals by
 * Marsaglia's polar method, gamma by Marsaglia & Tsang 2000.
 *
 * Two details matter for equal bits.  Of each polar pair the *second* coordinate is returned first
 * and the first is stored.  Every product and sum must be rounded separately: with fused
 * multiply-adds 14 % of the draws differ in the last bit, so this file is compiled with
 * -ffp-contract=off. */
#include "base/random.h"

#include <math.h>

enum { N = 624, M = 397 };

void dele_numpy_seed(dele_numpy_rng *rng, uint32_t seed)
{
    *rng = (dele_numpy_rng){.index = N};
    rng->mt[0] = seed;
    for (uint32_t i = 1; i < N; i++)
        rng->mt[i] = 1812433253u * (rng->mt[i - 1] ^ (rng->mt[i - 1] >> 30)) + i;
}

static void refill(dele_numpy_rng *rng)
{
    uint32_t *mt = rng->mt;
    for (int i = 0; i < N; i++) {
        uint32_t y = (mt[i] & 0x80000000u) | (mt[(i + 1) % N] & 0x7fffffffu);
        mt[i] = mt[(i + M) % N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    rng->index = 0;
}

static uint32_t next32(dele_numpy_rng *rng)
{
    if (rng->index == N) refill(rng);
    uint32_t y = rng->mt[rng->index++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

static double random_sample(dele_numpy_rng *rng)
{
    uint32_t a = next32(rng) >> 5, b = next32(rng) >> 6;
    return (a * 67108864.0 + b) / 9007199254740992.0;
}

double dele_numpy_randn(dele_numpy_rng *rng)
{
    if (rng->has_gauss) {
        rng->has_gauss = 0;
        return rng->gauss;
    }
    double x1, x2, r2;
    do {
        x1 = 2.0 * random_sample(rng) - 1.0;
        x2 = 2.0 * random_sample(rng) - 1.0;
        r2 = x1 * x1 + x2 * x2;
    } while (r2 >= 1.0 || r2 == 0.0);
    double f = sqrt(-2.0 * log(r2) / r2);
    rng->gauss = f * x1;
    rng->has_gauss = 1;
    return f * x2;
}

double dele_numpy_uniform(dele_numpy_rng *rng, double low, double high)
{
    double range = high - low;
    return low + range * random_sample(rng);
}

static double standard_exponential(dele_numpy_rng *rng) { return -log(1.0 - random_sample(rng)); }

/* shape < 1: Ahrens & Dieter's rejection, as numpy does it */
static double standard_gamma_small(dele_numpy_rng *rng, double shape)
{
    for (;;) {
        double u = random_sample(rng), v = standard_exponential(rng);
        if (u <= 1.0 - shape) {
            double x = pow(u, 1. / shape);
            if (x <= v) return x;
        } else {
            double y = -log((1 - u) / shape), x = pow(1.0 - shape + shape * y, 1. / shape);
            if (x <= v + y) return x;
        }
    }
}

static double standard_gamma(dele_numpy_rng *rng, double shape)
{
    if (shape == 1.0) return standard_exponential(rng);
    if (shape <= 0.0) return 0.0;
    if (shape < 1.0) return standard_gamma_small(rng, shape);
    double b = shape - 1. / 3., c = 1. / sqrt(9 * b);
    for (;;) {
        double x, v;
        do {
            x = dele_numpy_randn(rng);
            v = 1.0 + c * x;
        } while (v <= 0.0);
        v = v * v * v;
        double u = random_sample(rng);
        if (u < 1.0 - 0.0331 * (x * x) * (x * x)) return b * v;
        if (log(u) < 0.5 * x * x + b * (1. - v + log(v))) return b * v;
    }
}

double dele_numpy_chisquare(dele_numpy_rng *rng, double df)
{
    return 2.0 * standard_gamma(rng, df / 2.0);
}
