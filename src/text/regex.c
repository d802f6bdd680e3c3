#include "text/regex.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text/unicode.h"

/* White_Space, and its complement. */
#define SPACES                                                                                     \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"    \
    "\\x{205f}\\x{3000}"
#define NO_SPACES                                                                                  \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-"         \
    "\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"        \
    "\\x{3001}-\\x{10ffff}"
/* What Oniguruma's \w has beside letters, marks, digits, letter numbers and connectors, and what it
 * has outside a class only. */
#define OTHER_WORD                                                                                 \
    "\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"
#define OTHER_LATIN_WORD "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"

/* The scripts that may be named, with their characters of Unicode 15.0 to 16.0. */
static const struct {
    const char *name, *newer;
} scripts[] = {
    {"Han", "\\x{2b739}\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"},
    {"Hiragana", "\\x{1b132}"},
    {"Katakana", "\\x{1b155}"},
    {"Hangul", ""},
    {"Latin", "\\x{a7cb}-\\x{a7cd}\\x{a7da}-\\x{a7dc}\\x{1df25}-\\x{1df2a}"},
    {"Greek", ""},
    {"Cyrillic", "\\x{1c89}\\x{1c8a}\\x{1e030}-\\x{1e06d}\\x{1e08f}"},
    {"Arabic", "\\x{897}\\x{10ec2}-\\x{10ec4}\\x{10efc}-\\x{10eff}"},
    {"Hebrew", ""},
    {"Thai", ""},
    {"Devanagari", "\\x{11b00}-\\x{11b09}"},
};

static const char *const categories[] = {
    "L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N",  "Nd", "Nl",
    "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk",
    "So", "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Co", "Cs", "Cn",
};

/* ---- translation ----------------------------------------------------------------------------- */

enum { MAX_GROUPS = 64 };

typedef struct {
    const char *at; /* the rest of the pattern */
    FILE *out;
    bool in_class;
    int depth;
    bool caseless[MAX_GROUPS]; /* by depth of parentheses */
    const char *refused;       /* what is not translated, or NULL */
} translator;

static void refuse(translator *t, const char *what)
{
    if (!t->refused) t->refused = what;
}

/* Items of a class, as a class of its own where they are outside one. */
static void put_class(translator *t, const char *items, bool negated)
{
    if (t->in_class)
        fputs(items, t->out);
    else
        fprintf(t->out, "[%s%s]", negated ? "^" : "", items);
}

/* A general category ("L", "Lu"): PCRE2's own, and the newer characters in it. */
static void put_category(FILE *out, const char *name)
{
    dele_newer_range r, run = {-1, -2, NULL};
    fprintf(out, "\\p{%s}", name);
    for (size_t i = 0;; i++) {
        const bool more = dele_newer_characters(&r, i);
        if (more && strncmp(r.category, name, strlen(name))) continue;
        if (more && r.first == run.last + 1) {
            run.last = r.last;
            continue;
        }
        if (run.first >= 0)
            fprintf(out, "\\x{%x}-\\x{%x}", (unsigned)run.first, (unsigned)run.last);
        if (!more) return;
        run = r;
    }
}

static void put_word_in_class(FILE *out)
{
    static const char *const parts[] = {"L", "M", "Nd", "Nl", "Pc"};
    for (int i = 0; i < 5; i++) put_category(out, parts[i]);
    fputs(OTHER_WORD, out);
}

static void put_word(FILE *out)
{
    put_word_in_class(out);
    fputs(OTHER_LATIN_WORD, out);
}

static bool has_newer(const char *category)
{
    dele_newer_range r;
    for (size_t i = 0; dele_newer_characters(&r, i); i++)
        if (!strncmp(r.category, category, strlen(category))) return true;
    return *category == 'C'; /* unassigned characters became others */
}

/* \p{Lu}, \P{Lu}, \p{^Lu} or a script; at is after \p. */
static void translate_property(translator *t, bool negated)
{
    char name[32];
    const char *end = *t->at == '{' ? strchr(t->at, '}') : NULL;
    const char *start = end && t->at[1] == '^' ? t->at + 2 : t->at + 1;
    if (!end || (size_t)(end - start) >= sizeof name) {
        refuse(t, "a property without braces");
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)(end - start), start);
    if (start != t->at + 1) negated = !negated;
    t->at = end + 1;
    for (size_t i = 0; i < sizeof categories / sizeof *categories; i++) {
        if (strcmp(name, categories[i])) continue;
        if (t->caseless[t->depth] && strchr("Lu Ll Lt", name[1] ? name[1] : '-') && name[0] == 'L')
            refuse(t, "a letter case under the option i");
        if (*name == 'C') refuse(t, "the category C");
        if (!negated || !t->in_class) {
            if (!t->in_class) fputs(negated ? "[^" : "[", t->out);
            put_category(t->out, name);
            if (!t->in_class) fputc(']', t->out);
        } else if (has_newer(name))
            refuse(t, "a negated property within a class");
        else
            fprintf(t->out, "\\P{%s}", name);
        return;
    }
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        if (strcasecmp(name, scripts[i].name)) continue;
        if (negated && t->in_class) refuse(t, "a negated property within a class");
        if (!t->in_class) fputs(negated ? "[^" : "[", t->out);
        fprintf(t->out, "\\p{sc:%s}%s", scripts[i].name, scripts[i].newer);
        if (!t->in_class) fputc(']', t->out);
        return;
    }
    refuse(t, "a property that is not a general category or a common script");
}

