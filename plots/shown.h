/* Text as pictures and pages show it: valid UTF-8 without anything that XML, HTML or a reader's eye
 * would stumble over. */
#ifndef DELE_SHOWN_H
#define DELE_SHOWN_H

#include <stddef.h>

/* One character of text (n > 0 bytes): a pointer to *length bytes of UTF-8, *used bytes of text
 * behind it.  It points at the text itself, or at U+FFFD in place of a byte that is not UTF-8, a
 * control (C0, C1, DEL, bidirectional; tab and line feed among them, which callers that want them
 * take first) or a code point that XML forbids. */
const char *dele_shown_next(size_t *length, size_t *used, const char *text, size_t n);

#endif
