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

/* Text with HTML's special characters escaped, for an element or a quoted attribute.  What pictures
 * do not show (plots/shown.h) becomes U+FFFD, but for line feeds and tabs. */
void dele_html_text(FILE *to, const char *text);

void dele_base64(FILE *to, const uint8_t *bytes, size_t n);

/* <img> with the SVG file as data: its ids cannot clash with others, and no script in it can
 * run. */
dele_status dele_html_picture(FILE *to, const char *path, const char *words, dele_err *err);

#endif
