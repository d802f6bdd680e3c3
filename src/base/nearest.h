/* Misspelt names. */
#ifndef DELE_NEAREST_H
#define DELE_NEAREST_H

#include <stddef.h>

/* The one of names[n] that is nearest to the misspelt `word`, or NULL. */
const char *dele_nearest(const char *word, const char *const *names, size_t n);

#endif
