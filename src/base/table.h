/* A table for stdout: lines are collected, then printed in one of three forms.
 *
 *   DELE_TABLE_TSV       cells separated by tabs, a line feed after each line
 *   DELE_TABLE_CSV       RFC 4180: commas, CR LF after each line; a cell with a comma or a quote
 *                        is quoted
 *   DELE_TABLE_ALIGNED   for a terminal: columns padded, numbers right-aligned, two blanks between
 *
 * Text cells follow base/text_out.h's rule for cells in all three forms, so that a text cannot make
 * a line or a column, send anything to a terminal, or be taken for a formula.  Number cells are
 * printed as they are formatted.
 *
 *   dele_table t = {0};
 *   dele_table_head(&t, "set\tn\tacc");
 *   dele_table_text(&t, name);
 *   dele_table_cell(&t, "%zu", n);
 *   dele_table_real(&t, "%.4f", acc);
 *   dele_table_row(&t);
 *   dele_table_print(&t, stdout, dele_table_form_of(csv), err);      releases it, too
 *
 * Failures of memory are recorded, and reported by print. */
#ifndef DELE_TABLE_H
#define DELE_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"

typedef enum { DELE_TABLE_TSV, DELE_TABLE_CSV, DELE_TABLE_ALIGNED } dele_table_form;

typedef struct {
    char *text;
    bool number;
} dele_table_entry;

typedef struct {
    dele_arena arena;
    dele_table_entry *cell; /* [n, columns], the head first */
    size_t n, room, columns;
    dele_err err;
} dele_table;

/* The columns' names, ours, separated by tabs.  First of all, once. */
void dele_table_head(dele_table *t, const char *names);
void dele_table_text(dele_table *t, const char *text); /* a text from outside; NULL: empty */
/* A number, or a word of ours, as formatted. */
void dele_table_cell(dele_table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A double; empty where it is not a number, inf and -inf where it is not finite. */
void dele_table_real(dele_table *t, const char *format, double x);
void dele_table_row(dele_table *t); /* ends a row; cells that are missing are empty */

/* CSV where asked for, aligned where stdout is a terminal, else TSV. */
dele_table_form dele_table_form_of(bool csv);

/* Prints and releases.  Errors of the stream stay in the stream. */
dele_status dele_table_print(dele_table *t, FILE *to, dele_table_form form, dele_err *err);

#endif
