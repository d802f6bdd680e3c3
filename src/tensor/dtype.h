/* How numbers are stored in files: the plain types, and GGUF's blocks of small integers with a
 * scale.
 *
 * All computation is in float32.  These functions convert stored data to float32 and, for some
 * types, back.  Stored data may be at any address: no alignment is assumed. */
#ifndef DELE_DTYPE_H
#define DELE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* clang-format off */
/*    type   name     ggml  items  bytes a block */
#define DELE_DTYPES(X)            \
    X(F32,  "f32",  0,  1,   4)   \
    X(F16,  "f16",  1,  1,   2)   \
    X(BF16, "bf16", 30, 1,   2)   \
    X(Q4_0, "q4_0", 2,  32,  18)  \
    X(Q4_1, "q4_1", 3,  32,  20)  \
    X(Q5_0, "q5_0", 6,  32,  22)  \
    X(Q5_1, "q5_1", 7,  32,  24)  \
    X(Q8_0, "q8_0", 8,  32,  34)  \
    X(Q4_K, "q4_K", 12, 256, 144) \
    X(Q5_K, "q5_K", 13, 256, 176) \
    X(Q6_K, "q6_K", 14, 256, 210)
/* clang-format on */

typedef enum {
#define X(type, name, ggml, items, bytes) DELE_DTYPE_##type,
    DELE_DTYPES(X)
#undef X
        DELE_N_DTYPES
} dele_dtype;

typedef struct {
    const char *name;
    unsigned ggml;
    size_t items, bytes; /* a block */
} dele_dtype_info;

const dele_dtype_info *dele_dtype_of(dele_dtype type);
dele_dtype
dele_dtype_by_name(const char *name); /* "f32", "F32", ...; DELE_N_DTYPES: none of them */
dele_dtype dele_dtype_by_ggml(unsigned ggml_type); /* likewise */

/* out[0..n) from stored data; n is a multiple of the block's items.  False when a number that was
 * read is NaN or infinite (a block with a scale that is not finite has such numbers); all of out is
 * written in either case. */
bool dele_dtype_read(float *out, const void *stored, dele_dtype type, size_t n);
/* Whether all of n stored numbers are finite.  n is a multiple of the block's items. */
bool dele_dtype_finite(const void *stored, dele_dtype type, size_t n);
/* The reverse, for the types of dele_dtype_writable.  False when a finite number became infinite,
 * or when a number for a block type is not finite.  n is a multiple of the block's items. */
bool dele_dtype_write(void *stored, const float *in, dele_dtype type, size_t n);
bool dele_dtype_writable(dele_dtype type); /* F32, F16, BF16, Q8_0, Q5_0, Q4_0, Q4_K */

#endif
