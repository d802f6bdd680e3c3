/* Characters: UTF-8 decoding and encoding, classes of characters, and ByteLevel's alphabet.
 *
 * GPT-2 writes bytes as printable characters so that a vocabulary is text: the 188 printable ones
 * of Latin-1 (33-126, 161-172, 174-255) are unchanged, the other 68, in order, become U+0100 and
 * following (a blank is U+0120 "Ġ"). */
#include "text/unicode.h"

#include <string.h>
#include <utf8proc.h>

#include "text/unicode_tables.h"

int32_t dele_utf8_next(const char *text, size_t n, size_t *used)
{
    unsigned char b = (unsigned char)text[0];
    *used = b < 0x80 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
    if (*used > n) *used = n; /* never so in valid UTF-8 */
    int32_t c = *used == 1 ? b : b & (0x7f >> *used);
    for (size_t i = 1; i < *used; i++) c = c << 6 | (text[i] & 0x3f);
    return c;
}

size_t dele_utf8_put(char *out, int32_t c)
{
    return (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)out);
}

bool dele_is_space(int32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

/* ---- classes of characters ------------------------------------------------------------------- */

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define AMONG(table, c) among(table, COUNT(table), c)

/* Whether c is in one of the ranges, which are sorted. */
static bool among(const int32_t range[][2], size_t n, int32_t c)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c > range[middle][1])
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && c >= range[low][0];
}

bool dele_newer_characters(dele_newer_range *range, size_t i)
{
    if (i >= COUNT(newer_characters)) return false;
    *range = (dele_newer_range){newer_characters[i].first, newer_characters[i].last,
                                newer_characters[i].category};
    return true;
}

/* utf8proc 2.8 has Unicode 15.0. */
const char *dele_category(int32_t c)
{
    const char *theirs = utf8proc_category_string(c);
    if (c < newer_characters[0].first || strcmp(theirs, "Cn")) return theirs;
    for (size_t i = 0; i < COUNT(newer_characters) && newer_characters[i].first <= c; i++)
        if (c <= newer_characters[i].last) return newer_characters[i].category;
    return theirs;
}

bool dele_is_word(int32_t c)
{
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
               c == '_';
    const char *k = dele_category(c);
    return k[0] == 'L' || k[0] == 'M' || !strcmp(k, "Nd") || !strcmp(k, "Nl") || !strcmp(k, "Pc") ||
           c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) ||
           (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
           (c >= 0x1f170 && c <= 0x1f189);
}

bool dele_is_numeric(int32_t c)
{
    if (c < 0x80) return c >= '0' && c <= '9';
    return dele_category(c)[0] == 'N' || AMONG(not_numeric_yet, c);
}

bool dele_is_punctuation(int32_t c)
{
    if (c < 0x80) return c > ' ' && c < 0x7f && (c == '_' || !dele_is_word(c));
    if (AMONG(also_punctuation, c)) return true;
    return dele_category(c)[0] == 'P' && !AMONG(not_punctuation, c);
}

bool dele_is_mark(int32_t c)
{
    if (c < 0x300) return false;
    if (AMONG(also_a_mark, c)) return true;
    return dele_category(c)[0] == 'M' && !AMONG(not_a_mark, c);
}

size_t dele_put_small(char *out, int32_t c)
{
    static const char dotted[] = "i\xcc\x87"; /* of U+0130, the only one with two characters */
    if (c < 0x80) {
        *out = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
        return 1;
    }
    if (c == 0x130) {
        memcpy(out, dotted, 3);
        return 3;
    }
    for (size_t i = 0; i < COUNT(small_letters) && small_letters[i].first <= c; i++)
        if (c <= small_letters[i].last) return dele_utf8_put(out, c + small_letters[i].offset);
    return dele_utf8_put(out, utf8proc_tolower(c));
}

/* ---- ByteLevel's alphabet -------------------------------------------------------------------- */

static bool stands_for_itself(int byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

int dele_byte_to_char(int byte)
{
    if (stands_for_itself(byte)) return byte;
    if (byte < 33) return 256 + byte;
    return byte < 161 ? 256 + 33 + (byte - 127) : 256 + 33 + 34; /* 127..160, then 173 */
}

int dele_char_to_byte(int32_t c)
{
    if (c < 0 || c > 256 + 67) return -1;
    if (c < 256) return stands_for_itself(c) ? c : -1;
    int i = c - 256;
    return i < 33 ? i : i < 67 ? 127 + (i - 33) : 173;
}
