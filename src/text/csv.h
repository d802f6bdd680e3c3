/* Tables in CSV without a header line, as RFC 4180 writes them: a field in quotes may hold commas,
 * line breaks and doubled quotes; blanks belong to the field.  MMLU comes so: question, A, B, C, D,
 * answer. */
#ifndef DELE_CSV_H
#define DELE_CSV_H

#include "base/arena.h"

typedef struct {
    const char **field; /* [n_rows, n_columns], each NUL-terminated */
    int *
        line; /* [n_rows] the 1-based line on which the row begins, for messages "file:line: ..." */
    size_t n_rows, n_columns;
} dele_csv;

/* Every row must have n_columns fields, else DELE_ERR_FORMAT says file and line.  Blank lines are
 * skipped. */
dele_status dele_csv_load(dele_csv *csv, const char *path, size_t n_columns, dele_arena *arena,
                          dele_err *err);

static inline const char *dele_csv_field(const dele_csv *csv, size_t row, size_t column)
{
    return csv->field[row * csv->n_columns + column];
}

#endif
