#include "template/value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- the run --------------------------------------------------------------------------------- */

void jinja_fail(jinja_run *r, dele_status code, const char *format, ...)
{
    char what[512];
    if (r->status) return;
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    r->status = code;
    dele_fail(r->err, code, "%s, line %d: %s", r->where, r->line, what);
}

void *jinja_alloc(jinja_run *r, size_t count, size_t size)
{
    dele_err why = {0};
    if (r->status || !jinja_step(r, count)) return NULL;
    void *x = dele_alloc(r->arena, count ? count : 1, size, &why);
    const size_t limit = r->arena->limit;
    if (!x && limit && r->arena->reserved >= limit / 2)
        jinja_fail(r, DELE_ERR_UNSUPPORTED, "the template takes more than %zu MiB", limit >> 20);
    if (!x) jinja_fail(r, DELE_ERR_MEMORY, "%s", why.msg);
    return x;
}

bool jinja_step(jinja_run *r, size_t work)
{
    if (r->status) return false;
    r->steps += 1 + work / 16;
    if (r->steps <= JINJA_STEPS && work / 16 <= JINJA_STEPS) return true;
    jinja_fail(r, DELE_ERR_UNSUPPORTED, "the template takes more than %d steps", JINJA_STEPS);
    return false;
}

/* ---- making ---------------------------------------------------------------------------------- */

jinja_value jinja_undefined(const char *name)
{
    return (jinja_value){.kind = JINJA_UNDEFINED, .undefined = {.name = name}};
}

jinja_value jinja_none(void) { return (jinja_value){.kind = JINJA_NONE}; }

jinja_value jinja_bool(bool x) { return (jinja_value){.kind = JINJA_BOOL, .flag = x}; }

jinja_value jinja_int(int64_t x) { return (jinja_value){.kind = JINJA_INT, .integer = x}; }

jinja_value jinja_float(double x) { return (jinja_value){.kind = JINJA_FLOAT, .number = x}; }

jinja_value jinja_string(const char *text, size_t n)
{
    size_t chars = 0;
    for (size_t i = 0; i < n; i++) chars += ((unsigned char)text[i] & 0xc0) != 0x80;
    return (jinja_value){.kind = JINJA_STRING, .s = {text ? text : "", n, chars}};
}

jinja_value jinja_string_c(const char *text) { return jinja_string(text, strlen(text)); }

jinja_value jinja_sequence(jinja_run *r, jinja_kind kind)
{
    jinja_list *list = jinja_alloc(r, 1, sizeof *list);
    return list ? (jinja_value){.kind = kind, .list = list} : jinja_none();
}

void jinja_append(jinja_run *r, jinja_list *list, jinja_value item)
{
    if (r->status || !jinja_step(r, 1)) return;
    if (list->n == list->cap) {
        const size_t cap = list->cap ? 2 * list->cap : 4;
        jinja_value *more = jinja_alloc(r, cap, sizeof *more);
        if (!more) return;
        if (list->n) memcpy(more, list->item, list->n * sizeof *more);
        list->item = more;
        list->cap = cap;
    }
    list->item[list->n++] = item;
}

jinja_value jinja_mapping(jinja_run *r, jinja_kind kind)
{
    jinja_dict *dict = jinja_alloc(r, 1, sizeof *dict);
    return dict ? (jinja_value){.kind = kind, .dict = dict} : jinja_none();
}

static bool is_hashable(jinja_value key)
{
    if (key.kind == JINJA_TUPLE)
        for (size_t i = 0; i < key.list->n; i++)
            if (key.list->item[i].kind == JINJA_LIST || key.list->item[i].kind == JINJA_DICT ||
                key.list->item[i].kind == JINJA_TUPLE)
                return false; /* a tuple of tuples is refused with the others */
    return key.kind != JINJA_LIST && key.kind != JINJA_DICT && key.kind != JINJA_VIEW;
}

/* Appends the pair, or replaces the value of an equal key.  The two arrays grow together. */
void jinja_put(jinja_run *r, jinja_dict *dict, jinja_value key, jinja_value value)
{
    if (r->status) return;
    if (!is_hashable(key)) {
        jinja_fail(r, DELE_ERR_DATA, "a %s cannot be a key", jinja_type(key));
        return;
    }
    const jinja_value *found = jinja_find(r, dict, key);
    if (found) {
        dict->value[found - dict->value] = value;
        return;
    }
    if (dict->n == dict->cap) {
        const size_t cap = dict->cap ? 2 * dict->cap : 4;
        jinja_value *keys = jinja_alloc(r, cap, sizeof *keys);
        jinja_value *values = jinja_alloc(r, cap, sizeof *values);
        if (!keys || !values) return;
        if (dict->n) memcpy(keys, dict->key, dict->n * sizeof *keys);
        if (dict->n) memcpy(values, dict->value, dict->n * sizeof *values);
        dict->key = keys;
        dict->value = values;
        dict->cap = cap;
    }
    dict->key[dict->n] = key;
    dict->value[dict->n++] = value;
}

