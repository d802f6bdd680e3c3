/* The words of a completion and the rules of the released code about repetition (utils.py of
 * github.com/fywalter/nudging): Python's functions on UTF-8. */
#ifndef DELE_WORDS_H
#define DELE_WORDS_H

#include "base/arena.h"

/* text.lstrip(" ").split(" "): word i is at text[start[i]], and a blank precedes each but the
 * first, whose leading blanks belong to it.  n >= 1; words may be empty.
 *
 *   "  the  cat"       start 2, 6, 7        "the", "", "cat" */
typedef struct {
    const size_t *start; /* [n + 1]; the last one: where a further word would begin */
    size_t n;
} dele_words;

dele_status dele_words_split(dele_words *words, const char *text, dele_arena *arena, dele_err *err);

/* Length of text up to the end of its first n words, 1 <= n <= words->n. */
size_t dele_words_length(const dele_words *words, size_t n);

/* Whether a text of more than five words occurs in an earlier text. */
bool dele_words_repeated(const char *text, const char *earlier);

/* The part of a text that is left when white space at both ends and, again and again, a suffix of
 * at least 30 characters that is repeated immediately are removed: text[*from] .. [*from + *n].
 * The suffix is the longest that the released code's binary search over lengths finds. */
dele_status dele_without_repetition(size_t *from, size_t *n, const char *text, dele_err *err);

#endif
