/* Small functions of texts, and the orders in which qsort and bsearch put arrays. */
#ifndef DELE_TEXTS_H
#define DELE_TEXTS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether text ends with `end`. */
bool dele_ends_with(const char *text, const char *end);

/* The number of characters in n bytes of UTF-8. */
size_t dele_utf8_count(const char *text, size_t n);

/* Arrays of texts (const char *), by bytes; arrays of doubles, ascending. */
int dele_by_text(const void *a, const void *b);
int dele_by_value(const void *a, const void *b);

#endif
