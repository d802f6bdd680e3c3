/* Quantisation into GGUF's blocks, by the formulas of ggml's reference quantisers
 * (quantize_row_*_ref; MIT).  Only the arithmetic is shared: the same weights give the same file as
 * llama.cpp without an importance matrix.
 *
 *   q8_0   d = max|x| / 127     q = round(x / d)                    halves away from zero
 *   q5_0   d = x* / -16         q = min(31, trunc(x / d + 16.5))    x*: the x of largest magnitude
 *   q4_0   d = x* / -8          q = min(15, trunc(x / d + 8.5))         (the first of several),
 *                                                                       with its sign
 *   q4_K   8 sub-blocks of 32, each  x = s q - m  with q in 0..15 and m >= 0;  s and m by 21
 *          weighted fits, then themselves stored in 6 bits:
 *              s = d k,  m = dmin l,  d = max s / 63,  dmin = max m / 63
 *          and at last q = round((x + dmin l) / (d k)) with the numbers as they are stored
 *
 * The scales d and dmin are stored as float16.  Every step is float32 with one rounding per
 * operation.  This file is compiled without contraction to fused multiply-adds, so that every
 * machine writes the same bytes. */
#include "tensor/quantise.h"

#include <math.h>
#include <string.h>

#include "tensor/half.h"

/* Writes a scale; false if it does not fit into a float16. */
static bool put_scale(uint8_t *at, float d)
{
    uint16_t h = dele_f32_to_f16(d);
    memcpy(at, &h, sizeof h);
    return (h & 0x7fff) < 0x7c00;
}

static float inverse(float d)
{
    float id = d != 0 ? 1 / d : 0;
    return isfinite(id) ? id : 0; /* d is too small for float16 as well: the block is zero */
}

bool quantise_q8_0(uint8_t *b, const float *x)
{
    float most = 0;
    for (int j = 0; j < 32; j++) most = fmaxf(most, fabsf(x[j]));
    float d = most / 127, id = inverse(d);
    for (int j = 0; j < 32; j++) b[2 + j] = (uint8_t)(int8_t)roundf(x[j] * id);
    return put_scale(b, d);
}

/* half: 8 (four bits) or 16 (five); q[0..32) */
static bool one_sided(uint8_t *scale, uint8_t *q, const float *x, int half)
{
    float most = 0, top = 0;
    for (int j = 0; j < 32; j++)
        if (fabsf(x[j]) > most) most = fabsf(x[j]), top = x[j];
    float d = top / (float)-half, id = inverse(d);
    for (int j = 0; j < 32; j++) {
        int v = (int)(x[j] * id + ((float)half + 0.5f));
        q[j] = (uint8_t)(v < 2 * half - 1 ? v : 2 * half - 1);
    }
    return put_scale(scale, d);
}

bool quantise_q4_0(uint8_t *b, const float *x)
{
    uint8_t q[32];
    bool fits = one_sided(b, q, x, 8);
    for (int j = 0; j < 16; j++) b[2 + j] = (uint8_t)(q[j] | q[j + 16] << 4);
    return fits;
}

bool quantise_q5_0(uint8_t *b, const float *x)
{
    uint8_t q[32];
    uint32_t fifth = 0;
    bool fits = one_sided(b, q, x, 16);
    for (int j = 0; j < 32; j++) fifth |= (uint32_t)(q[j] >> 4) << j;
    memcpy(b + 2, &fifth, sizeof fifth);
    for (int j = 0; j < 16; j++) b[6 + j] = (uint8_t)((q[j] & 15) | (q[j + 16] & 15) << 4);
    return fits;
}

/* ---- q4_K ------------------------------------------------------------------------------------ */

enum { SUB = 32, TOP = 15 };

/* Rounds to nearest, ties to even, within 0..most; 0 for NaN. */
static int clamp(float x, int most) { return x >= (float)most ? most : x > 0 ? (int)lrintf(x) : 0; }

static float weighted_error(const float *x, const float *w, const int *q, float scale, float least)
{
    float sum = 0;
    for (int i = 0; i < SUB; i++) {
        float gap = scale * (float)q[i] + least - x[i];
        sum += w[i] * (gap * gap);
    }
    return sum;
}

/* The weighted least squares of x = scale q + least for given q; least is held at 0 where it would
 * rise above.  False when all q are equal. */
