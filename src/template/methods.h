/* The methods of strings, lists, dictionaries and `loop`. */
#ifndef DELE_TEMPLATE_METHODS_H
#define DELE_TEMPLATE_METHODS_H

#include "template/value.h"

jinja_value jinja_call_method(jinja_run *r, const char *name, jinja_value self,
                              const jinja_args *args);

/* Parts of methods that filters share.  x and the others are strings. */
jinja_value jinja_strip(jinja_run *r, jinja_value x, jinja_value chars, bool left, bool right);
/* count < 0: all. */
jinja_value jinja_replace(jinja_run *r, jinja_value x, jinja_value from, jinja_value to,
                          int64_t count);
jinja_value jinja_join(jinja_run *r, jinja_value separator, const jinja_list *items, bool any);
jinja_value jinja_split_lines(jinja_run *r, jinja_value x, bool keep_ends);
/* Python's `format % values`. */
jinja_value jinja_percent(jinja_run *r, jinja_value format, const jinja_list *values);

#endif
