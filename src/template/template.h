/* Chat templates: the subset of Jinja that published models use, rendered to the same text as by
 * transformers' apply_chat_template (jinja2's ImmutableSandboxedEnvironment with trim_blocks,
 * lstrip_blocks, loop controls and the tag `generation`).
 *
 *   lexer.c parser.c     text -> tokens -> a tree (syntax.h)
 *   template.c           the tree with variables -> text
 *   value.h              values: Python's, as far as a template can make them
 *   access.h methods.h   x.name, x[i], x[a:b]; the methods of strings, lists and dictionaries
 *   filters.h tests.h    x | name(...), x is name(...)
 *
 * A template comes from a file that may be hostile.  What is beyond the subset, and what the
 * sandbox refuses, is DELE_ERR_UNSUPPORTED with the construct and its line; a template that is no
 * template is DELE_ERR_FORMAT; raise_exception and values that do not fit are DELE_ERR_DATA.
 * Nesting, steps, memory and the size of the output are limited. */
#ifndef DELE_TEMPLATE_H
#define DELE_TEMPLATE_H

#include <cjson/cJSON.h>
#include <time.h>

#include "base/arena.h"

typedef struct dele_template dele_template;

/* text: n bytes, which must live as long as the template; `where` names it in messages ("the chat
 * template of MODEL").  The template is in the arena; NULL with err set on failure. */
dele_template *dele_template_parse(const char *text, size_t n, const char *where, dele_arena *arena,
                                   dele_err *err);

/* The text for these variables (an object; a number without a fraction is an integer).  now: what
 * strftime_now tells.  The result is in the arena, and is valid UTF-8 without zero bytes. */
char *dele_template_render(const dele_template *t, const cJSON *variables, const struct tm *now,
                           dele_arena *arena, dele_err *err);

/* Whether the template's text calls strftime_now, so that its result depends on the day. */
bool dele_template_has_date(const dele_template *t);

#endif
