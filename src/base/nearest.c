#include "base/nearest.h"

#include <stdio.h>
#include <string.h>

/* Letters to insert, delete or change to get from a to b (Levenshtein); at most 40 letters of b are
 * looked at. */
static size_t distance(const char *a, const char *b)
{
    size_t row[41], n = strnlen(b, 40);
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j], best = diagonal + (a[i] != b[j - 1]);
            if (above + 1 < best) best = above + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[n];
}

const char *dele_nearest(const char *word, const char *const *names, size_t n)
{
    const char *best = NULL;
    size_t least = strlen(word) / 3 + 2; /* more than a third wrong is another word */
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, names[i]);
        if (d < least && d < strlen(names[i])) {
            least = d;
            best = names[i];
        }
    }
    return best;
}

dele_status dele_fail_choice(dele_err *err, dele_status code, const char *shown, const char *text,
                             const char *const *words)
{
    char list[400] = "";
    size_t n = 0, used = 0;
    for (; words[n]; n++)
        if (*words[n] && used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                                     words[n]);
    const char *near = dele_nearest(text, words, n);
    return dele_fail(err, code, "%s %s is not one of: %s%s%s%s", shown, text, list,
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}
