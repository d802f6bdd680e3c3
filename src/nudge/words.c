#include "nudge/words.h"

#include <string.h>

#include "template/pytext.h"

enum { MOST_WORDS = 5, SHORTEST_SUFFIX = 30 };

dele_status dele_words_split(dele_words *words, const char *text, dele_arena *arena, dele_err *err)
{
    const size_t blanks = strspn(text, " ");
    size_t n = 1;
    for (const char *c = text + blanks; *c; c++) n += *c == ' ';
    size_t *start = DELE_NEW(arena, size_t, n + 1, err), i = 0;
    if (!start) return DELE_ERR_MEMORY;
    start[i++] = blanks;
    for (size_t at = blanks; text[at]; at++)
        if (text[at] == ' ') start[i++] = at + 1;
    start[n] = strlen(text) + 1;
    *words = (dele_words){start, n};
    return DELE_OK;
}

size_t dele_words_length(const dele_words *words, size_t n) { return words->start[n] - 1; }

bool dele_words_repeated(const char *text, const char *earlier)
{
    size_t n = 1;
    for (const char *c = text; *c; c++) n += *c == ' ';
    return n > MOST_WORDS && strstr(earlier, text) != NULL;
}

/* Whether the last `length` characters of n stand directly before themselves too; at: the byte at
 * which each character begins, and at[n] where the last one ends. */
static bool repeats(const char *text, const size_t *at, size_t n, size_t length)
{
    if (length < SHORTEST_SUFFIX || 2 * length > n) return false;
    const size_t from = at[n - length], bytes = at[n] - from;
    return from >= bytes && !memcmp(text + from - bytes, text + from, bytes);
}

/* The binary search of find_longest_repeated_suffix: lengths between two that repeat need not
 * repeat, so that it may miss the longest. */
static size_t repeated_suffix(const char *text, const size_t *at, size_t n)
{
    size_t left = 0, past = n + 1, result = 0;
    while (left < past) {
        const size_t middle = (left + past - 1) / 2;
        if (repeats(text, at, n, middle)) {
            result = middle;
            left = middle + 1;
        } else {
            past = middle;
        }
    }
    return result;
}

dele_status dele_without_repetition(size_t *from, size_t *n, const char *text, dele_err *err)
{
    dele_arena arena = {0};
    const size_t blanks = dele_lstrip(text, strlen(text));
    const char *rest = text + blanks;
    const size_t length = dele_rstrip(rest, strlen(rest));
    size_t *at = DELE_NEW(&arena, size_t, length + 1, err), characters = 0;
    for (size_t i = 0; i < length && at; i++)
        if (((unsigned char)rest[i] & 0xc0) != 0x80) at[characters++] = i;
    if (at) {
        at[characters] = length;
        for (size_t more; (more = repeated_suffix(rest, at, characters)); characters -= more) {}
        *from = blanks;
        *n = at[characters];
    }
    dele_arena_release(&arena);
    return at ? DELE_OK : DELE_ERR_MEMORY;
}
