#include "template/filters.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "template/access.h"
#include "template/case.h"
#include "template/json_text.h"
#include "template/methods.h"
#include "template/tests.h"

enum { MOST_PARAMETERS = 4 };

/* ---- texts ----------------------------------------------------------------------------------- */

/* The result of a filter that keeps the mark of `safe`. */
static jinja_value marked_as(jinja_value x, jinja_value of)
{
    x.markup = of.kind == JINJA_STRING && of.markup;
    return x;
}

static jinja_value filter_trim(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    return marked_as(jinja_strip(r, jinja_str(r, x), arg[0], true, true), x);
}

static jinja_value filter_upper(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    (void)arg;
    return marked_as(jinja_upper(r, jinja_str(r, x)), x);
}

static jinja_value filter_lower(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    (void)arg;
    return marked_as(jinja_lower(r, jinja_str(r, x)), x);
}

static jinja_value filter_capitalize(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    (void)arg;
    return marked_as(jinja_capitalize(r, jinja_str(r, x)), x);
}

/* Words begin after white space, - ( { [ and <; unlike str.title(), not after an apostrophe. */
static jinja_value filter_title(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    jinja_text t = {0};
    const jinja_value text = jinja_str(r, x);
    const jinja_list *c = jinja_items(r, text);
    (void)arg;
    for (size_t i = 0; c && i < c->n && !r->status;) {
        size_t end = i;
        jinja_text word = {0};
        for (; end < c->n; end++) {
            const jinja_value one = c->item[end];
            const bool blank = !jinja_strip(r, one, jinja_none(), true, true).s.n;
            if (blank || (one.s.n == 1 && strchr("-({[<", *one.s.text))) break;
            if (end > i) jinja_add(r, &word, one.s.text, one.s.n);
        }
        if (end == i) { /* a separator, which has no case */
            jinja_add(r, &t, c->item[i].s.text, c->item[i].s.n);
            i++;
            continue;
        }
        const jinja_value first = jinja_upper(r, c->item[i]), rest = jinja_text_value(&word);
        jinja_add(r, &t, first.s.text, first.s.n);
        const jinja_value lower = jinja_lower(r, rest);
        jinja_add(r, &t, lower.s.text, lower.s.n);
        i = end;
    }
    return jinja_text_value(&t);
}

static jinja_value filter_string(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    (void)arg;
    return jinja_str(r, x);
}

static jinja_value filter_safe(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    (void)arg;
    jinja_value text = jinja_str(r, x);
    text.markup = true;
    return text;
}

