/* Attributes, items and slices, as jinja2's sandbox gives them: what is missing is undefined. */
#ifndef DELE_TEMPLATE_ACCESS_H
#define DELE_TEMPLATE_ACCESS_H

#include "template/value.h"

/* The state of a `for`. */
typedef struct {
    const jinja_list *items;
    size_t index;              /* from 0 */
    const jinja_list *changed; /* what loop.changed was called with last, or NULL */
} jinja_loop;

/* x.name: a method or field of its type, else an item. */
jinja_value jinja_attribute(jinja_run *r, jinja_value of, const char *name);
/* x[key]: an item, else a method or field. */
jinja_value jinja_item(jinja_run *r, jinja_value of, jinja_value key);
/* x[from:to:step]; a part that is missing is none. */
jinja_value jinja_slice(jinja_run *r, jinja_value of, const jinja_value part[3]);
/* What the filters' `attribute` names: "a.b.0", or a number; absent: x itself. */
jinja_value jinja_path(jinja_run *r, jinja_value of, jinja_value attribute);

#endif
