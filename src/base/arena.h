/* Memory with one owner, released at once.
 *
 *   block              block                          block
 *   [ a | b | ····· ]  [ a large one, of its own ]    [ c | d | e |·········· ]   <- bump here
 *
 * An arena is a chain of blocks.  Allocations are zeroed, 64-byte aligned, and live until the arena
 * is released or reset; nothing is freed alone.  A reset keeps the memory: one block, or in place
 * of several one that is as large as what was used.  A loop which resets and refills an arena thus
 * allocates from the system only in its first iterations, and iterations of different sizes leave
 * no unused blocks behind.  An arena is initialised to zero.
 *
 * An arena that `counts` takes address space, and no memory until something is written to it.  The
 * code that lays out a pass runs on one to learn `used`, so that what is foretold and what is
 * allocated are the same code.
 *
 * `limit` (bytes, 0 = none) makes larger allocations fail with an error, for tests and for
 * --memory. */
#ifndef DELE_ARENA_H
#define DELE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/text_out.h"

typedef struct dele_arena_block dele_arena_block;

typedef struct {
    dele_arena_block *first, *current;
    size_t used, reserved, limit;
    size_t ahead; /* the least size of the next block */
    bool counts;
} dele_arena;

/* count * size bytes, zeroed; NULL with err set when the product overflows or memory is
 * exhausted. */
void *dele_alloc(dele_arena *arena, size_t count, size_t size, dele_err *err);

/* dele_alloc with the type said once: float *x = DELE_NEW(arena, float, n, err); */
#define DELE_NEW(arena, type, count, err)                                                          \
    ((type *)dele_alloc((arena), (count), sizeof(type), (err)))

/* As dele_alloc, the memory not zeroed: for large scratch that is written before it is read. */
void *dele_alloc_raw(dele_arena *arena, size_t count, size_t size, dele_err *err);

char *dele_strdup(dele_arena *arena, const char *s, dele_err *err);
char *dele_strndup(dele_arena *arena, const char *s, size_t n, dele_err *err);
char *dele_printf(dele_arena *arena, dele_err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Text from outside, escaped as dele_text_show does it. */
char *dele_text_shown(const char *text, dele_text_form form, dele_arena *arena, dele_err *err);

/* The sum of numbers of bytes.  What could not be counted is SIZE_MAX, and so is a sum with it, or
 * one that is too large: DELE_BYTES(a, b, ...). */
size_t dele_bytes_sum(const size_t *bytes, size_t n);
#define DELE_BYTES(...)                                                                            \
    dele_bytes_sum((const size_t[]){__VA_ARGS__},                                                  \
                   sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t))

/* The largest n of [least, most] for which bytes(data, n), which grows with n, is at most budget;
 * 0: not even `least` fits.  least is at least 1. */
size_t dele_most_that_fits(size_t (*bytes)(const void *data, size_t n), const void *data,
                           size_t least, size_t most, size_t budget);

void dele_arena_reset(dele_arena *arena);   /* frees all allocations, keeps the memory */
void dele_arena_release(dele_arena *arena); /* accepts a zeroed arena */

#endif
