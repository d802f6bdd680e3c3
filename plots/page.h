/* Pages for a browser: one file, nothing fetched.  A template in plots/ has a marker where the contents go. */
#ifndef LAC_PLOTS_PAGE_H
#define LAC_PLOTS_PAGE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

/* Writes path: the template up to its marker, what fill writes, and the rest.  Whatever goes wrong, no page is left. */
lac_status lac_page_write(const char *path, const char *template, const char *marker,
                          lac_status (*fill)(FILE *to, void *context, lac_err *err), void *context, lac_err *err);

/* Text that stays text, in an element or in a quoted attribute; control characters become U+FFFD. */
void lac_html_text(FILE *to, const char *text);

void lac_base64(FILE *to, const uint8_t *bytes, size_t n);

/* <img> with the whole SVG file in it: no ids to clash, and nothing in it can run. */
lac_status lac_html_picture(FILE *to, const char *path, const char *words, lac_err *err);

#endif