jinja_value jinja_pair(jinja_run *r, jinja_value a, jinja_value b)
{
    jinja_value pair = jinja_sequence(r, JINJA_TUPLE);
    if (r->status) return pair;
    jinja_append(r, pair.list, a);
    jinja_append(r, pair.list, b);
    return pair;
}

void jinja_add(jinja_run *r, jinja_text *t, const char *text, size_t n)
{
    if (!n || !jinja_step(r, n)) return;
    if (n > JINJA_OUTPUT || t->n + n > JINJA_OUTPUT) {
        jinja_fail(r, DELE_ERR_UNSUPPORTED, "the template makes a text of more than %d MiB",
                   JINJA_OUTPUT >> 20);
        return;
    }
    if (t->n + n > t->cap) {
        const size_t cap = 2 * (t->n + n) < 64 ? 64 : 2 * (t->n + n);
        char *more = jinja_alloc(r, cap, 1);
        if (!more) return;
        if (t->n) memcpy(more, t->text, t->n);
        t->text = more;
        t->cap = cap;
    }
    memcpy(t->text + t->n, text, n);
    t->n += n;
}

void jinja_add_c(jinja_run *r, jinja_text *t, const char *text)
{
    jinja_add(r, t, text, strlen(text));
}

jinja_value jinja_text_value(const jinja_text *t) { return jinja_string(t->text, t->n); }

/* ---- asking ---------------------------------------------------------------------------------- */

bool jinja_is_number(jinja_value x)
{
    return x.kind == JINJA_BOOL || x.kind == JINJA_INT || x.kind == JINJA_FLOAT;
}

bool jinja_as_int(jinja_value x, int64_t *i)
{
    if (x.kind != JINJA_BOOL && x.kind != JINJA_INT) return false;
    *i = x.kind == JINJA_BOOL ? x.flag : x.integer;
    return true;
}

double jinja_as_double(jinja_value x)
{
    int64_t i;
    return jinja_as_int(x, &i) ? (double)i : x.number;
}

bool jinja_is_string(jinja_value x, const char *text)
{
    return x.kind == JINJA_STRING && x.s.n == strlen(text) && !memcmp(x.s.text, text, x.s.n);
}

bool jinja_has_items(jinja_value x)
{
    return x.kind == JINJA_LIST || x.kind == JINJA_TUPLE || x.kind == JINJA_RANGE ||
           x.kind == JINJA_VIEW || x.kind == JINJA_ITERATOR;
}

/* Empty texts and collections, zeros, none and undefined are false; an iterator is true. */
bool jinja_truth(jinja_value x)
{
    switch (x.kind) {
    case JINJA_ABSENT:
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOL:
        return x.flag;
    case JINJA_INT:
        return x.integer != 0;
    case JINJA_FLOAT:
        return x.number != 0;
    case JINJA_STRING:
        return x.s.n > 0;
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_RANGE:
    case JINJA_VIEW:
        return x.list->n > 0;
    case JINJA_DICT:
        return x.dict->n > 0;
    default:
        return true;
    }
}

const char *jinja_type(jinja_value x)
{
    static const char *const names[] = {[JINJA_ABSENT] = "nothing",
                                        [JINJA_UNDEFINED] = "Undefined",
                                        [JINJA_NONE] = "NoneType",
                                        [JINJA_BOOL] = "bool",
                                        [JINJA_INT] = "int",
                                        [JINJA_FLOAT] = "float",
                                        [JINJA_STRING] = "str",
                                        [JINJA_LIST] = "list",
                                        [JINJA_TUPLE] = "tuple",
                                        [JINJA_RANGE] = "range",
                                        [JINJA_VIEW] = "view of a dict",
                                        [JINJA_ITERATOR] = "iterator",
                                        [JINJA_DICT] = "dict",
                                        [JINJA_NAMESPACE] = "namespace",
                                        [JINJA_LOOP] = "loop",
                                        [JINJA_MACRO] = "macro",
                                        [JINJA_FUNCTION] = "function",
                                        [JINJA_METHOD] = "method"};
    return names[x.kind];
}

