/* Evaluates a template's tree.
 *
 * Variables are found in the innermost scope that has them.  A turn of a loop, a macro, a block
 * whose text is captured and {% with %} have a scope of their own; `if` has none; {% set %} writes
 * into the innermost.  This gives what jinja2's compiled functions give.  A macro sees the scope in
 * which it was defined.
 *
 * Three departures from jinja2, none of which changes a text that both give: what its generators do
 * late (map, select, ...) is done at once, so that an error may come which there never comes; a
 * filter of a `for` whose body uses `loop` is applied to all items first; and the limits. */
#include "template/template.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "template/access.h"
#include "template/filters.h"
#include "template/methods.h"
#include "template/syntax.h"
#include "template/tests.h"

struct dele_template {
    const jinja_node *tree;
    const char *where;
    bool has_date;
};

typedef struct binding binding;
struct binding {
    const char *name;
    jinja_value value;
    binding *next;
};

typedef struct scope scope;
struct scope {
    binding *first;
    scope *outer;
};

typedef struct {
    const jinja_node *node; /* JINJA_N_MACRO, or JINJA_N_CALL_BLOCK: its caller */
    scope *scope;           /* in which it was defined */
} macro;

typedef struct {
    jinja_run run;
    const jinja_dict *variables;
    jinja_text *out;
} evaluator;

typedef enum { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } flow;

static jinja_value eval(evaluator *e, scope *s, const jinja_node *n);
static flow exec(evaluator *e, scope *s, const jinja_node *n);

/* ---- variables ------------------------------------------------------------------------------- */

static scope *inner(evaluator *e, scope *outer)
{
    scope *s = jinja_alloc(&e->run, 1, sizeof *s);
    if (s) s->outer = outer;
    return s ? s : outer;
}

static void bind(evaluator *e, scope *s, const char *name, jinja_value value)
{
    for (binding *b = s->first; b; b = b->next) {
        if (strcmp(b->name, name)) continue;
        b->value = value;
        return;
    }
    binding *b = jinja_alloc(&e->run, 1, sizeof *b);
    if (!b) return;
    *b = (binding){name, value, s->first};
    s->first = b;
}

static jinja_value look_up(evaluator *e, const scope *s, const char *name)
{
    static const char *const functions[] = {"range",           "dict",         "namespace",
                                            "raise_exception", "strftime_now", "lipsum",
                                            "cycler",          "joiner"};
    for (; s && jinja_step(&e->run, 1); s = s->outer)
        for (const binding *b = s->first; b && jinja_step(&e->run, 1); b = b->next)
            if (!strcmp(b->name, name)) return b->value;
    const jinja_value *found = jinja_find(&e->run, e->variables, jinja_string_c(name));
    if (found) return *found;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!strcmp(functions[i], name))
            return (jinja_value){.kind = JINJA_FUNCTION, .call = {functions[i], NULL}};
    return jinja_undefined(name);
}

static void assign(evaluator *e, scope *s, const jinja_node *target, jinja_value value);

static void assign_items(evaluator *e, scope *s, const jinja_node *target, jinja_value value)
{
    const jinja_list *items = jinja_items(&e->run, value);
    if (!items) return;
    if (items->n != target->n) {
        jinja_fail(&e->run, DELE_ERR_DATA, "%zu values for %zu names", items->n, target->n);
        return;
    }
    for (size_t i = 0; i < target->n && !e->run.status; i++)
        assign(e, s, target->list[i], items->item[i]);
}

static void assign(evaluator *e, scope *s, const jinja_node *target, jinja_value value)
{
    if (e->run.status) return;
    if (target->kind == JINJA_N_NAME) {
        bind(e, s, target->text, value);
    } else if (target->kind == JINJA_N_TUPLE) {
        assign_items(e, s, target, value);
    } else {
        const jinja_value of = look_up(e, s, target->text);
        if (of.kind != JINJA_NAMESPACE)
            jinja_fail(&e->run, DELE_ERR_DATA, "%s is no namespace: its attributes cannot be set",
                       target->text);
        else if (target->text2[0] == '_')
            jinja_fail(&e->run, DELE_ERR_UNSUPPORTED,
                       "a namespace's attribute with an underscore in front (%s) is refused",
                       target->text2);
        else
            jinja_put(&e->run, of.dict, jinja_string_c(target->text2), value);
    }
}

/* ---- operators ------------------------------------------------------------------------------- */

