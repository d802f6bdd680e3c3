/* xoshiro256** 1.0 (Blackman & Vigna, "Scrambled linear pseudorandom number generators", 2021), its
 * 256 bits of state filled by splitmix64 so that seeds 0, 1, 2, ... start far apart. */
#include "base/random.h"

#include <math.h>

static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

void dele_rng_seed(dele_rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        rng->s[i] = z ^ (z >> 31);
    }
}

uint64_t dele_rng_next(dele_rng *rng)
{
    uint64_t *s = rng->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

/* The lowest 2^64 mod n draws would make small results more likely; they are rejected. */
uint64_t dele_rng_below(dele_rng *rng, uint64_t n)
{
    if (n < 2) return 0;
    uint64_t unfair = -n % n, x;
    do x = dele_rng_next(rng);
    while (x < unfair);
    return x % n;
}

double dele_rng_uniform(dele_rng *rng) { return (double)(dele_rng_next(rng) >> 11) * 0x1p-53; }

/* Marsaglia's polar method.  The second value is discarded, so that the state is four words
 * only. */
double dele_rng_normal(dele_rng *rng)
{
    double x, y, r2;
    do {
        x = 2 * dele_rng_uniform(rng) - 1;
        y = 2 * dele_rng_uniform(rng) - 1;
        r2 = x * x + y * y;
    } while (r2 >= 1 || r2 == 0);
    return x * sqrt(-2 * log(r2) / r2);
}

void dele_rng_shuffle(dele_rng *rng, size_t *index, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)dele_rng_below(rng, i), swap = index[i - 1];
        index[i - 1] = index[j];
        index[j] = swap;
    }
}
