/* LUME's rows: reading them, and what their ids say. */
#ifndef DELE_LUME_ROWS_H
#define DELE_LUME_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

typedef enum { DELE_LUME_SC, DELE_LUME_QA } dele_lume_kind;

typedef struct {
    const char *id, *input, *output, *task, *split;
    dele_lume_kind kind;
} dele_lume_row;

typedef struct {
    dele_lume_row *row;
    size_t n;
} dele_lume;

/* A file, or a directory with forget.jsonl and retain.jsonl, or files named forget_val.jsonl and
 * the like (either may be missing).  The split is the beginning of the file's name, forget or
 * retain, or else the rows' own "split", or else the name.  limit: maximum number of rows per file,
 * 0 for all.  ids: a file with one id a line, to score only those rows; or NULL. */
dele_status dele_lume_load(dele_lume *data, const char *path, int limit, const char *ids,
                           dele_arena *arena, dele_err *err);

/* An id consists of its document, the row's kind and a number: "x9sc1".  document: the length of
 * the first part.  false: the id has another form. */
bool dele_lume_parse_id(dele_lume_kind *kind, size_t *document, const char *id);

const char *dele_lume_kind_name(dele_lume_kind kind); /* "sc", "qa" */

#endif
