#include "experiments/compare/compare_results.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/former.h"
#include "base/texts.h"

enum { MOST_ROWS = 4096 };

typedef struct {
    const char *path[2];
    bool subjects;
    compared *result;
    dele_arena *arena;
} comparison;

static bool is_setting(const char *name)
{
    static const char *const names[] = {"n",       "limit",      "shots",          "max_new",
                                        "members", "nonmembers", "cut_at_max_new", "stderr"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return true;
    return dele_ends_with(name, "_stderr");
}

static double suffixed_number(const cJSON *object, const char *name, const char *suffix)
{
    char whole[128];
    snprintf(whole, sizeof whole, "%s%s", name, suffix);
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, whole);
    return cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
}

/* The error of x is x_stderr; of what an array calls a score, the stderr beside it. */
static double error_of(const cJSON *object, const char *name)
{
    double error = suffixed_number(object, name, "_stderr");
    return isnan(error) && !strcmp(name, "score") ? suffixed_number(object, "stderr", "") : error;
}

static dele_status add_row(comparison *c, const char *path, const cJSON *a, const cJSON *b,
                           const char *name, dele_err *err)
{
    compared *r = c->result;
    if (r->n == MOST_ROWS) return DELE_OK;
    compare_row *row = &r->row[r->n];
    *row = (compare_row){.score = dele_strdup(c->arena, path, err),
                         .n = suffixed_number(a, "n", ""),
                         .before = suffixed_number(a, name, ""),
                         .before_error = error_of(a, name),
                         .after = suffixed_number(b, name, ""),
                         .after_error = error_of(b, name)};
    r->n += row->score != NULL;
    return row->score ? DELE_OK : DELE_ERR_MEMORY;
}

static dele_status compare_values(comparison *c, const char *path, const cJSON *a, const cJSON *b,
                                  dele_err *err);

/* Elements of arrays are told by these texts of theirs, in the selectors of a recipe's table:
 * scores[split=forget,task=Task1,type=sc]. */
static const char *const told_by[] = {"split", "task", "type"};
enum { TOLD_BY = sizeof told_by / sizeof *told_by };

static const char *text_of(const cJSON *element, int k)
{
    return dele_json_string(element, told_by[k]);
}

static const cJSON *same_element(const cJSON *array, const cJSON *wanted)
{
    const cJSON *element;
    cJSON_ArrayForEach(element, array)
    {
        bool same = cJSON_IsObject(element);
        for (int k = 0; k < TOLD_BY && same; k++) {
            const char *ours = text_of(wanted, k), *theirs = text_of(element, k);
            same = ours && theirs ? !strcmp(ours, theirs) : ours == theirs;
        }
        if (same) return element;
    }
    return NULL;
}

/* Compares the elements of two arrays that have the same texts under told_by, whatever their order;
 * the texts become part of the path.  An element without such a text, or without a partner, has no
 * row. */
static dele_status walk_array(comparison *c, const char *path, const cJSON *a, const cJSON *b,
                              dele_err *err)
{
    const cJSON *x;
    cJSON_ArrayForEach(x, a)
    {
        char name[512];
        const cJSON *y = cJSON_IsObject(x) ? same_element(b, x) : NULL;
        int n = snprintf(name, sizeof name, "%s", path);
        bool any = false;
        for (int k = 0; k < TOLD_BY && y && n < (int)sizeof name; k++) {
            if (!text_of(x, k)) continue;
            n += snprintf(name + n, sizeof name - (size_t)n, "%s%s=%s", any ? "," : "[", told_by[k],
                          text_of(x, k));
            any = true;
        }
        if (!any || n + 1 >= (int)sizeof name) continue; /* nothing names it */
        strcpy(name + n, "]");
        if (compare_values(c, name, x, y, err)) return err->code;
    }
    return DELE_OK;
}

/* Adds a row for every number that both objects have at the same place, and goes down into objects
 * and arrays.  Both sides must have the same n: with other items a difference of scores would say
 * nothing about the models. */
static dele_status compare_values(comparison *c, const char *path, const cJSON *a, const cJSON *b,
                                  dele_err *err)
{
    double n = suffixed_number(a, "n", ""), m = suffixed_number(b, "n", "");
    if (!isnan(n) && !isnan(m) && n != m)
        return dele_fail(
            err, DELE_ERR_DATA,
            "%s and %s scored different items (%s: %.0f and %.0f); score both with the "
            "same data and --limit",
            c->path[0], c->path[1], *path ? path : "all", n, m);
    const cJSON *x;
    cJSON_ArrayForEach(x, a)
    {
        char name[512];
        const cJSON *y = x->string ? cJSON_GetObjectItemCaseSensitive(b, x->string) : NULL;
        if (!y || is_setting(x->string) || (!c->subjects && !strcmp(x->string, "subjects")))
            continue;
        snprintf(name, sizeof name, "%s%s%s", path, *path ? "." : "", x->string);
        if (cJSON_IsNumber(x) && cJSON_IsNumber(y) && add_row(c, name, a, b, x->string, err))
            return err->code;
        if (cJSON_IsObject(x) && cJSON_IsObject(y) && compare_values(c, name, x, y, err))
            return err->code;
        if (cJSON_IsArray(x) && cJSON_IsArray(y) && walk_array(c, name, x, y, err))
            return err->code;
    }
    return DELE_OK;
}

static cJSON *load(const char *dir, dele_arena *arena, dele_err *err)
{
    const char *path = dele_printf(arena, err, dele_path_is_dir(dir) ? "%s/eval.json" : "%s", dir);
    return path && !dele_former_refuse(path, err) ? dele_json_load_result(path, err) : NULL;
}

static dele_status compare(comparison *c, const cJSON *a, const cJSON *b, const char *flips,
                           dele_err *err)
{
    const char *first = dele_json_string(a, "suite");
    const char *second = dele_json_string(b, "suite");
    if (!first || !second || strcmp(first, second))
        return dele_fail(
            err, DELE_ERR_DATA, "%s is a result of suite %s and %s of %s; compare two of one suite",
            c->path[0], first ? first : "unknown", c->path[1], second ? second : "unknown");
    if (compare_values(c, "", a, b, err)) return err->code;
    return paired_read(&c->result->items, first, c->path[0], c->path[1], flips, c->arena, err);
}

dele_status compare_results(compared *result, const char *before, const char *after, bool subjects,
                            const char *flips, dele_arena *arena, dele_err *err)
{
    comparison c = {
        .path = {before, after}, .subjects = subjects, .result = result, .arena = arena};
    *result = (compared){.row = DELE_NEW(arena, compare_row, MOST_ROWS, err)};
    cJSON *a = result->row ? load(before, arena, err) : NULL,
          *b = a ? load(after, arena, err) : NULL;
    if (b) compare(&c, a, b, flips, err);
    cJSON_Delete(a);
    cJSON_Delete(b);
    return err->code;
}
