/* A recipe's stages, checked and expanded.
 *
 * For each stage of the recipe, in order:
 *
 *   its own axes ── every combination ──┬─ texts filled in as far as they go ── to which stages do
 *   they refer?
 *                                       └─ joined with those stages' points ── a stage of the plan
 *                                       for each
 *
 * The join is a natural one: a stage takes over the axes of what it refers to, and two references
 * (or an axis of its own) that share an axis must agree on it.  A coordinate that a reference
 * fixes, @score[set=forget], is not taken over. */

#include "experiments/study/recipe.h"

#include <string.h>

#include "base/nearest.h"
#include "base/texts.h"

enum { MAX_AXES = 16, MAX_REFS = 64, MAX_OPTIONS = 128 };

/* An option as the recipe has it, before anything is filled in. */
typedef struct {
    const char *name;
    const cJSON *value;
} raw_option;

/* One stage of the recipe on its way. */
typedef struct {
    recipe_plan *plan;
    const cJSON *json, *axes;
    const char *name, *command;
    recipe_at at[MAX_AXES]; /* the point so far: own axes first */
    size_t n_own;
    raw_option option[MAX_OPTIONS];
    size_t n_options;
    recipe_ref ref[MAX_REFS]; /* to other stages */
    size_t n_refs, n_points;
    bool left_out;
    dele_arena *arena;
    dele_err *err;
} expansion;

/* ---- references in texts --------------------------------------------------------------------- */

/* The next reference in a filled text, and in *plain how much comes before it; false at the end (or
 * with err set).  @@ is no reference: it counts as plain. */
static bool next_ref(recipe_ref *ref, const char *text, size_t *plain, dele_arena *arena,
                     dele_err *err)
{
    *plain = 0;
    for (;;) {
        *plain += strcspn(text + *plain, "@");
        if (!text[*plain]) return false;
        if (text[*plain + 1] != '@') return !recipe_ref_parse(ref, text + *plain + 1, arena, err);
        *plain += 2;
    }
}

/* A piece with each @@ as @. */
static const char *without_doubles(const char *text, size_t n, dele_arena *arena, dele_err *err)
{
    char *copy = dele_strndup(arena, text, n, err), *to = copy;
    for (const char *from = copy; from && *from; from++) {
        *to++ = *from;
        if (*from == '@' && from[1] == '@') from++;
    }
    if (copy) *to = '\0';
    return copy;
}

static bool agrees(const recipe_stage *stage, const recipe_ref *ref, const recipe_at *at,
                   size_t n_at)
{
    if (!recipe_ref_fits(ref, stage)) return false;
    for (size_t i = 0; i < n_at; i++) {
        bool fixed = false;
        for (size_t k = 0; k < ref->n_fixed; k++) fixed |= !strcmp(ref->fixed[k].axis, at[i].axis);
        const char *theirs = fixed ? NULL : recipe_coordinate(stage, at[i].axis);
        if (theirs && strcmp(theirs, at[i].name)) return false;
    }
    return true;
}

/* The one stage that a reference means at this point; its place in the plan, or n_stages with err
 * set. */
static size_t stage_meant(const recipe_plan *plan, const recipe_ref *ref, const recipe_at *at,
                          size_t n_at, dele_err *err)
{
    size_t found = plan->n_stages, n = 0;
    for (size_t i = 0; i < plan->n_stages; i++) {
        if (!agrees(&plan->stage[i], ref, at, n_at)) continue;
        found = i;
        n++;
    }
    if (n == 1) return found;
    if (n)
        dele_fail(err, DELE_ERR_DATA, "@%s means %zu stages here; say which: @%s[axis=value]",
                  ref->base, n, ref->base);
    else
        dele_fail(err, DELE_ERR_DATA, "@%s means no stage here", ref->base);
    return plan->n_stages;
}

/* A filled text with its references marked; the stages that it needs are noted. */
static const char *mark_refs(const char *text, const char *own, const expansion *e, size_t n_at,
                             bool *needs)
{
    const char *done = "";
    recipe_ref ref;
    size_t plain;
    while (next_ref(&ref, text, &plain, e->arena, e->err)) {
        const char *before = without_doubles(text, plain, e->arena, e->err), *name = own;
        bool self = !strcmp(ref.base, e->name);
        size_t which = self ? 0 : stage_meant(e->plan, &ref, e->at, n_at, e->err);
        if (e->err->code) return NULL;
        if (!self) {
            name = e->plan->stage[which].name;
            needs[which] = true;
        }
        done = before ? dele_printf(e->arena, e->err, "%s%s\1%s\2", done, before, name) : NULL;
        if (!done) return NULL;
        text = ref.rest;
    }
    const char *rest = e->err->code ? NULL : without_doubles(text, strlen(text), e->arena, e->err);
    return rest ? dele_printf(e->arena, e->err, "%s%s", done, rest) : NULL;
}

