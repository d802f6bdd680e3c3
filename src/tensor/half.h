/* Numbers of sixteen bits.  Inline, because arrays of them are converted one by one. */
#ifndef DELE_HALF_H
#define DELE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float dele_float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t dele_bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Exact, subnormals too. */
static inline float dele_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 0x3ff;
    if (exponent == 0) { /* subnormal: fraction * 2^-24 */
        float x = (float)fraction * 0x1p-24f;
        return sign ? -x : x;
    }
    uint32_t wide = exponent == 31 ? 255 : exponent + 112;
    return dele_float_of_bits(sign | wide << 23 | fraction << 13);
}

/* To nearest, ties to even; too large becomes infinite. */
static inline uint16_t dele_f32_to_f16(float x)
{
    uint32_t bits = dele_bits_of_float(x), sign = (bits >> 16) & 0x8000;
    bits &= 0x7fffffff;
    if (bits > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | ((bits >> 13) & 0x3ff)); /* a quiet NaN */
    if (bits >= 0x477ff000) return (uint16_t)(sign | 0x7c00);      /* 65520 and more */
    if (bits < 0x38800000) /* below 2^-14: the last bit of 0.5 is 2^-24, so that the addition
                              rounds */
        return (uint16_t)(sign |
                          (dele_bits_of_float(dele_float_of_bits(bits) + 0.5f) - 0x3f000000));
    bits += 0xfff + ((bits >> 13) & 1);
    return (uint16_t)(sign | (bits - 0x38000000) >> 13);
}

/* Exact. */
static inline float dele_bf16_to_f32(uint16_t b) { return dele_float_of_bits((uint32_t)b << 16); }

/* To nearest, ties to even. */
static inline uint16_t dele_f32_to_bf16(float x)
{
    uint32_t bits = dele_bits_of_float(x);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

#endif
