/* A recipe becomes a plan: variables first, then each stage expanded (recipe_expand.c), then all of
 * them in order. */
#include "experiments/study/recipe.h"

#include <fnmatch.h>
#include <string.h>

#include "base/nearest.h"

/* ---- variables ------------------------------------------------------------------------------- */

/* What a user gives is meant as it stands. */
static const char *literal(const char *text, dele_arena *arena, dele_err *err)
{
    const char *done = "";
    for (; *text && done; text++) {
        size_t n = strcspn(text, "$@");
        done = dele_printf(arena, err, "%s%.*s%.*s%.*s", done, (int)n, text, text[n] != 0, text + n,
                           text[n] != 0, text + n);
        text += n;
        if (!*text) break;
    }
    return done;
}

static recipe_var *find_var(recipe_var *var, size_t n, const char *name, size_t n_name)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(var[i].name) == n_name && !strncmp(var[i].name, name, n_name)) return &var[i];
    return NULL;
}

/* Sets a variable by --set NAME=VALUE. A $ or @ of the command line is meant as it is, hence
 * `literal`. For a name that the recipe lacks, the error suggests the nearest one or lists them
 * all. */
static dele_status set_var(recipe_var *var, size_t n, const char *set, dele_arena *arena,
                           dele_err *err)
{
    const char *names[256], *equals = strchr(set, '=');
    if (!equals || equals == set)
        return dele_fail(err, DELE_ERR_USAGE, "--set %s: it is written --set NAME=VALUE", set);
    recipe_var *found = find_var(var, n, set, (size_t)(equals - set));
    if (found) {
        found->was_set = true;
        return (found->text = literal(equals + 1, arena, err)) ? DELE_OK : DELE_ERR_MEMORY;
    }
    const char *list = "", *word = dele_strndup(arena, set, (size_t)(equals - set), err);
    for (size_t i = 0; i < n && i < 256; i++) names[i] = var[i].name;
    const char *near = word ? dele_nearest(word, names, n < 256 ? n : 256) : NULL;
    for (size_t i = 0; i < n && list && !near; i++)
        list = dele_printf(arena, err, "%s%s%s", list, i ? ", " : "", var[i].name);
    if (!word || !list) return DELE_ERR_MEMORY;
    return dele_fail(err, DELE_ERR_USAGE, "--set %s: the recipe has no such variable; %s %s", word,
                     near ? "did you mean" : "there is",
                     near    ? near
                     : *list ? list
                             : "none");
}

/* Reads "vars" and applies --set to it. null declares a variable that must be given on the command
 * line; all values become texts, as a command line has them. */
static dele_status read_vars(recipe_plan *plan, const cJSON *vars, const char *const *set,
                             size_t n_set, dele_arena *arena, dele_err *err)
{
    if (vars && !cJSON_IsObject(vars))
        return dele_fail(err, DELE_ERR_DATA, "\"vars\" is an object {\"name\": value}");
    size_t n = (size_t)cJSON_GetArraySize(vars);
    recipe_var *var = DELE_NEW(arena, recipe_var, n, err);
    if (!var) return DELE_ERR_MEMORY;
    plan->var = var;
    const cJSON *item;
    cJSON_ArrayForEach(item, vars)
    {
        if (!recipe_is_plain(item->string, "_"))
            return dele_fail(err, DELE_ERR_DATA,
                             "vars: \"%s\" is no name for a variable: letters, digits and _",
                             item->string);
        if (find_var(var, plan->n_vars, item->string, strlen(item->string)))
            return dele_fail(err, DELE_ERR_DATA, "vars: \"%s\" appears twice", item->string);
        const char *text =
            cJSON_IsNull(item) || cJSON_IsObject(item) ? NULL : recipe_text_of(item, arena, err);
        if (err->code) return err->code;
        if (!text && !cJSON_IsNull(item))
            return dele_fail(
                err, DELE_ERR_DATA,
                "vars: \"%s\" wants a text, a number, true, false or a list of these; null: "
                "to be given with --set",
                item->string);
        var[plan->n_vars++] = (recipe_var){.name = item->string, .text = text};
    }
    for (size_t i = 0; i < n_set; i++)
        if (set_var(var, n, set[i], arena, err)) return err->code;
    return DELE_OK;
}

/* ---- the plan -------------------------------------------------------------------------------- */

typedef struct {
    const recipe_plan *plan;
    size_t *place, n; /* [n_stages] where each goes, SIZE_MAX: nowhere yet */
    double *weight;   /* how much stands on it: ways up from it */
} ordering;

static bool is_ready(const ordering *o, const recipe_stage *stage)
{
    for (size_t k = 0; k < stage->n_needs; k++)
        if (o->place[stage->needs[k]] == SIZE_MAX) return false;
    return true;
}

bool recipe_depends_on(const recipe_stage *later, size_t earlier)
{
    for (size_t k = 0; k < later->n_needs; k++)
        if (later->needs[k] == earlier) return true;
    return false;
}

/* Of the stages that stand on stage i (of all, for i = n_stages) and could go now, the one on which
 * least stands itself: the model before is scored before a sweep begins. */
static size_t next_in_order(const ordering *o, size_t i)
{
    const size_t n = o->plan->n_stages;
    size_t best = n;
    for (size_t j = i < n ? i + 1 : 0; j < n; j++) {
        const recipe_stage *later = &o->plan->stage[j];
        if (o->place[j] == SIZE_MAX && (i == n || recipe_depends_on(later, i)) &&
            is_ready(o, later) && (best == n || o->weight[j] < o->weight[best]))
            best = j;
    }
    return best;
}

