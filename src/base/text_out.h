/* Text from outside (a file, an argument, a model's output) in terminals and tables.
 *
 * A terminal executes ESC and the C1 controls, a table splits at tabs and line feeds, bidirectional
 * controls reorder the displayed text, and a spreadsheet computes a cell that begins with "=".  So
 * these functions escape every such text:
 *
 *   \t \n \r                tab, line feed, carriage return
 *   \xHH                    any other C0 control, DEL, and each byte that is not UTF-8
 *   \uHHHH                  U+0080..U+009F, U+061C, U+200E, U+200F, U+2028..U+202E, U+2066..U+2069
 *
 * In a cell of a table two more rules make this reversible (dele_text_from_cell): a backslash is
 * doubled, and a cell that begins with = + - @ (or their full-width forms) or with an apostrophe
 * gets an apostrophe in front. */
#ifndef DELE_TEXT_OUT_H
#define DELE_TEXT_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum {
    DELE_TEXT_LINE,  /* one line of a terminal or of a message */
    DELE_TEXT_LINES, /* a terminal; tabs and line feeds are kept */
    DELE_TEXT_CELL   /* a cell of a table */
} dele_text_form;

/* Length of the well-formed UTF-8 sequence at s (n > 0 bytes, Unicode table 3-7), or 0; *c (may be
 * NULL) is its code point. */
size_t dele_utf8_sequence(const char *s, size_t n, uint32_t *c);

/* Whether a code point is one of those above, U+0000..U+001F and U+007F included. */
bool dele_text_is_control(uint32_t c);

/* Writes the escaped text into out[room], always terminated, truncated after a whole character.
 * Returns the bytes that the whole text needs, without the terminator; a NULL text is empty. */
size_t dele_text_show(char *out, size_t room, const char *text, dele_text_form form);

/* The same into a stream (errors stay in the stream); dele_text_shown (arena.h): into an arena. */
void dele_text_put(FILE *to, const char *text, dele_text_form form);

/* Formatted, escaped as one line, with a line feed; note: on stderr, after "deleatur: ". */
void dele_text_line(FILE *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
void dele_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A word of a shell's command line, quoted where it must be; one with a control as $'...' of bash
 * and zsh, so that it can be shown and pasted. */
void dele_shell_put(FILE *to, const char *word);

/* The text of a cell: undoes DELE_TEXT_CELL in place. */
void dele_text_from_cell(char *cell);

#endif
