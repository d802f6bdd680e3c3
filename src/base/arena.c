#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 64, BLOCK = 1 << 20, HUGE_PAGE = 2 << 20 };

/* Fuzzing builds give every object a block of exactly its size: inside a shared block the address
 * sanitizer does not see an overflow from one object into the next. */
#ifdef DELE_ARENA_PER_OBJECT
enum { PER_OBJECT = 1 };
#else
enum { PER_OBJECT = 0 };
#endif

struct dele_arena_block {
    dele_arena_block *next;
    size_t cap, used; /* of data */
    char *data;       /* aligned */
};

/* From the block of a counting arena to its data. */
enum { BEFORE_DATA = (sizeof(dele_arena_block) + ALIGN - 1) / ALIGN * ALIGN };

/* Weights and activations are read repeatedly from end to end, so a large block requests large
 * pages where the system has them. */
static char *large_pages(size_t cap)
{
    if (cap > SIZE_MAX - HUGE_PAGE) return NULL; /* rounded up it would be a few bytes */
    char *data = aligned_alloc(HUGE_PAGE, (cap + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
#ifdef MADV_HUGEPAGE
    if (data) (void)madvise(data, cap, MADV_HUGEPAGE);
#endif
    return data;
}

/* Zeroed address space without memory behind it. */
static char *address_space(size_t cap)
{
    void *data =
        mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return data == MAP_FAILED ? NULL : data;
}

/* aligned_alloc wants a multiple of the alignment; here not a byte may be after the object. */
static char *exactly(size_t cap)
{
    void *data = NULL;
    return posix_memalign(&data, ALIGN, cap) ? NULL : data;
}

static dele_arena_block *no_memory(size_t cap, dele_err *err)
{
    dele_fail(err, DELE_ERR_MEMORY, "out of memory: %zu MiB more were needed; try a smaller batch",
              cap >> 20);
    return NULL;
}

/* The block of a counting arena stands before its data, in address space alone: that memory ends
 * does not change what is counted, which decides how much is computed at a time. */
static dele_arena_block *counting_block(dele_arena *arena, size_t cap, dele_err *err)
{
    char *data = cap < SIZE_MAX - BEFORE_DATA ? address_space(BEFORE_DATA + cap) : NULL;
    if (!data) return no_memory(cap, err);
    dele_arena_block *block = (dele_arena_block *)(void *)data;
    *block = (dele_arena_block){.cap = cap, .data = data + BEFORE_DATA};
    arena->reserved += cap;
    return block;
}

/* A block of at least `need` bytes, by one of four sources: address space for a counting arena, an
 * exact size in fuzzing builds, large pages for large blocks, else aligned memory. */
static dele_arena_block *block_new(dele_arena *arena, size_t need, dele_err *err)
{
    size_t cap = PER_OBJECT || need > BLOCK ? need : BLOCK;
    if (cap < arena->ahead) cap = arena->ahead;
    arena->ahead = 0;
    if (arena->limit && arena->reserved + cap > arena->limit) {
        dele_fail(err, DELE_ERR_MEMORY,
                  "out of memory: %zu MiB more were needed beyond a limit of %zu MiB", cap >> 20,
                  arena->limit >> 20);
        return NULL;
    }
    if (arena->counts) return counting_block(arena, cap, err);
    dele_arena_block *block = calloc(1, sizeof *block);
    char *data = NULL;
    if (block)
        data = PER_OBJECT         ? exactly(cap)
               : cap >= HUGE_PAGE ? large_pages(cap)
                                  : aligned_alloc(ALIGN, cap);
    if (!data) {
        free(block);
        return no_memory(cap, err);
    }
    block->cap = cap;
    block->data = data;
    arena->reserved += cap;
    return block;
}

/* The next block after `current` with enough space, or a new one inserted there. */
static dele_arena_block *block_with_room(dele_arena *arena, size_t need, dele_err *err)
{
    dele_arena_block *block = arena->current;
    for (; block; block = block->next)
        if (block->cap - block->used >= need) return arena->current = block;
    block = block_new(arena, need, err);
    if (!block) return NULL;
    if (!arena->first) {
        arena->first = block;
    } else {
        dele_arena_block *last = arena->current;
        block->next = last->next;
        last->next = block;
    }
    return arena->current = block;
}

void *dele_alloc_raw(dele_arena *arena, size_t count, size_t size, dele_err *err)
{
    if (size && count > (SIZE_MAX - ALIGN) / size) {
        dele_fail(err, DELE_ERR_MEMORY, "out of memory: %zu items of %zu bytes cannot be addressed",
                  count, size);
        return NULL;
    }
    size_t need = count * size;
    if (!PER_OBJECT) need = (need + ALIGN - 1) / ALIGN * ALIGN;
    if (need == 0) need = ALIGN;
    dele_arena_block *block = block_with_room(arena, need, err);
    if (!block) return NULL;
    void *memory = block->data + block->used;
    block->used += need;
    arena->used += need;
    return memory;
}

void *dele_alloc(dele_arena *arena, size_t count, size_t size, dele_err *err)
{
    void *memory = dele_alloc_raw(arena, count, size, err);
    if (memory && !arena->counts) memset(memory, 0, count * size);
    return memory;
}

size_t dele_most_that_fits(size_t (*bytes)(const void *data, size_t n), const void *data,
                           size_t least, size_t most, size_t budget)
{
    if (least > most || bytes(data, least) > budget) return 0;
    if (bytes(data, most) <= budget) return most;
    while (most - least > 1) { /* least fits, most does not */
        const size_t middle = least + (most - least) / 2;
        if (bytes(data, middle) <= budget)
            least = middle;
        else
            most = middle;
    }
    return least;
}

char *dele_strndup(dele_arena *arena, const char *s, size_t n, dele_err *err)
{
    char *copy = dele_alloc_raw(arena, n + 1, 1, err);
    if (!copy) return NULL;
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *dele_strdup(dele_arena *arena, const char *s, dele_err *err)
{
    return dele_strndup(arena, s, strlen(s), err);
}

char *dele_printf(dele_arena *arena, dele_err *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : dele_alloc_raw(arena, (size_t)n + 1, 1, err);
    if (!text) return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    return text;
}

char *dele_text_shown(const char *text, dele_text_form form, dele_arena *arena, dele_err *err)
{
    const size_t room = dele_text_show(NULL, 0, text, form) + 1;
    char *out = DELE_NEW(arena, char, room, err);
    if (out) dele_text_show(out, room, text, form);
    return out;
}

/* One block for all that was used, and a quarter more, so that an arena that grows a little with
 * every reset is not allocated anew each time.  The quarter is address space until it is used.
 * aligned_alloc wants a multiple of the alignment. */
static size_t one_block(const dele_arena *arena)
{
    const size_t cap = arena->used + arena->used / 4;
    return (arena->limit && cap > arena->limit ? arena->limit : cap) / ALIGN * ALIGN;
}

void dele_arena_reset(dele_arena *arena)
{
    if (PER_OBJECT) {
        dele_arena_release(arena); /* so that what is used after a reset is seen */
        return;
    }
    if (arena->first && arena->first->next) {
        const size_t ahead = one_block(arena);
        dele_arena_release(arena);
        arena->ahead = ahead;
        return;
    }
    for (dele_arena_block *b = arena->first; b; b = b->next) b->used = 0;
    arena->current = arena->first;
    arena->used = 0;
}

void dele_arena_release(dele_arena *arena)
{
    for (dele_arena_block *b = arena->first, *next; b; b = next) {
        next = b->next;
        if (arena->counts) {
            munmap(b, BEFORE_DATA + b->cap);
            continue;
        }
        free(b->data);
        free(b);
    }
    *arena = (dele_arena){.limit = arena->limit, .counts = arena->counts};
}

size_t dele_bytes_sum(const size_t *bytes, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        if (__builtin_add_overflow(sum, bytes[i], &sum)) return SIZE_MAX;
    return sum;
}
