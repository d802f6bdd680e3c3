#include "score/pytext.h"

#include <stdbool.h>
#include <string.h>
#include <utf8proc.h>

/* str.isspace(): bidirectional class WS, B or S, or category Zs. */
static bool is_space(utf8proc_int32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

size_t dele_rstrip(const char *text, size_t n)
{
    while (n > 0) {
        size_t start = n - 1;
        while (start > 0 && ((unsigned char)text[start] & 0xc0) == 0x80) start--;
        utf8proc_int32_t c;
        if (utf8proc_iterate((const utf8proc_uint8_t *)text + start, (utf8proc_ssize_t)(n - start), &c) < 0 ||
            !is_space(c))
            break;
        n = start;
    }
    return n;
}

size_t dele_lstrip(const char *text, size_t n)
{
    size_t start = 0;
    while (start < n) {
        utf8proc_int32_t c;
        utf8proc_ssize_t step =
            utf8proc_iterate((const utf8proc_uint8_t *)text + start, (utf8proc_ssize_t)(n - start), &c);
        if (step < 0 || !is_space(c)) break;
        start += (size_t)step;
    }
    return start;
}

char *dele_strip(const char *text, dele_arena *arena, dele_err *err)
{
    size_t n = dele_rstrip(text, strlen(text)), start = dele_lstrip(text, n);
    return dele_strndup(arena, text + start, n - start, err);
}

char *dele_lower(const char *text, dele_arena *arena, dele_err *err)
{
    size_t n = strlen(text), used = 0;
    char *out = dele_alloc(arena, 2 * n + 4, 1, err); /* the widest growth is two bytes to three */
    if (!out) return NULL;
    for (size_t i = 0; i < n;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t step = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(n - i), &c);
        if (step < 0) {
            out[used++] = text[i++];
            continue;
        }
        i += (size_t)step;
        if (c == 0x130) { /* the one letter whose lower case is two: i and a combining dot */
            out[used++] = 'i';
            c = 0x307;
        } else {
            c = utf8proc_tolower(c);
        }
        used += (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)out + used);
    }
    return out;
}

const char *dele_through_pandas(const char *text)
{
    static const char *const missing[] = {"",     "#N/A",  "#N/A N/A", "#NA",  "-1.#IND", "-1.#QNAN", "-NaN",
                                          "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",     "NA",       "NULL",
                                          "NaN",  "None",  "n/a",      "nan",  "null"};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        if (!strcmp(text, missing[i])) return "nan";
    return text;
}
