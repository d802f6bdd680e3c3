/* The texts of a recipe: variables filled in, references to other stages read.
 *
 *   $name  ${name}  ${axis.field}      a variable, an axis's value, a field of that value's object;
 *                                      $$ is a dollar
 *   @stage  @stage[axis=name]/file     a stage's result, or a file in it;  @@ is an at sign
 *
 * Fields want braces: a file called $set.jsonl is the more likely thing to mean. */

#include "experiments/study/recipe.h"

#include <ctype.h>
#include <string.h>

#include "base/json_out.h"
#include "base/nearest.h"

enum { MAX_DEPTH = 16 }; /* of variables that stand for variables */

/* ---- names ----------------------------------------------------------------------------------- */

dele_status recipe_check_keys(const cJSON *object, const char *const *known, size_t n,
                              const char *where, dele_arena *arena, dele_err *err)
{
    if (!cJSON_IsObject(object))
        return dele_fail(err, DELE_ERR_DATA, "%s: an object {...} is wanted", where);
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        size_t i = 0;
        while (i < n && strcmp(known[i], item->string)) i++;
        if (i < n) continue;
        const char *near = dele_nearest(item->string, known, n), *list = near;
        for (i = 0; i < n && !near; i++)
            if (!(list = dele_printf(arena, err, "%s%s%s", i ? list : "", i ? ", " : "", known[i])))
                return DELE_ERR_MEMORY;
        return dele_fail(err, DELE_ERR_DATA, "%s: no key \"%s\"; %s %s", where, item->string,
                         near ? "did you mean" : "there is", list);
    }
    return DELE_OK;
}

bool recipe_is_plain(const char *text, const char *signs)
{
    size_t n = 0;
    for (const char *c = text; *c; c++, n++)
        if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') && !(*c >= '0' && *c <= '9') &&
            !strchr(signs, *c))
            return false;
    return n && n <= 100 && text[0] != '.' && text[0] != '-';
}

/* ---- values ---------------------------------------------------------------------------------- */

static const char *list_text(const cJSON *list, dele_arena *arena, dele_err *err)
{
    const char *text = "";
    const cJSON *element;
    cJSON_ArrayForEach(element, list)
    {
        const char *one = cJSON_IsArray(element) ? NULL : recipe_text_of(element, arena, err);
        if (one) text = dele_printf(arena, err, "%s%s%s", text, *text ? "," : "", one);
        if (!one || !text) return NULL;
    }
    return text;
}

const char *recipe_text_of(const cJSON *value, dele_arena *arena, dele_err *err)
{
    if (cJSON_IsString(value)) {
        for (const char *c = value->valuestring; *c; c++)
            if ((unsigned char)*c < ' ') {
                dele_fail(err, DELE_ERR_DATA,
                          "a text of the recipe holds a control character: \"%.40s\"",
                          value->valuestring);
                return NULL;
            }
        return value->valuestring;
    }
    if (cJSON_IsBool(value)) return cJSON_IsTrue(value) ? "true" : "false";
    if (cJSON_IsNumber(value)) {
        cJSON *number = dele_json_number(value->valuedouble);
        const char *text = number ? dele_strdup(arena, number->valuestring, err) : NULL;
        cJSON_Delete(number);
        return text;
    }
    return cJSON_IsArray(value) ? list_text(value, arena, err) : NULL;
}

/* ---- variables ------------------------------------------------------------------------------- */

static const char *fill_variables(const char *text, const recipe_scope *scope, int depth,
                                  dele_arena *arena, dele_err *err);

static size_t name_length(const char *text)
{
    size_t n = 0;
    if (!isalpha((unsigned char)*text) && *text != '_') return 0;
    while (isalnum((unsigned char)text[n]) || text[n] == '_') n++;
    return n;
}

static bool same(const char *name, size_t n, const char *whole)
{
    return strlen(whole) == n && !strncmp(name, whole, n);
}