bool jinja_defined(jinja_run *r, jinja_value x)
{
    if (x.kind != JINJA_UNDEFINED) return !r->status;
    if (x.undefined.refused)
        jinja_fail(r, DELE_ERR_UNSUPPORTED, "%s.%s is refused, as by jinja2's sandbox",
                   x.undefined.owner, x.undefined.name);
    else if (x.undefined.owner)
        jinja_fail(r, DELE_ERR_DATA, "a %s has no attribute or item \"%s\"", x.undefined.owner,
                   x.undefined.name);
    else
        jinja_fail(r, DELE_ERR_DATA, "%s is undefined", x.undefined.name);
    return false;
}

/* Whether the run may go one level deeper; every true is followed by a depth--. */
static bool go_deeper(jinja_run *r)
{
    if (r->status || !jinja_step(r, 1)) return false;
    if (r->depth < JINJA_DEPTH) {
        r->depth++;
        return true;
    }
    jinja_fail(r, DELE_ERR_UNSUPPORTED, "nested more than %d deep", JINJA_DEPTH);
    return false;
}

static bool same_items(jinja_run *r, const jinja_list *a, const jinja_list *b)
{
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n && !r->status; i++)
        if (!jinja_equal(r, a->item[i], b->item[i])) return false;
    return true;
}

static bool same_dicts(jinja_run *r, const jinja_dict *a, const jinja_dict *b)
{
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n && !r->status; i++) {
        const jinja_value *other = jinja_find(r, b, a->key[i]);
        if (!other || !jinja_equal(r, a->value[i], *other)) return false;
    }
    return true;
}

/* Two values of one kind.  Views and functions are refused: Python compares them by rules of their
 * own. */
static bool equal_of_a_kind(jinja_run *r, jinja_value a, jinja_value b)
{
    switch (a.kind) {
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return true;
    case JINJA_STRING:
        return jinja_step(r, a.s.n) && a.s.n == b.s.n && !memcmp(a.s.text, b.s.text, a.s.n);
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_RANGE:
        return a.list == b.list || same_items(r, a.list, b.list);
    case JINJA_DICT:
        return a.dict == b.dict || same_dicts(r, a.dict, b.dict);
    case JINJA_NAMESPACE:
        return a.dict == b.dict;
    case JINJA_ITERATOR:
        return a.list == b.list;
    default:
        jinja_fail(r, DELE_ERR_UNSUPPORTED, "comparing a %s is not supported", jinja_type(a));
        return false;
    }
}

bool jinja_equal(jinja_run *r, jinja_value a, jinja_value b)
{
    if (!jinja_step(r, 1)) return false;
    if (jinja_is_number(a) && jinja_is_number(b)) return jinja_order(r, a, b) == 0;
    if (a.kind != b.kind || !go_deeper(r)) return false;
    const bool same = equal_of_a_kind(r, a, b);
    r->depth--;
    return same && !r->status;
}

static int order_of_strings(jinja_run *r, jinja_value a, jinja_value b)
{
    const size_t n = a.s.n < b.s.n ? a.s.n : b.s.n;
    jinja_step(r, n);
    const int order = n ? memcmp(a.s.text, b.s.text, n) : 0; /* UTF-8 sorts as code points do */
    return order ? order : (a.s.n > b.s.n) - (a.s.n < b.s.n);
}

static int order_of_items(jinja_run *r, const jinja_list *a, const jinja_list *b)
{
    for (size_t i = 0; i < a->n && i < b->n && !r->status; i++)
        if (!jinja_equal(r, a->item[i], b->item[i])) return jinja_order(r, a->item[i], b->item[i]);
    return (a->n > b->n) - (a->n < b->n);
}

/* NaN, which has no order, is not equal to anything: 2. */
int jinja_order(jinja_run *r, jinja_value a, jinja_value b)
{
    int64_t i, j;
    int order = 0;
    if (!jinja_step(r, 1)) return 0;
    if (jinja_as_int(a, &i) && jinja_as_int(b, &j)) return (i > j) - (i < j);
    if (jinja_is_number(a) && jinja_is_number(b)) {
        const long double x = jinja_as_int(a, &i) ? (long double)i : (long double)a.number;
        const long double y = jinja_as_int(b, &i) ? (long double)i : (long double)b.number;
        return x != x || y != y ? 2 : (x > y) - (x < y);
    }
    if (!jinja_defined(r, a) || !jinja_defined(r, b) || !go_deeper(r)) return 0;
    if (a.kind == JINJA_STRING && b.kind == JINJA_STRING)
        order = order_of_strings(r, a, b);
    else if (a.kind == b.kind && (a.kind == JINJA_LIST || a.kind == JINJA_TUPLE))
        order = order_of_items(r, a.list, b.list);
    else
        jinja_fail(r, DELE_ERR_DATA, "a %s and a %s have no order", jinja_type(a), jinja_type(b));
    r->depth--;
    return order;
}

