/* Python's str.strip(), str.lower() and re's \w on UTF-8, and pandas' reading of a cell: the
 * definitions of published scores depend on them. */
#ifndef DELE_PYTEXT_H
#define DELE_PYTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

/* The number of text's n bytes without Unicode white space at the end. */
size_t dele_rstrip(const char *text, size_t n);
/* The number of bytes of white space at text's beginning. */
size_t dele_lstrip(const char *text, size_t n);

char *dele_strip(const char *text, dele_arena *arena, dele_err *err);
/* As str.lower: a final sigma has its own lower case, and the dotted capital I becomes two
 * characters. */
char *dele_lower(const char *text, dele_arena *arena, dele_err *err);

/* Whether the character at `at`, or the one that ends before it, is part of a word as re's \w: a
 * letter or a number of any script, or "_"; false where the text ends. */
bool dele_word_at(const char *at);
bool dele_word_before(const char *text, const char *at);

/* The text as pandas 2 reads it from a CSV file: "nan" for an empty cell and for the words that it
 * takes for a missing number (NA, None, null, ...). */
const char *dele_through_pandas(const char *text);

#endif
