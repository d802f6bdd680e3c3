#include "score/choice_named.h"

#include <ctype.h>
#include <string.h>

#include "template/pytext.h"

/* The number of a letter of the first n; -1: it is none of them. */
static int number_of(char letter, int n)
{
    return letter >= 'A' && letter < 'A' + n ? letter - 'A' : -1;
}

/* Whether a letter at `at` stands alone: no word goes on after it. */
static bool stands_alone(const char *at) { return !dele_word_at(at + 1); }

/* The letter at `at`, after blanks, opening brackets and asterisks; -1: none. */
static int letter_at(const char *at, int n)
{
    at += strspn(at, " \t\n:*(\"'");
    return *at && stands_alone(at) ? number_of(*at, n) : -1;
}

/* Rule 1: lower is the text in lower case, of the same length where it is ASCII. */
static int after_answer(const char *text, const char *lower, int n)
{
    static const char *const marks[] = {"answer is", "answer:", "choice is", "option is"};
    int named = -1;
    const char *last = lower;
    for (size_t k = 0; k < sizeof marks / sizeof *marks; k++)
        for (const char *at = lower; (at = strstr(at, marks[k])); at++) {
            const int one = letter_at(text + (at - lower) + strlen(marks[k]), n);
            if (one >= 0 && at >= last) named = one, last = at;
        }
    return named;
}

/* Rule 2. */
static int at_beginning(const char *text, int n)
{
    text += strspn(text, " \t\n*(");
    const int one = *text ? number_of(*text, n) : -1;
    if (one < 0 || !stands_alone(text)) return -1;
    const char next = text[1];
    return !next || strchr(".):*\n", next) ? one : -1;
}

static bool holds(const char *lower, const char *choice)
{
    const size_t n = strlen(choice);
    for (const char *at = lower; n && (at = strstr(at, choice)); at++)
        if (!dele_word_before(lower, at) && !dele_word_at(at + n)) return true;
    return false;
}

/* Rule 3: a choice that lies within another that occurs too does not count. */
static dele_status only_text(int *named, const char *lower, const char *const *choice, int n,
                             dele_arena *arena, dele_err *err)
{
    const char *found[26];
    int is[26], n_found = 0;
    for (int c = 0; c < n; c++) {
        const char *own = dele_lower(choice[c], arena, err);
        if (own) own = dele_strip(own, arena, err);
        if (!own) return DELE_ERR_MEMORY;
        if (holds(lower, own)) found[n_found] = own, is[n_found++] = c;
    }
    *named = -1;
    for (int i = 0, n_free = 0; i < n_found; i++) {
        bool within = false;
        for (int j = 0; j < n_found; j++)
            within |= j != i && strlen(found[j]) > strlen(found[i]) && holds(found[j], found[i]);
        if (within) continue;
        *named = n_free++ ? -1 : is[i];
        if (n_free > 1) return DELE_OK;
    }
    return DELE_OK;
}

/* Rule 4. */
static int last_letter(const char *text, int n)
{
    int named = -1;
    for (const char *at = text; *at; at++) {
        const int one = number_of(*at, n);
        if (one < 0 || !stands_alone(at) || dele_word_before(text, at)) continue;
        if (at[1] == '.' || at[1] == ')') named = one;
    }
    return named;
}

dele_status dele_choice_named(int *named, const char *text, const char *const *choice, int n,
                              dele_arena *arena, dele_err *err)
{
    const char *lower = dele_lower(text, arena, err);
    if (!lower) return DELE_ERR_MEMORY;
    if (strlen(lower) == strlen(text) && (*named = after_answer(text, lower, n)) >= 0)
        return DELE_OK;
    if ((*named = at_beginning(text, n)) >= 0) return DELE_OK;
    const dele_status status = only_text(named, lower, choice, n, arena, err);
    if (!status && *named < 0) *named = last_letter(text, n);
    return status;
}
