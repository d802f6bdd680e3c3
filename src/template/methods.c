#include "template/methods.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

#include "template/access.h"
#include "template/case.h"
#include "template/pytext.h"

static size_t width_at(jinja_value x, size_t i)
{
    size_t k = 1;
    while (i + k < x.s.n && ((unsigned char)x.s.text[i + k] & 0xc0) == 0x80) k++;
    return k;
}

static jinja_value part_of(jinja_value x, size_t from, size_t to)
{
    return jinja_string(x.s.text + from, to - from);
}

static bool need_string(jinja_run *r, jinja_value x, const char *what)
{
    if (!jinja_defined(r, x)) return false;
    if (x.kind == JINJA_STRING) return true;
    jinja_fail(r, DELE_ERR_DATA, "%s is a %s, not a text", what, jinja_type(x));
    return false;
}

/* The place of `part` at or after `from`; x.s.n + 1: there is none. */
static size_t place_in(jinja_run *r, jinja_value x, jinja_value part, size_t from)
{
    if (!jinja_step(r, 1) || from > x.s.n) return x.s.n + 1;
    if (!part.s.n) return from;
    const char *found =
        x.s.n > from ? memmem(x.s.text + from, x.s.n - from, part.s.text, part.s.n) : NULL;
    if (!found) jinja_step(r, x.s.n - from);
    return found ? (size_t)(found - x.s.text) : x.s.n + 1;
}

/* ---- what filters share ---------------------------------------------------------------------- */

/* Without the characters of `chars` at the ends (none: white space). */
jinja_value jinja_strip(jinja_run *r, jinja_value x, jinja_value chars, bool left, bool right)
{
    size_t from = 0, to = x.s.n;
    if (!jinja_step(r, x.s.n)) return x;
    if (chars.kind == JINJA_NONE || chars.kind == JINJA_ABSENT) {
        if (left) from = dele_lstrip(x.s.text, to);
        if (right) to = from + dele_rstrip(x.s.text + from, to - from);
        return part_of(x, from, to);
    }
    if (!need_string(r, chars, "what is stripped")) return x;
    const jinja_value set = chars;
    while (left && from < to && set.s.n) {
        const size_t k = width_at(x, from);
        if (!memmem(set.s.text, set.s.n, x.s.text + from, k)) break;
        from += k;
    }
    while (right && to > from && set.s.n) {
        size_t start = to - 1;
        while (start > from && ((unsigned char)x.s.text[start] & 0xc0) == 0x80) start--;
        if (!memmem(set.s.text, set.s.n, x.s.text + start, to - start)) break;
        to = start;
    }
    return part_of(x, from, to);
}

/* An empty `from` is found before each character and at the end. */
jinja_value jinja_replace(jinja_run *r, jinja_value x, jinja_value from, jinja_value to,
                          int64_t count)
{
    jinja_text t = {0};
    size_t at = 0;
    while (!r->status && count != 0) {
        const size_t found = place_in(r, x, from, at);
        if (found > x.s.n) break;
        jinja_add(r, &t, x.s.text + at, found - at);
        jinja_add(r, &t, to.s.text, to.s.n);
        at = found + from.s.n;
        if (count > 0) count--;
        if (from.s.n) continue;
        if (at == x.s.n) return jinja_text_value(&t);
        const size_t k = width_at(x, at);
        jinja_add(r, &t, x.s.text + at, k);
        at += k;
    }
    jinja_add(r, &t, x.s.text + at, x.s.n - at);
    return jinja_text_value(&t);
}

/* any: each item as str() gives it; else an item that is no text is an error. */
jinja_value jinja_join(jinja_run *r, jinja_value separator, const jinja_list *items, bool any)
{
    jinja_text t = {0};
    for (size_t i = 0; items && i < items->n && !r->status; i++) {
        if (!any && !need_string(r, items->item[i], "an item that is joined")) break;
        if (i) jinja_add(r, &t, separator.s.text, separator.s.n);
        jinja_add_str(r, &t, items->item[i]);
    }
    return jinja_text_value(&t);
}

/* The bytes of the line end at x[i], or 0. */
static size_t line_end(jinja_value x, size_t i)
{
    const unsigned char *s = (const unsigned char *)x.s.text + i;
    const size_t n = x.s.n - i;
    if (s[0] == '\r') return n > 1 && s[1] == '\n' ? 2 : 1;
    if ((s[0] >= '\n' && s[0] <= '\f') || (s[0] >= 0x1c && s[0] <= 0x1e)) return 1;
    if (n > 1 && s[0] == 0xc2 && s[1] == 0x85) return 2;
    return n > 2 && s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9) ? 3 : 0;
}

