#include "template/pytext.h"

#include <stdbool.h>
#include <string.h>
#include <utf8proc.h>

/* str.isspace(): bidirectional class WS, B or S, or category Zs. */
static bool is_space(utf8proc_int32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

size_t dele_rstrip(const char *text, size_t n)
{
    while (n > 0) {
        size_t start = n - 1;
        while (start > 0 && ((unsigned char)text[start] & 0xc0) == 0x80) start--;
        utf8proc_int32_t c;
        if (utf8proc_iterate((const utf8proc_uint8_t *)text + start, (utf8proc_ssize_t)(n - start),
                             &c) < 0 ||
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
        utf8proc_ssize_t step = utf8proc_iterate((const utf8proc_uint8_t *)text + start,
                                                 (utf8proc_ssize_t)(n - start), &c);
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

/* ---- characters ------------------------------------------------------------------------------ */

/* The character at text and its size; -1 and one byte where it is not UTF-8 or the text ends. */
static utf8proc_int32_t character_at(const char *text, size_t n, size_t *used)
{
    utf8proc_int32_t c = -1;
    utf8proc_ssize_t step =
        n ? utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &c) : -1;
    *used = step > 0 ? (size_t)step : 1;
    return step > 0 ? c : -1;
}

/* Part of a word as re's \w: a letter or a number of any script, or "_". */
static bool is_word(int32_t c)
{
    switch (c < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return true;
    default:
        return c == '_';
    }
}

bool dele_word_at(const char *text)
{
    size_t used;
    return is_word(character_at(text, strnlen(text, 4), &used));
}

bool dele_word_before(const char *text, const char *at)
{
    const char *from = at;
    while (from > text && at - from < 4 && ((unsigned char)*--from & 0xc0) == 0x80) {}
    size_t used;
    return from < at && is_word(character_at(from, (size_t)(at - from), &used));
}

/* ---- str.lower ------------------------------------------------------------------------------- */

/* Cased and Case_Ignorable (Unicode 3.13): by category, and those of PropList.txt that are in no
 * such category. */
static bool is_cased(int32_t c)
{
    if (c < 0) return false;
    utf8proc_category_t k = utf8proc_category(c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT ||
           c == 0xaa || c == 0xba || (c >= 0x2160 && c <= 0x217f) || (c >= 0x24b6 && c <= 0x24e9) ||
           (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
           (c >= 0x1f170 && c <= 0x1f189);
}

static bool is_case_ignorable(int32_t c)
{
    static const int32_t others[] = {0x27,   0x2e,   0x3a,   0xb7,   0x387,  0x55f,
                                     0x5f4,  0x2018, 0x2019, 0x2024, 0x2027, 0xfe13,
                                     0xfe52, 0xfe55, 0xff07, 0xff0e, 0xff1a};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (c == others[i]) return true;
    switch (c < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        return false;
    }
}

/* Whether the capital sigma at `at` ends a word: a cased character before it and none after it, not
 * counting case-ignorable characters. */
static bool is_final_sigma(const char *text, size_t n, size_t at, bool cased_before)
{
    size_t used;
    for (size_t i = at + 2; cased_before && i < n; i += used) {
        int32_t c = character_at(text + i, n - i, &used);
        if (!is_case_ignorable(c)) return !is_cased(c);
    }
    return cased_before;
}

char *dele_lower(const char *text, dele_arena *arena, dele_err *err)
{
    size_t n = strlen(text), used = 0, step;
    char *out = dele_alloc(arena, 2 * n + 4, 1, err); /* the widest growth is two bytes to three */
    if (!out) return NULL;
    bool cased_before = false; /* the last character that is not case-ignorable */
    for (size_t i = 0; i < n; i += step) {
        int32_t c = character_at(text + i, n - i, &step);
        if (c < 0) {
            out[used++] = text[i];
            cased_before = false;
            continue;
        }
        int32_t small = utf8proc_tolower(c);
        if (c == 0x3a3 && is_final_sigma(text, n, i, cased_before)) small = 0x3c2;
        if (c == 0x130) { /* the only letter with two in lower case: i and a combining dot */
            out[used++] = 'i';
            small = 0x307;
        }
        if (!is_case_ignorable(c)) cased_before = is_cased(c);
        used += (size_t)utf8proc_encode_char(small, (utf8proc_uint8_t *)out + used);
    }
    return out;
}

const char *dele_through_pandas(const char *text)
{
    static const char *const missing[] = {"",         "#N/A", "#N/A N/A", "#NA",    "-1.#IND",
                                          "-1.#QNAN", "-NaN", "-nan",     "1.#IND", "1.#QNAN",
                                          "<NA>",     "N/A",  "NA",       "NULL",   "NaN",
                                          "None",     "n/a",  "nan",      "null"};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        if (!strcmp(text, missing[i])) return "nan";
    return text;
}