/* ---- a point becomes a stage of the plan ----------------------------------------------------- */

static const char *name_point(const expansion *e, size_t n_at)
{
    const char *name = e->name;
    for (size_t i = 0; i < n_at && name; i++)
        name = dele_printf(e->arena, e->err, "%s%c%s=%s", name, i ? ',' : '/', e->at[i].axis,
                           e->at[i].name);
    if (name && n_at && strlen(strchr(name, '/') + 1) > 240) {
        dele_fail(e->err, DELE_ERR_DATA, "a point's name is too long for a directory: %s", name);
        return NULL;
    }
    return name;
}

static bool is_no(const char *text)
{
    return !*text || !strcmp(text, "0") || !strcmp(text, "no") || !strcmp(text, "false");
}

static const char *fill_and_mark(const char *text, const recipe_scope *scope, const char *own,
                                 const expansion *e, bool *needs)
{
    const char *filled = text ? recipe_fill(text, scope, e->arena, e->err) : NULL;
    return filled ? mark_refs(filled, own, e, scope->n_at, needs) : NULL;
}

/* "model", or the words of "arguments". */
static dele_status fill_arguments(recipe_stage *stage, const recipe_scope *scope,
                                  const expansion *e, bool *needs)
{
    const cJSON *model = dele_json_get(e->json, "model"),
                *list = dele_json_get(e->json, "arguments"), *item = NULL;
    stage->argument =
        DELE_NEW(e->arena, const char *, (size_t)cJSON_GetArraySize(list) + 1, e->err);
    if (!stage->argument) return DELE_ERR_MEMORY;
    if (model) {
        const char *text = recipe_text_of(model, e->arena, e->err);
        stage->argument[stage->n_arguments++] = fill_and_mark(text, scope, stage->name, e, needs);
    }
    cJSON_ArrayForEach(item, list)
    {
        const char *text = recipe_text_of(item, e->arena, e->err);
        stage->argument[stage->n_arguments++] = fill_and_mark(text, scope, stage->name, e, needs);
    }
    return e->err->code;
}

/* The options of one point, variables and references filled in. null leaves an option out, and
 * false is --no-NAME. */
static dele_status fill_options(recipe_stage *stage, const recipe_scope *scope, const expansion *e,
                                bool *needs)
{
    recipe_option *option = DELE_NEW(e->arena, recipe_option, e->n_options, e->err);
    if (!option) return DELE_ERR_MEMORY;
    for (size_t i = 0; i < e->n_options; i++) {
        recipe_option *o = &option[stage->n_options];
        const cJSON *value = e->option[i].value;
        o->name = e->option[i].name;
        if (cJSON_IsNull(value)) continue;
        stage->n_options++;
        if (cJSON_IsBool(value)) {
            o->off = cJSON_IsFalse(value);
            continue;
        }
        const char *text = recipe_text_of(value, e->arena, e->err);
        if (!text)
            return dele_fail(e->err, DELE_ERR_DATA,
                             "the option \"%s\" has no value that a command line could hold",
                             o->name);
        if (!(o->text = fill_and_mark(text, scope, stage->name, e, needs))) return e->err->code;
    }
    stage->option = option;
    return DELE_OK;
}

/* Adds the stage's point at e->at[n_at] to the plan, unless its "if" is a no.  Everything that
 * depends on the point is filled in here: name, arguments, options, and which earlier points it
 * needs, from the references that were met. */