jinja_value jinja_split_lines(jinja_run *r, jinja_value x, bool keep_ends)
{
    jinja_value out = jinja_sequence(r, JINJA_LIST);
    size_t from = 0;
    for (size_t i = 0, k; i < x.s.n && jinja_step(r, 1); i += k ? k : 1) {
        k = line_end(x, i);
        if (!k) continue;
        jinja_append(r, out.list, part_of(x, from, keep_ends ? i + k : i));
        from = i + k;
    }
    if (from < x.s.n && !r->status) jinja_append(r, out.list, part_of(x, from, x.s.n));
    return out;
}

/* One conversion of a printf-style format: %s, %r, %d, %i, and %f with its number of decimals. */
static void put_percent(jinja_run *r, jinja_text *t, char conversion, int decimals, jinja_value x)
{
    char out[400];
    int64_t i = 0;
    if (conversion == 's' || conversion == 'r') {
        if (conversion == 's')
            jinja_add_str(r, t, x);
        else
            jinja_add_repr(r, t, x, 0);
        return;
    }
    if (!jinja_defined(r, x)) return;
    if (!jinja_is_number(x)) {
        jinja_fail(r, DELE_ERR_DATA, "a %s is formatted as a number", jinja_type(x));
        return;
    }
    if (conversion == 'f')
        snprintf(out, sizeof out, "%.*f", decimals < 0 ? 6 : decimals, jinja_as_double(x));
    else if (jinja_as_int(x, &i))
        snprintf(out, sizeof out, "%lld", (long long)i);
    else
        snprintf(out, sizeof out, "%.0f", __builtin_trunc(x.number));
    jinja_add_c(r, t, out);
}

/* A format beyond those conversions is refused: Python's flags and widths. */
jinja_value jinja_percent(jinja_run *r, jinja_value format, const jinja_list *values)
{
    jinja_text t = {0};
    const char *s = format.s.text, *end = s + format.s.n;
    size_t used = 0;
    while (s < end && !r->status) {
        const char *mark = memchr(s, '%', (size_t)(end - s));
        jinja_add(r, &t, s, (size_t)((mark ? mark : end) - s));
        if (!mark) break;
        int decimals = -1;
        s = mark + 1;
        if (s + 1 < end && s[0] == '.' && s[1] >= '0' && s[1] <= '9') {
            decimals = s[1] - '0';
            s += 2;
        }
        const char c = s < end ? *s++ : 0;
        if (c == '%' && decimals < 0)
            jinja_add_c(r, &t, "%");
        else if (!c || !strchr("srdif", c) || (decimals >= 0 && c != 'f'))
            jinja_fail(r, DELE_ERR_UNSUPPORTED,
                       "a format other than %%s %%r %%d %%f is not supported");
        else if (used == values->n)
            jinja_fail(r, DELE_ERR_DATA, "a format has more places than values");
        else
            put_percent(r, &t, c, decimals, values->item[used++]);
    }
    if (used < values->n) jinja_fail(r, DELE_ERR_DATA, "a format has fewer places than values");
    return jinja_text_value(&t);
}

/* ---- strings --------------------------------------------------------------------------------- */

enum { MOST_ARGUMENTS = 4 };

/* Runs of what is no white space; after `most` divisions (< 0: no limit) the rest is one piece. */
static jinja_value split_blank(jinja_run *r, jinja_value x, int64_t most)
{
    jinja_value out = jinja_sequence(r, JINJA_LIST);
    const jinja_value none = jinja_none();
    x = jinja_strip(r, x, none, true, false);
    while (x.s.n && !r->status) {
        size_t end = 0;
        if (most == 0) {
            jinja_append(r, out.list, x);
            break;
        }
        while (end < x.s.n && !dele_lstrip(x.s.text + end, x.s.n - end)) end += width_at(x, end);
        jinja_append(r, out.list, part_of(x, 0, end));
        x = jinja_strip(r, part_of(x, end, x.s.n), none, true, false);
        if (most > 0) most--;
    }
    return out;
}

static jinja_value split_at(jinja_run *r, jinja_value x, jinja_value by, int64_t most)
{
    jinja_value out = jinja_sequence(r, JINJA_LIST);
    size_t at = 0;
    while (!r->status) {
        const size_t found = most == 0 ? x.s.n + 1 : place_in(r, x, by, at);
        jinja_append(r, out.list, part_of(x, at, found > x.s.n ? x.s.n : found));
        if (found > x.s.n) break;
        at = found + by.s.n;
        if (most > 0) most--;
    }
    return out;
}