/* A class escape that PCRE2 cannot negate within a class. */
static void negated_class(translator *t, const char *what, void (*put)(FILE *))
{
    if (t->in_class) {
        refuse(t, what);
        return;
    }
    fputs("[^", t->out);
    put(t->out);
    fputc(']', t->out);
}

static void put_digits(FILE *out) { put_category(out, "Nd"); }

static void positive_class(translator *t, void (*put)(FILE *))
{
    if (!t->in_class) fputc('[', t->out);
    put(t->out);
    if (!t->in_class) fputc(']', t->out);
}

/* \b: a word character on one side of it. */
static void put_boundary(translator *t, bool negated)
{
    static const char *const part[2][3] = {{"(?:(?<=[", "])(?![", "]))"},
                                           {"(?:(?<=[", "])(?=[", "]))"}};
    static const char *const other[2][3] = {{"(?:(?<![", "])(?=[", "]))"},
                                            {"(?:(?<![", "])(?![", "]))"}};
    fputs("(?:", t->out);
    for (int side = 0; side < 2; side++) {
        const char *const *p = side ? other[negated] : part[negated];
        fputs(p[0], t->out);
        put_word(t->out);
        fputs(p[1], t->out);
        put_word(t->out);
        fputs(p[2], t->out);
        if (!side) fputc('|', t->out);
    }
    fputc(')', t->out);
}