static dele_status emit(expansion *e, size_t n_at)
{
    recipe_plan *plan = e->plan;
    recipe_scope scope = {.plan = plan, .at = e->at, .n_at = n_at};
    const cJSON *condition = dele_json_get(e->json, "if");
    if (condition) {
        const char *text = recipe_text_of(condition, e->arena, e->err);
        if (text) text = recipe_fill(text, &scope, e->arena, e->err);
        if (!text)
            return dele_fail(e->err, DELE_ERR_DATA, "\"if\" wants a text with a variable in it");
        if (is_no(text)) {
            e->left_out = true;
            return DELE_OK;
        }
    }
    if (plan->n_stages == RECIPE_MAX_STAGES)
        return dele_fail(e->err, DELE_ERR_DATA, "the recipe becomes more than %d stages",
                         RECIPE_MAX_STAGES);
    recipe_stage *stage = &plan->stage[plan->n_stages];
    const cJSON *keep = dele_json_get(e->json, "keep");
    *stage = (recipe_stage){.name = name_point(e, n_at),
                            .base = e->name,
                            .command = e->command,
                            .n_at = n_at,
                            .keep = !cJSON_IsFalse(keep)};
    recipe_at *at = DELE_NEW(e->arena, recipe_at, n_at, e->err);
    bool *needs = DELE_NEW(e->arena, bool, plan->n_stages, e->err);
    size_t *list = DELE_NEW(e->arena, size_t, plan->n_stages, e->err);
    if (!stage->name || !at || !needs || !list || fill_arguments(stage, &scope, e, needs) ||
        fill_options(stage, &scope, e, needs))
        return e->err->code;
    if (n_at) memcpy(at, e->at, n_at * sizeof *at);
    for (size_t i = 0; i < plan->n_stages; i++) {
        if (needs[i]) list[stage->n_needs++] = i;
        if (!strcmp(plan->stage[i].name, stage->name))
            return dele_fail(e->err, DELE_ERR_DATA, "two of its points have one name, %s",
                             stage->name);
    }
    stage->at = at;
    stage->needs = list;
    plan->n_stages++;
    e->n_points++;
    return DELE_OK;
}

/* ---- the join -------------------------------------------------------------------------------- */

/* Joins the points of the first k references with those of the next one, as tables are joined: a
 * point of the referenced stage fits if it agrees on all axes that are already at e->at; its other
 * axes are added.  After the last reference the combination is emitted.  Called with k 0 and the
 * stage's own axes. */
static dele_status join(expansion *e, size_t k, size_t n_at)
{
    if (k == e->n_refs) return emit(e, n_at);
    const recipe_ref *ref = &e->ref[k];
    const size_t n_before =
        e->plan->n_stages; /* emit adds some after: those are of this very stage */
    for (size_t i = 0; i < n_before; i++) {
        const recipe_stage *stage = &e->plan->stage[i];
        if (!agrees(stage, ref, e->at, n_at)) continue;
        size_t n = n_at;
        for (size_t a = 0; a < stage->n_at; a++) {
            bool there = false;
            for (size_t b = 0; b < n; b++) there |= !strcmp(e->at[b].axis, stage->at[a].axis);
            for (size_t b = 0; b < ref->n_fixed; b++)
                there |= !strcmp(ref->fixed[b].axis, stage->at[a].axis);
            if (there) continue;
            if (n == MAX_AXES)
                return dele_fail(e->err, DELE_ERR_DATA, "more than %d axes come together here",
                                 MAX_AXES);
            e->at[n++] = stage->at[a];
        }
        if (join(e, k + 1, n)) return e->err->code;
    }
    return DELE_OK;
}

/* A reference must mean an earlier stage; sets left_out where that one was left out. */
static dele_status check_ref(expansion *e, const recipe_ref *ref)
{
    const char *names[256];
    size_t n = 0;
    bool there = false;
    for (size_t i = 0; i < e->plan->n_stages; i++) {
        if (recipe_ref_fits(ref, &e->plan->stage[i])) return DELE_OK;
        there |= !strcmp(e->plan->stage[i].base, ref->base);
    }
    for (size_t i = 0; i < e->plan->n_left_out; i++)
        if (!strcmp(e->plan->left_out[i], ref->base)) e->left_out = true;
    if (e->left_out) return DELE_OK;
    if (there)
        return dele_fail(e->err, DELE_ERR_DATA,
                         "it refers to a point of \"%s\" that is not there: [%s=%s%s]", ref->base,
                         ref->fixed[0].axis, ref->fixed[0].name, ref->n_fixed > 1 ? ", ..." : "");
    for (const cJSON *other = e->json->next; other; other = other->next)
        if (!strcmp(dele_json_string(other, "name") ? dele_json_string(other, "name") : "",
                    ref->base))
            return dele_fail(e->err, DELE_ERR_DATA,
                             "it refers to @%s, which comes later; put that one first", ref->base);
    for (size_t i = 0; i < e->plan->n_stages && n < 256; i++)
        if (!n || strcmp(names[n - 1], e->plan->stage[i].base)) names[n++] = e->plan->stage[i].base;
    const char *near = dele_nearest(ref->base, names, n);
    return dele_fail(
        e->err, DELE_ERR_DATA,
        "it refers to @%s, and no stage has that name%s%s (an at sign itself is written @@)",
        ref->base, near ? "; did you mean @" : "", near ? near : "");
}

