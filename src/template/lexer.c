/* A template's text as tokens, by the rules of jinja2's lexer.
 *
 * Text outside of tags is data.  {{ }} prints, {% %} is a statement, {# #} a comment, and between
 * {% raw %} and {% endraw %} all is data.  White space at tags:
 *
 *   {%-  {{-  {#-      all white space before it is dropped
 *   -%}  -}}  -#}      all white space after it is dropped
 *   {% {#              blanks before it are dropped where only they stand before it in its line
 *                      (lstrip_blocks); not so after {%+ {#+, and not before {{
 *   %} #}              one line feed after it is dropped (trim_blocks); not so after +%} +#}
 *
 * Line ends become \n, and one \n at the end of the template is dropped. */
#include "template/syntax.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "template/pytext.h"

typedef struct {
    jinja_run *run;
    const char *text; /* with \n as line ends */
    size_t n, at;
    int line;
    bool line_starting; /* the last match ended with a line feed */
    jinja_token *token;
    size_t n_tokens, cap;
    char closing[128]; /* the brackets that are open */
    size_t n_closing;
} lexer;

static jinja_token *add_token(lexer *x, jinja_token_kind kind, const char *text, size_t n)
{
    if (x->n_tokens == x->cap) {
        const size_t cap = x->cap ? 2 * x->cap : 64;
        jinja_token *more = jinja_alloc(x->run, cap, sizeof *more);
        if (!more) return NULL;
        if (x->n_tokens) memcpy(more, x->token, x->n_tokens * sizeof *more);
        x->token = more;
        x->cap = cap;
    }
    jinja_token *t = &x->token[x->n_tokens++];
    *t = (jinja_token){.kind = kind, .line = x->line, .text = text, .n = n};
    return t;
}

static void fail_at(lexer *x, dele_status code, const char *what)
{
    x->run->line = x->line;
    jinja_fail(x->run, code, "%s", what);
}

static void count_lines(lexer *x, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) x->line += x->text[i] == '\n';
}

/* Moves on to `to`. */
static void move_to(lexer *x, size_t to)
{
    count_lines(x, x->at, to);
    if (to > x->at) x->line_starting = x->text[to - 1] == '\n';
    x->at = to;
}

static bool starts(const lexer *x, size_t at, const char *what)
{
    const size_t n = strlen(what);
    return at <= x->n && x->n - at >= n && !memcmp(x->text + at, what, n);
}

static size_t skip_space(const lexer *x, size_t at)
{
    return at + dele_lstrip(x->text + at, x->n - at);
}

/* The end of `{%- raw -%}` that begins at `at`, or 0; of endraw likewise.  A line feed is trimmed
 * after endraw alone. */
static size_t raw_tag(const lexer *x, size_t at, const char *name)
{
    if (!starts(x, at, "{%")) return 0;
    at += 2;
    if (at < x->n && (x->text[at] == '-' || x->text[at] == '+')) at++;
    at = skip_space(x, at);
    if (!starts(x, at, name)) return 0;
    at = skip_space(x, at + strlen(name));
    const bool end = *name == 'e';
    if (starts(x, at, "-%}")) return skip_space(x, at + 3);
    if (end && starts(x, at, "+%}")) return at + 3;
    if (!starts(x, at, "%}")) return 0;
    return end && starts(x, at, "%}\n") ? at + 3 : at + 2;
}

/* The data [from, to) before a tag at `to`, without what the tag's sign and lstrip_blocks drop. */
static void add_data(lexer *x, size_t from, size_t to, char sign, bool prints)
{
    size_t n = to - from;
    if (sign == '-') {
        n = dele_rstrip(x->text + from, n);
    } else if (sign != '+' && !prints) {
        size_t line = to;
        while (line > from && x->text[line - 1] != '\n') line--;
        if ((line > from || x->line_starting) && line < to &&
            dele_lstrip(x->text + line, to - line) == to - line)
            n = line - from;
    }
    if (n) add_token(x, JINJA_T_DATA, x->text + from, n);
}

