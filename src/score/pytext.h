/* Python's str.strip() and str.lower() on UTF-8, and what pandas makes of a cell: the published scores are defined
 * through them. */
#ifndef DELE_PYTEXT_H
#define DELE_PYTEXT_H

#include "base/arena.h"

/* How many of text's n bytes are left when Unicode white space at the end is dropped. */
size_t dele_rstrip(const char *text, size_t n);
/* How many bytes of white space text begins with. */
size_t dele_lstrip(const char *text, size_t n);

char *dele_strip(const char *text, dele_arena *arena, dele_err *err);
char *dele_lower(const char *text, dele_arena *arena, dele_err *err);

/* The text as it comes back from a CSV file through pandas 2: "nan" for an empty one and for the words that it takes for
 * a missing number (NA, None, null, ...). */
const char *dele_through_pandas(const char *text);

#endif
