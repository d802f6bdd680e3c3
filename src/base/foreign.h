/* Files of formats that are not read here, known by their first bytes, and what to do with them. */
#ifndef DELE_FOREIGN_H
#define DELE_FOREIGN_H

#include <stddef.h>

/* What a file that begins with these bytes is and what to do with it, as the end of a sentence ("is
 * a parquet file; ..."); NULL where it is none of those. */
const char *dele_foreign_data(const void *bytes, size_t n);  /* where text, JSON or CSV is wanted */
const char *dele_foreign_model(const void *bytes, size_t n); /* where a .gguf is wanted */

#endif