static bool contains_text(jinja_run *r, jinja_value whole, jinja_value part)
{
    if (part.kind != JINJA_STRING) {
        jinja_fail(r, DELE_ERR_DATA, "a text is asked whether it contains a %s", jinja_type(part));
        return false;
    }
    if (!jinja_step(r, whole.s.n)) return false;
    return !part.s.n || (whole.s.n && memmem(whole.s.text, whole.s.n, part.s.text, part.s.n));
}

/* Python's `x in container`.  A test of a key that cannot be one is an error, as there. */
bool jinja_contains(jinja_run *r, jinja_value container, jinja_value x)
{
    if (container.kind == JINJA_STRING) return contains_text(r, container, x);
    if (container.kind == JINJA_DICT) {
        if (!is_hashable(x)) {
            jinja_fail(r, DELE_ERR_DATA, "a %s cannot be a key", jinja_type(x));
            return false;
        }
        return jinja_find(r, container.dict, x) != NULL;
    }
    if (container.kind == JINJA_ITERATOR) { /* read up to the item that is found */
        jinja_list *list = container.list;
        while (list->at < list->n && !r->status)
            if (jinja_equal(r, list->item[list->at++], x)) return true;
        return false;
    }
    const jinja_list *items = jinja_items(r, container);
    for (size_t i = 0; items && i < items->n && !r->status; i++)
        if (jinja_equal(r, items->item[i], x)) return true;
    return false;
}

bool jinja_length(jinja_value x, size_t *n)
{
    *n = 0;
    if (x.kind == JINJA_UNDEFINED) return true;
    if (x.kind == JINJA_STRING) *n = x.s.chars;
    if (x.kind == JINJA_DICT) *n = x.dict->n;
    if (x.kind == JINJA_ITERATOR ||
        (!jinja_has_items(x) && x.kind != JINJA_STRING && x.kind != JINJA_DICT))
        return false;
    if (jinja_has_items(x)) *n = x.list->n;
    return true;
}

const jinja_value *jinja_find(jinja_run *r, const jinja_dict *dict, jinja_value key)
{
    if (!jinja_step(r, 4 * dict->n)) return NULL;
    for (size_t i = 0; i < dict->n && !r->status; i++) {
        const jinja_value *k = &dict->key[i];
        if (k->kind == JINJA_STRING && key.kind == JINJA_STRING) {
            if (k->s.n == key.s.n && !memcmp(k->s.text, key.s.text, key.s.n))
                return &dict->value[i];
        } else if (jinja_equal(r, *k, key)) {
            return &dict->value[i];
        }
    }
    return NULL;
}

bool jinja_iterable(jinja_value x)
{
    return jinja_has_items(x) || x.kind == JINJA_UNDEFINED || x.kind == JINJA_STRING ||
           x.kind == JINJA_DICT || x.kind == JINJA_LOOP;
}

static void append_characters(jinja_run *r, jinja_list *list, jinja_value x)
{
    for (size_t i = 0, k; i < x.s.n && !r->status; i += k) {
        for (k = 1; i + k < x.s.n && ((unsigned char)x.s.text[i + k] & 0xc0) == 0x80;) k++;
        jinja_append(r, list, jinja_string(x.s.text + i, k));
    }
}

/* A list's own items are shared.  A text gives its characters, a dictionary its keys, an undefined
 * nothing, an iterator what is left of it. */
