/* Upper, lower and title case of strings, as Python's methods give them. */
#ifndef DELE_TEMPLATE_CASE_H
#define DELE_TEMPLATE_CASE_H

#include "template/value.h"

jinja_value jinja_upper(jinja_run *r, jinja_value x);
jinja_value jinja_lower(jinja_run *r, jinja_value x);
jinja_value jinja_capitalize(jinja_run *r, jinja_value x);
jinja_value jinja_title(jinja_run *r, jinja_value x);

#endif