static jinja_value overflow(evaluator *e)
{
    jinja_fail(&e->run, DELE_ERR_UNSUPPORTED, "an integer of more than 64 bits");
    return jinja_none();
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static jinja_value power(evaluator *e, int64_t a, int64_t b)
{
    int64_t out = 1;
    if (b < 0) return jinja_float(pow((double)a, (double)b));
    for (; b > 0; b--) {
        if (a == 0 || a == 1) return jinja_int(a);
        if (a == -1) return jinja_int(b % 2 ? -out : out);
        if (__builtin_mul_overflow(out, a, &out)) return overflow(e);
    }
    return jinja_int(out);
}

/* Python's operators: / gives a float, // and % round down, and a sum that does not fit is refused.
 */
static jinja_value of_integers(evaluator *e, const char *op, int64_t a, int64_t b)
{
    int64_t out = 0;
    bool over = false;
    if (!strcmp(op, "**")) return power(e, a, b);
    if (strchr("/%", *op) && b == 0) {
        jinja_fail(&e->run, DELE_ERR_DATA, "division by zero");
        return jinja_none();
    }
    if (!strcmp(op, "/")) return jinja_float((double)a / (double)b);
    if (*op == '+') over = __builtin_add_overflow(a, b, &out);
    if (*op == '-') over = __builtin_sub_overflow(a, b, &out);
    if (*op == '*') over = __builtin_mul_overflow(a, b, &out);
    if (*op == '/' || *op == '%') {
        if (b == -1)
            over = __builtin_sub_overflow((int64_t)0, a, &out);
        else
            out = floor_divide(a, b);
        if (*op == '%') out = b == -1 ? 0 : a - out * b;
        if (*op == '%') over = false;
    }
    return over ? overflow(e) : jinja_int(out);
}

static jinja_value of_floats(evaluator *e, const char *op, double a, double b)
{
    if (!strcmp(op, "**")) return jinja_float(pow(a, b));
    if (strchr("/%", *op) && b == 0) {
        jinja_fail(&e->run, DELE_ERR_DATA, "division by zero");
        return jinja_none();
    }
    if (*op == '+') return jinja_float(a + b);
    if (*op == '-') return jinja_float(a - b);
    if (*op == '*') return jinja_float(a * b);
    if (!strcmp(op, "/")) return jinja_float(a / b);
    double rest = fmod(a, b);
    if (rest && (rest < 0) != (b < 0)) rest += b;
    if (*op == '%') return jinja_float(rest ? rest : copysign(0, b));
    return jinja_float(floor((a - rest) / b + 0.5));
}

/* A text or a list n times. */
static jinja_value repeated(evaluator *e, jinja_value x, int64_t n)
{
    jinja_text t = {0};
    jinja_value list = x.kind == JINJA_STRING ? x : jinja_sequence(&e->run, x.kind);
    for (; n > 0 && jinja_step(&e->run, 1); n--) {
        if (x.kind == JINJA_STRING) {
            if (!x.s.n) break;
            jinja_add(&e->run, &t, x.s.text, x.s.n);
            continue;
        }
        if (!x.list->n) break;
        for (size_t i = 0; i < x.list->n && !e->run.status; i++)
            jinja_append(&e->run, list.list, x.list->item[i]);
    }
    jinja_value out = x.kind == JINJA_STRING ? jinja_text_value(&t) : list;
    out.markup = x.kind == JINJA_STRING && x.markup;
    return out;
}

static bool is_repeatable(jinja_value x)
{
    return x.kind == JINJA_STRING || x.kind == JINJA_LIST || x.kind == JINJA_TUPLE;
}

static jinja_value added(evaluator *e, jinja_value a, jinja_value b)
{
    if (a.kind == JINJA_STRING) {
        jinja_text t = {0};
        jinja_add(&e->run, &t, a.s.text, a.s.n);
        jinja_add(&e->run, &t, b.s.text, b.s.n);
        return jinja_text_value(&t);
    }
    jinja_value out = jinja_sequence(&e->run, a.kind);
    for (size_t i = 0; i < a.list->n && !e->run.status; i++)
        jinja_append(&e->run, out.list, a.list->item[i]);
    for (size_t i = 0; i < b.list->n && !e->run.status; i++)
        jinja_append(&e->run, out.list, b.list->item[i]);
    return out;
}

/* `format % values`: a tuple holds several values, anything else is one; one that has items, as a
 * list has, need not be used. */
static jinja_value formatted(evaluator *e, jinja_value format, jinja_value x)
{
    const jinja_list one = {.item = &x, .n = 1}, none = {0};
    const bool unused = x.kind == JINJA_LIST || x.kind == JINJA_DICT || x.kind == JINJA_RANGE ||
                        x.kind == JINJA_UNDEFINED;
    if (unused && !(format.s.n && memchr(format.s.text, '%', format.s.n)))
        return jinja_percent(&e->run, format, &none);
    return jinja_percent(&e->run, format, x.kind == JINJA_TUPLE ? x.list : &one);
}

/* Numbers, texts and lists; `text % values` formats.  Everything else has no value, as in Python.
 */
static jinja_value operate(evaluator *e, const char *op, jinja_value a, jinja_value b)
{
    int64_t i, j;
    const bool defined = jinja_defined(&e->run, a);
    if (!defined || (b.kind == JINJA_UNDEFINED && a.kind != JINJA_STRING && *op == '%'))
        return jinja_defined(&e->run, b) ? a : b;
    if ((a.markup && a.kind == JINJA_STRING) || (b.markup && b.kind == JINJA_STRING)) {
        if (*op != '*') {
            jinja_fail(&e->run, DELE_ERR_UNSUPPORTED, "%s with a safe text is not supported", op);
            return a;
        }
    }
    if (a.kind == JINJA_STRING && !strcmp(op, "%")) return formatted(e, a, b);
    if (!jinja_defined(&e->run, b)) return b;
    if (jinja_as_int(a, &i) && jinja_as_int(b, &j)) return of_integers(e, op, i, j);
    if (jinja_is_number(a) && jinja_is_number(b))
        return of_floats(e, op, jinja_as_double(a), jinja_as_double(b));
    if (!strcmp(op, "+") && a.kind == b.kind && is_repeatable(a)) return added(e, a, b);
    if (!strcmp(op, "*") && is_repeatable(a) && jinja_as_int(b, &i)) return repeated(e, a, i);
    if (!strcmp(op, "*") && is_repeatable(b) && jinja_as_int(a, &i)) return repeated(e, b, i);
    jinja_fail(&e->run, DELE_ERR_DATA, "a %s %s a %s has no value", jinja_type(a), op,
               jinja_type(b));
    return a;
}

static bool compared(evaluator *e, const char *op, jinja_value a, jinja_value b)
{
    if (!strcmp(op, "in")) return jinja_contains(&e->run, b, a);
    if (!strcmp(op, "not in")) return !jinja_contains(&e->run, b, a);
    if (!strcmp(op, "==")) return jinja_equal(&e->run, a, b);
    if (!strcmp(op, "!=")) return !jinja_equal(&e->run, a, b);
    const int order = jinja_order(&e->run, a, b);
    if (order == 2) return false;
    return *op == '<' ? order < 0 || (op[1] && !order) : order > 0 || (op[1] && !order);
}

static jinja_value signed_value(evaluator *e, jinja_value x, bool negative)
{
    int64_t i;
    if (jinja_as_int(x, &i))
        return i == INT64_MIN && negative ? overflow(e) : jinja_int(negative ? -i : i);
    if (x.kind == JINJA_FLOAT) return jinja_float(negative ? -x.number : x.number);
    if (jinja_defined(&e->run, x))
        jinja_fail(&e->run, DELE_ERR_DATA, "the sign of a %s", jinja_type(x));
    return x;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* Evaluates the arguments of a call, a filter or a test. */
static void eval_arguments(evaluator *e, scope *s, const jinja_node *n, jinja_args *out)
{
    jinja_value values = jinja_sequence(&e->run, JINJA_LIST);
    jinja_value names = jinja_mapping(&e->run, JINJA_DICT);
    *out = (jinja_args){0};
    for (size_t i = 0; i < n->n_args && !e->run.status; i++) {
        const jinja_argument *a = &n->args[i];
        const jinja_value x = eval(e, s, a->value);
        if (e->run.status) return;
        if (a->star == 1) {
            const jinja_list *items = jinja_items(&e->run, x);
            for (size_t k = 0; items && k < items->n; k++)
                jinja_append(&e->run, values.list, items->item[k]);
        } else if (a->star == 2) {
            if (x.kind != JINJA_DICT)
                jinja_fail(&e->run, DELE_ERR_DATA, "**%s is no dict", jinja_type(x));
            for (size_t k = 0; x.kind == JINJA_DICT && k < x.dict->n; k++)
                jinja_put(&e->run, names.dict, x.dict->key[k], x.dict->value[k]);
        } else if (a->name) {
            jinja_put(&e->run, names.dict, jinja_string_c(a->name), x);
        } else {
            jinja_append(&e->run, values.list, x);
        }
    }
    if (e->run.status) return;
    const size_t n_names = names.dict->n;
    *out = (jinja_args){.value = values.list->item,
                        .n = values.list->n,
                        .n_named = n_names,
                        .named = jinja_alloc(&e->run, n_names + 1, sizeof *out->named),
                        .name = jinja_alloc(&e->run, n_names + 1, sizeof *out->name)};
    for (size_t i = 0; i < n_names && !e->run.status; i++) {
        const jinja_value key = names.dict->key[i];
        char *name = key.kind == JINJA_STRING ? jinja_alloc(&e->run, key.s.n + 1, 1) : NULL;
        if (!name) {
            jinja_fail(&e->run, DELE_ERR_DATA, "the name of an argument is no text");
            return;
        }
        if (key.s.n) memcpy(name, key.s.text, key.s.n);
        out->name[i] = name;
        out->named[i] = names.dict->value[i];
    }
}

/* What a macro was given beyond its parameters: varargs and kwargs where its body reads them, and
 * the caller of a call block. */
static void bind_rest(evaluator *e, scope *s, const jinja_node *n, const jinja_args *args)
{
    jinja_value more = jinja_sequence(&e->run, JINJA_TUPLE);
    jinja_value named = jinja_mapping(&e->run, JINJA_DICT);
    const bool wants_more = n->mentions & JINJA_SAYS_VARARGS;
    const bool wants_named = n->mentions & JINJA_SAYS_KWARGS;
    for (size_t i = n->n_args; i < args->n && !e->run.status; i++)
        jinja_append(&e->run, more.list, args->value[i]);
    for (size_t i = 0; i < args->n_named && !e->run.status; i++) {
        bool parameter = false;
        for (size_t k = args->n; k < n->n_args; k++)
            parameter |= !strcmp(n->args[k].name, args->name[i]);
        if (parameter) continue;
        if (!strcmp(args->name[i], "caller") && n->mentions & JINJA_SAYS_CALLER)
            bind(e, s, "caller", args->named[i]);
        else if (wants_named)
            jinja_put(&e->run, named.dict, jinja_string_c(args->name[i]), args->named[i]);
        else
            jinja_fail(&e->run, DELE_ERR_DATA, "the macro %s has no parameter \"%s\"", n->text,
                       args->name[i]);
    }
    if (args->n > n->n_args && !wants_more)
        jinja_fail(&e->run, DELE_ERR_DATA, "the macro %s takes at most %zu arguments", n->text,
                   n->n_args);
    if (wants_more) bind(e, s, "varargs", more);
    if (wants_named) bind(e, s, "kwargs", named);
}

/* The text of a body in a scope of its own. */
static jinja_value captured(evaluator *e, scope *s, const jinja_node *body, flow *f)
{
    jinja_text t = {0}, *out = e->out;
    e->out = &t;
    *f = exec(e, s, body);
    e->out = out;
    return jinja_text_value(&t);
}

static jinja_value call_macro(evaluator *e, const macro *m, const jinja_args *args)
{
    const jinja_node *n = m->node, *text = n->kind == JINJA_N_MACRO ? n->a : n->b;
    scope *s = inner(e, m->scope);
    flow f;
    bind_rest(e, s, n, args);
    for (size_t i = 0; i < n->n_args && !e->run.status; i++) {
        jinja_value x = {JINJA_ABSENT};
        if (i < args->n) x = args->value[i];
        for (size_t k = 0; i >= args->n && k < args->n_named; k++)
            if (!strcmp(args->name[k], n->args[i].name)) x = args->named[k];
        if (x.kind == JINJA_ABSENT)
            x = n->args[i].value ? eval(e, s, n->args[i].value) : jinja_undefined(n->args[i].name);
        bind(e, s, n->args[i].name, x);
    }
    return e->run.status ? jinja_none() : captured(e, s, text, &f);
}

/* range(to), range(from, to[, step]), at most as many numbers as the sandbox allows. */
static jinja_value make_range(evaluator *e, const jinja_args *args)
{
    int64_t at[3] = {0, 0, 1};
    for (size_t i = 0; i < args->n && i < 3; i++)
        if (!jinja_as_int(args->value[i], &at[i])) {
            jinja_defined(&e->run, args->value[i]);
            jinja_fail(&e->run, DELE_ERR_DATA, "range of a %s", jinja_type(args->value[i]));
        }
    if (args->n == 1) {
        at[1] = at[0];
        at[0] = 0;
    }
    if (!args->n || args->n > 3 || args->n_named || !at[2])
        jinja_fail(&e->run, DELE_ERR_DATA, "range takes one to three numbers, and a step but 0");
    jinja_value out = jinja_sequence(&e->run, JINJA_RANGE);
    if (e->run.status) return out;
    out.list->start = at[0];
    out.list->step = at[2];
    out.list->at = (size_t)at[1];
    for (int64_t i = at[0]; (at[2] > 0 ? i < at[1] : i > at[1]) && !e->run.status;) {
        if (out.list->n == 100000)
            jinja_fail(&e->run, DELE_ERR_UNSUPPORTED, "a range of more than 100000 numbers");
        jinja_append(&e->run, out.list, jinja_int(i));
        if (__builtin_add_overflow(i, at[2], &i)) break;
    }
    return out;
}

/* dict(...) and namespace(...): of a dict or of pairs, and of named values. */
static jinja_value make_dict(evaluator *e, jinja_kind kind, const jinja_args *args)
{
    jinja_value out = jinja_mapping(&e->run, kind);
    if (args->n > 1) jinja_fail(&e->run, DELE_ERR_DATA, "dict takes at most one argument");
    if (args->n == 1 && args->value[0].kind == JINJA_DICT) {
        const jinja_dict *from = args->value[0].dict;
        for (size_t i = 0; i < from->n && !e->run.status; i++)
            jinja_put(&e->run, out.dict, from->key[i], from->value[i]);
    } else if (args->n == 1) {
        const jinja_list *pairs = jinja_items(&e->run, args->value[0]);
        for (size_t i = 0; pairs && i < pairs->n && !e->run.status; i++) {
            const jinja_list *pair = jinja_items(&e->run, pairs->item[i]);
            if (pair && pair->n != 2)
                jinja_fail(&e->run, DELE_ERR_DATA, "dict of what are not pairs");
            if (!e->run.status) jinja_put(&e->run, out.dict, pair->item[0], pair->item[1]);
        }
    }
    for (size_t i = 0; i < args->n_named && !e->run.status; i++)
        jinja_put(&e->run, out.dict, jinja_string_c(args->name[i]), args->named[i]);
    for (size_t i = 0; kind == JINJA_NAMESPACE && !e->run.status && i < out.dict->n; i++)
        if (out.dict->key[i].kind == JINJA_STRING && out.dict->key[i].s.n &&
            *out.dict->key[i].s.text == '_')
            jinja_fail(&e->run, DELE_ERR_UNSUPPORTED,
                       "a namespace's attribute with an underscore in front is refused");
    return out;
}

static void raise(evaluator *e, const jinja_args *args)
{
    jinja_text t = {0};
    if (args->n == 1) jinja_add_str(&e->run, &t, args->value[0]);
    jinja_fail(&e->run, DELE_ERR_DATA, "the template refuses the conversation: %.*s",
               t.n > 300 ? 300 : (int)t.n, t.n ? t.text : "");
}

/* C's strftime of the run's time.  Python gives microseconds and no time zone, C the zone. */
static jinja_value strftime_now(evaluator *e, const jinja_args *args)
{
    char format[256], out[1024];
    jinja_value x = args->n == 1 ? args->value[0] : jinja_none();
    if (x.kind != JINJA_STRING || x.s.n + 2 > sizeof format) {
        jinja_fail(&e->run, DELE_ERR_DATA, "strftime_now takes a format of less than 250 bytes");
        return x;
    }
    memcpy(format, x.s.text, x.s.n);
    memcpy(format + x.s.n, "|",
           2); /* so that no result is empty, which strftime tells as failure */
    for (const char *c = format; (c = strchr(c, '%')); c += 1 + (c[1] != 0))
        if (!c[1] || !strchr("aAwdbBmyYHIMSpjUWcxX%-eFTDGuV", c[1]) ||
            (c[1] == '-' && !(c[2] && strchr("dmHIMSj", c[2])))) {
            jinja_fail(&e->run, DELE_ERR_UNSUPPORTED, "strftime_now(\"%.*s\") is not supported",
                       (int)x.s.n, x.s.text);
            return x;
        }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    const size_t n =
        strftime(out, sizeof out, format, e->run.now); /* the format is checked above */
#pragma GCC diagnostic pop
    jinja_text t = {0};
    if (n) jinja_add(&e->run, &t, out, n - 1);
    if (!n) jinja_fail(&e->run, DELE_ERR_DATA, "strftime_now gives more than 1000 bytes");
    return jinja_text_value(&t);
}

static jinja_value call_function(evaluator *e, const char *name, const jinja_args *args)
{
    if (!strcmp(name, "range")) return make_range(e, args);
    if (!strcmp(name, "dict")) return make_dict(e, JINJA_DICT, args);
    if (!strcmp(name, "namespace")) return make_dict(e, JINJA_NAMESPACE, args);
    if (!strcmp(name, "strftime_now")) return strftime_now(e, args);
    if (!strcmp(name, "raise_exception"))
        raise(e, args);
    else
        jinja_fail(&e->run, DELE_ERR_UNSUPPORTED, "the function %s is not supported", name);
    return jinja_none();
}

static jinja_value call_value(evaluator *e, jinja_value f, const jinja_args *args)
{
    if (!jinja_defined(&e->run, f)) return f;
    if (f.kind == JINJA_FUNCTION) return call_function(e, f.call.name, args);
    if (f.kind == JINJA_METHOD) return jinja_call_method(&e->run, f.call.name, *f.call.self, args);
    if (f.kind == JINJA_MACRO) return call_macro(e, f.object, args);
    jinja_fail(&e->run, DELE_ERR_DATA, "a %s cannot be called", jinja_type(f));
    return f;
}

/* ---- expressions ----------------------------------------------------------------------------- */

static jinja_value collection(evaluator *e, scope *s, const jinja_node *n)
{
    if (n->kind == JINJA_N_DICT) {
        jinja_value out = jinja_mapping(&e->run, JINJA_DICT);
        for (size_t i = 0; i + 1 < n->n && !e->run.status; i += 2) {
            const jinja_value key = eval(e, s, n->list[i]);
            jinja_put(&e->run, out.dict, key, eval(e, s, n->list[i + 1]));
        }
        return out;
    }
    jinja_value out = jinja_sequence(&e->run, n->kind == JINJA_N_TUPLE ? JINJA_TUPLE : JINJA_LIST);
    for (size_t i = 0; i < n->n && !e->run.status; i++)
        jinja_append(&e->run, out.list, eval(e, s, n->list[i]));
    return out;
}

static jinja_value slice(evaluator *e, scope *s, const jinja_node *n)
{
    jinja_value part[3];
    const jinja_value of = eval(e, s, n->a);
    for (size_t i = 0; i < 3; i++) part[i] = n->list[i] ? eval(e, s, n->list[i]) : jinja_none();
    return e->run.status ? of : jinja_slice(&e->run, of, part);
}

static jinja_value eval_compare(evaluator *e, scope *s, const jinja_node *n)
{
    jinja_value left = eval(e, s, n->a);
    for (size_t i = 0; i < n->n && !e->run.status; i++) {
        const jinja_value right = eval(e, s, n->list[i]->a);
        if (!compared(e, n->list[i]->text, left, right)) return jinja_bool(false);
        left = right;
    }
    return jinja_bool(true);
}

static jinja_value concatenate(evaluator *e, scope *s, const jinja_node *n)
{
    jinja_text t = {0};
    for (size_t i = 0; i < n->n && !e->run.status; i++)
        jinja_add_str(&e->run, &t, eval(e, s, n->list[i]));
    return jinja_text_value(&t);
}

/* The filters n, the innermost of which works on `text` (of a block) where it has no operand. */
static jinja_value filtered(evaluator *e, scope *s, const jinja_node *n, jinja_value text)
{
    jinja_args args;
    jinja_value x = text;
    if (n->a && n->a->kind == JINJA_N_FILTER && text.kind != JINJA_ABSENT)
        x = filtered(e, s, n->a, text);
    else if (n->a)
        x = eval(e, s, n->a);
    eval_arguments(e, s, n, &args);
    e->run.line = n->line;
    return e->run.status ? x : jinja_call_filter(&e->run, n->text, x, &args);
}

static jinja_value with_arguments(evaluator *e, scope *s, const jinja_node *n)
{
    jinja_args args;
    const jinja_value x = eval(e, s, n->a);
    if (e->run.status) return x;
    eval_arguments(e, s, n, &args);
    e->run.line = n->line;
    if (e->run.status) return x;
    return n->kind == JINJA_N_CALL ? call_value(e, x, &args)
                                   : jinja_bool(jinja_call_test(&e->run, n->text, x, &args));
}

/* The value of one node; operands are evaluated from the left, and only those that are needed. */
static jinja_value eval_node(evaluator *e, scope *s, const jinja_node *n)
{
    jinja_value a;
    switch (n->kind) {
    case JINJA_N_CONSTANT:
        return n->value;
    case JINJA_N_NAME:
        return look_up(e, s, n->text);
    case JINJA_N_TUPLE:
    case JINJA_N_LIST:
    case JINJA_N_DICT:
        return collection(e, s, n);
    case JINJA_N_ATTRIBUTE:
        return jinja_attribute(&e->run, eval(e, s, n->a), n->text);
    case JINJA_N_ITEM:
        a = eval(e, s, n->a);
        return jinja_item(&e->run, a, eval(e, s, n->b));
    case JINJA_N_SLICE:
        return slice(e, s, n);
    case JINJA_N_CALL:
    case JINJA_N_TEST:
        return with_arguments(e, s, n);
    case JINJA_N_FILTER:
        return filtered(e, s, n, (jinja_value){JINJA_ABSENT});
    case JINJA_N_NOT:
        return jinja_bool(!jinja_truth(eval(e, s, n->a)));
    case JINJA_N_NEGATIVE:
    case JINJA_N_POSITIVE:
        return signed_value(e, eval(e, s, n->a), n->kind == JINJA_N_NEGATIVE);
    case JINJA_N_AND:
        a = eval(e, s, n->a);
        return jinja_truth(a) ? eval(e, s, n->b) : a;
    case JINJA_N_OR:
        a = eval(e, s, n->a);
        return jinja_truth(a) ? a : eval(e, s, n->b);
    case JINJA_N_BINARY:
        a = eval(e, s, n->a);
        return operate(e, n->text, a, eval(e, s, n->b));
    case JINJA_N_CONCAT:
        return concatenate(e, s, n);
    case JINJA_N_COMPARE:
        return eval_compare(e, s, n);
    case JINJA_N_CHOICE:
        if (jinja_truth(eval(e, s, n->b))) return eval(e, s, n->a);
        return n->c ? eval(e, s, n->c) : jinja_undefined("an inline if without its else");
    default:
        jinja_fail(&e->run, DELE_ERR_FORMAT, "a statement stands where a value is expected");
        return jinja_none();
    }
}

/* Counts a level and a step; every true is followed by a depth--. */
static bool enter(evaluator *e, int line)
{
    e->run.line = line;
    if (!jinja_step(&e->run, 8)) return false;
    if (e->run.depth < JINJA_DEPTH) {
        e->run.depth++;
        return true;
    }
    jinja_fail(&e->run, DELE_ERR_UNSUPPORTED, "nested more than %d deep", JINJA_DEPTH);
    return false;
}

static jinja_value eval(evaluator *e, scope *s, const jinja_node *n)
{
    if (!enter(e, n->line)) return jinja_none();
    const jinja_value x = eval_node(e, s, n);
    e->run.depth--;
    e->run.line = e->run.status ? e->run.line : n->line;
    return x;
}

/* ---- statements ------------------------------------------------------------------------------ */

static bool passes(evaluator *e, scope *s, const jinja_node *n, jinja_value item)
{
    scope *own = inner(e, s);
    assign(e, own, n->a, item);
    return !e->run.status && jinja_truth(eval(e, own, n->c));
}

/* Each turn has a new scope.  The `else` runs where no turn came to its end, as in jinja2: also
 * where the first one breaks. */
static flow loop_over(evaluator *e, scope *s, const jinja_node *n)
{
    const jinja_list *items = jinja_items(&e->run, eval(e, s, n->b));
    const bool early = n->c && n->mentions & JINJA_SAYS_LOOP;
    bool ended = false;
    if (!items || e->run.status) return FLOW_ON;
    if (early) {
        jinja_value kept = jinja_sequence(&e->run, JINJA_LIST);
        for (size_t i = 0; i < items->n && !e->run.status; i++)
            if (passes(e, s, n, items->item[i])) jinja_append(&e->run, kept.list, items->item[i]);
        items = e->run.status ? NULL : kept.list;
    }
    jinja_loop *loop = jinja_alloc(&e->run, 1, sizeof *loop);
    if (!loop || !items) return FLOW_ON;
    loop->items = items;
    for (size_t i = 0; i < items->n && !e->run.status; i++) {
        if (n->c && !early && !passes(e, s, n, items->item[i])) continue;
        scope *own = inner(e, s);
        loop->index = i;
        bind(e, own, "loop", (jinja_value){.kind = JINJA_LOOP, .object = loop});
        assign(e, own, n->a, items->item[i]);
        const flow f = e->run.status ? FLOW_ON : exec(e, own, n->list[0]);
        if (f == FLOW_BREAK) break;
        if (f == FLOW_ON) ended = true;
    }
    if (!ended && n->list[1] && !e->run.status) return exec(e, inner(e, s), n->list[1]);
    return FLOW_ON;
}

static flow choose(evaluator *e, scope *s, const jinja_node *n)
{
    while (n && n->kind == JINJA_N_IF && !e->run.status) {
        if (jinja_truth(eval(e, s, n->a))) return e->run.status ? FLOW_ON : exec(e, s, n->b);
        n = n->c;
    }
    return n && !e->run.status ? exec(e, s, n) : FLOW_ON;
}

static void define_macro(evaluator *e, scope *s, const jinja_node *n, jinja_value *out)
{
    macro *m = jinja_alloc(&e->run, 1, sizeof *m);
    if (!m) return;
    *m = (macro){n, s};
    *out = (jinja_value){.kind = JINJA_MACRO, .object = m};
}

/* The call of a call block, whose body is the macro `caller`. */
static void call_block(evaluator *e, scope *s, const jinja_node *n)
{
    jinja_args args;
    jinja_value caller = jinja_none();
    const jinja_value f = eval(e, s, n->a->a);
    eval_arguments(e, s, n->a, &args);
    define_macro(e, s, n, &caller);
    if (e->run.status) return;
    args.name[args.n_named] = "caller"; /* eval_arguments() left room for it */
    args.named[args.n_named++] = caller;
    const jinja_value x = call_value(e, f, &args);
    if (!e->run.status) jinja_add_str(&e->run, e->out, x);
}

static flow with_values(evaluator *e, scope *s, const jinja_node *n)
{
    scope *own = inner(e, s);
    for (size_t i = 0; i + 1 < n->n && !e->run.status; i += 2)
        assign(e, own, n->list[i], eval(e, s, n->list[i + 1]));
    return e->run.status ? FLOW_ON : exec(e, own, n->a);
}

/* set x, and filter: the body's text through the filters. */
static flow set_block(evaluator *e, scope *s, const jinja_node *n)
{
    flow f;
    jinja_value text = captured(e, inner(e, s), n->c, &f);
    if (f != FLOW_ON || e->run.status) return f;
    if (n->b) text = filtered(e, s, n->b, text);
    if (e->run.status) return FLOW_ON;
    if (n->kind == JINJA_N_SET_BLOCK)
        assign(e, s, n->a, text);
    else
        jinja_add_str(&e->run, e->out, text);
    return FLOW_ON;
}

/* Runs one statement; what it prints goes to e->out.  A break or continue ends the bodies up to its
 * loop. */
static flow exec_node(evaluator *e, scope *s, const jinja_node *n)
{
    jinja_value x = jinja_none();
    flow f = FLOW_ON;
    switch (n->kind) {
    case JINJA_N_BODY:
        for (size_t i = 0; i < n->n && f == FLOW_ON && !e->run.status; i++)
            f = exec(e, s, n->list[i]);
        return f;
    case JINJA_N_DATA:
        jinja_add(&e->run, e->out, n->value.s.text, n->value.s.n);
        return FLOW_ON;
    case JINJA_N_OUTPUT:
        x = eval(e, s, n->a);
        if (!e->run.status) jinja_add_str(&e->run, e->out, x);
        return FLOW_ON;
    case JINJA_N_FOR:
        return loop_over(e, s, n);
    case JINJA_N_IF:
        return choose(e, s, n);
    case JINJA_N_SET:
        assign(e, s, n->a, eval(e, s, n->b));
        return FLOW_ON;
    case JINJA_N_SET_BLOCK:
    case JINJA_N_FILTER_BLOCK:
        return set_block(e, s, n);
    case JINJA_N_MACRO:
        define_macro(e, s, n, &x);
        if (!e->run.status) bind(e, s, n->text, x);
        return FLOW_ON;
    case JINJA_N_CALL_BLOCK:
        call_block(e, s, n);
        return FLOW_ON;
    case JINJA_N_WITH:
        return with_values(e, s, n);
    case JINJA_N_SCOPE:
        return exec(e, inner(e, s), n->a);
    default:
        return n->kind == JINJA_N_BREAK ? FLOW_BREAK : FLOW_CONTINUE;
    }
}

static flow exec(evaluator *e, scope *s, const jinja_node *n)
{
    if (!enter(e, n->line)) return FLOW_ON;
    const flow f = exec_node(e, s, n);
    e->run.depth--;
    return f;
}

/* ---- variables from outside ------------------------------------------------------------------ */

/* A variable's value; its texts stay those of the JSON.  A number without a fraction is an integer.
 */
static jinja_value from_json(jinja_run *r, const cJSON *json, int nesting)
{
    const cJSON *item;
    if (nesting > JINJA_NESTING)
        jinja_fail(r, DELE_ERR_DATA, "a variable is nested more than %d deep", JINJA_NESTING);
    if (r->status || cJSON_IsNull(json)) return jinja_none();
    if (cJSON_IsBool(json)) return jinja_bool(cJSON_IsTrue(json));
    if (cJSON_IsString(json)) {
        if (!dele_utf8_valid(json->valuestring, strlen(json->valuestring)))
            jinja_fail(r, DELE_ERR_DATA, "a text of the conversation is not UTF-8");
        return jinja_string_c(json->valuestring);
    }
    if (cJSON_IsNumber(json)) {
        const double x = json->valuedouble;
        return x == floor(x) && fabs(x) < 9e15 ? jinja_int((int64_t)x) : jinja_float(x);
    }
    if (!cJSON_IsArray(json) && !cJSON_IsObject(json)) {
        jinja_fail(r, DELE_ERR_UNSUPPORTED, "a number of 2^53 or more in the conversation");
        return jinja_none();
    }
    const bool array = cJSON_IsArray(json);
    jinja_value out = array ? jinja_sequence(r, JINJA_LIST) : jinja_mapping(r, JINJA_DICT);
    cJSON_ArrayForEach(item, json)
    {
        if (r->status) break;
        if (array)
            jinja_append(r, out.list, from_json(r, item, nesting + 1));
        else
            jinja_put(r, out.dict, jinja_string_c(item->string), from_json(r, item, nesting + 1));
    }
    return out;
}

/* ---- the template ---------------------------------------------------------------------------- */

dele_template *dele_template_parse(const char *text, size_t n, const char *where, dele_arena *arena,
                                   dele_err *err)
{
    jinja_run run = {.arena = arena, .err = err, .where = where, .line = 1};
    if (memchr(text, 0, n) || !dele_utf8_valid(text, n)) {
        dele_fail(err, DELE_ERR_FORMAT, "%s is not UTF-8 without zero bytes", where);
        return NULL;
    }
    dele_template *t = jinja_alloc(&run, 1, sizeof *t);
    if (!t) return NULL;
    t->where = where;
    t->tree = jinja_parse(&run, text, n, &t->has_date);
    return t->tree ? t : NULL;
}

char *dele_template_render(const dele_template *t, const cJSON *variables, const struct tm *now,
                           dele_arena *arena, dele_err *err)
{
    dele_arena scratch = {.limit = JINJA_MEMORY};
    jinja_text out = {0};
    evaluator e = {.run = {.arena = &scratch, .err = err, .where = t->where, .line = 1, .now = now},
                   .out = &out};
    const jinja_value context = from_json(&e.run, variables, 0);
    if (!e.run.status) {
        assert(context.kind == JINJA_DICT);
        e.variables = context.dict;
        exec(&e, inner(&e, NULL), t->tree);
    }
    char *text = e.run.status ? NULL : dele_strndup(arena, out.n ? out.text : "", out.n, err);
    dele_arena_release(&scratch);
    return text;
}

bool dele_template_has_date(const dele_template *t) { return t->has_date; }
