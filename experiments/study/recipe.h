/* A recipe: a study written down (docs/recipes.md), and the plan that it becomes once variables and
 * sweeps are filled in.
 *
 *   {"vars": {"lr": 1e-4},
 *    "stages": [{"name": "forgot", "for": {"layers": ["0-1", "2-3"]}, "run": "unlearn", "model":
 *    "$model", "options":
 * {...}},
 *               {"name": "score", "run": "eval", "model": "@forgot", "options": {...}}]}
 *
 *   forgot/layers=0-1   score/layers=0-1   forgot/layers=2-3   score/layers=2-3
 *
 * A stage is expanded into one for each point: the combinations of its own axes ("for"), joined
 * with the points of the stages that it refers to, as tables are joined by the columns they share.
 * The plan is ordered depth first, so that what depends on a stage follows it at once and an
 * interrupted sweep has whole points.
 *
 * Nothing here runs or reads anything: a recipe in, a plan out. */
#ifndef DELE_RECIPE_H
#define DELE_RECIPE_H

#include "base/json.h"

enum { RECIPE_MAX_STAGES = 4096 };

/* One coordinate of a point. */
typedef struct {
    const char *axis;
    const char *name;  /* as it is in the stage's name */
    const char *value; /* what $axis stands for, a text yet to be filled in */
    const cJSON
        *fields; /* the object it was given as, for ${axis.field} and its "options"; or NULL */
} recipe_at;

/* A variable in force; text NULL: it has to be set. */
typedef struct {
    const char *name, *text;
    bool was_set; /* by --set */
} recipe_var;

/* --name text; on its own where text is NULL, then off says --no-name. */
typedef struct {
    const char *name, *text;
    bool off;
} recipe_option;

/* A stage of the plan.  Texts hold references to results as \1stage's name\2 (recipe_render fills
 * them in). */
typedef struct {
    const char *name, *base, *command; /* "score/layers=0-1", "score", "eval" */
    const recipe_at *at;
    size_t n_at;
    const char **argument;
    size_t n_arguments;
    const recipe_option *option;
    size_t n_options;
    const size_t *needs; /* places in the plan, ascending, all before this one */
    size_t n_needs;
    size_t written; /* its place in the order of the recipe */
    bool keep;      /* false: weights may go once all that depends on it is done */
} recipe_stage;

typedef struct {
    const char *path;  /* for messages */
    const cJSON *json; /* the recipe; it must outlive the plan */
    const recipe_var *var;
    size_t n_vars;
    recipe_stage *stage;
    size_t n_stages;
    const char **left_out; /* stages whose "if" says no, and those that refer to them */
    size_t n_left_out;
} recipe_plan;

/* set: NAME=VALUE texts of --set.  All of plan lives in the arena.  DELE_ERR_DATA with the recipe's
 * path and the stage for anything that a recipe cannot mean. */
dele_status recipe_read(recipe_plan *plan, const cJSON *json, const char *path,
                        const char *const *set, size_t n_set, dele_arena *arena, dele_err *err);

/* A reference: STAGE, or STAGE[axis=name,...] for points with these coordinates, or with /path
 * at its end for a file in it. */
typedef struct {
    const char *base;
    recipe_at *fixed; /* axis and name alone */
    size_t n_fixed;
    const char *rest; /* what follows, into the text that was read */
} recipe_ref;

dele_status recipe_ref_parse(recipe_ref *ref, const char *text, dele_arena *arena, dele_err *err);
bool recipe_ref_fits(const recipe_ref *ref, const recipe_stage *stage);

/* The coordinate's name on this axis, or NULL. */
const char *recipe_coordinate(const recipe_stage *stage, const char *axis);

/* A text with every \1name\2 as what(name, context) says; NULL with err set when that gives NULL or
 * memory ends. */
const char *recipe_render(const char *text, const char *(*what)(const char *name, void *context),
                          void *context, dele_arena *arena, dele_err *err);

/* Whether a stage needs the stage with this index. */
bool recipe_depends_on(const recipe_stage *later, size_t earlier);

/* The stages that a shell pattern matches (several with spaces between), by whole name or as the
 * recipe calls them; with needs also what they depend on.  wanted[n_stages]. */
dele_status recipe_select(bool *wanted, const recipe_plan *plan, const char *patterns,
                          bool with_needs, dele_arena *arena, dele_err *err);

/* An object's keys are all among these, or one is refused by name. */
dele_status recipe_check_keys(const cJSON *object, const char *const *known, size_t n,
                              const char *where, dele_arena *arena, dele_err *err);

/* ---- between recipe.c, recipe_expand.c and recipe_text.c ------------------------------------- */

/* One stage of the recipe, the index-th, into the stages of the plan: one for each of its
 * points. */
dele_status recipe_expand(recipe_plan *plan, const cJSON *json, size_t index, dele_arena *arena,
                          dele_err *err);

/* Letters, digits and these signs: it becomes part of a path, and is in references. */
bool recipe_is_plain(const char *text, const char *signs);

/* Where names are looked up: the point's coordinates, then the variables. */
typedef struct {
    const recipe_plan *plan;
    const recipe_at *at;
    size_t n_at;
    bool lenient; /* what is unknown stays as it is */
} recipe_scope;

/* $name, ${name}, ${axis.field} and $$ filled in. */
const char *recipe_fill(const char *text, const recipe_scope *scope, dele_arena *arena,
                        dele_err *err);

/* A JSON value as an option's text: numbers short, lists with commas; NULL for an object, and with
 * err set. */
const char *recipe_text_of(const cJSON *value, dele_arena *arena, dele_err *err);

#endif
