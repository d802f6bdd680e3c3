/* The filter tojson of transformers: Python's json.dumps(x, ensure_ascii=False, ...), without the
 * escapes for HTML of jinja2's own. */
#ifndef DELE_TEMPLATE_JSON_TEXT_H
#define DELE_TEMPLATE_JSON_TEXT_H

#include "template/value.h"

/* arg: ensure_ascii, indent, separators, sort_keys; each may be absent. */
jinja_value jinja_to_json(jinja_run *r, jinja_value x, const jinja_value arg[4]);

#endif