/* The last place of `part` before `to`; x.s.n + 1: there is none. */
static size_t last_place_in(jinja_run *r, jinja_value x, jinja_value part, size_t to)
{
    for (size_t at = to + 1; jinja_step(r, 1) && at-- > 0;)
        if (at + part.s.n <= to && (!part.s.n || !memcmp(x.s.text + at, part.s.text, part.s.n)))
            return at;
    return x.s.n + 1;
}

/* From the right: the pieces are found last to first. */
static jinja_value split_right(jinja_run *r, jinja_value x, jinja_value by, int64_t most)
{
    jinja_value found = jinja_sequence(r, JINJA_LIST), out = jinja_sequence(r, JINJA_LIST);
    size_t to = x.s.n;
    while (!r->status) {
        const size_t at = most == 0 ? x.s.n + 1 : last_place_in(r, x, by, to);
        const bool last = at > x.s.n;
        jinja_append(r, found.list, part_of(x, last ? 0 : at + by.s.n, to));
        if (last) break;
        to = at;
        if (most > 0) most--;
    }
    for (size_t i = r->status ? 0 : found.list->n; i > 0; i--)
        jinja_append(r, out.list, found.list->item[i - 1]);
    return out;
}

static jinja_value split(jinja_run *r, jinja_value x, const jinja_value *arg, bool right)
{
    int64_t most = -1;
    if (arg[1].kind != JINJA_ABSENT && !jinja_as_int(arg[1], &most))
        jinja_fail(r, DELE_ERR_DATA, "maxsplit is a %s", jinja_type(arg[1]));
    if (arg[0].kind == JINJA_ABSENT || arg[0].kind == JINJA_NONE) {
        if (right && most >= 0)
            jinja_fail(r, DELE_ERR_UNSUPPORTED, "rsplit at white space with a limit");
        return split_blank(r, x, most);
    }
    if (!need_string(r, arg[0], "the separator")) return x;
    if (!arg[0].s.n) jinja_fail(r, DELE_ERR_DATA, "the separator is empty");
    if (r->status) return x;
    return right ? split_right(r, x, arg[0], most) : split_at(r, x, arg[0], most);
}

/* Whether x begins or ends with the text, or with one of a tuple of texts. */
static bool begins_or_ends(jinja_run *r, jinja_value x, jinja_value with, bool ends)
{
    if (with.kind == JINJA_TUPLE) {
        for (size_t i = 0; i < with.list->n && !r->status; i++)
            if (with.list->item[i].kind != JINJA_TUPLE &&
                begins_or_ends(r, x, with.list->item[i], ends))
                return true;
        return false;
    }
    if (!need_string(r, with, "what a text may begin or end with")) return false;
    if (with.s.n > x.s.n) return false;
    return !with.s.n || !memcmp(x.s.text + (ends ? x.s.n - with.s.n : 0), with.s.text, with.s.n);
}

static int64_t characters_before(jinja_value x, size_t at)
{
    return (int64_t)part_of(x, 0, at).s.chars;
}

static int64_t count_in(jinja_run *r, jinja_value x, jinja_value part)
{
    int64_t n = 0;
    if (!part.s.n) return (int64_t)x.s.chars + 1;
    for (size_t at = 0; (at = place_in(r, x, part, at)) <= x.s.n; at += part.s.n) n++;
    return n;
}

/* (before, separator, after), of the first or the last separator. */
static jinja_value partition(jinja_run *r, jinja_value x, jinja_value by, bool last)
{
    jinja_value out = jinja_sequence(r, JINJA_TUPLE);
    if (!by.s.n) jinja_fail(r, DELE_ERR_DATA, "the separator is empty");
    const size_t at = last ? last_place_in(r, x, by, x.s.n) : place_in(r, x, by, 0);
    const bool found = at <= x.s.n;
    const jinja_value empty = jinja_string("", 0);
    if (r->status) return out;
    jinja_append(r, out.list, found ? part_of(x, 0, at) : last ? empty : x);
    jinja_append(r, out.list, found ? by : empty);
    jinja_append(r, out.list, found ? part_of(x, at + by.s.n, x.s.n) : last ? x : empty);
    return out;
}

