#include "template/access.h"

#include <stdlib.h>
#include <string.h>

/* The public names that a Python object of each type has, and those of them that the sandbox
 * refuses since they would change it. */
static const struct {
    jinja_kind kind;
    const char *names, *refused;
} fields[] = {
    {JINJA_STRING,
     " capitalize casefold center count encode endswith expandtabs find format format_map index "
     "isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace "
     "istitle isupper join ljust lower lstrip maketrans partition removeprefix removesuffix "
     "replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip "
     "swapcase title translate upper zfill ",
     " "},
    {JINJA_LIST, " copy count index ", " append clear extend insert pop remove reverse sort "},
    {JINJA_TUPLE, " count index ", " "},
    {JINJA_RANGE, " count index start step stop ", " "},
    {JINJA_DICT, " copy fromkeys get items keys values ", " clear pop popitem setdefault update "},
    {JINJA_VIEW, " isdisjoint mapping ", " "},
    {JINJA_ITERATOR, " close send throw gi_frame gi_code gi_running gi_yieldfrom gi_suspended ",
     " "},
    {JINJA_INT,
     " as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag numerator real "
     "to_bytes ",
     " "},
    {JINJA_FLOAT, " as_integer_ratio conjugate fromhex hex imag is_integer real ", " "},
    {JINJA_LOOP, " changed cycle ", " "},
    {JINJA_MACRO, " name arguments catch_kwargs catch_varargs caller explicit_caller ", " "}};

static bool is_listed(const char *list, const char *name)
{
    const size_t n = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at++)
        if (at[-1] == ' ' && at[n] == ' ') return n > 0;
    return false;
}

static jinja_value missing(jinja_value of, const char *name, bool refused)
{
    jinja_value x = jinja_undefined(name);
    x.undefined.owner = jinja_type(of);
    x.undefined.refused = refused;
    return x;
}

static jinja_value method(jinja_run *r, jinja_value of, const char *name)
{
    jinja_value *self = jinja_alloc(r, 1, sizeof *self);
    if (!self) return jinja_none();
    *self = of;
    return (jinja_value){.kind = JINJA_METHOD, .call = {name, self}};
}

static jinja_value item_or_undefined(const jinja_list *list, size_t i, const char *why)
{
    return i < list->n ? list->item[i] : jinja_undefined(why);
}

/* A field of `loop`; false: it has none of this name. */
static bool loop_field(jinja_value *out, const jinja_loop *loop, const char *name)
{
    const size_t i = loop->index, n = loop->items->n;
    if (!strcmp(name, "index"))
        *out = jinja_int((int64_t)i + 1);
    else if (!strcmp(name, "index0"))
        *out = jinja_int((int64_t)i);
    else if (!strcmp(name, "revindex"))
        *out = jinja_int((int64_t)(n - i));
    else if (!strcmp(name, "revindex0"))
        *out = jinja_int((int64_t)(n - i) - 1);
    else if (!strcmp(name, "first"))
        *out = jinja_bool(i == 0);
    else if (!strcmp(name, "last"))
        *out = jinja_bool(i + 1 >= n);
    else if (!strcmp(name, "length"))
        *out = jinja_int((int64_t)n);
    else if (!strcmp(name, "depth"))
        *out = jinja_int(1);
    else if (!strcmp(name, "depth0"))
        *out = jinja_int(0);
    else if (!strcmp(name, "previtem"))
        *out = i ? loop->items->item[i - 1] : jinja_undefined("loop.previtem");
    else if (!strcmp(name, "nextitem"))
        *out = item_or_undefined(loop->items, i + 1, "loop.nextitem");
    else
        return false;
    return true;
}

/* Python's getattr; false: the object has no such attribute. */
static bool field_of(jinja_run *r, jinja_value *out, jinja_value of, const char *name)
{
    const size_t n = strlen(name);
    if (n > 4 && !strncmp(name, "__", 2) && !strcmp(name + n - 2, "__")) {
        *out = missing(of, name, true);
        return true;
    }
    if (of.kind == JINJA_LOOP && loop_field(out, of.object, name)) return true;
    if (of.kind == JINJA_NAMESPACE) {
        const jinja_value *found = jinja_find(r, of.dict, jinja_string_c(name));
        if (found) *out = *found;
        return found != NULL;
    }
    const jinja_kind kind = of.kind == JINJA_BOOL ? JINJA_INT : of.kind;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i].kind != kind) continue;
        const bool refused = is_listed(fields[i].refused, name);
        if (!refused && !is_listed(fields[i].names, name)) return false;
        *out = refused ? missing(of, name, true) : method(r, of, name);
        return true;
    }
    return false;
}

static jinja_value nth_character(jinja_run *r, jinja_value x, size_t i)
{
    if (x.s.chars == x.s.n) return jinja_string(x.s.text + i, 1);
    size_t at = 0, k = 1;
    jinja_step(r, x.s.n);
    for (size_t c = 0; c < i; c++)
        for (at++; at < x.s.n && ((unsigned char)x.s.text[at] & 0xc0) == 0x80;) at++;
    while (at + k < x.s.n && ((unsigned char)x.s.text[at + k] & 0xc0) == 0x80) k++;
    return jinja_string(x.s.text + at, k);
}

static bool has_places(jinja_value x)
{
    return x.kind == JINJA_STRING || x.kind == JINJA_LIST || x.kind == JINJA_TUPLE ||
           x.kind == JINJA_RANGE;
}

