/* Misspelt names. */
#ifndef DELE_NEAREST_H
#define DELE_NEAREST_H

#include <stddef.h>

#include "base/err.h"

/* The one of names[n] that is nearest to the misspelt `word`, or NULL. */
const char *dele_nearest(const char *word, const char *const *names, size_t n);

/* The error for a text that is none of the words (which end with NULL; empty ones are not listed):
 * `shown` names the place, and the nearest word is suggested. */
dele_status dele_fail_choice(dele_err *err, dele_status code, const char *shown, const char *text,
                             const char *const *words);

#endif
