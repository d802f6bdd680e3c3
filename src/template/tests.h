/* The tests of `x is name(...)`. */
#ifndef DELE_TEMPLATE_TESTS_H
#define DELE_TEMPLATE_TESTS_H

#include "template/value.h"

bool jinja_call_test(jinja_run *r, const char *name, jinja_value x, const jinja_args *args);

#endif
