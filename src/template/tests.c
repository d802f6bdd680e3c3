#include "template/tests.h"

#include <string.h>

static bool is_remainder(jinja_run *r, jinja_value x, jinja_value by, int64_t wanted)
{
    int64_t i, n;
    if (!jinja_defined(r, x) || !jinja_defined(r, by)) return false;
    if (!jinja_as_int(x, &i) || !jinja_as_int(by, &n) || !n) {
        jinja_fail(r, DELE_ERR_UNSUPPORTED, "divisibility of a %s by a %s is not supported",
                   jinja_type(x), jinja_type(by));
        return false;
    }
    return n == -1 ? wanted == 0 : i % n == wanted || (wanted == 1 && i % n == -1);
}

/* Tests without an argument. */
static bool of_kind(jinja_run *r, const char *name, jinja_value x, bool *known)
{
    *known = true;
    if (!strcmp(name, "defined")) return x.kind != JINJA_UNDEFINED;
    if (!strcmp(name, "undefined")) return x.kind == JINJA_UNDEFINED;
    if (!strcmp(name, "none")) return x.kind == JINJA_NONE;
    if (!strcmp(name, "boolean")) return x.kind == JINJA_BOOL;
    if (!strcmp(name, "true")) return x.kind == JINJA_BOOL && x.flag;
    if (!strcmp(name, "false")) return x.kind == JINJA_BOOL && !x.flag;
    if (!strcmp(name, "integer")) return x.kind == JINJA_INT;
    if (!strcmp(name, "float")) return x.kind == JINJA_FLOAT;
    if (!strcmp(name, "number")) return jinja_is_number(x);
    if (!strcmp(name, "string")) return x.kind == JINJA_STRING;
    if (!strcmp(name, "mapping")) return x.kind == JINJA_DICT;
    if (!strcmp(name, "iterable")) return jinja_iterable(x);
    if (!strcmp(name, "sequence"))
        return x.kind == JINJA_UNDEFINED || x.kind == JINJA_STRING || x.kind == JINJA_DICT ||
               (jinja_has_items(x) && x.kind != JINJA_VIEW && x.kind != JINJA_ITERATOR);
    if (!strcmp(name, "callable"))
        return x.kind == JINJA_FUNCTION || x.kind == JINJA_METHOD || x.kind == JINJA_MACRO ||
               x.kind == JINJA_LOOP || x.kind == JINJA_UNDEFINED;
    if (!strcmp(name, "escaped")) return x.kind == JINJA_STRING && x.markup;
    if (!strcmp(name, "odd")) return is_remainder(r, x, jinja_int(2), 1);
    if (!strcmp(name, "even")) return is_remainder(r, x, jinja_int(2), 0);
    *known = false;
    return false;
}

/* Identity, where it is the same in every Python: of none, true, false, and of values of two
 * kinds. */
static bool is_same_as(jinja_run *r, jinja_value x, jinja_value y)
{
    if (x.kind != y.kind) return false;
    if (x.kind == JINJA_NONE) return true;
    if (x.kind == JINJA_BOOL) return x.flag == y.flag;
    jinja_fail(r, DELE_ERR_UNSUPPORTED, "the test sameas of two values of type %s is not supported",
               jinja_type(x));
    return false;
}

static bool against(jinja_run *r, const char *name, jinja_value x, jinja_value y, bool *known)
{
    static const struct {
        const char *names, *means;
    } order[] = {{" eq == equalto ", "0"}, {" ne != ", ""},          {" gt > greaterthan ", "1"},
                 {" ge >= ", "01"},        {" lt < lessthan ", "-"}, {" le <= ", "0-"}};
    *known = true;
    if (!strcmp(name, "in")) return jinja_contains(r, y, x);
    if (!strcmp(name, "sameas")) return is_same_as(r, x, y);
    if (!strcmp(name, "divisibleby")) return is_remainder(r, x, y, 0);
    const size_t n = strlen(name);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        const char *at = n ? strstr(order[i].names, name) : NULL;
        if (!at || at[-1] != ' ' || at[n] != ' ') continue;
        if (i < 2) return jinja_equal(r, x, y) == (i == 0);
        const int o = jinja_order(r, x, y);
        return strchr(order[i].means, o < 0 ? '-' : o == 0 ? '0' : o == 2 ? '2' : '1') != NULL;
    }
    *known = false;
    return false;
}

bool jinja_call_test(jinja_run *r, const char *name, jinja_value x, const jinja_args *args)
{
    bool known = false, holds = false;
    if (args->n == 0 && !args->n_named) holds = of_kind(r, name, x, &known);
    if (args->n == 1 && !args->n_named) holds = against(r, name, x, args->value[0], &known);
    if (known) return holds && !r->status;
    of_kind(r, name, jinja_int(0), &known);
    if (!known) against(r, name, jinja_none(), jinja_string("", 0), &known);
    if (r->status || known)
        jinja_fail(r, DELE_ERR_DATA, "the test \"%s\" does not take these arguments", name);
    else
        jinja_fail(r, DELE_ERR_UNSUPPORTED, "the test \"%s\" is not supported", name);
    return false;
}