/* str.isalpha() and its like: all characters, and at least one. */
static bool all_are(jinja_run *r, jinja_value x, const char *name)
{
    bool cased = false;
    for (size_t i = 0; i < x.s.n && jinja_step(r, 1);) {
        int32_t c;
        const utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)x.s.text + i,
                                                       (utf8proc_ssize_t)(x.s.n - i), &c);
        const utf8proc_category_t k = utf8proc_category(c);
        const bool alpha = k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
        const bool upper = k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LT;
        const bool lower = k == UTF8PROC_CATEGORY_LL;
        if (!strcmp(name, "isspace") && !dele_lstrip(x.s.text + i, (size_t)used)) return false;
        if (!strcmp(name, "isalpha") && !alpha) return false;
        if (strstr(" isdigit isdecimal isnumeric isalnum ", name) && c >= 0x80 && !alpha &&
            k != UTF8PROC_CATEGORY_ND && strcmp(name, "isdecimal") &&
            (k == UTF8PROC_CATEGORY_NO || k == UTF8PROC_CATEGORY_NL)) {
            jinja_fail(r, DELE_ERR_UNSUPPORTED, "%s of this character is not supported", name);
            return false;
        }
        if (strstr(" isdigit isdecimal isnumeric ", name) && k != UTF8PROC_CATEGORY_ND)
            return false;
        if (!strcmp(name, "isalnum") && !alpha && k != UTF8PROC_CATEGORY_ND) return false;
        if ((!strcmp(name, "isupper") && lower) || (!strcmp(name, "islower") && upper))
            return false;
        cased |= upper || lower;
        i += (size_t)used;
    }
    return x.s.n && (cased || (strcmp(name, "isupper") && strcmp(name, "islower")));
}

/* One {field} of str.format: empty, a number or a name; anything else is refused. */
static jinja_value format_field(jinja_run *r, const char *field, size_t n, size_t *automatic,
                                const jinja_args *args)
{
    size_t place = 0;
    bool number = n > 0 && n < 4;
    for (size_t i = 0; i < n; i++) {
        number = number && field[i] >= '0' && field[i] <= '9';
        place = 10 * place + (size_t)(field[i] - '0');
        if (strchr(".[!:{", field[i])) {
            jinja_fail(r, DELE_ERR_UNSUPPORTED, "str.format with more than a name in { }");
            return jinja_none();
        }
    }
    if (!n) place = (*automatic)++;
    if (!n || number) {
        if (place < args->n) return args->value[place];
    } else {
        for (size_t i = 0; i < args->n_named; i++)
            if (strlen(args->name[i]) == n && !memcmp(args->name[i], field, n))
                return args->named[i];
    }
    jinja_fail(r, DELE_ERR_DATA, "str.format has no value for a place");
    return jinja_none();
}

/* str.format with {}, {0} and {name}; {{ and }} are braces. */
static jinja_value format(jinja_run *r, jinja_value x, const jinja_args *args)
{
    jinja_text t = {0};
    size_t automatic = 0;
    for (size_t i = 0; i < x.s.n && !r->status;) {
        const char c = x.s.text[i];
        const bool twice = i + 1 < x.s.n && x.s.text[i + 1] == c;
        if ((c != '{' && c != '}') || twice) {
            jinja_add(r, &t, &x.s.text[i], 1);
            i += 1 + (twice && (c == '{' || c == '}'));
            continue;
        }
        const char *end = c == '{' ? memchr(x.s.text + i, '}', x.s.n - i) : NULL;
        if (!end) {
            jinja_fail(r, DELE_ERR_DATA, "str.format with a single brace");
            break;
        }
        const size_t n = (size_t)(end - x.s.text) - i - 1;
        jinja_add_str(r, &t, format_field(r, x.s.text + i + 1, n, &automatic, args));
        i += n + 2;
    }
    return jinja_text_value(&t);
}

/* Which method, its parameters (as jinja_bind), and how many of them are required. */
static const struct {
    const char *name, *parameters;
    size_t required;
} of_strings[] = {{"strip", "-", 0},
                  {"lstrip", "-", 0},
                  {"rstrip", "-", 0},
                  {"split", "sep maxsplit", 0},
                  {"rsplit", "sep maxsplit", 0},
                  {"splitlines", "keepends", 0},
                  {"startswith", "-", 1},
                  {"endswith", "-", 1},
                  {"replace", "- - -", 2},
                  {"upper", "", 0},
                  {"lower", "", 0},
                  {"title", "", 0},
                  {"capitalize", "", 0},
                  {"join", "-", 1},
                  {"find", "-", 1},
                  {"rfind", "-", 1},
                  {"index", "-", 1},
                  {"rindex", "-", 1},
                  {"count", "-", 1},
                  {"removeprefix", "-", 1},
                  {"removesuffix", "-", 1},
                  {"partition", "-", 1},
                  {"rpartition", "-", 1},
                  {"isspace", "", 0},
                  {"isalpha", "", 0},
                  {"isdigit", "", 0},
                  {"isdecimal", "", 0},
                  {"isnumeric", "", 0},
                  {"isalnum", "", 0},
                  {"isupper", "", 0},
                  {"islower", "", 0}};

