#include "score/number_match.h"

#include <stdlib.h>
#include <string.h>

#include "template/pytext.h"

static const char mark[] = "#### ";

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static size_t run(const char *text, const char *set) { return strspn(text, set); }

/* ---- lm-evaluation-harness's two filters ----------------------------------------------------- */

/* The bytes that (-?[$0-9.,]{2,})|(-?[0-9]+) matches at `at`; 0: none. */
static size_t flexible_at(const char *at)
{
    const size_t sign = *at == '-', any = run(at + sign, "$0123456789.,");
    if (any >= 2) return sign + any;
    const size_t digits = run(at + sign, "0123456789");
    return digits ? sign + digits : 0;
}

/* The first match of "#### (-?[0-9.,]+)", or the last of the flexible pattern; "[invalid]" where
 * there is none. */
static const char *extracted(const char *text, bool strict, dele_arena *arena, dele_err *err)
{
    const char *found = "[invalid]";
    size_t n = strlen(found);
    if (strict) {
        for (const char *at = text; (at = strstr(at, mark)); at++) {
            const char *number = at + strlen(mark);
            const size_t sign = *number == '-', digits = run(number + sign, "0123456789.,");
            if (!digits) continue;
            found = number, n = sign + digits;
            break;
        }
    } else {
        for (const char *at = text; *at;) {
            const size_t m = flexible_at(at);
            if (m) found = at, n = m;
            at += m ? m : 1;
        }
    }
    return dele_strndup(arena, found, n, err);
}

/* What the harness compares: without "," and "$", without what is before the last "#### ", without
 * a full stop at the end, in lower case. */
static const char *compared(const char *text, dele_arena *arena, dele_err *err)
{
    char *copy = dele_strdup(arena, text, err), *to = copy;
    if (!copy) return NULL;
    for (const char *from = copy; *from; from++)
        if (*from != ',' && *from != '$') *to++ = *from;
    *to = '\0';
    const char *begin = copy;
    for (const char *at = copy; (at = strstr(at, mark)); at++) begin = at + strlen(mark);
    const size_t n = strlen(begin), line = n && begin[n - 1] == '\n';
    if (n > line && begin[n - 1 - line] == '.')
        memmove(copy + (begin - copy) + n - 1 - line, begin + n - line, line + 1);
    return dele_lower(begin, arena, err);
}

/* ---- Nudging's program ----------------------------------------------------------------------- */

/* The last match of \d+(?:,\d{3})*(?:\.\d*)? as a number; false: there is none. */
static bool last_number(double *value, const char *text, dele_arena *arena, dele_err *err)
{
    bool any = false;
    for (const char *at = text; *at;) {
        size_t n = run(at, "0123456789");
        if (!n) {
            at++;
            continue;
        }
        while (at[n] == ',' && is_digit(at[n + 1]) && is_digit(at[n + 2]) && is_digit(at[n + 3]))
            n += 4;
        if (at[n] == '.') n += 1 + run(at + n + 1, "0123456789");
        char *number = dele_strndup(arena, at, n, err), *to = number;
        if (!number) return false;
        for (const char *from = number; *from; from++)
            if (*from != ',') *to++ = *from;
        *to = '\0';
        *value = strtod(number, NULL);
        any = true;
        at += n;
    }
    return any;
}

bool dele_number_in(const char *answer) { return strpbrk(answer, "0123456789") != NULL; }

dele_status dele_number_match(dele_number_verdict *verdict, const char *answer,
                              const char *generated, dele_arena *arena, dele_err *err)
{
    *verdict = (dele_number_verdict){0};
    const char *stop = strstr(generated, "Question:");
    const char *text =
        dele_strndup(arena, generated, stop ? (size_t)(stop - generated) : strlen(generated), err);
    const char *gold = text ? compared(answer, arena, err) : NULL;
    if (!gold) return DELE_ERR_MEMORY;
    bool *const equal[] = {&verdict->strict, &verdict->flexible};
    for (int i = 0; i < 2; i++) {
        const char *number = extracted(text, i == 0, arena, err);
        const char *said = number ? compared(number, arena, err) : NULL;
        if (!said) return DELE_ERR_MEMORY;
        *equal[i] = !strcmp(said, gold);
    }
    double theirs, ours;
    verdict->last = last_number(&theirs, answer, arena, err) &&
                    last_number(&ours, generated, arena, err) && theirs == ours;
    return err && err->code ? err->code : DELE_OK;
}