/* Python's x[key]; false: there is no such item. */
static bool item_of(jinja_run *r, jinja_value *out, jinja_value of, jinja_value key)
{
    int64_t i;
    size_t n;
    if (of.kind == JINJA_DICT) {
        if (key.kind == JINJA_LIST || key.kind == JINJA_DICT) return false;
        const jinja_value *found = jinja_find(r, of.dict, key);
        if (found) *out = *found;
        return found != NULL;
    }
    if (!has_places(of) || !jinja_as_int(key, &i) || !jinja_length(of, &n)) return false;
    if (i < 0) i += (int64_t)n;
    if (i < 0 || (size_t)i >= n) return false;
    *out = of.kind == JINJA_STRING ? nth_character(r, of, (size_t)i) : of.list->item[i];
    if (of.markup) out->markup = true;
    return true;
}

jinja_value jinja_attribute(jinja_run *r, jinja_value of, const char *name)
{
    jinja_value out = jinja_none();
    if (!jinja_defined(r, of)) return out;
    if (field_of(r, &out, of, name) || item_of(r, &out, of, jinja_string_c(name))) return out;
    return missing(of, name, false);
}

static const char *terminated(jinja_run *r, jinja_value x)
{
    char *copy = jinja_alloc(r, x.s.n + 1, 1);
    if (!copy) return "";
    if (x.s.n) memcpy(copy, x.s.text, x.s.n);
    return copy;
}

jinja_value jinja_item(jinja_run *r, jinja_value of, jinja_value key)
{
    jinja_value out = jinja_none();
    if (!jinja_defined(r, of) || item_of(r, &out, of, key)) return out;
    const char *name = key.kind == JINJA_STRING ? terminated(r, key) : NULL;
    if (name && *name && field_of(r, &out, of, name)) return out;
    return missing(of, name ? name : "of this key", false);
}

/* The items from, from + step, ... of a list or a text, as Python's slice.indices gives them. */
static jinja_value pick(jinja_run *r, jinja_value of, int64_t from, int64_t to, int64_t step)
{
    const bool text = of.kind == JINJA_STRING;
    jinja_text t = {0};
    const bool ascii = text && of.s.chars == of.s.n;
    if (text && !jinja_step(r, of.s.n)) return of;
    if (ascii && step == 1)
        return from < to ? jinja_string(of.s.text + from, (size_t)(to - from))
                         : jinja_string("", 0);
    const jinja_list *items = jinja_items(r, of);
    jinja_value list = text ? jinja_none() : jinja_sequence(r, of.kind);
    for (int64_t i = from; items && !r->status && (step > 0 ? i < to : i > to); i += step) {
        if (text)
            jinja_add(r, &t, items->item[i].s.text, items->item[i].s.n);
        else
            jinja_append(r, list.list, items->item[i]);
    }
    return text ? jinja_text_value(&t) : list;
}

/* An end of a slice: counted from the end where negative, moved into [least, most]. */
static int64_t slice_end(jinja_run *r, jinja_value x, int64_t n, int64_t least, int64_t most,
                         int64_t otherwise)
{
    int64_t i;
    if (x.kind == JINJA_NONE) return otherwise;
    if (!jinja_as_int(x, &i)) {
        jinja_fail(r, DELE_ERR_DATA, "the end of a slice is a %s", jinja_type(x));
        return 0;
    }
    if (i < 0) i = i < -n ? -n - 1 + n : i + n;
    return i < least ? least : i > most ? most : i;
}

/* Python's slice: ends beyond the sequence are moved into it, a negative step goes back from the
 * end, and a slice of a range is a range. */
jinja_value jinja_slice(jinja_run *r, jinja_value of, const jinja_value part[3])
{
    size_t length;
    int64_t step = 1;
    if (!jinja_defined(r, of)) return of;
    if (!has_places(of) || !jinja_length(of, &length)) {
        jinja_fail(r, DELE_ERR_DATA, "a %s cannot be sliced", jinja_type(of));
        return of;
    }
    if (part[2].kind != JINJA_NONE && (!jinja_as_int(part[2], &step) || !step)) {
        jinja_fail(r, DELE_ERR_DATA, "the step of a slice is not a number that is not 0");
        return of;
    }
    const int64_t n = (int64_t)length;
    if (step > n + 1) step = n + 1;
    if (step < -n - 1) step = -n - 1;
    const int64_t least = step < 0 ? -1 : 0, most = step < 0 ? n - 1 : n;
    const int64_t from = slice_end(r, part[0], n, least, most, step < 0 ? most : 0);
    const int64_t to = slice_end(r, part[1], n, least, most, step < 0 ? -1 : n);
    jinja_value out = pick(r, of, from, to, step);
    out.markup = of.markup && out.kind == JINJA_STRING;
    if (of.kind == JINJA_RANGE && !r->status) {
        out.list->start = of.list->start + from * of.list->step;
        out.list->at = (size_t)(of.list->start + to * of.list->step);
        out.list->step = of.list->step * step;
    }
    return out;
}

jinja_value jinja_path(jinja_run *r, jinja_value of, jinja_value attribute)
{
    if (!jinja_step(r, 1) || attribute.kind == JINJA_ABSENT || attribute.kind == JINJA_NONE)
        return of;
    if (attribute.kind != JINJA_STRING) return jinja_item(r, of, attribute);
    const char *at = attribute.s.text, *end = at + attribute.s.n;
    for (bool more = true; more && !r->status;) {
        const char *dot = at < end ? memchr(at, '.', (size_t)(end - at)) : NULL;
        const char *stop = dot ? dot : end;
        bool number = stop > at && stop - at < 10;
        for (const char *c = at; c < stop; c++) number = number && *c >= '0' && *c <= '9';
        const jinja_value name = jinja_string(at, (size_t)(stop - at));
        of = jinja_item(r, of, number ? jinja_int(atoll(terminated(r, name))) : name);
        more = dot != NULL;
        at = stop + 1;
    }
    return of;
}