static char sign_at(const lexer *x, size_t at)
{
    return at < x->n && (x->text[at] == '-' || x->text[at] == '+') ? x->text[at] : 0;
}

/* ---- inside tags ----------------------------------------------------------------------------- */

static bool is_name(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* Digits of a base, single underscores between them; the end of the run. */
static size_t digits(const lexer *x, size_t at, const char *set)
{
    while (at < x->n && x->text[at] && strchr(set, x->text[at])) {
        at++;
        if (at + 1 < x->n && x->text[at] == '_' && x->text[at + 1] && strchr(set, x->text[at + 1]))
            at++;
    }
    return at;
}

/* The number's text without its underscores, in the run's arena. */
static char *plain_number(lexer *x, size_t from, size_t to)
{
    char *copy = jinja_alloc(x->run, to - from + 1, 1);
    size_t n = 0;
    for (size_t i = from; copy && i < to; i++)
        if (x->text[i] != '_') copy[n++] = x->text[i];
    return copy;
}

/* A float where jinja2's pattern finds one (digits, then a fraction, an exponent or both; not after
 * a dot), else an integer, whose 0 is not followed by other digits. */
static void read_number(lexer *x)
{
    static const char decimal[] = "0123456789";
    const size_t from = x->at;
    size_t end = digits(x, from, decimal), whole = end;
    bool real = false;
    if (!from || x->text[from - 1] != '.') {
        if (end + 1 < x->n && x->text[end] == '.' && isdigit((unsigned char)x->text[end + 1])) {
            end = digits(x, end + 1, decimal);
            real = true;
        }
        if (end < x->n && (x->text[end] == 'e' || x->text[end] == 'E')) {
            size_t power = end + 1;
            if (power < x->n && (x->text[power] == '+' || x->text[power] == '-')) power++;
            if (power < x->n && isdigit((unsigned char)x->text[power])) {
                end = digits(x, power, decimal);
                real = true;
            }
        }
    }
    int base = 10;
    if (!real) {
        end = whole;
        const char mark = from + 1 < x->n ? (char)tolower((unsigned char)x->text[from + 1]) : 0;
        if (x->text[from] == '0') {
            const char *set = mark == 'x'   ? "0123456789abcdefABCDEF"
                              : mark == 'o' ? "01234567"
                              : mark == 'b' ? "01"
                                            : "";
            const size_t more = *set ? digits(x, from + 2, set) : from + 2;
            base = more > from + 2 ? mark == 'x' ? 16 : mark == 'o' ? 8 : 2 : 10;
            end = base == 10 ? digits(x, from, "0") : more;
        }
    }
    char *copy = plain_number(x, from, end);
    jinja_token *t = add_token(x, real ? JINJA_T_FLOAT : JINJA_T_INT, copy, 0);
    if (!copy || !t) return;
    errno = 0;
    if (real)
        t->number = jinja_float(strtod(copy, NULL));
    else
        t->number = jinja_int(strtoll(copy + (base == 10 ? 0 : 2), NULL, base));
    if (!real && errno == ERANGE)
        fail_at(x, DELE_ERR_UNSUPPORTED, "an integer of more than 64 bits is not supported");
    move_to(x, end);
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The escape after a backslash at text[i], whose bytes go to *out; returns the next i, or 0 with
 * the run failed.  A backslash before another character stays, as in Python. */
static size_t unescape(lexer *x, size_t i, size_t end, char **out)
{
    static const char plain[] = "\\'\"abfnrtv", means[] = "\\'\"\a\b\f\n\r\t\v";
    const char c = x->text[i];
    const char *found = c ? strchr(plain, c) : NULL;
    if (found) {
        *(*out)++ = means[found - plain];
        return i + 1;
    }
    if (c == '\n') return i + 1;
    const size_t wide = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t code = 0;
    if (wide) {
        for (size_t k = 1; k <= wide; k++) {
            const int digit = i + k < end ? hex(x->text[i + k]) : -1;
            if (digit < 0) {
                fail_at(x, DELE_ERR_FORMAT, "a truncated escape in a string");
                return 0;
            }
            code = code << 4 | (uint32_t)digit;
        }
        i += wide + 1;
    } else if (c >= '0' && c <= '7') {
        for (size_t k = 0; k < 3 && i < end && x->text[i] >= '0' && x->text[i] <= '7'; k++)
            code = code << 3 | (uint32_t)(x->text[i++] - '0');
    } else if (c == 'N' || (unsigned char)c >= 0x80) {
        fail_at(x, DELE_ERR_UNSUPPORTED, "this escape in a string is not supported");
        return 0;
    } else {
        *(*out)++ = '\\';
        return i;
    }
    if (!code || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
        fail_at(x, DELE_ERR_UNSUPPORTED, "a string with a zero or half a surrogate pair");
        return 0;
    }
    *out += utf8proc_encode_char((utf8proc_int32_t)code, (utf8proc_uint8_t *)*out);
    return i;
}

static void read_string(lexer *x)
{
    const char quote = x->text[x->at];
    size_t end = x->at + 1;
    while (end < x->n && x->text[end] != quote) end += 1 + (x->text[end] == '\\');
    if (end >= x->n) {
        fail_at(x, DELE_ERR_FORMAT, "a string without an end");
        return;
    }
    char *copy = jinja_alloc(x->run, end - x->at, 1), *out = copy; /* no escape grows */
    if (!copy) return;
    for (size_t i = x->at + 1; i < end;) {
        if (x->text[i] != '\\') {
            *out++ = x->text[i++];
            continue;
        }
        i = unescape(x, i + 1, end, &out);
        if (!i) return;
    }
    add_token(x, JINJA_T_STRING, copy, (size_t)(out - copy));
    move_to(x, end + 1);
}

static void read_name(lexer *x)
{
    size_t end = x->at;
    while (end < x->n && is_name(x->text[end])) end++;
    char *copy = jinja_alloc(x->run, end - x->at + 1, 1);
    if (!copy) return;
    memcpy(copy, x->text + x->at, end - x->at);
    add_token(x, JINJA_T_NAME, copy, end - x->at);
    move_to(x, end);
}

/* Brackets must match, and a tag ends outside of them only. */
static void balance(lexer *x, char c)
{
    if (c == '(' || c == '[' || c == '{') {
        if (x->n_closing == sizeof x->closing)
            fail_at(x, DELE_ERR_UNSUPPORTED, "brackets are nested more than 128 deep");
        else
            x->closing[x->n_closing++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    }
    if (c == ')' || c == ']' || c == '}') {
        if (!x->n_closing || x->closing[--x->n_closing] != c)
            fail_at(x, DELE_ERR_FORMAT, "a closing bracket without its opening one");
    }
}

static void read_operator(lexer *x)
{
    static const char *const all[] = {"**", "//", "==", "!=", ">=", "<=", "+", "-", "/",
                                      "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                      ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!starts(x, x->at, all[i])) continue;
        if (!all[i][1]) balance(x, all[i][0]);
        add_token(x, JINJA_T_OPERATOR, all[i], strlen(all[i]));
        move_to(x, x->at + strlen(all[i]));
        return;
    }
    char what[64] = "a character that no template has inside a tag";
    const char c = x->text[x->at];
    if (c > ' ' && c < 0x7f) strcpy(what, "the character . inside a tag"), what[14] = c;
    fail_at(x, DELE_ERR_FORMAT, what);
}

/* The end of a tag at `at`, after the white space that it drops; 0: no end is there. */
static size_t tag_end(const lexer *x, bool prints)
{
    const char *end = prints ? "}}" : "%}";
    const size_t at = x->at;
    if (x->n_closing) return 0;
    if (x->text[at] == '-' && starts(x, at + 1, end)) return skip_space(x, at + 3);
    if (!prints && x->text[at] == '+' && starts(x, at + 1, end)) return at + 3;
    if (!starts(x, at, end)) return 0;
    return !prints && starts(x, at + 2, "\n") ? at + 3 : at + 2;
}

/* The tokens of a tag, up to and with its end. */
static void read_tag(lexer *x, bool prints)
{
    x->n_closing = 0;
    while (!x->run->status) {
        if (x->at >= x->n) {
            fail_at(x, DELE_ERR_FORMAT, prints ? "{{ without its }}" : "{% without its %}");
            return;
        }
        const size_t end = tag_end(x, prints), space = skip_space(x, x->at);
        const char c = x->text[x->at];
        if (end) {
            add_token(x, prints ? JINJA_T_PRINT_END : JINJA_T_BLOCK_END, NULL, 0);
            move_to(x, end);
            return;
        }
        if (space > x->at)
            move_to(x, space);
        else if (isdigit((unsigned char)c))
            read_number(x);
        else if (is_name(c))
            read_name(x);
        else if (c == '\'' || c == '"')
            read_string(x);
        else if ((unsigned char)c >= 0x80)
            fail_at(x, DELE_ERR_UNSUPPORTED, "a name with other letters than a to z");
        else
            read_operator(x);
    }
}

/* ---- outside of tags ------------------------------------------------------------------------- */

/* Up to the end of a comment whose text begins at `from`. */
static void skip_comment(lexer *x, size_t from)
{
    size_t end = from;
    while (end < x->n && !starts(x, end, "#}")) end++;
    if (end >= x->n) {
        fail_at(x, DELE_ERR_FORMAT, "{# without its #}");
        return;
    }
    const char before = end > from ? x->text[end - 1] : 0;
    size_t next = end + 2;
    if (before == '-')
        next = skip_space(x, next);
    else if (before != '+' && starts(x, next, "\n"))
        next++;
    move_to(x, next);
}

/* What stands between raw and endraw. */
static void read_raw(lexer *x)
{
    size_t end = x->at, next = 0;
    while (end < x->n && !(next = raw_tag(x, end, "endraw"))) end++;
    if (!next) {
        fail_at(x, DELE_ERR_FORMAT, "{% raw %} without its {% endraw %}");
        return;
    }
    add_data(x, x->at, end, sign_at(x, end + 2), false);
    move_to(x, next);
}

/* Data up to the next tag, and the tag. */
static void read_part(lexer *x)
{
    size_t tag = x->at;
    while (tag + 1 < x->n && !(x->text[tag] == '{' && strchr("{%#", x->text[tag + 1]))) tag++;
    if (tag + 1 >= x->n) {
        add_token(x, JINJA_T_DATA, x->text + x->at, x->n - x->at);
        move_to(x, x->n);
        return;
    }
    const char kind = x->text[tag + 1], sign = sign_at(x, tag + 2);
    const size_t raw = kind == '%' ? raw_tag(x, tag, "raw") : 0;
    add_data(x, x->at, tag, sign, kind == '{');
    move_to(x, tag);
    if (raw) {
        move_to(x, raw);
        read_raw(x);
    } else if (kind == '#') {
        skip_comment(x, tag + 2 + (sign != 0));
    } else {
        add_token(x, kind == '{' ? JINJA_T_PRINT : JINJA_T_BLOCK, NULL, 0);
        move_to(x, tag + 2 + (sign != 0));
        read_tag(x, kind == '{');
    }
}

const jinja_token *jinja_tokens(jinja_run *r, const char *text, size_t n)
{
    lexer x = {.run = r, .line = 1, .line_starting = true};
    char *copy = jinja_alloc(r, n + 1, 1);
    if (!copy) return NULL;
    for (size_t i = 0; i < n; i++) {
        copy[x.n++] = text[i] == '\r' ? '\n' : text[i];
        if (text[i] == '\r' && i + 1 < n && text[i + 1] == '\n') i++;
    }
    if (x.n && copy[x.n - 1] == '\n') copy[--x.n] = 0;
    x.text = copy;
    while (x.at < x.n && !r->status && jinja_step(r, 1)) read_part(&x);
    x.line -= x.n && copy[x.n - 1] == '\n';
    add_token(&x, JINJA_T_END, NULL, 0);
    return r->status ? NULL : x.token;
}
