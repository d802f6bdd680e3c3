/* What a recipe wants to be told of its results, read before anything runs: a wrong name is said
 * before hours of work. */
#include "experiments/study/study_scores.h"

#include <string.h>

static dele_status is_column(const study_table *table, const recipe_plan *plan, const cJSON *title,
                             const char *where, dele_err *err)
{
    const char *text = cJSON_GetStringValue(title);
    if (text && (study_column_find(table, text) < table->n_columns ||
                 dele_json_get(dele_json_get(dele_json_get(plan->json, "table"), "columns"), text)))
        return DELE_OK;
    return dele_fail(err, DELE_ERR_DATA, "%s: \"%s\" is no column of the table", where,
                     text ? text : "");
}

static dele_status check_pareto(const study_table *table, const cJSON *json,
                                const recipe_plan *plan, dele_arena *arena, dele_err *err)
{
    static const char *const known[] = {"about",    "x",      "y",    "x_better",
                                        "y_better", "colour", "label"};
    static const char *const better[] = {"x_better", "y_better"};
    if (recipe_check_keys(json, known, sizeof known / sizeof *known, "pareto", arena, err) ||
        is_column(table, plan, dele_json_get(json, "x"), "pareto", err) ||
        is_column(table, plan, dele_json_get(json, "y"), "pareto", err))
        return err->code;
    for (int i = 0; i < 2; i++) {
        const char *text = dele_json_string(json, better[i]);
        if (!text || (strcmp(text, "low") && strcmp(text, "high")))
            return dele_fail(err, DELE_ERR_DATA, "pareto: \"%s\" is \"low\" or \"high\"",
                             better[i]);
    }
    return DELE_OK;
}

/* Checks a recipe's "correlate" against the plan before anything runs: a misspelt column would
 * otherwise be found after hours of work. */
static dele_status check_correlate(const study_table *table, const cJSON *json,
                                   const recipe_plan *plan, dele_arena *arena, dele_err *err)
{
    static const char *const known[] = {"about", "trace", "chart", "tokens",
                                        "axis",  "width", "by",    "scores"};
    const cJSON *scores = dele_json_get(json, "scores"), *width = dele_json_get(json, "width"),
                *tokens = dele_json_get(json, "tokens"), *item;
    recipe_ref ref;
    bool any;
    if (recipe_check_keys(json, known, sizeof known / sizeof *known, "correlate", arena, err))
        return err->code;
    if (!dele_json_string(json, "trace") || !dele_json_string(json, "axis") ||
        !cJSON_IsArray(scores) || !scores->child)
        return dele_fail(err, DELE_ERR_DATA,
                         "correlate: \"trace\" (a stage), \"axis\" (of layers) and \"scores\" "
                         "(columns) are wanted");
    if (width &&
        (!cJSON_IsNumber(width) || width->valuedouble < 1 || width->valuedouble != width->valueint))
        return dele_fail(err, DELE_ERR_DATA, "correlate: \"width\" is a number of layers");
    if (tokens && (!cJSON_IsArray(tokens) || !tokens->child))
        return dele_fail(err, DELE_ERR_DATA,
                         "correlate: \"tokens\" is a list as [\"last subject\", \"last\"]");
    cJSON_ArrayForEach(item, tokens) if (
        !cJSON_IsString(item) ||
        !study_tokens_known(
            item->valuestring)) return dele_fail(err, DELE_ERR_DATA,
                                                 "correlate: \"tokens\" are \"last subject\", "
                                                 "\"first subject\", \"last\", or sums "
                                                 "of these with +");
    cJSON_ArrayForEach(item,
                       scores) if (is_column(table, plan, item, "correlate", err)) return err->code;
    return study_check_ref(&any, &ref, dele_json_string(json, "trace"), plan, arena, err);
}

/* Checks each entry of "compare": both sides must refer to a stage of the plan, which the error
 * names by what the recipe says. */
static dele_status check_compare(const cJSON *json, const recipe_plan *plan, dele_arena *arena,
                                 dele_err *err)
{
    static const char *const known[] = {"about", "before", "after", "items"};
    static const char *const sides[] = {"before", "after"};
    for (; json; json = json->next) {
        const cJSON *items = dele_json_get(json, "items");
        if (recipe_check_keys(json, known, sizeof known / sizeof *known, "compare", arena, err))
            return err->code;
        if (items && (!cJSON_IsNumber(items) || items->valuedouble < 0))
            return dele_fail(err, DELE_ERR_DATA, "compare: \"items\" is a number");
        for (int i = 0; i < 2; i++) {
            recipe_ref ref;
            bool any;
            dele_err inner = {0};
            const char *text = dele_json_string(json, sides[i]);
            if (!text)
                return dele_fail(err, DELE_ERR_DATA, "compare: \"%s\" names a stage of eval",
                                 sides[i]);
            if (study_check_ref(&any, &ref, text, plan, arena, &inner))
                return dele_fail(err, inner.code, "compare: %s", inner.msg);
        }
    }
    return DELE_OK;
}

dele_status study_check_scores(const recipe_plan *plan, dele_arena *arena, dele_err *err)
{
    study_table table;
    dele_err inner = {0};
    const cJSON *pareto = dele_json_get(plan->json, "pareto"),
                *correlate = dele_json_get(plan->json, "correlate");
    const cJSON *compare = dele_json_get(plan->json, "compare");
    if (!study_read_columns(&table, plan, arena, &inner) && pareto)
        check_pareto(&table, pareto, plan, arena, &inner);
    if (!inner.code && correlate) check_correlate(&table, correlate, plan, arena, &inner);
    if (!inner.code && compare && !cJSON_IsArray(compare))
        dele_fail(&inner, DELE_ERR_DATA,
                  "\"compare\" is a list of {\"before\": stage, \"after\": stage}");
    if (!inner.code && compare) check_compare(compare->child, plan, arena, &inner);
    return inner.code ? dele_fail(err, inner.code, "%s: %s", plan->path, inner.msg) : DELE_OK;
}
