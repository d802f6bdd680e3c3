/* Pages for a browser: one file, nothing fetched.  A template in plots/ has a marker where the
 * contents go. */
#ifndef DELE_PLOTS_PAGE_H
#define DELE_PLOTS_PAGE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

/* Writes path: the template up to its marker, what fill writes, and the rest.  Whatever goes wrong,
 * no page is left. */
dele_status dele_page_write(const char *path, const char *template, const char *marker,
                            dele_status (*fill)(FILE *to, void *context, dele_err *err),
                            void *context, dele_err *err);

/* Text that stays text, in an element or in a quoted attribute; but for line feeds and tabs, what
 * pictures do not show (plots/shown.h) becomes U+FFFD. */
void dele_html_text(FILE *to, const char *text);

void dele_base64(FILE *to, const uint8_t *bytes, size_t n);

/* <img> with the whole SVG file in it: no ids to clash, and nothing in it can run. */
dele_status dele_html_picture(FILE *to, const char *path, const char *words, dele_err *err);

#endif
