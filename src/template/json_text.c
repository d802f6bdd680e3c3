#include "template/json_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

typedef struct {
    jinja_run *run;
    jinja_text out;
    bool ascii, sorted, lines; /* lines: an item a line */
    jinja_value indent, comma, colon;
} writer;

static void put(writer *w, jinja_value text) { jinja_add(w->run, &w->out, text.s.text, text.s.n); }

static void put_c(writer *w, const char *text) { jinja_add_c(w->run, &w->out, text); }

static void new_line(writer *w, int level)
{
    if (!w->lines) return;
    put_c(w, "\n");
    for (int i = 0; i < level && !w->run->status; i++) put(w, w->indent);
}

/* Quoted and escaped as json.dumps does it; characters above U+FFFF as two halves where all is
 * ASCII. */
static void put_string(writer *w, jinja_value x)
{
    put_c(w, "\"");
    for (size_t i = 0; i < x.s.n && !w->run->status;) {
        char escape[16] = "";
        utf8proc_int32_t c;
        const utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)x.s.text + i,
                                                       (utf8proc_ssize_t)(x.s.n - i), &c);
        static const char plain[] = "\"\\\n\r\t\f\b", letter[] = "\"\\nrtfb";
        const char *found = c > 0 && c < 0x80 ? strchr(plain, (int)c) : NULL;
        if (found)
            snprintf(escape, sizeof escape, "\\%c", letter[found - plain]);
        else if (c < 0x20 || (w->ascii && c >= 0x7f && c < 0x10000))
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
        else if (w->ascii && c >= 0x10000)
            snprintf(escape, sizeof escape, "\\u%04x\\u%04x",
                     0xd800u + (unsigned)((c - 0x10000) >> 10),
                     0xdc00u + (unsigned)((c - 0x10000) & 0x3ff));
        if (*escape)
            put_c(w, escape);
        else
            jinja_add(w->run, &w->out, x.s.text + i, (size_t)used);
        i += (size_t)used;
    }
    put_c(w, "\"");
}

static void put_float(writer *w, double x)
{
    if (isfinite(x))
        jinja_add_float(w->run, &w->out, x);
    else
        put_c(w, isnan(x) ? "NaN" : x < 0 ? "-Infinity" : "Infinity");
}

/* A number, true, false or null; false: it is none of them. */
static bool put_plain(writer *w, jinja_value x)
{
    if (x.kind == JINJA_NONE)
        put_c(w, "null");
    else if (x.kind == JINJA_BOOL)
        put_c(w, x.flag ? "true" : "false");
    else if (x.kind == JINJA_FLOAT)
        put_float(w, x.number);
    else if (x.kind == JINJA_INT)
        jinja_add_repr(w->run, &w->out, x, 0);
    else
        return false;
    return true;
}

/* The places of the keys, in their order where they are sorted. */
static size_t *order_of_keys(writer *w, const jinja_dict *dict)
{
    size_t *order = jinja_alloc(w->run, dict->n, sizeof *order);
    for (size_t i = 0; order && i < dict->n; i++) {
        size_t k = i;
        for (; w->sorted && k > 0 && !w->run->status &&
               jinja_order(w->run, dict->key[order[k - 1]], dict->key[i]) > 0;
             k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
    return order;
}

static void put_value(writer *w, jinja_value x, int level);

static void put_dict(writer *w, const jinja_dict *dict, int level)
{
    const size_t *order = order_of_keys(w, dict);
    put_c(w, "{");
    for (size_t i = 0; order && i < dict->n && !w->run->status; i++) {
        const jinja_value key = dict->key[order[i]];
        if (i) put(w, w->comma);
        new_line(w, level + 1);
        if (key.kind == JINJA_STRING) {
            put_string(w, key);
        } else {
            put_c(w, "\"");
            if (!put_plain(w, key))
                jinja_fail(w->run, DELE_ERR_DATA, "a %s is no key of JSON", jinja_type(key));
            put_c(w, "\"");
        }
        put(w, w->colon);
        put_value(w, dict->value[order[i]], level + 1);
    }
    if (dict->n) new_line(w, level);
    put_c(w, "}");
}

static void put_value(writer *w, jinja_value x, int level)
{
    if (level > JINJA_NESTING) {
        jinja_fail(w->run, DELE_ERR_UNSUPPORTED, "a value is nested more than %d deep",
                   JINJA_NESTING);
    } else if (x.kind == JINJA_STRING) {
        put_string(w, x);
    } else if (x.kind == JINJA_LIST || x.kind == JINJA_TUPLE) {
        put_c(w, "[");
        for (size_t i = 0; i < x.list->n && !w->run->status; i++) {
            if (i) put(w, w->comma);
            new_line(w, level + 1);
            put_value(w, x.list->item[i], level + 1);
        }
        if (x.list->n) new_line(w, level);
        put_c(w, "]");
    } else if (x.kind == JINJA_DICT) {
        put_dict(w, x.dict, level);
    } else if (!put_plain(w, x) && jinja_defined(w->run, x)) {
        jinja_fail(w->run, DELE_ERR_DATA, "a %s has no form in JSON", jinja_type(x));
    }
}

/* indent: a text, or a number of blanks; none: all in one line. */
static void read_indent(writer *w, jinja_value indent)
{
    int64_t n = 0;
    jinja_text blanks = {0};
    w->lines = indent.kind != JINJA_ABSENT && indent.kind != JINJA_NONE;
    w->indent = indent;
    if (!w->lines || indent.kind == JINJA_STRING) return;
    if (!jinja_as_int(indent, &n) || n > 100)
        jinja_fail(w->run, DELE_ERR_DATA, "tojson: an indent that is no small number");
    for (int64_t i = 0; i < n && !w->run->status; i++) jinja_add_c(w->run, &blanks, " ");
    w->indent = jinja_text_value(&blanks);
}

jinja_value jinja_to_json(jinja_run *r, jinja_value x, const jinja_value arg[4])
{
    writer w = {.run = r, .ascii = jinja_truth(arg[0]), .sorted = jinja_truth(arg[3])};
    read_indent(&w, arg[1]);
    w.comma = jinja_string_c(w.lines ? "," : ", ");
    w.colon = jinja_string_c(": ");
    if (arg[2].kind != JINJA_ABSENT && arg[2].kind != JINJA_NONE) {
        const bool pair = jinja_has_items(arg[2]) && arg[2].list->n == 2 &&
                          arg[2].list->item[0].kind == JINJA_STRING &&
                          arg[2].list->item[1].kind == JINJA_STRING;
        if (pair) {
            w.comma = arg[2].list->item[0];
            w.colon = arg[2].list->item[1];
        } else {
            jinja_fail(r, DELE_ERR_DATA, "tojson: separators are not two texts");
        }
    }
    put_value(&w, x, 0);
    return jinja_text_value(&w.out);
}