static dele_status fail_unknown(const recipe_scope *scope, const char *name, size_t n,
                                dele_arena *arena, dele_err *err)
{
    char *word = dele_strndup(arena, name, n, err);
    const char **known = DELE_NEW(arena, const char *, scope->plan->n_vars + scope->n_at, err);
    if (!word || !known) return DELE_ERR_MEMORY;
    size_t k = 0;
    for (size_t i = 0; i < scope->n_at; i++) known[k++] = scope->at[i].axis;
    for (size_t i = 0; i < scope->plan->n_vars; i++) known[k++] = scope->plan->var[i].name;
    const char *near = dele_nearest(word, known, k);
    return dele_fail(err, DELE_ERR_DATA, "no variable $%s%s%s (a dollar sign itself is written $$)",
                     word, near ? "; did you mean $" : "", near ? near : "");
}

/* A field of an axis's value. */
static const char *field_of(const recipe_at *at, const char *field, size_t n, dele_arena *arena,
                            dele_err *err)
{
    char *name = dele_strndup(arena, field, n, err);
    const cJSON *item = name ? cJSON_GetObjectItemCaseSensitive(at->fields, name) : NULL;
    const char *text = item ? recipe_text_of(item, arena, err) : NULL;
    if (!text && name)
        dele_fail(err, DELE_ERR_DATA, "${%s.%s}: the value %s=%s has no such field", at->axis, name,
                  at->axis, at->name);
    return text;
}

/* What a name stands for, filled in itself; NULL where it is not known (err is set unless the scope
 * is lenient). */
static const char *value_of(const char *name, size_t n, const recipe_scope *scope, int depth,
                            dele_arena *arena, dele_err *err)
{
    const char *dot = memchr(name, '.', n), *text = NULL;
    size_t n_name = dot ? (size_t)(dot - name) : n;
    if (depth == MAX_DEPTH) {
        dele_fail(err, DELE_ERR_DATA, "the variable $%.*s stands for itself", (int)n, name);
        return NULL;
    }
    for (size_t i = 0; i < scope->n_at; i++)
        if (same(name, n_name, scope->at[i].axis)) {
            text = dot ? field_of(&scope->at[i], dot + 1, n - n_name - 1, arena, err)
                       : scope->at[i].value;
            return text ? fill_variables(text, scope, depth + 1, arena, err) : NULL;
        }
    for (size_t i = 0; i < scope->plan->n_vars && !dot; i++) {
        const recipe_var *var = &scope->plan->var[i];
        if (!same(name, n, var->name)) continue;
        if (var->text) return fill_variables(var->text, scope, depth + 1, arena, err);
        dele_fail(err, DELE_ERR_DATA,
                  "the variable $%s has no value; give it one with --set %s=...", var->name,
                  var->name);
        return NULL;
    }
    if (!scope->lenient) fail_unknown(scope, name, n, arena, err);
    return NULL;
}

/* A reference to a variable at text (after its dollar): its name, and how much of the text it
 * takes. */
static size_t variable_at(const char *text, const char **name, size_t *n)
{
    bool braces = *text == '{';
    *name = text + braces;
    *n = name_length(*name);
    if (braces && *n && (*name)[*n] == '.')
        while ((*name)[*n] && (*name)[*n] != '}') ++*n;
    if (!*n || (braces && (*name)[*n] != '}')) return 0;
    return *n + 2 * (size_t)braces;
}

/* The text with its variables filled in; $$ is a dollar.  In a lenient scope an unknown variable is
 * left as it stands. depth: the number of variables within whose values this text lies; value_of
 * ends a circle by it. */
static const char *fill_variables(const char *text, const recipe_scope *scope, int depth,
                                  dele_arena *arena, dele_err *err)
{
    const char *done = "";
    while (*text && done) {
        size_t plain = strcspn(text, "$");
        done = dele_printf(arena, err, "%s%.*s", done, (int)plain, text);
        text += plain;
        if (!*text || !done) break;
        const char *name, *value = NULL;
        size_t n, taken = 1 + (text[1] == '$' ? 1 : variable_at(text + 1, &name, &n));
        if (taken == 1) {
            dele_fail(err, DELE_ERR_DATA,
                      "\"%s\": a dollar sign must be followed by a variable's name; a dollar "
                      "itself is $$",
                      text);
            return NULL;
        }
        if (text[1] == '$')
            value = "$";
        else
            value = value_of(name, n, scope, depth, arena, err);
        if (!value && err->code) return NULL;
        if (value)
            done = dele_printf(arena, err, "%s%s", done, value);
        else
            done = dele_printf(arena, err, "%s%.*s", done, (int)taken, text);
        text += taken;
    }
    return done;
}

