/* The values that a template computes with, and the run that owns them.
 *
 * A value is passed by copy; what it points to is in the run's arena and never changes, except a
 * namespace and the position of an iterator.  The first failure is recorded in the run; after it
 * every function returns at once, with a value that means nothing, so that callers look at
 * run->status only where they loop. */
#ifndef DELE_TEMPLATE_VALUE_H
#define DELE_TEMPLATE_VALUE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/arena.h"

typedef struct {
    dele_arena *arena;
    dele_err *err;
    dele_status status; /* of the first failure */
    const char *where;  /* the template's name in messages */
    int line;           /* of the construct that is evaluated */
    int depth;          /* of expressions and statements within each other */
    size_t steps;
    const struct tm *now;
} jinja_run;

typedef enum {
    JINJA_ABSENT, /* an argument that was not given */
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_FLOAT,
    JINJA_STRING,
    JINJA_LIST,
    JINJA_TUPLE,
    JINJA_RANGE,
    JINJA_VIEW,     /* keys(), values(), items() */
    JINJA_ITERATOR, /* what map, select, reverse, ... give: it can be read once */
    JINJA_DICT,
    JINJA_NAMESPACE,
    JINJA_LOOP,
    JINJA_MACRO,
    JINJA_FUNCTION,
    JINJA_METHOD
} jinja_kind;

typedef struct jinja_value jinja_value;
typedef struct jinja_list jinja_list;
typedef struct jinja_dict jinja_dict;

struct jinja_value {
    jinja_kind kind;
    bool markup; /* a string that `safe` or `escape` marked */
    union {
        bool flag;
        int64_t integer;
        double number;
        struct {
            const char *text; /* n bytes of UTF-8, not terminated */
            size_t n, chars;  /* code points */
        } s;
        jinja_list *list; /* list, tuple, range, view, iterator */
        jinja_dict *dict; /* dictionary, namespace */
        struct {
            const char *name;  /* what is undefined */
            const char *owner; /* of an attribute: the type that lacks it; or NULL */
            bool refused;      /* the attribute exists, and the sandbox refuses it */
        } undefined;
        struct {
            const char *name; /* function, method */
            const jinja_value *self;
        } call;
        void *object; /* a loop (access.h), or a macro (template.c) */
    };
};

struct jinja_list {
    jinja_value *item;
    size_t n, cap;
    size_t at;           /* iterator: the next item */
    const char *name;    /* view: "dict_keys", ... */
    int64_t start, step; /* range */
};

struct jinja_dict {
    jinja_value *key, *value;
    size_t n, cap;
};

/* What is called with: values by position, then by name. */
typedef struct {
    jinja_value *value;
    size_t n;
    const char **name; /* of named[i] */
    jinja_value *named;
    size_t n_named;
} jinja_args;

enum {
    JINJA_DEPTH = 400,          /* expressions and statements within each other, calls included */
    JINJA_NESTING = 100,        /* of a value that is printed, compared or converted */
    JINJA_STEPS = 20 * 1000000, /* evaluations, and every 16 bytes of text that is worked on */
    JINJA_OUTPUT = 16 << 20,    /* bytes of a text */
    JINJA_MEMORY = 256 << 20    /* bytes of one rendering */
};

/* "WHERE, line N: ..." */
void jinja_fail(jinja_run *r, dele_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void *jinja_alloc(jinja_run *r, size_t count, size_t size);
/* Counts work of so many bytes or items; false when the run has failed or does too much. */
bool jinja_step(jinja_run *r, size_t work);

/* ---- making ---------------------------------------------------------------------------------- */

jinja_value jinja_undefined(const char *name);
jinja_value jinja_none(void);
jinja_value jinja_bool(bool x);
jinja_value jinja_int(int64_t x);
jinja_value jinja_float(double x);
/* A string that shares its bytes; _copy: copied into the run; _c: of a C string, shared. */
jinja_value jinja_string(const char *text, size_t n);
jinja_value jinja_string_c(const char *text);
jinja_value jinja_sequence(jinja_run *r, jinja_kind kind);
void jinja_append(jinja_run *r, jinja_list *list, jinja_value item);
jinja_value jinja_mapping(jinja_run *r, jinja_kind kind);
/* Replaces the value of an equal key.  A key that Python cannot hash is an error. */
void jinja_put(jinja_run *r, jinja_dict *dict, jinja_value key, jinja_value value);
jinja_value jinja_pair(jinja_run *r, jinja_value a, jinja_value b); /* a tuple */

/* A text that grows in the run's arena. */
typedef struct {
    char *text;
    size_t n, cap;
} jinja_text;
void jinja_add(jinja_run *r, jinja_text *t, const char *text, size_t n);
void jinja_add_c(jinja_run *r, jinja_text *t, const char *text);
jinja_value jinja_text_value(const jinja_text *t);

/* ---- asking ---------------------------------------------------------------------------------- */

bool jinja_is_number(jinja_value x);          /* bool, int, float */
bool jinja_as_int(jinja_value x, int64_t *i); /* of a bool or an int */
double jinja_as_double(jinja_value x);
bool jinja_is_string(jinja_value x, const char *text);
bool jinja_has_items(jinja_value x); /* list, tuple, range, view, iterator */
/* Python's bool(). */
bool jinja_truth(jinja_value x);
/* Python's name of the type. */
const char *jinja_type(jinja_value x);
/* Fails where x is undefined: what it is that is undefined, or refused. */
bool jinja_defined(jinja_run *r, jinja_value x);
/* Python's ==; an undefined equals an undefined. */
bool jinja_equal(jinja_run *r, jinja_value a, jinja_value b);
/* Python's order: negative, 0, positive; an error for values without one. */
int jinja_order(jinja_run *r, jinja_value a, jinja_value b);
bool jinja_contains(jinja_run *r, jinja_value container, jinja_value x);
/* len(); false where the type has none (no error). */
bool jinja_length(jinja_value x, size_t *n);
/* The value of a key, or NULL. */
const jinja_value *jinja_find(jinja_run *r, const jinja_dict *dict, jinja_value key);
/* The items that iterating over x gives, as a list that is not to be changed; an iterator is read
 * to its end.  NULL with the run failed where x cannot be iterated over. */
const jinja_list *jinja_items(jinja_run *r, jinja_value x);
bool jinja_iterable(jinja_value x);

/* ---- text of values -------------------------------------------------------------------------- */

jinja_value jinja_str(jinja_run *r, jinja_value x); /* Python's str() */
void jinja_add_str(jinja_run *r, jinja_text *t, jinja_value x);
void jinja_add_repr(jinja_run *r, jinja_text *t, jinja_value x, int nesting);
void jinja_add_float(jinja_run *r, jinja_text *t, double x); /* repr() */

/* ---- arguments ------------------------------------------------------------------------------- */

/* Binds arguments as Python does to parameters, whose names are separated by blanks ("-": by
 * position only); the first `required` have no default.  out[i] keeps its value where nothing is
 * given.  False with the run failed where they do not fit. */
bool jinja_bind(jinja_run *r, jinja_value *out, const jinja_args *args, const char *what,
                const char *names, size_t required);

#endif