static void put_in_order(ordering *o, size_t i);

/* Behind what it stands on; where that has not put it already. */
static void put_with_needs(ordering *o, size_t i)
{
    const recipe_stage *stage = &o->plan->stage[i];
    for (size_t k = 0; k < stage->n_needs; k++)
        if (o->place[stage->needs[k]] == SIZE_MAX) put_with_needs(o, stage->needs[k]);
    if (o->place[i] == SIZE_MAX) put_in_order(o, i);
}

/* What stands on stage i may stand on more: on facts that every point of a sweep is asked.  What
 * more of them share goes first, so that they follow their own point at once and its weights need
 * not wait. */
static void put_partners(ordering *o, size_t i)
{
    for (size_t j = i + 1; j < o->plan->n_stages; j++) {
        const recipe_stage *later = &o->plan->stage[j];
        if (!recipe_depends_on(later, i)) continue;
        for (size_t k = 0; k < later->n_needs; k++)
            if (o->place[later->needs[k]] == SIZE_MAX && o->weight[later->needs[k]] > o->weight[i])
                put_with_needs(o, later->needs[k]);
    }
}

static void put_in_order(ordering *o, size_t i)
{
    const size_t n = o->plan->n_stages;
    if (i < n) o->place[i] = o->n++;
    for (size_t next; (next = next_in_order(o, i)) < n;) {
        put_partners(o, next);
        put_with_needs(o, next);
    }
}

/* Depth first; what a stage needs still comes before it. */
static dele_status order(recipe_plan *plan, dele_arena *arena, dele_err *err)
{
    ordering o = {.plan = plan,
                  .place = DELE_NEW(arena, size_t, plan->n_stages, err),
                  .weight = DELE_NEW(arena, double, plan->n_stages, err)};
    recipe_stage *sorted = DELE_NEW(arena, recipe_stage, plan->n_stages, err);
    if (!o.place || !o.weight || !sorted) return DELE_ERR_MEMORY;
    for (size_t i = plan->n_stages; i-- > 0;) {
        o.place[i] = SIZE_MAX;
        for (size_t k = 0; k < plan->stage[i].n_needs; k++)
            o.weight[plan->stage[i].needs[k]] += 1 + o.weight[i];
    }
    put_in_order(&o, plan->n_stages);
    for (size_t i = 0; i < plan->n_stages; i++) {
        recipe_stage *stage = &sorted[o.place[i]];
        *stage = plan->stage[i];
        stage->written = i;
        size_t *needs = DELE_NEW(arena, size_t, stage->n_needs, err), n = 0;
        if (!needs) return DELE_ERR_MEMORY;
        for (size_t k = 0; k < stage->n_needs; k++) { /* insertion: ascending again */
            size_t place = o.place[stage->needs[k]], at = n++;
            for (; at && needs[at - 1] > place; at--) needs[at] = needs[at - 1];
            needs[at] = place;
        }
        stage->needs = needs;
    }
    plan->stage = sorted;
    return DELE_OK;
}

dele_status recipe_read(recipe_plan *plan, const cJSON *json, const char *path,
                        const char *const *set, size_t n_set, dele_arena *arena, dele_err *err)
{
    static const char *const known[] = {"about",  "vars",      "stages", "table",
                                        "pareto", "correlate", "compare"};
    const cJSON *stages = dele_json_get(json, "stages"), *stage;
    size_t index = 0;
    dele_err inner = {0};
    *plan = (recipe_plan){.path = path, .json = json};
    if (recipe_check_keys(json, known, sizeof known / sizeof *known, path, arena, err))
        return err->code;
    if (!cJSON_IsArray(stages) || !stages->child)
        return dele_fail(err, DELE_ERR_DATA, "%s: \"stages\" is a list of at least one stage",
                         path);
    if (read_vars(plan, dele_json_get(json, "vars"), set, n_set, arena, &inner))
        return dele_fail(err, inner.code, "%s: %s", path, inner.msg);
    plan->stage = DELE_NEW(arena, recipe_stage, RECIPE_MAX_STAGES, err);
    plan->left_out = DELE_NEW(arena, const char *, (size_t)cJSON_GetArraySize(stages), err);
    if (!plan->stage || !plan->left_out) return DELE_ERR_MEMORY;
    cJSON_ArrayForEach(
        stage, stages) if (recipe_expand(plan, stage, index++, arena, err)) return err->code;
    return order(plan, arena, err);
}

dele_status recipe_select(bool *wanted, const recipe_plan *plan, const char *patterns,
                          bool with_needs, dele_arena *arena, dele_err *err)
{
    for (size_t i = 0; i < plan->n_stages; i++) wanted[i] = false;
    for (const char *p = patterns; *p; p += *p == ' ') {
        size_t n = strcspn(p, " "), found = 0;
        char *pattern = dele_strndup(arena, p, n, err);
        if (!pattern) return DELE_ERR_MEMORY;
        for (size_t i = 0; i < plan->n_stages && n; i++) {
            const recipe_stage *s = &plan->stage[i];
            if (strcmp(pattern, s->base) && fnmatch(pattern, s->name, 0)) continue;
            wanted[i] = true;
            found++;
        }
        if (n && !found)
            return dele_fail(err, DELE_ERR_USAGE, "no stage is called %s (--dry-run lists them)",
                             pattern);
        p += n;
    }
    for (size_t i = plan->n_stages; i-- > 0 && with_needs;)
        for (size_t k = 0; k < plan->stage[i].n_needs && wanted[i]; k++)
            wanted[plan->stage[i].needs[k]] = true;
    return DELE_OK;
}
