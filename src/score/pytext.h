/* Python's str.strip() and str.lower() on UTF-8, and what pandas makes of a cell: the published scores are defined
 * through them. */
#ifndef LAC_PYTEXT_H
#define LAC_PYTEXT_H

#include "base/arena.h"

/* How many of text's n bytes are left when Unicode white space at the end is dropped. */
size_t lac_rstrip(const char *text, size_t n);
/* How many bytes of white space text begins with. */
size_t lac_lstrip(const char *text, size_t n);

char *lac_strip(const char *text, lac_arena *arena, lac_err *err);
char *lac_lower(const char *text, lac_arena *arena, lac_err *err);

/* The text as it comes back from a CSV file through pandas 2: "nan" for an empty one and for the words that it takes for
 * a missing number (NA, None, null, ...). */
const char *lac_through_pandas(const char *text);

#endif