static dele_status collect_refs(expansion *e, const cJSON *value)
{
    recipe_scope scope = {.plan = e->plan, .at = e->at, .n_at = e->n_own, .lenient = true};
    const char *text = !value || cJSON_IsNull(value) || cJSON_IsBool(value)
                           ? ""
                           : recipe_text_of(value, e->arena, e->err);
    if (text) text = recipe_fill(text, &scope, e->arena, e->err);
    recipe_ref ref;
    size_t plain;
    while (text && next_ref(&ref, text, &plain, e->arena, e->err)) {
        text = ref.rest;
        if (!strcmp(ref.base, e->name)) continue;
        if (e->n_refs == MAX_REFS)
            return dele_fail(e->err, DELE_ERR_DATA, "it refers to more than %d results", MAX_REFS);
        if (check_ref(e, &ref)) return e->err->code;
        e->ref[e->n_refs++] = ref;
    }
    return e->err->code;
}

/* The stage's options, and over them what the point's own values bring. */
static dele_status merge_options(expansion *e)
{
    e->n_options = 0;
    for (size_t a = 0; a <= e->n_own; a++) {
        const cJSON *from = dele_json_get(a ? e->at[a - 1].fields : e->json, "options"), *item;
        if (from && !cJSON_IsObject(from))
            return dele_fail(e->err, DELE_ERR_DATA, "\"options\" is an object {\"name\": value}");
        cJSON_ArrayForEach(item, from)
        {
            size_t i = 0;
            while (i < e->n_options && strcmp(e->option[i].name, item->string)) i++;
            if (i == MAX_OPTIONS)
                return dele_fail(e->err, DELE_ERR_DATA, "it has more than %d options", MAX_OPTIONS);
            e->option[i] = (raw_option){item->string, item};
            if (i == e->n_options) e->n_options++;
        }
    }
    return DELE_OK;
}

static dele_status expand_own(expansion *e, const cJSON *axis);

/* One combination of the stage's own axes. */
static dele_status expand_point(expansion *e)
{
    const cJSON *item;
    bool left_out = e->left_out;
    e->n_refs = 0;
    if (merge_options(e) || collect_refs(e, dele_json_get(e->json, "model"))) return e->err->code;
    cJSON_ArrayForEach(
        item, dele_json_get(e->json, "arguments")) if (collect_refs(e, item)) return e->err->code;
    for (size_t i = 0; i < e->n_options; i++)
        if (collect_refs(e, e->option[i].value)) return e->err->code;
    if (e->left_out && !left_out) return DELE_OK;
    return join(e, 0, e->n_own);
}

static dele_status read_value(recipe_at *at, const cJSON *axis, const cJSON *value,
                              const expansion *e)
{
    const cJSON *name = cJSON_IsObject(value) ? dele_json_get(value, "name") : value;
    const cJSON *meant = cJSON_IsObject(value) && dele_json_get(value, "value")
                             ? dele_json_get(value, "value")
                             : name;
    *at = (recipe_at){.axis = axis->string, .fields = cJSON_IsObject(value) ? value : NULL};
    at->name = name && !cJSON_IsArray(name) ? recipe_text_of(name, e->arena, e->err) : NULL;
    at->value = meant ? recipe_text_of(meant, e->arena, e->err) : NULL;
    if (e->err->code) return e->err->code;
    if (at->name && at->value && recipe_is_plain(at->name, "_.-+")) return DELE_OK;
    return dele_fail(
        e->err, DELE_ERR_DATA,
        "for: a value of \"%s\" cannot be part of a name%s%s; give it as {\"name\": letters, "
        "digits and _.+-, \"value\": what is meant}",
        axis->string, at->name ? ": " : "", at->name ? at->name : "");
}

/* Walks through the stage's own axes ("for"): each value of this axis with each combination of the
 * following ones; at the end, one point.  An axis must not have a variable's name, because ${name}
 * would then mean two things. */
