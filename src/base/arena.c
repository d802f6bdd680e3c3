#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 64, BLOCK = 1 << 20, HUGE_PAGE = 2 << 20 };

struct lac_arena_block {
    lac_arena_block *next;
    size_t cap, used; /* of data */
    char *data;       /* aligned */
};

/* Weights and activations are read from end to end, again and again: where the system has larger pages on request, a
 * large block asks for them.  (Nothing is lost where it has none.) */
static char *large_pages(size_t cap)
{
    if (cap > SIZE_MAX - HUGE_PAGE) return NULL; /* rounded up it would be a few bytes */
    char *data = aligned_alloc(HUGE_PAGE, (cap + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
#ifdef MADV_HUGEPAGE
    if (data) (void)madvise(data, cap, MADV_HUGEPAGE);
#endif
    return data;
}

static lac_arena_block *block_new(lac_arena *arena, size_t need, lac_err *err)
{
    size_t cap = need > BLOCK ? need : BLOCK;
    if (arena->limit && arena->reserved + cap > arena->limit) {
        lac_fail(err, LAC_ERR_MEMORY, "out of memory: %zu MiB more were needed beyond a limit of %zu MiB", cap >> 20,
                 arena->limit >> 20);
        return NULL;
    }
    lac_arena_block *block = calloc(1, sizeof *block);
    char *data = !block ? NULL : cap >= 2 * HUGE_PAGE ? large_pages(cap) : aligned_alloc(ALIGN, cap);
    if (!data) {
        free(block);
        lac_fail(err, LAC_ERR_MEMORY, "out of memory: %zu MiB more were needed; try a smaller batch", cap >> 20);
        return NULL;
    }
    block->cap = cap;
    block->data = data;
    arena->reserved += cap;
    return block;
}

/* The next block behind `current` that has room, or a new one linked in there. */
static lac_arena_block *block_with_room(lac_arena *arena, size_t need, lac_err *err)
{
    lac_arena_block *block = arena->current;
    for (; block; block = block->next)
        if (block->cap - block->used >= need) return arena->current = block;
    block = block_new(arena, need, err);
    if (!block) return NULL;
    if (!arena->first) {
        arena->first = block;
    } else {
        lac_arena_block *last = arena->current;
        block->next = last->next;
        last->next = block;
    }
    return arena->current = block;
}

void *lac_alloc_raw(lac_arena *arena, size_t count, size_t size, lac_err *err)
{
    if (size && count > (SIZE_MAX - ALIGN) / size) {
        lac_fail(err, LAC_ERR_MEMORY, "out of memory: %zu items of %zu bytes cannot be addressed", count, size);
        return NULL;
    }
    size_t need = (count * size + ALIGN - 1) / ALIGN * ALIGN;
    if (need == 0) need = ALIGN;
    lac_arena_block *block = block_with_room(arena, need, err);
    if (!block) return NULL;
    void *memory = block->data + block->used;
    block->used += need;
    arena->used += need;
    return memory;
}

void *lac_alloc(lac_arena *arena, size_t count, size_t size, lac_err *err)
{
    void *memory = lac_alloc_raw(arena, count, size, err);
    if (memory) memset(memory, 0, count * size);
    return memory;
}

char *lac_strndup(lac_arena *arena, const char *s, size_t n, lac_err *err)
{
    char *copy = lac_alloc_raw(arena, n + 1, 1, err);
    if (!copy) return NULL;
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *lac_strdup(lac_arena *arena, const char *s, lac_err *err)
{
    return lac_strndup(arena, s, strlen(s), err);
}

char *lac_printf(lac_arena *arena, lac_err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : lac_alloc_raw(arena, (size_t)n + 1, 1, err);
    if (!text) return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    return text;
}

void lac_arena_reset(lac_arena *arena)
{
    for (lac_arena_block *b = arena->first; b; b = b->next) b->used = 0;
    arena->current = arena->first;
    arena->used = 0;
}

void lac_arena_release(lac_arena *arena)
{
    for (lac_arena_block *b = arena->first, *next; b; b = next) {
        next = b->next;
        free(b->data);
        free(b);
    }
    size_t limit = arena->limit;
    *arena = (lac_arena){.limit = limit};
}
