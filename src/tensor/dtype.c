/* GGUF's blocks, as llama.cpp's gguf-py reads them (MIT; only the layouts are the same, not the
 * code).
 *
 *   q4_0   d (q - 8)              q8_0   d q
 *   q4_1   d q + m                q5_0   d (q - 16)         q5_1   d q + m
 *   q4_K   8 sub-blocks of 32:    d s_i q - dmin m_i        6-bit s_i, m_i packed in 12 bytes
 *   q5_K   the same with a fifth bit
 *   q6_K   16 sub-blocks of 16:   d s_i (q - 32)            8-bit signed s_i
 *
 * In a block of 32 nibbles, byte j holds item j below and item j + 16 above. */
#include "tensor/dtype.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "tensor/half.h"
#include "tensor/ops.h"
#include "tensor/quantise.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "model files are little-endian; deleatur needs a little-endian machine");

static const dele_dtype_info infos[] = {
#define X(type, name, ggml, items, bytes) {name, ggml, items, bytes},
    DELE_DTYPES(X)
#undef X
};

const dele_dtype_info *dele_dtype_of(dele_dtype type)
{
    assert(type < DELE_N_DTYPES);
    return &infos[type];
}

dele_dtype dele_dtype_by_name(const char *name)
{
    int type = 0;
    while (type < DELE_N_DTYPES && strcasecmp(infos[type].name, name) != 0) type++;
    return (dele_dtype)type;
}

dele_dtype dele_dtype_by_ggml(unsigned ggml_type)
{
    int type = 0;
    while (type < DELE_N_DTYPES && infos[type].ggml != ggml_type) type++;
    return (dele_dtype)type;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static uint16_t u16_at(const uint8_t *b) { return (uint16_t)(b[0] | b[1] << 8); }
static float f16_at(const uint8_t *b) { return dele_f16_to_f32(u16_at(b)); }
static uint32_t u32_at(const uint8_t *b)
{
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* Blocks of 32 with 4 or 5 bits: values d * (q - middle) + m. */
static void read_nibbles(float *y, const uint8_t *q, float d, float m, uint32_t fifth, int middle)
{
    for (int j = 0; j < 16; j++) {
        int low = (q[j] & 15) | (int)((fifth >> j) & 1) << 4;
        int high = q[j] >> 4 | (int)((fifth >> (j + 16)) & 1) << 4;
        y[j] = d * (float)(low - middle) + m;
        y[j + 16] = d * (float)(high - middle) + m;
    }
}

static void read_q8_0(float *y, const uint8_t *b)
{
    float d = f16_at(b);
    for (int j = 0; j < 32; j++) y[j] = d * (float)(int8_t)b[2 + j];
}

/* The 6-bit scale and minimum of sub-block s. */
static void k_scale(int *scale, int *minimum, const uint8_t *b, int s)
{
    if (s < 4) {
        *scale = b[s] & 63;
        *minimum = b[s + 4] & 63;
    } else {
        *scale = (b[s + 4] & 15) | (b[s - 4] >> 6) << 4;
        *minimum = b[s + 4] >> 4 | (b[s] >> 6) << 4;
    }
}

/* high: 32 bytes holding a fifth bit, one bit a sub-block, or NULL (q4_K). */
static void read_q45_k(float *y, const uint8_t *b, const uint8_t *high, const uint8_t *q)
{
    float d = f16_at(b), dmin = f16_at(b + 2);
    for (int s = 0; s < 8; s++) {
        int scale, minimum;
        k_scale(&scale, &minimum, b + 4, s);
        float ds = d * (float)scale, ms = dmin * (float)minimum;
        for (int l = 0; l < 32; l++) {
            int v = (q[32 * (s / 2) + l] >> 4 * (s & 1)) & 15;
            if (high) v |= ((high[l] >> s) & 1) << 4;
            y[32 * s + l] = ds * (float)v - ms;
        }
    }
}

static void read_q6_k(float *y, const uint8_t *b)
{
    const uint8_t *ql = b, *qh = b + 128, *scale = b + 192;
    float d = f16_at(b + 208);
    for (int n = 0; n < 2; n++)
        for (int k = 0; k < 4; k++)
            for (int l = 0; l < 32; l++) {
                int low = (ql[64 * n + l + 32 * (k & 1)] >> 4 * (k >> 1)) & 15;
                int q = low | ((qh[32 * n + l] >> 2 * k) & 3) << 4;
                y[128 * n + 32 * k + l] =
                    d * (float)(int8_t)scale[8 * n + 2 * k + l / 16] * (float)(q - 32);
            }
}

/* One block; b + .. are the offsets of its parts in ggml's structs. */
static void read_block(float *y, const uint8_t *b, dele_dtype type)
{
    switch (type) {
    case DELE_DTYPE_F32:
        memcpy(y, b, 4);
        break;
    case DELE_DTYPE_F16:
        *y = f16_at(b);
        break;
    case DELE_DTYPE_BF16:
        *y = dele_bf16_to_f32(u16_at(b));
        break;
    case DELE_DTYPE_Q4_0:
        read_nibbles(y, b + 2, f16_at(b), 0, 0, 8);
        break;
    case DELE_DTYPE_Q4_1:
        read_nibbles(y, b + 4, f16_at(b), f16_at(b + 2), 0, 0);
        break;
    case DELE_DTYPE_Q5_0:
        read_nibbles(y, b + 6, f16_at(b), 0, u32_at(b + 2), 16);
        break;
    case DELE_DTYPE_Q5_1:
        read_nibbles(y, b + 8, f16_at(b), f16_at(b + 2), u32_at(b + 4), 0);
        break;
    case DELE_DTYPE_Q8_0:
        read_q8_0(y, b);
        break;
    case DELE_DTYPE_Q4_K:
        read_q45_k(y, b, NULL, b + 16);
        break;
    case DELE_DTYPE_Q5_K:
        read_q45_k(y, b, b + 16, b + 48);
        break;
    case DELE_DTYPE_Q6_K:
        read_q6_k(y, b);
        break;
    case DELE_N_DTYPES:
        break;
    }
}

/* ---- arrays ---------------------------------------------------------------------------------- */

enum { CHUNK = 1 << 14 }; /* items per task: a multiple of every block size */

/* A bf16 is the upper half of a float32; in a loop of its own this becomes vector code. */
static void read_bf16(float *out, const uint8_t *stored, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, stored + 2 * i, sizeof half);
        const uint32_t bits = (uint32_t)half << 16;
        memcpy(out + i, &bits, sizeof bits);
    }
}