static dele_status expand_own(expansion *e, const cJSON *axis)
{
    if (!axis) return expand_point(e);
    if (e->n_own == MAX_AXES)
        return dele_fail(e->err, DELE_ERR_DATA, "for: more than %d axes", MAX_AXES);
    if (!cJSON_IsArray(axis) || !axis->child)
        return dele_fail(e->err, DELE_ERR_DATA, "for: \"%s\" wants a list of values", axis->string);
    if (!recipe_is_plain(axis->string, "_"))
        return dele_fail(e->err, DELE_ERR_DATA,
                         "for: \"%s\" is no name for an axis: letters, digits and _", axis->string);
    for (size_t i = 0; i < e->plan->n_vars; i++)
        if (!strcmp(e->plan->var[i].name, axis->string))
            return dele_fail(e->err, DELE_ERR_DATA, "for: \"%s\" is a variable already",
                             axis->string);
    const cJSON *value;
    cJSON_ArrayForEach(value, axis)
    {
        if (read_value(&e->at[e->n_own], axis, value, e)) return e->err->code;
        e->n_own++;
        dele_status status = expand_own(e, axis->next);
        e->n_own--;
        if (status) return status;
    }
    return DELE_OK;
}

/* ---- a stage of the recipe ------------------------------------------------------------------- */

static bool is_taken(const recipe_plan *plan, const char *name)
{
    static const char *const ours[] = {"logs", "report", "report.html", "study.json", "times.tsv"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!strcmp(name, ours[i])) return true;
    for (size_t i = 0; i < plan->n_stages; i++)
        if (!strcmp(name, plan->stage[i].base)) return true;
    for (size_t i = 0; i < plan->n_left_out; i++)
        if (!strcmp(name, plan->left_out[i])) return true;
    return false;
}

/* Checks a stage's keys and their types, before anything of it is expanded.  Its name becomes the
 * name of a directory, hence its letters. */
static dele_status check_stage(const expansion *e)
{
    static const char *const known[] = {"about", "name",      "run",     "for", "if",
                                        "model", "arguments", "options", "keep"};
    const cJSON *keep = dele_json_get(e->json, "keep"),
                *arguments = dele_json_get(e->json, "arguments");
    if (recipe_check_keys(e->json, known, sizeof known / sizeof *known, "it", e->arena, e->err))
        return e->err->code;
    if (!recipe_is_plain(e->name, "_.-") || dele_ends_with(e->name, ".part"))
        return dele_fail(
            e->err, DELE_ERR_DATA,
            "a stage's name is made of letters, digits and _.- and does not end in .part");
    if (is_taken(e->plan, e->name))
        return dele_fail(e->err, DELE_ERR_DATA, "the name is taken; give it another");
    if (!e->command)
        return dele_fail(e->err, DELE_ERR_DATA,
                         "\"run\" says which command it is, as in \"run\": \"unlearn\"");
    if (!strcmp(e->command, "run"))
        return dele_fail(e->err, DELE_ERR_DATA, "a recipe cannot run recipes");
    if (e->axes && !cJSON_IsObject(e->axes))
        return dele_fail(e->err, DELE_ERR_DATA, "\"for\" is an object {\"axis\": [values]}");
    if (arguments && !cJSON_IsArray(arguments))
        return dele_fail(e->err, DELE_ERR_DATA, "\"arguments\" is a list of words");
    if (arguments && dele_json_get(e->json, "model"))
        return dele_fail(e->err, DELE_ERR_DATA,
                         "\"model\" is the one word of \"arguments\": give either");
    if (keep && !cJSON_IsBool(keep))
        return dele_fail(e->err, DELE_ERR_DATA, "\"keep\" is true or false");
    return DELE_OK;
}

dele_status recipe_expand(recipe_plan *plan, const cJSON *json, size_t index, dele_arena *arena,
                          dele_err *err)
{
    dele_err inner = {0};
    expansion *e = DELE_NEW(arena, expansion, 1, err);
    if (!e) return DELE_ERR_MEMORY;
    *e = (expansion){.plan = plan,
                     .json = json,
                     .arena = arena,
                     .err = &inner,
                     .axes = dele_json_get(json, "for"),
                     .name = dele_json_string(json, "name"),
                     .command = dele_json_string(json, "run")};
    if (!e->name)
        return dele_fail(err, DELE_ERR_DATA, "%s: stage %zu: an object with a \"name\" is wanted",
                         plan->path, index + 1);
    if (!check_stage(e) && !expand_own(e, e->axes ? e->axes->child : NULL) && !e->n_points) {
        if (e->left_out)
            plan->left_out[plan->n_left_out++] = e->name;
        else
            dele_fail(&inner, DELE_ERR_DATA,
                      "the results it refers to share an axis, and no value of it");
    }
    return inner.code
               ? dele_fail(err, inner.code, "%s: stage \"%s\": %s", plan->path, e->name, inner.msg)
               : DELE_OK;
}