const char *recipe_fill(const char *text, const recipe_scope *scope, dele_arena *arena,
                        dele_err *err)
{
    return fill_variables(text, scope, 0, arena, err);
}

/* ---- references ------------------------------------------------------------------------------ */

static bool in_name(char c) { return isalnum((unsigned char)c) || (c && strchr("_.-", c)); }

/* Reads "[axis=value,axis=value]" into ref->fixed and moves *text after it.  An empty axis or
 * value is an error: left out, it would select all points. */
static dele_status parse_fixed(recipe_ref *ref, const char **text, dele_arena *arena, dele_err *err)
{
    const char *end = strchr(*text, ']'), *whole = *text;
    size_t most = 1;
    for (const char *c = *text; end && c < end; c++) most += *c == ',';
    ref->fixed = DELE_NEW(arena, recipe_at, most, err);
    if (!ref->fixed) return DELE_ERR_MEMORY;
    for (const char *c = ++*text; end && c <= end;) {
        size_t n = strcspn(c, ",]"), n_axis = strcspn(c, "=");
        if (n_axis == 0 || n_axis + 1 >= n) break;
        recipe_at *at = &ref->fixed[ref->n_fixed++];
        at->axis = dele_strndup(arena, c, n_axis, err);
        at->name = dele_strndup(arena, c + n_axis + 1, n - n_axis - 1, err);
        if (!at->axis || !at->name) return DELE_ERR_MEMORY;
        c += n + 1;
        if (c == end + 1) {
            *text = c;
            return DELE_OK;
        }
    }
    return dele_fail(err, DELE_ERR_DATA, "\"%s%s\": a point is written [axis=value,axis=value]",
                     ref->base, whole);
}

dele_status recipe_ref_parse(recipe_ref *ref, const char *text, dele_arena *arena, dele_err *err)
{
    size_t n = 0;
    while (in_name(text[n])) n++;
    *ref = (recipe_ref){.rest = text + n};
    if (!n)
        return dele_fail(err, DELE_ERR_DATA, "\"%s\": the name of a stage is wanted here", text);
    if (!(ref->base = dele_strndup(arena, text, n, err))) return DELE_ERR_MEMORY;
    return *ref->rest == '[' ? parse_fixed(ref, &ref->rest, arena, err) : DELE_OK;
}

const char *recipe_coordinate(const recipe_stage *stage, const char *axis)
{
    for (size_t i = 0; i < stage->n_at; i++)
        if (!strcmp(stage->at[i].axis, axis)) return stage->at[i].name;
    return NULL;
}

bool recipe_ref_fits(const recipe_ref *ref, const recipe_stage *stage)
{
    if (strcmp(ref->base, stage->base)) return false;
    for (size_t i = 0; i < ref->n_fixed; i++) {
        const char *name = recipe_coordinate(stage, ref->fixed[i].axis);
        if (!name || strcmp(name, ref->fixed[i].name)) return false;
    }
    return true;
}

const char *recipe_render(const char *text, const char *(*what)(const char *name, void *context),
                          void *context, dele_arena *arena, dele_err *err)
{
    const char *done = "";
    for (const char *open; done && (open = strchr(text, '\1'));) {
        const char *close = strchr(open, '\2');
        char *name = dele_strndup(arena, open + 1, (size_t)(close - open - 1), err);
        const char *value = name ? what(name, context) : NULL;
        if (!value) return NULL;
        done = dele_printf(arena, err, "%s%.*s%s", done, (int)(open - text), text, value);
        text = close + 1;
    }
    return done ? dele_printf(arena, err, "%s%s", done, text) : NULL;
}