const jinja_list *jinja_items(jinja_run *r, jinja_value x)
{
    if (r->status) return NULL;
    if (jinja_has_items(x) && x.kind != JINJA_ITERATOR) return x.list;
    if (!jinja_iterable(x) || x.kind == JINJA_LOOP) {
        jinja_fail(r, DELE_ERR_DATA, "a %s cannot be iterated over", jinja_type(x));
        return NULL;
    }
    const jinja_value made = jinja_sequence(r, JINJA_LIST);
    if (r->status) return NULL;
    if (x.kind == JINJA_ITERATOR)
        while (x.list->at < x.list->n && !r->status)
            jinja_append(r, made.list, x.list->item[x.list->at++]);
    if (x.kind == JINJA_STRING) append_characters(r, made.list, x);
    if (x.kind == JINJA_DICT)
        for (size_t i = 0; i < x.dict->n && !r->status; i++)
            jinja_append(r, made.list, x.dict->key[i]);
    return r->status ? NULL : made.list;
}

/* ---- text of values -------------------------------------------------------------------------- */

/* Python's repr() of a float: the shortest digits that give it back. */
void jinja_add_float(jinja_run *r, jinja_text *t, double x)
{
    char digits[40], out[64];
    if (!isfinite(x)) {
        jinja_add_c(r, t, isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
        return;
    }
    for (int p = 0; p < 17; p++) {
        snprintf(digits, sizeof digits, "%.*e", p, x);
        if (strtod(digits, NULL) == x) break;
    }
    char *mark = strchr(digits, 'e');
    const int exponent = atoi(mark + 1), n = (int)(mark - digits);
    if (exponent >= -4 && exponent < 16) {
        const int given = n > 2 + (digits[0] == '-') ? n - 2 - (digits[0] == '-') : 0;
        snprintf(out, sizeof out, "%.*f", given > exponent ? given - exponent : 0, x);
        if (!strchr(out, '.')) strcat(out, ".0");
        jinja_add_c(r, t, out);
        return;
    }
    jinja_add(r, t, digits, (size_t)n);
    snprintf(out, sizeof out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    jinja_add_c(r, t, out);
}

static bool is_printable(int32_t c)
{
    const utf8proc_category_t k = utf8proc_category(c);
    return c == ' ' || (k != UTF8PROC_CATEGORY_CN && k < UTF8PROC_CATEGORY_ZS);
}

/* Python's repr() of a string: quoted, controls and what cannot be printed escaped. */
static void add_quoted(jinja_run *r, jinja_text *t, jinja_value x)
{
    const bool two = x.s.n && memchr(x.s.text, '\'', x.s.n) && !memchr(x.s.text, '"', x.s.n);
    const char quote[] = {two ? '"' : '\'', 0};
    jinja_add_c(r, t, quote);
    for (size_t i = 0; i < x.s.n && !r->status;) {
        char escape[16] = "";
        utf8proc_int32_t c;
        const utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)x.s.text + i,
                                                       (utf8proc_ssize_t)(x.s.n - i), &c);
        const size_t k = used > 0 ? (size_t)used : 1;
        if (c == '\\' || c == quote[0])
            snprintf(escape, sizeof escape, "\\%c", (char)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            snprintf(escape, sizeof escape, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (!is_printable(c))
            snprintf(escape, sizeof escape,
                     c < 0x100     ? "\\x%02x"
                     : c < 0x10000 ? "\\u%04x"
                                   : "\\U%08x",
                     (unsigned)c);
        if (*escape)
            jinja_add_c(r, t, escape);
        else
            jinja_add(r, t, x.s.text + i, k);
        i += k;
    }
    jinja_add_c(r, t, quote);
}

static void add_items(jinja_run *r, jinja_text *t, const jinja_list *list, const char *open,
                      const char *close, int nesting)
{
    jinja_add_c(r, t, open);
    for (size_t i = 0; i < list->n && !r->status; i++) {
        if (i) jinja_add_c(r, t, ", ");
        jinja_add_repr(r, t, list->item[i], nesting + 1);
    }
    jinja_add_c(r, t, close);
}

static void add_range(jinja_run *r, jinja_text *t, const jinja_list *list, int64_t stop)
{
    char out[96];
    if (list->step == 1)
        snprintf(out, sizeof out, "range(%lld, %lld)", (long long)list->start, (long long)stop);
    else
        snprintf(out, sizeof out, "range(%lld, %lld, %lld)", (long long)list->start,
                 (long long)stop, (long long)list->step);
    jinja_add_c(r, t, out);
}

static void add_pairs(jinja_run *r, jinja_text *t, const jinja_dict *dict, int nesting)
{
    jinja_add_c(r, t, "{");
    for (size_t i = 0; i < dict->n && !r->status; i++) {
        if (i) jinja_add_c(r, t, ", ");
        jinja_add_repr(r, t, dict->key[i], nesting + 1);
        jinja_add_c(r, t, ": ");
        jinja_add_repr(r, t, dict->value[i], nesting + 1);
    }
    jinja_add_c(r, t, "}");
}

/* Python's repr().  What it would tell of an object's address is refused. */
void jinja_add_repr(jinja_run *r, jinja_text *t, jinja_value x, int nesting)
{
    char out[48];
    if (nesting > JINJA_NESTING) {
        jinja_fail(r, DELE_ERR_UNSUPPORTED, "a value is nested more than %d deep", JINJA_NESTING);
        return;
    }
    switch (x.kind) {
    case JINJA_UNDEFINED:
        jinja_add_c(r, t, "Undefined");
        break;
    case JINJA_NONE:
        jinja_add_c(r, t, "None");
        break;
    case JINJA_BOOL:
        jinja_add_c(r, t, x.flag ? "True" : "False");
        break;
    case JINJA_INT:
        snprintf(out, sizeof out, "%lld", (long long)x.integer);
        jinja_add_c(r, t, out);
        break;
    case JINJA_FLOAT:
        jinja_add_float(r, t, x.number);
        break;
    case JINJA_STRING:
        if (x.markup) jinja_fail(r, DELE_ERR_UNSUPPORTED, "repr of a safe text is not supported");
        add_quoted(r, t, x);
        break;
    case JINJA_LIST:
        add_items(r, t, x.list, "[", "]", nesting);
        break;
    case JINJA_TUPLE:
        add_items(r, t, x.list, "(", x.list->n == 1 ? ",)" : ")", nesting);
        break;
    case JINJA_RANGE:
        add_range(r, t, x.list, (int64_t)x.list->at);
        break;
    case JINJA_VIEW:
        jinja_add_c(r, t, x.list->name);
        add_items(r, t, x.list, "([", "])", nesting);
        break;
    case JINJA_DICT:
        add_pairs(r, t, x.dict, nesting);
        break;
    default:
        jinja_fail(r, DELE_ERR_UNSUPPORTED, "a %s as text is not supported", jinja_type(x));
    }
}

void jinja_add_str(jinja_run *r, jinja_text *t, jinja_value x)
{
    if (x.kind == JINJA_STRING)
        jinja_add(r, t, x.s.text, x.s.n);
    else if (x.kind != JINJA_UNDEFINED)
        jinja_add_repr(r, t, x, 0);
}

jinja_value jinja_str(jinja_run *r, jinja_value x)
{
    jinja_text t = {0};
    if (x.kind == JINJA_STRING) return x;
    jinja_add_str(r, &t, x);
    return jinja_text_value(&t);
}

/* ---- arguments ------------------------------------------------------------------------------- */

/* The place of a name among the parameters, or the number of parameters. */
static size_t place_of(const char *names, const char *name)
{
    size_t k = 0, n = strlen(name);
    for (const char *at = names; *at; k++) {
        const size_t length = strcspn(at, " ");
        if (length == n && !memcmp(at, name, n) && *at != '-') break;
        at += length + (at[length] == ' ');
    }
    return k;
}

static size_t count_names(const char *names)
{
    size_t n = *names != 0;
    for (; *names; names++) n += *names == ' ';
    return n;
}

/* The positional values fill the first parameters, the named ones their own; a name that fits none,
 * a parameter given twice, too many values and a missing required one are errors. */
bool jinja_bind(jinja_run *r, jinja_value *out, const jinja_args *args, const char *what,
                const char *names, size_t required)
{
    const size_t n = count_names(names);
    if (args->n > n) {
        jinja_fail(r, DELE_ERR_DATA, "%s takes at most %zu arguments, and %zu are given", what, n,
                   args->n);
        return false;
    }
    for (size_t i = 0; i < args->n; i++) out[i] = args->value[i];
    for (size_t i = 0; i < args->n_named; i++) {
        const size_t k = place_of(names, args->name[i]);
        if (k >= n || k < args->n) {
            jinja_fail(r, DELE_ERR_DATA,
                       k >= n ? "%s has no argument \"%s\""
                              : "%s is given the argument \"%s\" twice",
                       what, args->name[i]);
            return false;
        }
        out[k] = args->named[i];
    }
    for (size_t i = args->n; i < required; i++) {
        bool given = false;
        for (size_t k = 0; k < args->n_named; k++) given |= place_of(names, args->name[k]) == i;
        if (!given) {
            jinja_fail(r, DELE_ERR_DATA, "%s needs %zu arguments", what, required);
            return false;
        }
    }
    return !r->status;
}