static bool fit(float *scale, float *least, const float *x, const float *w, const int *q,
                float sum_w, float sum_x)
{
    float l = 0, l2 = 0, xl = 0;
    for (int i = 0; i < SUB; i++) {
        float wq = w[i] * (float)q[i];
        l += wq;
        l2 += wq * (float)q[i];
        xl += wq * x[i];
    }
    float determinant = sum_w * l2 - l * l;
    if (!(determinant > 0)) return false;
    *scale = (sum_w * xl - sum_x * l) / determinant;
    *least = (l2 * sum_x - l * xl) / determinant;
    if (*least > 0) {
        *least = 0;
        *scale = xl / l2;
    }
    return true;
}

/* A sub-block's scale, its minimum with the sign inverted, and q: the best of a plain division and
 * of 21 fits whose q come from slightly narrower and wider ranges. */
static float fit_sub_block(float *taken, int *best_q, const float *x)
{
    float w[SUB], squares = 0, sum_w = 0, sum_x = 0, least = x[0], most = x[0];
    int q[SUB];
    for (int i = 0; i < SUB; i++) squares += x[i] * x[i];
    float typical = sqrtf(squares / SUB);
    for (int i = 0; i < SUB; i++) {
        w[i] = typical + fabsf(x[i]);
        sum_w += w[i];
        sum_x += w[i] * x[i];
        least = fminf(least, x[i]);
        most = fmaxf(most, x[i]);
    }
    if (least > 0) least = 0;
    *taken = -least;
    memset(best_q, 0, SUB * sizeof *best_q);
    if (most == least) return 0;
    const float range = most - least;
    float scale = 1 / (TOP / range);
    for (int i = 0; i < SUB; i++) best_q[i] = clamp(TOP / range * (x[i] - least), TOP);
    float best = weighted_error(x, w, best_q, scale, least);
    for (int step = 0; step <= 20; step++) {
        /* as in the reference, the minimum is the best one so far, not the actual one */
        float inverse_scale = (-1.0f + 0.1f * (float)step + TOP) / (most + *taken), s, m;
        for (int i = 0; i < SUB; i++) q[i] = clamp(inverse_scale * (x[i] + *taken), TOP);
        if (!fit(&s, &m, x, w, q, sum_w, sum_x)) continue;
        float error = weighted_error(x, w, q, s, m);
        if (!(error < best)) continue;
        best = error, scale = s, *taken = -m;
        memcpy(best_q, q, sizeof q);
    }
    return scale;
}

/* Eight scales and eight minima of six bits each, in twelve bytes. */
static void pack_six_bits(uint8_t *b, const int *scale, const int *taken)
{
    for (int j = 0; j < 4; j++) {
        b[j] = (uint8_t)(scale[j] | scale[j + 4] >> 4 << 6);
        b[j + 4] = (uint8_t)(taken[j] | taken[j + 4] >> 4 << 6);
        b[j + 8] = (uint8_t)((scale[j + 4] & 15) | (taken[j + 4] & 15) << 4);
    }
}

bool quantise_q4_k(uint8_t *b, const float *x)
{
    float scale[8], taken[8], most_scale = 0, most_taken = 0;
    int k[8], l[8], q[8 * SUB];
    for (int s = 0; s < 8; s++) {
        scale[s] = fit_sub_block(&taken[s], q + SUB * s, x + SUB * s);
        if (scale[s] > most_scale) most_scale = scale[s];
        if (taken[s] > most_taken) most_taken = taken[s];
    }
    const float to_k = most_scale > 0 ? 63 / most_scale : 0,
                to_l = most_taken > 0 ? 63 / most_taken : 0;
    for (int s = 0; s < 8; s++)
        k[s] = clamp(to_k * scale[s], 63), l[s] = clamp(to_l * taken[s], 63);
    bool fits = put_scale(b, most_scale / 63) & put_scale(b + 2, most_taken / 63);
    pack_six_bits(b + 4, k, l);

    uint16_t halves[2];
    memcpy(halves, b, sizeof halves);
    for (int s = 0; s < 8; s++) {
        float d = dele_f16_to_f32(halves[0]) * (float)k[s],
              m = dele_f16_to_f32(halves[1]) * (float)l[s];
        for (int i = 0; i < SUB && d != 0; i++)
            q[SUB * s + i] = clamp((x[SUB * s + i] + m) / d, TOP);
    }
    for (int s = 0; s < 8; s += 2)
        for (int i = 0; i < SUB; i++)
            b[16 + SUB * (s / 2) + i] = (uint8_t)(q[SUB * s + i] | q[SUB * (s + 1) + i] << 4);
    return fits;
}
