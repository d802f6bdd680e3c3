/* Files of formats that deleatur does not read, recognised by their first bytes, and advice for
 * each. */
#ifndef DELE_FOREIGN_H
#define DELE_FOREIGN_H

#include <stddef.h>

/* The format of a file that begins with these bytes and what to do with it, as the end of a
 * sentence ("is a parquet file; ..."); NULL for an unknown format. */
const char *dele_foreign_data(const void *bytes, size_t n);  /* where text or JSON is expected */
const char *dele_foreign_model(const void *bytes, size_t n); /* where a .gguf is expected */

#endif