static void read_some(float *out, const uint8_t *stored, dele_dtype type, size_t n)
{
    const dele_dtype_info *info = &infos[type];
    if (type == DELE_DTYPE_F32)
        memcpy(out, stored, n * sizeof *out);
    else if (type == DELE_DTYPE_BF16)
        read_bf16(out, stored, n);
    else
        for (size_t i = 0; i < n / info->items; i++)
            read_block(out + i * info->items, stored + i * info->bytes, type);
}

/* Each chunk is checked while it is in the cache. */
bool dele_dtype_read(float *out, const void *stored, dele_dtype type, size_t n)
{
    const dele_dtype_info *info = dele_dtype_of(type);
    assert(n % info->items == 0);
    size_t n_chunks = (n + CHUNK - 1) / CHUNK;
    bool finite = true;
#pragma omp parallel for reduction(&& : finite) if (n_chunks > 1)
    for (size_t c = 0; c < n_chunks; c++) {
        size_t first = c * CHUNK, count = n - first < CHUNK ? n - first : CHUNK;
        read_some(out + first, (const uint8_t *)stored + first / info->items * info->bytes, type,
                  count);
        finite = all_finite(out + first, count) && finite;
    }
    return finite;
}

bool dele_dtype_finite(const void *stored, dele_dtype type, size_t n)
{
    const dele_dtype_info *info = dele_dtype_of(type);
    const size_t n_chunks = (n + CHUNK - 1) / CHUNK;
    bool finite = true;
    assert(n % info->items == 0);
#pragma omp parallel for reduction(&& : finite) if (n_chunks > 1)
    for (size_t c = 0; c < n_chunks; c++) {
        float chunk[CHUNK];
        const size_t first = c * CHUNK, count = n - first < CHUNK ? n - first : CHUNK;
        read_some(chunk, (const uint8_t *)stored + first / info->items * info->bytes, type, count);
        finite = all_finite(chunk, count) && finite;
    }
    return finite;
}

bool dele_dtype_writable(dele_dtype type)
{
    return type <= DELE_DTYPE_BF16 || type == DELE_DTYPE_Q8_0 || type == DELE_DTYPE_Q5_0 ||
           type == DELE_DTYPE_Q4_0 || type == DELE_DTYPE_Q4_K;
}

static bool write_block(uint8_t *block, const float *x, dele_dtype type)
{
    if (!all_finite(x, infos[type].items)) return false;
    switch (type) {
    case DELE_DTYPE_Q8_0:
        return quantise_q8_0(block, x);
    case DELE_DTYPE_Q5_0:
        return quantise_q5_0(block, x);
    case DELE_DTYPE_Q4_0:
        return quantise_q4_0(block, x);
    case DELE_DTYPE_Q4_K:
        return quantise_q4_k(block, x);
    default:
        return false;
    }
}

static bool write_blocks(uint8_t *out, const float *in, dele_dtype type, size_t n)
{
    const dele_dtype_info *info = &infos[type];
    const size_t n_blocks = n / info->items;
    bool fits = true;
#pragma omp parallel for reduction(&& : fits) if (n > CHUNK)
    for (size_t b = 0; b < n_blocks; b++)
        fits = write_block(out + b * info->bytes, in + b * info->items, type) && fits;
    return fits;
}

bool dele_dtype_write(void *stored, const float *in, dele_dtype type, size_t n)
{
    assert(dele_dtype_writable(type) && n % infos[type].items == 0);
    uint8_t *out = stored;
    if (type == DELE_DTYPE_F32) {
        memcpy(out, in, n * sizeof *in);
        return true;
    }
    if (type > DELE_DTYPE_BF16) return write_blocks(out, in, type, n);
    bool fits = true;
#pragma omp parallel for reduction(&& : fits) if (n > CHUNK)
    for (size_t i = 0; i < n; i++) {
        uint16_t h = type == DELE_DTYPE_F16 ? dele_f32_to_f16(in[i]) : dele_f32_to_bf16(in[i]);
        bool infinite = type == DELE_DTYPE_F16 ? (h & 0x7fff) == 0x7c00 : (h & 0x7fff) == 0x7f80;
        fits = fits && (!infinite || isinf(in[i]));
        memcpy(out + 2 * i, &h, 2);
    }
    return fits;
}