static jinja_value find(jinja_run *r, const char *name, jinja_value x, jinja_value part)
{
    const size_t at = *name == 'r' ? last_place_in(r, x, part, x.s.n) : place_in(r, x, part, 0);
    if (at <= x.s.n) return jinja_int(characters_before(x, at));
    if (strstr(name, "index")) jinja_fail(r, DELE_ERR_DATA, "str.%s finds nothing", name);
    return jinja_int(-1);
}

/* The methods whose arguments may be other things than one text. */
static jinja_value any_method(jinja_run *r, const char *name, jinja_value x, const jinja_value *arg)
{
    int64_t count = -1;
    if (!strcmp(name, "split") || !strcmp(name, "rsplit")) return split(r, x, arg, *name == 'r');
    if (!strcmp(name, "splitlines")) return jinja_split_lines(r, x, jinja_truth(arg[0]));
    if (!strcmp(name, "startswith") || !strcmp(name, "endswith"))
        return jinja_bool(begins_or_ends(r, x, arg[0], *name == 'e'));
    if (!strcmp(name, "upper")) return jinja_upper(r, x);
    if (!strcmp(name, "lower")) return jinja_lower(r, x);
    if (!strcmp(name, "title")) return jinja_title(r, x);
    if (!strcmp(name, "capitalize")) return jinja_capitalize(r, x);
    if (!strcmp(name, "join")) return jinja_join(r, x, jinja_items(r, arg[0]), false);
    if (!strncmp(name, "is", 2)) return jinja_bool(all_are(r, x, name));
    if (!strcmp(name, "replace")) {
        if (arg[2].kind != JINJA_ABSENT && !jinja_as_int(arg[2], &count))
            jinja_fail(r, DELE_ERR_DATA, "the count of replacements is a %s", jinja_type(arg[2]));
        if (need_string(r, arg[0], "what is replaced") && need_string(r, arg[1], "the replacement"))
            return jinja_replace(r, x, arg[0], arg[1], count);
        return x;
    }
    return jinja_strip(r, x, arg[0], *name != 'r', *name != 'l');
}

/* Binds the arguments by the table.  Methods of a text marked as safe are refused, since
 * markupsafe's own would escape their arguments. */
static jinja_value string_method(jinja_run *r, const char *name, jinja_value x,
                                 const jinja_args *args)
{
    jinja_value arg[MOST_ARGUMENTS] = {{JINJA_ABSENT}};
    size_t i = 0;
    const size_t n = sizeof of_strings / sizeof *of_strings;
    if (!strcmp(name, "format") && !x.markup) return format(r, x, args);
    while (i < n && strcmp(of_strings[i].name, name)) i++;
    if (i == n || x.markup) {
        jinja_fail(r, DELE_ERR_UNSUPPORTED, "the method %s of a %stext is not supported", name,
                   x.markup ? "safe " : "");
        return x;
    }
    if (!jinja_bind(r, arg, args, name, of_strings[i].parameters, of_strings[i].required)) return x;
    const bool texts = strstr(" find rfind index rindex count removeprefix removesuffix partition "
                              "rpartition ",
                              name) != NULL;
    if (!texts) return any_method(r, name, x, arg);
    if (!need_string(r, arg[0], "the argument")) return x;
    if (!strcmp(name, "count")) return jinja_int(count_in(r, x, arg[0]));
    if (strstr(name, "partition")) return partition(r, x, arg[0], *name == 'r');
    if (!strcmp(name, "removeprefix"))
        return begins_or_ends(r, x, arg[0], false) ? part_of(x, arg[0].s.n, x.s.n) : x;
    if (!strcmp(name, "removesuffix"))
        return begins_or_ends(r, x, arg[0], true) ? part_of(x, 0, x.s.n - arg[0].s.n) : x;
    return find(r, name, x, arg[0]);
}

/* ---- the others ------------------------------------------------------------------------------ */

