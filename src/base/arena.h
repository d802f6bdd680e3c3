/* Memory with one owner and one goodbye.
 *
 *   block              block                          block
 *   [ a | b | ····· ]  [ a large one, of its own ]    [ c | d | e |·········· ]   <- bump here
 *
 * An arena is a chain of blocks.  Allocations are zeroed, 64-byte aligned, and live until the arena is
 * released or reset; nothing is freed alone.  A reset keeps the blocks, so that a loop which resets and
 * refills an arena stops asking the system after its first turn.  Zero-initialise an arena to begin.
 *
 * `limit` (bytes, 0 = none) makes allocation fail politely, for tests and for --memory. */
#ifndef LAC_ARENA_H
#define LAC_ARENA_H

#include <stddef.h>

#include "base/err.h"

typedef struct lac_arena_block lac_arena_block;

typedef struct {
    lac_arena_block *first, *current;
    size_t used, reserved, limit;
} lac_arena;

/* count * size bytes, zeroed; NULL with err set when the product overflows or memory ends. */
void *lac_alloc(lac_arena *arena, size_t count, size_t size, lac_err *err);

/* lac_alloc with the type said once: float *x = LAC_NEW(arena, float, n, err); */
#define LAC_NEW(arena, type, count, err) ((type *)lac_alloc((arena), (count), sizeof(type), (err)))

/* As lac_alloc, the memory not zeroed: for large scratch that is written before it is read. */
void *lac_alloc_raw(lac_arena *arena, size_t count, size_t size, lac_err *err);

char *lac_strdup(lac_arena *arena, const char *s, lac_err *err);
char *lac_strndup(lac_arena *arena, const char *s, size_t n, lac_err *err);
char *lac_printf(lac_arena *arena, lac_err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void lac_arena_reset(lac_arena *arena);   /* everything in it is gone, the blocks stay */
void lac_arena_release(lac_arena *arena); /* accepts a zeroed arena */

#endif
