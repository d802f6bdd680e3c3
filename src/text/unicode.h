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

/* The classes of the `tokenizers` library, whose tables are of several versions of Unicode
 * (unicode_tables.h). */
const char *dele_category(int32_t c); /* "Lu"; Unicode 16.0 */
bool dele_is_space(int32_t c);        /* White_Space */
bool dele_is_word(int32_t c);         /* Rust's \w, Unicode 16.0 */
bool dele_is_numeric(int32_t c);      /* Rust's is_numeric, Unicode 17.0: what Digits splits at */
bool dele_is_punctuation(int32_t c); /* what Punctuation splits at: an older Unicode, and ASCII's */
bool dele_is_mark(int32_t c);        /* a combining mark of Unicode 9.0: what StripAccents drops */
size_t dele_put_small(char *out, int32_t c); /* Rust's to_lowercase, Unicode 17.0: up to 6 bytes */

/* Characters of Unicode 15.0 to 16.0, which PCRE2 10.42 and utf8proc do not have all: range i with
 * its category ("Lo"); false after the last. */
typedef struct {
    int32_t first, last;
    const char *category;
} dele_newer_range;
bool dele_newer_characters(dele_newer_range *range, size_t i);

#endif
