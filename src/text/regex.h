/* Regular expressions of tokenizer files, which are written for Oniguruma (its Ruby syntax), on
 * PCRE2.
 *
 * A pattern is translated so that it means on PCRE2 what it means in the `tokenizers` library: the
 * classes \s, \w, \d, \h and \p{...} have the characters of Unicode 16.0, ^ and $ match at every
 * line, m is the option by which a dot matches a line feed.  A construct that the two engines read
 * differently and that is not translated is refused by name. */
#ifndef DELE_REGEX_H
#define DELE_REGEX_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>

#include "base/err.h"

/* where: the file, what: "pre-tokenizer" or the like, both for messages.  The caller frees *out
 * (pcre2_code_free). */
dele_status dele_regex_compile(pcre2_code **out, const char *pattern, const char *where,
                               const char *what, dele_err *err);

/* The matches of a regex in a text, one after another, as Oniguruma's find_iter gives them: an
 * empty match counts, unless it is at the end of the match before.
 *   dele_regex_search s = {.regex = r, .match = m, .text = text, .n = n};
 *   while (!(status = dele_regex_next(&s, &found, err)) && found) ... s.start, s.stop ... */
typedef struct {
    const pcre2_code *regex;
    pcre2_match_data *match;
    const char *text;
    size_t n, start, stop; /* the match is text[start, stop) */
    size_t at;             /* where the search continues */
    bool any;              /* there was a match before, and it ends at stop */
} dele_regex_search;

dele_status dele_regex_next(dele_regex_search *s, bool *found, dele_err *err);

#endif
