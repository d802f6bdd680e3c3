/* The filters of `x | name(...)`. */
#ifndef DELE_TEMPLATE_FILTERS_H
#define DELE_TEMPLATE_FILTERS_H

#include "template/value.h"

jinja_value jinja_call_filter(jinja_run *r, const char *name, jinja_value x,
                              const jinja_args *args);

#endif
