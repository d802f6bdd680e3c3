/* Python's str.strip(), str.lower() and re's \w on UTF-8, and what pandas makes of a cell: the
 * published scores are defined through them. */
#ifndef DELE_PYTEXT_H
#define DELE_PYTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

/* How many of text's n bytes are left when Unicode white space at the end is dropped. */
size_t dele_rstrip(const char *text, size_t n);
/* How many bytes of white space text begins with. */
size_t dele_lstrip(const char *text, size_t n);

char *dele_strip(const char *text, dele_arena *arena, dele_err *err);
/* As str.lower: the sigma that ends a word is its own letter, and the dotted capital I two
 * characters. */
char *dele_lower(const char *text, dele_arena *arena, dele_err *err);

/* Part of a word as re's \w: a letter or a number of any script, or "_". */
bool dele_is_word(int32_t c);
/* The same of the character at `at`, and of the one that ends before it; false where the text
 * ends. */
bool dele_word_at(const char *at);
bool dele_word_before(const char *text, const char *at);

/* The text as it comes back from a CSV file through pandas 2: "nan" for an empty one and for the
 * words that it takes for a missing number (NA, None, null, ...). */
const char *dele_through_pandas(const char *text);

#endif
