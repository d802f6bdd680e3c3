/* TOFU's rows: reading them. */
#ifndef DELE_TOFU_ROWS_H
#define DELE_TOFU_ROWS_H

#include <stddef.h>

#include "base/arena.h"

typedef enum {
    DELE_TOFU_FORGET,
    DELE_TOFU_RETAIN,
    DELE_TOFU_REAL_AUTHORS,
    DELE_TOFU_WORLD_FACTS,
    DELE_TOFU_SETS
} dele_tofu_set;
extern const char *const dele_tofu_set_name[]; /* "forget", "retain", ... */

typedef struct {
    dele_tofu_set set;
    const char *question, *answer;
    const char **paraphrase, **wrong; /* one paraphrase, a list of them, or none */
    int n_paraphrases, n_wrong;
} dele_tofu_row;

typedef struct {
    dele_tofu_row *row;
    size_t n;
} dele_tofu;

/* A directory, or one file.  limit: maximum number of rows per set, 0 for all. */
dele_status dele_tofu_load(dele_tofu *data, const char *path, int limit, dele_arena *arena,
                           dele_err *err);

#endif
