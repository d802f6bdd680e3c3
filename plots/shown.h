/* Text as pictures and pages show it: valid UTF-8 without control characters and without code
 * points that XML forbids. */
#ifndef DELE_SHOWN_H
#define DELE_SHOWN_H

#include <stddef.h>

/* The first character of text (n > 0 bytes): a pointer to its *length bytes of UTF-8, made from
 * *used bytes of text.  It points at the text itself, or at U+FFFD for a byte that is not UTF-8, a
 * control character (C0, C1, DEL, bidirectional) or a code point that XML forbids.  Tab and line
 * feed are controls too; a caller that wants them tests for them first. */
const char *dele_shown_next(size_t *length, size_t *used, const char *text, size_t n);

#endif
