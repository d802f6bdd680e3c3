/* HTML pages of one file, which need no network: a template in plots/ with a marker that the
 * contents replace. */
#ifndef DELE_PLOTS_PAGE_H
#define DELE_PLOTS_PAGE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

/* Writes path: the template up to its marker, what fill writes, and the rest of the template.
 * After an error there is no page. */
dele_status dele_page_write(const char *path, const char *template, const char *marker,
                            dele_status (*fill)(FILE *to, void *context, dele_err *err),
                            void *context, dele_err *err);

/* Writes path: a report of text, tables and pictures, in the style of plots/report.html, whose body
 * is what fill writes. */
dele_status dele_report_write(const char *path, const char *title,
                              dele_status (*fill)(FILE *to, void *context, dele_err *err),
                              void *context, dele_err *err);

/* Text with HTML's special characters escaped, for an element or a quoted attribute.  What pictures
 * do not show (plots/shown.h) becomes U+FFFD, but for line feeds and tabs. */
void dele_html_text(FILE *to, const char *text);

void dele_base64(FILE *to, const uint8_t *bytes, size_t n);

/* <img> with the SVG file as data: its ids cannot clash with others, and no script in it can
 * run. */
dele_status dele_html_picture(FILE *to, const char *path, const char *words, dele_err *err);

/* <name attributes>text</name> */
void dele_html_element(FILE *to, const char *name, const char *attributes, const char *text);

/* A cell of a table with four digits of x, or a dash where it is not finite. */
void dele_html_number(FILE *to, double x);

/* A picture with a caption, or NULL for none; nothing where path is NULL or not there. */
void dele_html_figure(FILE *to, const char *path, const char *shows, const char *caption);

#endif
