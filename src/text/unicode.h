/* Code points, and ByteLevel's alphabet. */
#ifndef DELE_UNICODE_H
#define DELE_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ByteLevel's alphabet: the code point that stands for a byte, and back (-1: none). */
int dele_byte_to_char(int byte);
int dele_char_to_byte(int32_t c);

/* One code point at text[0, n), n > 0, of valid UTF-8; its length in *used. */
int32_t dele_utf8_next(const char *text, size_t n, size_t *used);
size_t dele_utf8_put(char *out, int32_t c); /* up to 4 bytes */
bool dele_is_space(int32_t c);              /* Unicode's White_Space */

#endif