static jinja_value view_of(jinja_run *r, const char *name, const jinja_dict *dict)
{
    jinja_value out = jinja_sequence(r, JINJA_VIEW);
    if (r->status) return out;
    out.list->name = *name == 'k' ? "dict_keys" : *name == 'v' ? "dict_values" : "dict_items";
    for (size_t i = 0; i < dict->n && !r->status; i++)
        jinja_append(r, out.list,
                     *name == 'k'   ? dict->key[i]
                     : *name == 'v' ? dict->value[i]
                                    : jinja_pair(r, dict->key[i], dict->value[i]));
    return out;
}

static jinja_value dict_method(jinja_run *r, const char *name, jinja_value x,
                               const jinja_args *args)
{
    jinja_value arg[2] = {{JINJA_ABSENT}, jinja_none()};
    if (!strcmp(name, "get")) {
        if (!jinja_bind(r, arg, args, "get", "- -", 1)) return x;
        if (arg[0].kind == JINJA_LIST || arg[0].kind == JINJA_DICT)
            jinja_fail(r, DELE_ERR_DATA, "a %s cannot be a key", jinja_type(arg[0]));
        const jinja_value *found = r->status ? NULL : jinja_find(r, x.dict, arg[0]);
        return found ? *found : arg[1];
    }
    if (!jinja_bind(r, arg, args, name, "", 0)) return x;
    if (!strcmp(name, "copy")) return x; /* neither can change */
    if (!strcmp(name, "items") || !strcmp(name, "keys") || !strcmp(name, "values"))
        return view_of(r, name, x.dict);
    jinja_fail(r, DELE_ERR_UNSUPPORTED, "the method %s of a dict is not supported", name);
    return x;
}

static jinja_value list_method(jinja_run *r, const char *name, jinja_value x,
                               const jinja_args *args)
{
    jinja_value arg[1] = {{JINJA_ABSENT}};
    int64_t n = 0;
    if (!strcmp(name, "copy") && x.kind == JINJA_LIST)
        return jinja_bind(r, arg, args, name, "", 0) ? x : jinja_none();
    if (strcmp(name, "index") && strcmp(name, "count")) {
        jinja_fail(r, DELE_ERR_UNSUPPORTED, "the method %s of a %s is not supported", name,
                   jinja_type(x));
        return x;
    }
    if (!jinja_bind(r, arg, args, name, "-", 1)) return x;
    for (size_t i = 0; i < x.list->n && !r->status; i++) {
        const bool same = jinja_equal(r, x.list->item[i], arg[0]);
        if (same && *name == 'i') return jinja_int((int64_t)i);
        n += same;
    }
    if (*name == 'i') jinja_fail(r, DELE_ERR_DATA, "%s.index finds nothing", jinja_type(x));
    return jinja_int(n);
}

/* loop.cycle(a, b, ...) and loop.changed(x, ...). */
static jinja_value loop_method(jinja_run *r, const char *name, jinja_value x,
                               const jinja_args *args)
{
    jinja_loop *loop = x.object;
    if (args->n_named) {
        jinja_fail(r, DELE_ERR_DATA, "loop.%s takes no named arguments", name);
        return x;
    }
    if (!strcmp(name, "cycle")) {
        if (args->n) return args->value[loop->index % args->n];
        jinja_fail(r, DELE_ERR_DATA, "loop.cycle without arguments");
        return x;
    }
    jinja_value now = jinja_sequence(r, JINJA_TUPLE);
    for (size_t i = 0; i < args->n && !r->status; i++) jinja_append(r, now.list, args->value[i]);
    bool changed = !loop->changed || loop->changed->n != args->n;
    for (size_t i = 0; !changed && i < args->n && !r->status; i++)
        changed = !jinja_equal(r, loop->changed->item[i], args->value[i]);
    if (!r->status) loop->changed = now.list;
    return jinja_bool(changed);
}

jinja_value jinja_call_method(jinja_run *r, const char *name, jinja_value self,
                              const jinja_args *args)
{
    if (!jinja_step(r, self.kind == JINJA_STRING ? self.s.n : 1)) return self;
    switch (self.kind) {
    case JINJA_STRING:
        return string_method(r, name, self, args);
    case JINJA_DICT:
        return dict_method(r, name, self, args);
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_RANGE:
        return list_method(r, name, self, args);
    case JINJA_LOOP:
        return loop_method(r, name, self, args);
    default:
        jinja_fail(r, DELE_ERR_UNSUPPORTED, "the method %s of a %s is not supported", name,
                   jinja_type(self));
        return self;
    }
}