static jinja_value filter_escape(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    static const char from[] = "&<>'\"";
    static const char *const to[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    jinja_text t = {0};
    const jinja_value text = jinja_str(r, x);
    (void)arg;
    if (text.markup) return text;
    for (size_t i = 0; i < text.s.n && !r->status; i++) {
        const char *found = text.s.text[i] ? strchr(from, text.s.text[i]) : NULL;
        if (found)
            jinja_add_c(r, &t, to[found - from]);
        else
            jinja_add(r, &t, &text.s.text[i], 1);
    }
    jinja_value out = jinja_text_value(&t);
    out.markup = true;
    return out;
}

static jinja_value filter_replace(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    int64_t count = -1;
    if (arg[2].kind != JINJA_ABSENT && arg[2].kind != JINJA_NONE && !jinja_as_int(arg[2], &count))
        jinja_fail(r, DELE_ERR_DATA, "replace: a count that is a %s", jinja_type(arg[2]));
    return jinja_replace(r, jinja_str(r, x), jinja_str(r, arg[0]), jinja_str(r, arg[1]), count);
}

/* Each line but the first, and empty lines only with `blank`; jinja2's quirk that a line feed at
 * the end vanishes follows from the line feed that it adds first. */
static jinja_value filter_indent(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    jinja_text indent = {0}, t = {0};
    int64_t width = 4;
    const bool first = jinja_truth(arg[1]), blank = jinja_truth(arg[2]);
    if (x.kind != JINJA_STRING || x.markup)
        jinja_fail(r, DELE_ERR_DATA, "indent of a %s", jinja_type(x));
    if (arg[0].kind == JINJA_STRING)
        jinja_add(r, &indent, arg[0].s.text, arg[0].s.n);
    else if ((arg[0].kind != JINJA_ABSENT && !jinja_as_int(arg[0], &width)) || width > 1000)
        jinja_fail(r, DELE_ERR_DATA, "indent: a width that is no text and no small number");
    for (int64_t i = 0; arg[0].kind != JINJA_STRING && i < width && !r->status; i++)
        jinja_add_c(r, &indent, " ");
    if (r->status) return x;
    jinja_add(r, &t, x.s.text, x.s.n);
    jinja_add_c(r, &t, "\n");
    const jinja_list *lines = jinja_split_lines(r, jinja_text_value(&t), false).list;
    t = (jinja_text){0};
    if (first) jinja_add(r, &t, indent.text, indent.n);
    for (size_t i = 0; lines && i < lines->n && !r->status; i++) {
        const jinja_value line = lines->item[i];
        if (i) jinja_add_c(r, &t, "\n");
        if (i && (blank || line.s.n)) jinja_add(r, &t, indent.text, indent.n);
        jinja_add(r, &t, line.s.text, line.s.n);
    }
    return jinja_text_value(&t);
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* The text without white space around it and without underscores between digits, terminated; NULL:
 * it is no number of Python's (or too long for one that fits). */
static const char *number_text(jinja_run *r, jinja_value x, bool real, char out[128])
{
    size_t n = 0;
    const jinja_value s = jinja_strip(r, x, jinja_none(), true, true);
    if (!s.s.n || s.s.n > 100) return NULL;
    for (size_t i = 0; i < s.s.n; i++) {
        const unsigned char c = (unsigned char)s.s.text[i];
        if (c == '_') {
            if (!i || i + 1 == s.s.n || !isdigit((unsigned char)s.s.text[i - 1]) ||
                !isdigit((unsigned char)s.s.text[i + 1]))
                return NULL;
            continue;
        }
        if (c >= 0x80) {
            jinja_fail(r, DELE_ERR_UNSUPPORTED, "a number with other digits than 0 to 9");
            return NULL;
        }
        if (c == 'x' || c == 'X' || c == '(' || isspace(c)) return NULL;
        out[n++] = (char)c;
    }
    out[n] = 0;
    char *end;
    if (real)
        strtod(out, &end);
    else
        strtoll(out, &end, 10);
    return *end || end == out ? NULL : out;
}

/* False: Python's float() does not take it. */
static bool to_float(jinja_run *r, jinja_value x, double *out)
{
    char text[128];
    if (!jinja_defined(r, x)) return true;
    if (jinja_is_number(x)) {
        *out = jinja_as_double(x);
        return true;
    }
    const char *number = x.kind == JINJA_STRING ? number_text(r, x, true, text) : NULL;
    if (number) *out = strtod(number, NULL);
    return number != NULL;
}

static jinja_value filter_float(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    double out = 0;
    if (to_float(r, x, &out)) return jinja_float(out);
    return arg[0].kind == JINJA_ABSENT ? jinja_float(0) : arg[0];
}

static jinja_value filter_int(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    char text[128];
    int64_t i;
    double real = 0;
    const jinja_value otherwise = arg[0].kind == JINJA_ABSENT ? jinja_int(0) : arg[0];
    if (arg[1].kind != JINJA_ABSENT && !(jinja_as_int(arg[1], &i) && i == 10))
        jinja_fail(r, DELE_ERR_UNSUPPORTED, "int with another base than 10 is not supported");
    if (!jinja_defined(r, x)) return x;
    if (jinja_as_int(x, &i)) return jinja_int(i);
    const char *number = x.kind == JINJA_STRING ? number_text(r, x, false, text) : NULL;
    if (number && strlen(number) < 19) return jinja_int(strtoll(number, NULL, 10));
    if (number) jinja_fail(r, DELE_ERR_UNSUPPORTED, "an integer of more than 64 bits");
    if (!to_float(r, x, &real) || !isfinite(real)) return otherwise;
    if (fabs(real) >= 9e18) jinja_fail(r, DELE_ERR_UNSUPPORTED, "an integer of more than 64 bits");
    return r->status ? otherwise : jinja_int((int64_t)real);
}

static jinja_value filter_abs(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    int64_t i;
    (void)arg;
    if (jinja_as_int(x, &i) && i != INT64_MIN) return jinja_int(i < 0 ? -i : i);
    if (x.kind == JINJA_FLOAT) return jinja_float(fabs(x.number));
    if (jinja_defined(r, x)) jinja_fail(r, DELE_ERR_DATA, "abs of a %s", jinja_type(x));
    return x;
}

/* Halves go to the even digit, as the decimal that is written out in full is nearest. */
static jinja_value filter_round(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    char out[400];
    int64_t digits = 0, i;
    const bool common = arg[1].kind == JINJA_ABSENT || jinja_is_string(arg[1], "common");
    const bool up = jinja_is_string(arg[1], "ceil"), down = jinja_is_string(arg[1], "floor");
    if (!jinja_defined(r, x)) return x;
    if ((arg[0].kind != JINJA_ABSENT && !jinja_as_int(arg[0], &digits)) || digits < 0 ||
        digits > 20 || !jinja_is_number(x) || !(common || up || down)) {
        jinja_fail(r, DELE_ERR_UNSUPPORTED, "round of these arguments is not supported");
        return x;
    }
    if (common && jinja_as_int(x, &i)) return jinja_int(i);
    const double value = jinja_as_double(x), power = pow(10, (double)digits);
    if (!common) {
        const double whole = up ? ceil(value * power) : floor(value * power);
        return jinja_float(whole / power);
    }
    if (!isfinite(value)) return x;
    snprintf(out, sizeof out, "%.*f", (int)digits, value);
    return jinja_float(strtod(out, NULL));
}

/* ---- collections ----------------------------------------------------------------------------- */

static jinja_value filter_length(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    size_t n;
    (void)arg;
    if (!jinja_length(x, &n)) jinja_fail(r, DELE_ERR_DATA, "a %s has no length", jinja_type(x));
    return jinja_int((int64_t)n);
}

static jinja_value filter_first(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    (void)arg;
    if (x.kind == JINJA_ITERATOR)
        return x.list->at < x.list->n ? x.list->item[x.list->at++]
                                      : jinja_undefined("the first item of nothing");
    const jinja_list *items = jinja_items(r, x);
    return items && items->n ? items->item[0] : jinja_undefined("the first item of nothing");
}

static jinja_value filter_last(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    (void)arg;
    if (x.kind == JINJA_ITERATOR)
        jinja_fail(r, DELE_ERR_DATA, "last of an iterator; list comes before it");
    const jinja_list *items = jinja_items(r, x);
    return items && items->n ? items->item[items->n - 1]
                             : jinja_undefined("the last item of nothing");
}

static jinja_value filter_list(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    (void)arg;
    const jinja_list *items = jinja_items(r, x);
    jinja_value out = jinja_sequence(r, JINJA_LIST);
    for (size_t i = 0; items && i < items->n && !r->status; i++)
        jinja_append(r, out.list, items->item[i]);
    return out;
}

static jinja_value filter_reverse(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    (void)arg;
    const jinja_list *items = jinja_items(r, x);
    jinja_value out = jinja_sequence(r, JINJA_ITERATOR);
    for (size_t i = items && !r->status ? items->n : 0; i > 0 && !r->status; i--)
        jinja_append(r, out.list, items->item[i - 1]);
    if (x.kind == JINJA_ITERATOR && !r->status) out.kind = JINJA_LIST; /* as jinja2 gives it */
    return x.kind == JINJA_STRING && !r->status
               ? marked_as(jinja_join(r, jinja_string("", 0), out.list, true), x)
               : out;
}

static jinja_value filter_join(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    const jinja_list *items = jinja_items(r, x);
    jinja_value list = jinja_sequence(r, JINJA_LIST);
    for (size_t i = 0; items && i < items->n && !r->status; i++)
        jinja_append(r, list.list, jinja_path(r, items->item[i], arg[1]));
    const jinja_value by = arg[0].kind == JINJA_ABSENT ? jinja_string("", 0) : jinja_str(r, arg[0]);
    return r->status ? x : jinja_join(r, by, list.list, true);
}

static jinja_value filter_items(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    (void)arg;
    jinja_value out = jinja_sequence(r, JINJA_ITERATOR);
    if (x.kind != JINJA_DICT && x.kind != JINJA_UNDEFINED)
        jinja_fail(r, DELE_ERR_DATA, "items of a %s", jinja_type(x));
    for (size_t i = 0; x.kind == JINJA_DICT && i < x.dict->n && !r->status; i++)
        jinja_append(r, out.list, jinja_pair(r, x.dict->key[i], x.dict->value[i]));
    return out;
}

static jinja_value filter_default(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    (void)r;
    if (x.kind != JINJA_UNDEFINED && (!jinja_truth(arg[1]) || jinja_truth(x))) return x;
    return arg[0].kind == JINJA_ABSENT ? jinja_string("", 0) : arg[0];
}

static jinja_value filter_sum(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    const jinja_list *items = jinja_items(r, x);
    jinja_value sum = arg[1].kind == JINJA_ABSENT ? jinja_int(0) : arg[1];
    for (size_t i = 0; items && i < items->n && !r->status; i++) {
        const jinja_value y = jinja_path(r, items->item[i], arg[0]);
        int64_t a, b;
        if (!jinja_defined(r, y)) break;
        if (!jinja_is_number(sum) || !jinja_is_number(y))
            jinja_fail(r, DELE_ERR_UNSUPPORTED, "sum of other things than numbers");
        else if (!jinja_as_int(sum, &a) || !jinja_as_int(y, &b))
            sum = jinja_float(jinja_as_double(sum) + jinja_as_double(y));
        else if (__builtin_add_overflow(a, b, &sum.integer))
            jinja_fail(r, DELE_ERR_UNSUPPORTED, "an integer of more than 64 bits");
        else
            sum = jinja_int(sum.integer);
    }
    return sum;
}

/* ---- order ----------------------------------------------------------------------------------- */

static jinja_value without_case(jinja_run *r, jinja_value x, bool case_sensitive)
{
    return case_sensitive || x.kind != JINJA_STRING ? x : jinja_lower(r, x);
}

/* The values by which an item is sorted: of attributes with commas between them, a list of them. */
static jinja_value sort_key(jinja_run *r, jinja_value x, jinja_value attribute, bool case_sensitive)
{
    jinja_value key = jinja_sequence(r, JINJA_LIST);
    if (attribute.kind != JINJA_STRING) {
        const jinja_value one = jinja_path(r, x, attribute);
        if (!r->status) jinja_append(r, key.list, without_case(r, one, case_sensitive));
        return key;
    }
    const char *at = attribute.s.text, *end = at + attribute.s.n;
    for (bool more = true; more && !r->status;) {
        const char *comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
        const char *stop = comma ? comma : end;
        const jinja_value one = jinja_path(r, x, jinja_string(at, (size_t)(stop - at)));
        if (!r->status) jinja_append(r, key.list, without_case(r, one, case_sensitive));
        more = comma != NULL;
        at = stop + 1;
    }
    return key;
}

typedef struct {
    jinja_value key, item;
} keyed;

/* A stable merge sort of row[n]; other: scratch of that size. */
static void sort_rows(jinja_run *r, keyed *row, keyed *other, size_t n, int sign)
{
    for (size_t width = 1; width < n && !r->status; width *= 2) {
        for (size_t from = 0; from < n; from += 2 * width) {
            const size_t middle = from + width < n ? from + width : n;
            const size_t end = from + 2 * width < n ? from + 2 * width : n;
            size_t a = from, b = middle;
            for (size_t k = from; k < end; k++) {
                const bool right =
                    a == middle || (b < end && sign * jinja_order(r, row[b].key, row[a].key) < 0);
                other[k] = right ? row[b++] : row[a++];
            }
        }
        memcpy(row, other, n * sizeof *row);
    }
}

static jinja_value sorted(jinja_run *r, const jinja_list *items, jinja_value attribute,
                          bool case_sensitive, bool reverse)
{
    jinja_value out = jinja_sequence(r, JINJA_LIST);
    const size_t n = items ? items->n : 0;
    keyed *row = jinja_alloc(r, n, sizeof *row), *other = jinja_alloc(r, n, sizeof *other);
    if (!row || !other) return out;
    for (size_t i = 0; i < n && !r->status; i++)
        row[i] = (keyed){sort_key(r, items->item[i], attribute, case_sensitive), items->item[i]};
    if (!r->status) sort_rows(r, row, other, n, reverse ? -1 : 1);
    for (size_t i = 0; i < n && !r->status; i++) jinja_append(r, out.list, row[i].item);
    return out;
}

static jinja_value filter_sort(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    return sorted(r, jinja_items(r, x), arg[2], jinja_truth(arg[1]), jinja_truth(arg[0]));
}

static jinja_value filter_dictsort(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    const bool by_value = jinja_is_string(arg[1], "value");
    if (x.kind != JINJA_DICT ||
        (arg[1].kind != JINJA_ABSENT && !by_value && !jinja_is_string(arg[1], "key"))) {
        jinja_fail(r, DELE_ERR_DATA, "dictsort of a %s by these arguments", jinja_type(x));
        return x;
    }
    jinja_value pairs = jinja_sequence(r, JINJA_LIST);
    for (size_t i = 0; i < x.dict->n && !r->status; i++)
        jinja_append(r, pairs.list, jinja_pair(r, x.dict->key[i], x.dict->value[i]));
    return r->status ? x
                     : sorted(r, pairs.list, jinja_int(by_value), jinja_truth(arg[0]),
                              jinja_truth(arg[2]));
}

static jinja_value filter_unique(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    const jinja_list *items = jinja_items(r, x);
    jinja_value out = jinja_sequence(r, JINJA_ITERATOR), seen = jinja_mapping(r, JINJA_DICT);
    for (size_t i = 0; items && i < items->n && !r->status; i++) {
        const jinja_value key =
            without_case(r, jinja_path(r, items->item[i], arg[1]), jinja_truth(arg[0]));
        const size_t before = seen.dict->n;
        jinja_put(r, seen.dict, key, key);
        if (!r->status && seen.dict->n > before) jinja_append(r, out.list, items->item[i]);
    }
    return out;
}

static jinja_value extreme(jinja_run *r, jinja_value x, const jinja_value *arg, int sign)
{
    const jinja_list *items = jinja_items(r, x);
    jinja_value best = jinja_undefined("an item of nothing"), best_key = best;
    for (size_t i = 0; items && i < items->n && !r->status; i++) {
        const jinja_value key =
            without_case(r, jinja_path(r, items->item[i], arg[1]), jinja_truth(arg[0]));
        if (i && sign * jinja_order(r, key, best_key) <= 0) continue;
        best = items->item[i];
        best_key = key;
    }
    return best;
}

static jinja_value filter_min(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    return extreme(r, x, arg, -1);
}

static jinja_value filter_max(jinja_run *r, jinja_value x, const jinja_value *arg)
{
    return extreme(r, x, arg, 1);
}

/* ---- filters that apply others --------------------------------------------------------------- */

static jinja_value named(const jinja_args *args, const char *name)
{
    for (size_t i = 0; i < args->n_named; i++)
        if (!strcmp(args->name[i], name)) return args->named[i];
    return (jinja_value){JINJA_ABSENT};
}

static const char *word(jinja_run *r, jinja_value x, const char *what)
{
    char *copy = x.kind == JINJA_STRING ? jinja_alloc(r, x.s.n + 1, 1) : NULL;
    if (copy && x.s.n) memcpy(copy, x.s.text, x.s.n);
    if (!copy) jinja_fail(r, DELE_ERR_DATA, "%s needs the name of what it applies", what);
    return copy;
}

/* map(attribute=...[, default=...]) or map(filter, its arguments). */
static jinja_value filter_map(jinja_run *r, jinja_value x, const jinja_args *args)
{
    jinja_value out = jinja_sequence(r, JINJA_ITERATOR);
    const jinja_value attribute = named(args, "attribute"), otherwise = named(args, "default");
    const bool look_up = !args->n && attribute.kind != JINJA_ABSENT;
    const size_t known = 1 + (otherwise.kind != JINJA_ABSENT);
    if (!jinja_truth(x) && x.kind != JINJA_ITERATOR) return out;
    if (look_up && args->n_named > known)
        jinja_fail(r, DELE_ERR_DATA, "map with an attribute takes only a default besides it");
    const jinja_list *items = jinja_items(r, x);
    const char *name =
        look_up ? NULL : word(r, args->n ? args->value[0] : (jinja_value){JINJA_ABSENT}, "map");
    jinja_args rest = *args;
    if (rest.n) {
        rest.n--;
        rest.value++;
    }
    for (size_t i = 0; items && i < items->n && !r->status; i++) {
        jinja_value y = look_up ? jinja_path(r, items->item[i], attribute)
                                : jinja_call_filter(r, name, items->item[i], &rest);
        if (look_up && y.kind == JINJA_UNDEFINED && otherwise.kind != JINJA_ABSENT &&
            otherwise.kind != JINJA_NONE)
            y = otherwise;
        if (!r->status) jinja_append(r, out.list, y);
    }
    return out;
}

/* select(test, ...), reject; selectattr(attribute, test, ...), rejectattr; without a test: whether
 * it is true. */
static jinja_value filter_select(jinja_run *r, const char *which, jinja_value x,
                                 const jinja_args *args)
{
    jinja_value out = jinja_sequence(r, JINJA_ITERATOR);
    const bool keep = *which == 's', attribute = strstr(which, "attr") != NULL;
    const size_t off = attribute;
    if (!jinja_truth(x) && x.kind != JINJA_ITERATOR) return out;
    if (attribute && !args->n) jinja_fail(r, DELE_ERR_DATA, "%s needs an attribute", which);
    const jinja_list *items = jinja_items(r, x);
    const char *name = !r->status && args->n > off ? word(r, args->value[off], which) : NULL;
    jinja_args rest = *args;
    rest.n = args->n > off + 1 ? args->n - off - 1 : 0;
    rest.value = args->value ? args->value + (args->n - rest.n) : NULL;
    for (size_t i = 0; items && i < items->n && !r->status; i++) {
        const jinja_value item = items->item[i];
        const jinja_value y = attribute ? jinja_path(r, item, args->value[0]) : item;
        const bool holds = name ? jinja_call_test(r, name, y, &rest) : jinja_truth(y);
        if (!r->status && holds == keep) jinja_append(r, out.list, item);
    }
    return out;
}

static jinja_value filter_format(jinja_run *r, jinja_value x, const jinja_args *args)
{
    const jinja_value text = jinja_str(r, x);
    if (args->n_named || text.markup)
        jinja_fail(r, DELE_ERR_UNSUPPORTED, "format with these arguments is not supported");
    const jinja_list list = {.item = args->value, .n = args->n};
    return r->status ? x : jinja_percent(r, text, &list);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct {
    const char *name, *parameters;
    size_t required;
    jinja_value (*apply)(jinja_run *, jinja_value, const jinja_value *);
} filters[] = {{"trim", "chars", 0, filter_trim},
               {"upper", "", 0, filter_upper},
               {"lower", "", 0, filter_lower},
               {"capitalize", "", 0, filter_capitalize},
               {"title", "", 0, filter_title},
               {"string", "", 0, filter_string},
               {"safe", "", 0, filter_safe},
               {"escape", "", 0, filter_escape},
               {"e", "", 0, filter_escape},
               {"replace", "old new count", 2, filter_replace},
               {"indent", "width first blank", 0, filter_indent},
               {"tojson", "ensure_ascii indent separators sort_keys", 0, jinja_to_json},
               {"int", "default base", 0, filter_int},
               {"float", "default", 0, filter_float},
               {"abs", "", 0, filter_abs},
               {"round", "precision method", 0, filter_round},
               {"length", "", 0, filter_length},
               {"count", "", 0, filter_length},
               {"first", "", 0, filter_first},
               {"last", "", 0, filter_last},
               {"list", "", 0, filter_list},
               {"reverse", "", 0, filter_reverse},
               {"join", "d attribute", 0, filter_join},
               {"items", "", 0, filter_items},
               {"default", "default_value boolean", 0, filter_default},
               {"d", "default_value boolean", 0, filter_default},
               {"sum", "attribute start", 0, filter_sum},
               {"sort", "reverse case_sensitive attribute", 0, filter_sort},
               {"dictsort", "case_sensitive by reverse", 0, filter_dictsort},
               {"unique", "case_sensitive attribute", 0, filter_unique},
               {"min", "case_sensitive attribute", 0, filter_min},
               {"max", "case_sensitive attribute", 0, filter_max}};

jinja_value jinja_call_filter(jinja_run *r, const char *name, jinja_value x, const jinja_args *args)
{
    jinja_value arg[MOST_PARAMETERS] = {{JINJA_ABSENT}};
    if (!jinja_step(r, x.kind == JINJA_STRING ? x.s.n : 1)) return x;
    if (!strcmp(name, "map")) return filter_map(r, x, args);
    if (!strcmp(name, "format")) return filter_format(r, x, args);
    if (!strcmp(name, "select") || !strcmp(name, "reject") || !strcmp(name, "selectattr") ||
        !strcmp(name, "rejectattr"))
        return filter_select(r, name, x, args);
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (!strcmp(name, filters[i].name))
            return jinja_bind(r, arg, args, name, filters[i].parameters, filters[i].required)
                       ? filters[i].apply(r, x, arg)
                       : x;
    jinja_fail(r, DELE_ERR_UNSUPPORTED, "the filter \"%s\" is not supported", name);
    return x;
}
