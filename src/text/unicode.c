/* Characters: UTF-8 decoding and encoding, white space, and ByteLevel's alphabet.
 *
 * GPT-2 writes bytes as printable characters so that a vocabulary is text: the 188 printable ones
 * of Latin-1 (33-126, 161-172, 174-255) are unchanged, the other 68, in order, become U+0100 and
 * following (a blank is U+0120 "Ġ"). */
#include "text/unicode.h"

#include <utf8proc.h>

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