/* An escape; at is at the character after the backslash. */
static void translate_escape(translator *t)
{
    const char c = *t->at++;
    switch (c) {
    case 0:
        t->at--;
        refuse(t, "a backslash at its end");
        return;
    case 's':
        put_class(t, SPACES, false);
        return;
    case 'S':
        put_class(t, t->in_class ? NO_SPACES : SPACES, true);
        return;
    case 'w':
        positive_class(t, t->in_class ? put_word_in_class : put_word);
        return;
    case 'W':
        negated_class(t, "\\W within a class", put_word);
        return;
    case 'd':
        positive_class(t, put_digits);
        return;
    case 'D':
        negated_class(t, "\\D within a class", put_digits);
        return;
    case 'h':
        put_class(t, "0-9a-fA-F", false);
        return;
    case 'H':
        if (t->in_class) refuse(t, "\\H within a class");
        put_class(t, "0-9a-fA-F", true);
        return;
    case 'v':
        fputs("\\x{b}", t->out);
        return;
    case 'p':
    case 'P':
        translate_property(t, c == 'P');
        return;
    case 'b':
        if (t->in_class)
            fputs("\\x{8}", t->out);
        else
            put_boundary(t, false);
        return;
    case 'B':
        put_boundary(t, true);
        return;
    case 'u':
        fprintf(t->out, "\\x{%.4s}", t->at);
        for (int i = 0; i < 4; i++, t->at++)
            if (!*t->at || !strchr("0123456789abcdefABCDEF", *t->at)) {
                refuse(t, "\\u without four digits");
                return;
            }
        return;
    default:
        if (c >= '1' && c <= '9' && t->in_class) refuse(t, "a digit after a backslash in a class");
        if (((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) && !strchr("nrtfaexAzZkR", c))
            refuse(t, "an escape that Oniguruma and PCRE2 read differently");
        if (c == 'x' && *t->at != '{' && (*t->at < '0' || *t->at > '7'))
            refuse(t, "a byte above 7f");
        fprintf(t->out, "\\%c", c);
        if (c == 'x' && *t->at == '{') /* up to its closing brace */
            for (char last = 0; *t->at && last != '}';) fputc(last = *t->at++, t->out);
    }
}

/* A parenthesis with its options, of which i and m are translated; at is after it. */
static void open_group(translator *t)
{
    static const char *const groups[] = {"?:", "?=", "?!", "?>", "?<=", "?<!"};
    if (t->depth + 1 >= MAX_GROUPS) {
        refuse(t, "more than 60 groups within each other");
        return;
    }
    t->caseless[t->depth + 1] = t->caseless[t->depth];
    t->depth++;
    fputc('(', t->out);
    if (*t->at != '?') return;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (!strncmp(t->at, groups[i], strlen(groups[i]))) {
            fputs(groups[i], t->out);
            t->at += strlen(groups[i]);
            return;
        }
    if (t->at[1] == '<') return; /* a name */
    fputc(*t->at++, t->out);
    bool on = true;
    for (; *t->at && *t->at != ':' && *t->at != ')'; t->at++) {
        if (*t->at == '-')
            on = false;
        else if (*t->at == 'i')
            t->caseless[t->depth] = on;
        else if (*t->at != 'm')
            refuse(t, "a group with options other than i and m");
        fputc(*t->at == 'm' ? 's' : *t->at, t->out);
    }
    if (*t->at == ')') /* for the rest of the group around it */
        t->caseless[t->depth - 1] = t->caseless[t->depth];
    if (*t->at == ':') fputc(*t->at++, t->out);
}

/* {2,3}: the two engines differ in what may be after it, and in {,3}. */
static void translate_interval(translator *t)
{
    size_t n = strspn(t->at, "0123456789,");
    if (!n || t->at[n] != '}') {
        refuse(t, "a brace that is not part of an interval");
        return;
    }
    if (t->at[n + 1] == '+') refuse(t, "a possessive interval");
    if (t->at[n + 1] == '?' && !memchr(t->at, ',', n)) refuse(t, "a lazy interval {n}?");
    fprintf(t->out, "{%s%.*s}", *t->at == ',' ? "0" : "", (int)n, t->at);
    t->at += n + 1;
}

static void open_class(translator *t)
{
    t->in_class = true;
    fputc('[', t->out);
    if (*t->at == '^') fputc(*t->at++, t->out);
    if (*t->at == ']') {
        fputs("\\]", t->out);
        t->at++;
    }
}

/* The whole pattern, character by character.  What needs no translation is copied. */
static void translate(translator *t)
{
    while (*t->at && !t->refused) {
        const char c = *t->at++;
        if (c == '\\')
            translate_escape(t);
        else if (t->in_class) {
            if (c == '[') refuse(t, "a class within a class");
            if (c == '&' && *t->at == '&') refuse(t, "an intersection of classes");
            if (c == ']') t->in_class = false;
            fputc(c, t->out);
        } else if (c == '[')
            open_class(t);
        else if (c == '{')
            translate_interval(t);
        else if (c == '(')
            open_group(t);
        else {
            if (c == ')' && t->depth) t->depth--;
            fputc(c, t->out);
        }
    }
}

/* The translated pattern, compiled for UTF-8 with Unicode's properties and, where PCRE2 has it, as
 * machine code.  A line ends at a line feed only, whatever PCRE2 was built with. */
dele_status dele_regex_compile(pcre2_code **out, const char *pattern, const char *where,
                               const char *what, dele_err *err)
{
    int code;
    PCRE2_SIZE at;
    char *made = NULL;
    size_t n = 0;
    translator t = {.at = pattern, .out = open_memstream(&made, &n)};
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    bool good = t.out && context;
    *out = NULL;
    if (good) translate(&t);
    if (t.out && fclose(t.out)) good = false;
    if (good && !t.refused) {
        pcre2_set_newline(context, PCRE2_NEWLINE_LF);
        *out = pcre2_compile((PCRE2_SPTR)made, n, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &code,
                             &at, context);
    }
    free(made);
    pcre2_compile_context_free(context);
    if (!good) return dele_fail(err, DELE_ERR_MEMORY, "%s: out of memory for its patterns", where);
    if (t.refused)
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: the pattern \"%.100s\" of its %s has %s, which is not supported",
                         where, pattern, what, t.refused);
    if (!*out) {
        PCRE2_UCHAR why[128] = "";
        pcre2_get_error_message(code, why, sizeof why);
        return dele_fail(err, DELE_ERR_UNSUPPORTED,
                         "%s: PCRE2 cannot read the pattern \"%.200s\" of its %s: %s", where,
                         pattern, what, (const char *)why);
    }
    pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); /* where there is no JIT, matching works without */
    return DELE_OK;
}

/* ---- matching -------------------------------------------------------------------------------- */

static int match_from(const dele_regex_search *s)
{
    int found =
        pcre2_match(s->regex, (PCRE2_SPTR)s->text, s->n, s->at, PCRE2_NO_UTF_CHECK, s->match, NULL);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match(s->regex, (PCRE2_SPTR)s->text, s->n, s->at,
                            PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s->match, NULL);
    return found;
}

/* The next match.  An empty match where the last one ended is skipped with the character there, and
 * the search goes on after it, as Oniguruma's iterator does. */
dele_status dele_regex_next(dele_regex_search *s, bool *found, dele_err *err)
{
    *found = false;
    while (s->at <= s->n) {
        const int code = match_from(s);
        if (code == PCRE2_ERROR_NOMATCH) break;
        if (code < 0) {
            PCRE2_UCHAR why[128] = "";
            pcre2_get_error_message(code, why, sizeof why);
            return dele_fail(err, DELE_ERR_DATA,
                             "a pattern of the tokenizer failed on a text of %zu bytes: %s", s->n,
                             (const char *)why);
        }
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(s->match);
        if (span[0] == span[1] && s->any && span[1] == s->stop) {
            size_t used = 1;
            if (s->at < s->n) dele_utf8_next(s->text + s->at, s->n - s->at, &used);
            s->at += used;
            continue;
        }
        s->start = span[0];
        s->stop = s->at = span[1];
        s->any = *found = true;
        return DELE_OK;
    }
    s->at = s->n + 1;
    return DELE_OK;
}
